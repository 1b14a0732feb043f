"""The equations of one instance of a cell: the boxes of the level of detail "cell".

In: a Program. Out: `Cells`: for each equation of an instance the cell's name, and for each cell the
axes that all of its equations have. Contracting a graph replaces each node by its cell at the same
index point of these axes:

    l1.s[t,l], l1.h[t]    are cell l1[t]:    l1.s[3,0], l1.s[3,1], l1.h[3] -> l1[3]

The layers of a stack are separate cells. Adjoints belong together as their values do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from unfold.core.origin import Adjoint, Written
from unfold.core.program import BATCH, Program, Value

_INSTANCE = re.compile(r"([^.]+(?:\.layer\d+)?)\.")


@dataclass(frozen=True)
class Cells:
    """Cells by their members; without any, every value stands for itself.

    Attributes:
        owner: the cell of each value that belongs to one.
        axes: of each cell, without "batch".
    """

    owner: Mapping[str, str] = field(default_factory=dict)
    axes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, name: str) -> str:
        """Return the cell of a value, or the value if it belongs to none."""
        return self.owner.get(name, name)

    def members(self, name: str) -> tuple[str, ...]:
        """Return the values of a cell; for a value that is not a cell, itself."""
        return tuple(n for n, cell in self.owner.items() if cell == name) or (name,)

    def kept(self, name: str, axes: Sequence[str]) -> tuple[int, ...]:
        """Return the positions of a value's axes that its cell has, in the order of the cell's."""
        cell = self.owner.get(name)
        return tuple(range(len(axes))) if cell is None else tuple(map(axes.index, self.axes[cell]))


def find_cells(program: Program) -> Cells:
    """Return the cells of a Program; equations that lack axes of the others stay alone."""
    groups: dict[str, list[Value]] = {}
    for value in program:
        if not value.is_given and value.is_named and not isinstance(value.origin, Adjoint):
            groups.setdefault(instance_of(value.name) or value.name, []).append(value)
    owner: dict[str, str] = {}
    axes: dict[str, tuple[str, ...]] = {}
    for cell, members in groups.items():
        common = _common_axes(members)
        fitting = [m.name for m in members if set(common) <= set(m.axes)]
        if any(instance_of(name) for name in fitting):
            axes[cell] = common
            owner.update(dict.fromkeys(fitting, cell))
    for value in program:
        origin = value.origin
        if isinstance(origin, Adjoint) and origin.of.name in owner:
            plain = owner[origin.of.name]
            owner[value.name] = Adjoint(Written(plain), origin.order).name
            axes[owner[value.name]] = axes[plain]
    return Cells(owner, axes)


def instance_of(name: str) -> str | None:
    """Return the instance of a cell that a value belongs to: `l1` of `l1.z`; layers are apart."""
    found = _INSTANCE.match(name)
    return found.group(1) if found else None


def _common_axes(members: Sequence[Value]) -> tuple[str, ...]:
    """Return the axes but "batch" that all equations of a cell have that have any."""
    indexed = [m for m in members if set(m.axes) - {BATCH}] or list(members)
    axes = (a for a in indexed[0].axes if a != BATCH)
    return tuple(a for a in axes if all(a in m.axes for m in indexed))
