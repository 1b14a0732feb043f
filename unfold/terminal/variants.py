"""Variants of specs from the words of a command line.

    variants(["lstm"], None, ["size.hidden=64,128", "axis.t=10..12"])
        [Variant("hidden=64 t=10", "lstm", ("size.hidden=64", "axis.t=10")), ...]

A variant is named by what distinguishes it: its spec, if there are several, and the varied values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from unfold.errors import UnfoldError
from unfold.terminal.loading import load, read_changes

if TYPE_CHECKING:
    from unfold import Model

MOST = 1000


@dataclass(frozen=True)
class Variant:
    """A spec with changes.

    Attributes:
        name: what distinguishes it from the others.
        spec: path or name.
        items: its changes, as `--set` takes them.
    """

    name: str
    spec: str
    items: tuple[str, ...]

    @property
    def model(self) -> Model:
        """The model, loaded anew."""
        return load(self.spec, read_changes(list(self.items)))


RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")


def variants(
    specs: Sequence[str], changes: list[str] | None, vary: list[str] | None
) -> list[Variant]:
    """Return all variants.

    Args:
        specs: paths or names.
        changes: of all variants, as `--set` takes them.
        vary: KEY=VALUES; values are separated by commas, or a range of whole numbers, 1..4.

    Raises:
        UnfoldError: what cannot be read, or too many variants.
    """
    axes = [_values(item) for item in vary or ()]
    count = len(specs)
    for values in axes:
        count *= len(values)
    if count > MOST:
        raise UnfoldError(f"these are {count:,} variants; at most {MOST:,} can be compared at once")
    found: dict[str, Variant] = {}
    for spec in specs:
        title = load(spec, read_changes(None)).name
        for chosen in product(*axes):
            name = " ".join([*([title] if len(specs) > 1 else ()), *map(_short, chosen)]) or title
            name = _unique(name, spec, found)
            found[name] = Variant(name, spec, (*(changes or ()), *chosen))
    return list(found.values())


def _values(item: str) -> list[str]:
    """Return `size.hidden=32` and `size.hidden=64` of `size.hidden=32,64`."""
    key, equals, text = item.partition("=")
    if not equals or not key.strip() or not text.strip():
        raise UnfoldError(
            f"--vary {item}: expected KEY=VALUES, as in size.hidden=32,64 or axis.l=1..4"
        )
    values = [v for part in text.split(",") for v in _expanded(item, part.strip())]
    return [f"{key.strip()}={value}" for value in dict.fromkeys(values)]


def _expanded(item: str, part: str) -> list[str]:
    bounds = RANGE.fullmatch(part)
    if not bounds:
        return [part]
    first, last = map(int, bounds.groups())
    if not 0 <= last - first < MOST:
        raise UnfoldError(f"--vary {item}: {part} is no range of up to {MOST:,} numbers")
    return [str(n) for n in range(first, last + 1)]


def _short(change: str) -> str:
    """Return `hidden=32` of `size.hidden=32`."""
    key, _, value = change.partition("=")
    return f"{key.rpartition('.')[2]}={value}"


def _unique(name: str, spec: str, found: dict[str, Variant]) -> str:
    """Return the name of a variant: with its path, if another one has it."""
    if name not in found:
        return name
    if (longer := f"{name} ({spec})") in found:
        raise UnfoldError(f"{spec} stands twice among the specs")
    return longer
