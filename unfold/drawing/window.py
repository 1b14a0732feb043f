"""The drawn index points of an axis: all of a short one, the ends of a long one.

    Window.of(5, 6)         0 1 2 3 4
    Window.of(1000000, 5)   0 1 2 … 999999        the dots stand for every point in between

Each drawn point has a position (its column), and so have the dots. Points outside of the domain
get positions when they are used: -1 is the nearest one before the start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

GAP = "…"
Slot = int | str


@dataclass
class Window:
    """The drawn points of one axis.

    Attributes:
        extent: number of index points of the axis.
        points: the drawn ones, ascending.
        before: drawn points before the start, in the order they were met; `after`: likewise.
    """

    extent: int
    points: tuple[int, ...]
    before: set[int] = field(default_factory=set)
    after: set[int] = field(default_factory=set)

    @cached_property
    def _columns(self) -> dict[int, int]:
        """The column of every drawn point; points after the dots are one further."""
        found: dict[int, int] = {}
        for place, point in enumerate(self.points):
            found[point] = place if place == point else place + 1
        return found

    @cached_property
    def _end(self) -> int:
        """The last column: of the last point, or of dots that nothing follows."""
        last = self._columns[self.points[-1]]
        return max(last, self.hidden) if self.elided else last

    @classmethod
    def of(cls, extent: int, steps: int) -> Window:
        """Choose at most `steps` points; an axis that is one longer than that is drawn whole."""
        if extent <= max(steps, 1) + 1:
            return cls(extent, tuple(range(extent)))
        head = tuple(range(max(steps - 1, 1)))
        return cls(extent, head if steps < 2 else (*head, extent - 1))

    @property
    def elided(self) -> bool:
        """Whether there are dots."""
        return len(self.points) < self.extent

    @cached_property
    def hidden(self) -> int:
        """The first point that the dots stand for; also their column."""
        return next(p + 1 for p in self.points if p + 1 not in self._columns)

    def slot(self, index: int) -> Slot:
        """Return a drawn point, or one outside of the domain, as it is; the dots for others."""
        return index if index in self._columns or not 0 <= index < self.extent else GAP

    def note(self, index: int) -> None:
        """Remember that a point outside of the domain is drawn."""
        if index < 0:
            self.before.add(index)
        elif index >= self.extent:
            self.after.add(index)

    def position(self, slot: Slot) -> int:
        """Return the column of a slot."""
        if slot == GAP:
            return self.hidden
        index = int(slot)
        if index < 0:
            return -1 - sorted(self.before | {index}, reverse=True).index(index)
        if index >= self.extent:
            return self._end + 1 + sorted(self.after | {index}).index(index)
        return self._columns[index]

    @property
    def middle(self) -> float:
        """The position half way between the first and the last drawn point."""
        return (self.position(self.points[0]) + self.position(self.points[-1])) / 2
