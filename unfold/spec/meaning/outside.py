"""Index points outside of an axis, for initial values that differ between them.

A boundary that is the same everywhere outside of a domain has no axis. One that uses the axis,

    h[t]: {-1: a, -2: b}      or      h[t]: where(t == -1, a, b)

is an equation over a separate axis, which holds the points that are read: before the first index
point, after the last, or both.

    h.initial.t[k],  k = 0, 1       t = k - 2       h[-1] reads k = 1, h[-2] reads k = 0
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf

from unfold.core.affine import Affine
from unfold.core.bounds import reach
from unfold.core.build import Builder, Term
from unfold.core.dependence import fixed_extents
from unfold.core.program import Axis, Program
from unfold.spec.meaning.scope import Boundary
from unfold.spec.meaning.sketch import Sketch
from unfold.spec.text.expression import Call, Expr, Reference, children
from unfold.spec.text.problems import fail


@dataclass(frozen=True)
class Outside:
    """The index points outside of a value's axis at which its initial value is computed.

    Attributes:
        axis: the axis of the value.
        name: of the axis that holds the points.
        before, after: how many points there are before the first index point, and after the last.
    """

    axis: str
    name: str
    before: int
    after: int

    @property
    def extent(self) -> Affine:
        """The number of points; with points at two ends, those in between are counted."""
        if self.before and self.after:
            return Affine.axis(self.axis) + (self.before + self.after)
        return Affine.number(self.before + self.after)

    @property
    def shift(self) -> Affine:
        """The number of the first point on the axis that is left."""
        if self.before:
            return Affine.number(-self.before)
        return Affine.last(self.axis) + 1

    def add(self, builder: Builder) -> None:
        """Add the axis; a builder that shares its axes with others gets its own."""
        from_data = self.before > 0 < self.after and builder.varies(self.axis)
        own = Axis(self.name, self.extent, from_data)
        builder.axes = {**builder.axes, self.name: own}

    def moved(self) -> dict[str, Affine]:
        """Return the axis's index in terms of the points."""
        return {self.axis: Affine.axis(self.name) + self.shift}

    @property
    def ends(self) -> list[Affine]:
        """The first and the last point, as numbers; none where there are points at both ends."""
        if self.before > 0 < self.after:
            return []
        return [Affine.number(k) for k in (0, self.before + self.after - 1)]

    def number(self, place: Affine) -> Affine:
        """Return the number of a point outside of the axis."""
        return place - self.shift

    def misses(self, index: Affine, axis: str, numbers: Sequence[Affine]) -> bool:
        """Whether an index in terms of the points is outside of another value's axis at some."""
        if index.axes != (self.name,) or not numbers:
            return False
        return all(index.substitute({self.name: k}).is_outside(axis) for k in numbers)

    def read(self, term: Term) -> Term:
        """Read the values of the points at an index of the axis."""
        source = term.builder.values.get(term.ref.value)
        if source is None or source.here != term.ref:
            term = term.apply("identity")
        return term.at({self.name: Affine.axis(self.axis) - self.shift})


def differs(boundary: Boundary, axis: str) -> bool:
    """Return whether an initial value differs between the points outside of an axis."""
    initial = boundary.initial
    if initial.points or initial.value is None:
        return bool(initial.points)
    return _mentions(initial.value, boundary.scope.local(axis))


def _mentions(expression: Expr, axis: str) -> bool:
    """Return whether an expression uses an axis that it does not reduce over."""
    if isinstance(expression, Call) and axis in [a.value for a in expression.axes or ()]:
        return False
    if isinstance(expression, Reference) and expression.indices is None:
        return expression.name == axis
    return any(_mentions(e, axis) for e in children(expression))


def outside(
    builder: Builder, name: str, axis: str, boundary: Boundary, points: Sequence[Affine]
) -> Outside:
    """Return the points outside of an axis at which an initial value is read.

    Args:
        builder: holds every equation, where it is no sketch.
        name: of the value.
        axis: that is left.
        boundary: the entry of `initial`.
        points: those that it names, if any.

    Raises:
        SpecError: points that are not a fixed number of steps outside.
    """
    own = f"{name}.initial.{boundary.scope.local(axis)}"
    if points:
        before = max((-p.constant for p in points if not p.lasts), default=0)
        return Outside(axis, own, before, max((p.constant for p in points if p.lasts), default=0))
    if isinstance(builder, Sketch):
        return Outside(axis, own, 1, 0)
    before = after = 0.0
    program = Program("", builder.axes, builder.values)
    extents = fixed_extents(program)
    for value in program:
        for ref in program.reads(value):
            source = program[ref.value]
            index = dict(zip(source.axes, ref.index, strict=True)).get(axis)
            if source.name != name or index is None or not index.may_leave(axis):
                continue
            start = index + Affine.axis(axis)
            before = max(before, -reach(start, axis, extents).low)
            after = max(after, reach(start - Affine.last(axis), axis, extents).high)
    if inf in (before, after):
        raise fail(
            f"the initial value of {boundary.initial.name} depends on "
            f"{boundary.scope.local(axis)}, but it is read any number of steps outside",
            boundary.initial.value_at.location,
            help="name the points, as in  {-1: …, -2: …},  or use a value that is the same for all",
        )
    # A value that is never read outside has one point, which nobody reads.
    return Outside(axis, own, ceil(before) if after else max(1, ceil(before)), ceil(after))
