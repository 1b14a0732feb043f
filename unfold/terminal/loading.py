"""From the words of a command line to a loaded model and its settings.

    unfold run char-rnn --set size.hidden=256 --set train.optimizer.adam.rate=0.01 --mode
    scheduled:0.3

A spec is a path, or the name of one that comes with the package. `--set` changes a size, the
extent of an axis, or a value in the sections data, train, memory and generate (read as YAML);
a mistake in a changed value is shown at the place it replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from unfold.errors import Location, SpecError, UnfoldError

if TYPE_CHECKING:
    import unfold
    from unfold.spec.file.model import Settings
    from unfold.training.settings import Mode

KeyPath = tuple[str | int, ...]
MAX_DIGITS = 18
SECTIONS = ("data", "train", "memory", "generate")


@dataclass(frozen=True)
class Changes:
    """What `--set` says.

    Attributes:
        sizes: by name.
        axes: extents, by axis.
        settings: from (section, key, ...) to a value.
    """

    sizes: Mapping[str, int] = field(default_factory=dict)
    axes: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[tuple[str, ...], Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ChangedSection:
    """A section with other values; its places are those of the file."""

    tree: Mapping[str, Any]
    locate: Callable[[KeyPath], Location]
    locate_key: Callable[[KeyPath], Location]


def read_changes(items: list[str] | None) -> Changes:
    """Read the values of `--set`.

    Raises:
        UnfoldError: for one that is not KEY=VALUE, names nothing known, or is no positive integer.
    """
    numbers: dict[str, dict[str, int]] = {"size": {}, "axis": {}}
    settings: dict[tuple[str, ...], Any] = {}
    for item in items or ():
        key, equals, text = item.partition("=")
        group, *names = key.strip().split(".")
        if not equals or not names or not all(names):
            example = "as in size.hidden=256, axis.t=100 or train.steps=500"
            raise UnfoldError(f"--set {item}: expected KEY=VALUE, {example}")
        if group in numbers and len(names) == 1:
            numbers[group][names[0]] = _positive(item, text.strip())
        elif group in SECTIONS:
            settings[(group, *names)] = yaml_value(f"--set {item}", text)
        else:
            known = "size.NAME, axis.NAME, data.KEY, train.KEY, memory.KEY or generate.KEY"
            raise UnfoldError(f"--set {item}: expected {known}, got {key!r}")
    return Changes(numbers["size"], numbers["axis"], settings)


def _positive(item: str, text: str) -> int:
    """Read a size or an extent; how large it may be is for the spec to say."""
    digits = text.lstrip("0")
    if not (text.isascii() and text.isdigit() and digits):
        raise UnfoldError(f"--set {item}: expected a positive whole number, got {text!r}")
    if len(digits) > MAX_DIGITS:
        key = item.partition("=")[0]
        raise UnfoldError(f"--set {key}=…: a number of {len(digits):,} digits is too large")
    return int(digits)


def load(name: str, changes: Changes, sizes: Mapping[str, int] | None = None) -> unfold.Model:
    """Load a spec with the changes of the command line, and sizes that the data decides."""
    import unfold

    model = unfold.load(name, sizes={**(sizes or {}), **changes.sizes}, axes=changes.axes)
    if any(path[0] == "memory" for path in changes.settings):
        from unfold.execution.memory import Memory
        from unfold.training.memory import read_memory

        memory = section(model, "memory", changes)
        assert memory is not None
        asked = read_memory(memory)
        model.memory = Memory(asked.checkpoint, asked.budget)
    return model


def choose_backend(name: str | None) -> str:
    """Return the backend that is asked for, or the default one.

    Raises:
        UnfoldError: this version does not have it.
    """
    from unfold.backends import BACKENDS, default

    if name is not None and name not in BACKENDS:
        raise UnfoldError(f"--backend {name}: this version has {', '.join(BACKENDS)}")
    return name or default()


def section(model: unfold.Model, name: str, changes: Changes) -> ChangedSection | Settings | None:
    """Return a section of the spec with its changes applied, or None where there is none."""
    written: Settings | None = getattr(model.spec, name)
    mine = {path[1:]: value for path, value in changes.settings.items() if path[0] == name}
    if not mine:
        return written
    tree: Any = written.tree if written else {}
    for path, value in mine.items():
        tree = _changed(tree, path, value)

    def nowhere(path: KeyPath) -> Location:
        return model.spec.locate(name)

    places = (written.locate, written.locate_key) if written else (nowhere, nowhere)
    return ChangedSection(tree, *places)


def read_mode(text: str | None) -> Mode | None:
    """Read `teacher`, `free` or `scheduled:0.25`.

    Raises:
        UnfoldError: for anything else.
    """
    if text is None or text in ("teacher", "free"):
        return text
    name, _, share = text.partition(":")
    try:
        probability = float(share)
    except ValueError:
        probability = -1.0
    if name != "scheduled" or not 0 <= probability <= 1:
        raise UnfoldError(
            f"--mode {text}: expected teacher, free or scheduled:P with P from 0 to 1"
        )
    return ("scheduled", probability)


def _changed(tree: Any, path: tuple[str, ...], value: Any) -> Any:
    """Return a tree with one value replaced; whatever is not a mapping on the way becomes one."""
    if not path:
        return value
    old = tree if isinstance(tree, dict) else {}
    return {**old, path[0]: _changed(old.get(path[0]), path[1:], value)}


def yaml_value(told: str, text: str) -> Any:
    """Read a value by the rules of spec files, where 1e-3 is a number and `off` is a word.

    Arguments:
        told: the option as it was written, for the message of a mistake.
        text: the value.

    Raises:
        UnfoldError: it cannot be read.
    """
    from unfold.spec.file.sections_settings import parse_settings
    from unfold.spec.text.reader import read
    from unfold.spec.text.text import Text

    try:
        return parse_settings(Text.of(told), read(f"value: {text}", told)).tree["value"]
    except SpecError as error:
        raise UnfoldError(f"{told}: {error.diagnostics[0].message}") from None
