"""From the words of a command line to a loaded model and its settings.

    unfold run char-rnn --set size.hidden=256 --set train.optimizer.adam.rate=0.01 --mode
    scheduled:0.3

A spec is a path, or the name of one that comes with the package. `--set` changes a size, the
extent of an axis, or a value in the sections data, train, memory, generate and draw (read as
YAML); a mistake in a changed value is shown at the place it replaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from unfold.errors import SpecError, UnfoldError

if TYPE_CHECKING:
    import unfold
    from unfold.spec.file.model import Section, Spec
    from unfold.training.rules.teaching import Mode

MAX_DIGITS = 18
SECTIONS = ("data", "train", "memory", "generate", "draw")


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
            known = ", ".join(["size.NAME", "axis.NAME", *(f"{s}.KEY" for s in SECTIONS[:-1])])
            expected = f"{known} or {SECTIONS[-1]}.KEY"
            raise UnfoldError(f"--set {item}: expected {expected}, got {key!r}")
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
    names = dict.fromkeys(path[0] for path in changes.settings)
    if not names:
        return model
    sections: dict[str, Any] = {name: _section(model.spec, name, changes) for name in names}
    spec = replace(model.spec, **sections)
    return unfold.Model(replace(model.elaborated, spec=spec))


def choose_backend(name: str | None) -> str:
    """Return the backend that is asked for, or the default one.

    Raises:
        UnfoldError: this version does not have it.
    """
    from unfold.backends import BACKENDS, default

    if name is not None and name not in BACKENDS:
        raise UnfoldError(f"--backend {name}: this version has {', '.join(BACKENDS)}")
    return name or default()


def _section(spec: Spec, name: str, changes: Changes) -> Section:
    """Return a section with its changes, at the places of what is in the file."""
    from unfold.spec.file.model import Section

    written: Section | None = getattr(spec, name)
    tree: Any = written.tree if written else {}
    for path, value in changes.settings.items():
        if path[0] == name:
            tree = _changed(tree, path[1:], value)
    return replace(written, tree=tree) if written else Section.at(spec.locate(name), tree)


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
