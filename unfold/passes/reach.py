"""Which reads have to be checked at every point, instead of by zeros that lie around a value.

A value is kept with zeros around its domain, as far as its readers reach (a halo), so that a read
needs no test. That is no way where an index is divided, ends with each sequence, or reaches
further than there are points: memory follows extents, never the numbers of an index.

    Reach(extents={"t": 8}).is_uneven(t-1, "t", batched=True)              False
    Reach(extents={"t": 8}).is_uneven(t-1000000000, "t", batched=True)     True
    Reach(varying={"t"}).is_uneven(last-t, "t", batched=True)              True
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from unfold.core.affine import Affine
from unfold.core.dependence import outreach
from unfold.core.program import Program, kept

NEAR = 64  # numbers up to this are no reason to look at extents: so short a halo costs nothing


@dataclass(frozen=True)
class Reach:
    """What decides how values are read.

    Attributes:
        varying: axes whose length differs per sequence.
        extents: of axes; reads along others are taken to be near.
    """

    varying: frozenset[str] = frozenset()
    extents: Mapping[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def of(cls, program: Program, varying: Iterable[str], extents: Mapping[str, int]) -> Reach:
        """Return what holds for a Program; extents only where an index has large numbers."""
        return cls(frozenset(varying), extents if reaches_far(program) else {})

    def is_uneven(self, index: Affine, axis: str, *, batched: bool) -> bool:
        """Whether an index has to be checked, or looked up, for every point.

        Args:
            index: along `axis`, in terms of the reader's axes.
            axis: of the value that is read.
            batched: whether the reader differs per sequence.
        """
        ends = batched and any(a in self.varying for a in index.ends)
        return not index.is_linear or ends or self._is_far(index, axis)

    def _is_far(self, index: Affine, axis: str) -> bool:
        """Whether an index reaches further beyond an axis than it and its readers have points."""
        if not _has_large_numbers(index):
            return False
        points = [self.extents.get(a) for a in (axis, *index.axes, *index.ends)]
        known = [n for n in points if n is not None]
        if len(known) < len(points):
            return False
        return max(outreach(index, axis, self.extents)) > max(NEAR, *known)


@kept
def reaches_far(program: Program) -> bool:
    """Whether it can depend on extents which reads are checked."""
    reads = (ref for value in program for ref in value.operands)
    return any(_has_large_numbers(i) for ref in reads for i in ref.index)


def _has_large_numbers(index: Affine) -> bool:
    return any(abs(n) > NEAR for n in index.numbers)
