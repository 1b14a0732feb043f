"""Solve  index == point  for the axes of an equation that reads: which of its points read a point.

    v[2*t+k-1] == v[p]     t = (p-k+1)/2, for every k
    v[last] == v[p]        under the condition last == p
    v[l//2] == v[p]        l = 2*p+j, for every j below 2
    v[l%3] == v[p]         l = 3*q+p, for every q, where p is below 3
    v[(i-k)%n] == v[p]     i = (p+k)%n, for every k, where n is the length along i

A division that is floored is taken apart: its axis l becomes d*q+j with two new axes, the quotient
and what is left. An axis inside of a division that cannot be taken apart stays free, and the index
is a condition.

In: a reference, its reader and what it reads. Out: a `Solution`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from unfold.core.affine import Affine, Division
from unfold.core.build import Builder
from unfold.core.dependence import fixed_extents
from unfold.core.program import Axis, Program, Ref, Value

MOST_PARTS = 8  # of one index


def point(axis: str) -> str:
    """Name the coordinate, along an axis of the value that is read, of the point that receives."""
    return f"{axis}#"


@dataclass
class Solution:
    """Which index points of a reader read a point.

    Attributes:
        solved: axes of the reader, in terms of points and of axes that are not solved.
        conditions: expressions that must be zero.
        added: new axes that are not solved, with points for all combinations.
        guards: indices of new axes that were solved; they must be inside, and divide exactly.
    """

    solved: dict[str, Affine] = field(default_factory=dict[str, Affine])
    conditions: list[Affine] = field(default_factory=list[Affine])
    added: list[str] = field(default_factory=list[str])
    guards: dict[str, Affine] = field(default_factory=dict[str, Affine])


def solve(builder: Builder, ref: Ref, reader: Value, read: Value) -> Solution:
    """Return which index points of a reader read a point of a value.

    Args:
        builder: receives new axes.
        ref: how the reader reads the value.
        reader: the equation that reads.
        read: the value that is read.
    """
    solver = _Solver(builder, reader)
    # An axis is solved from its own index where it stands there: h[t-1,t-1] of h[k,t] is a delay
    # along t, under a condition on k.
    pairs = sorted(
        zip(read.axes, ref.index, strict=True),
        key=lambda p: (p[1] != Affine.axis(p[0]), p[0] not in p[1].axes),
    )
    for axis, index in pairs:
        solver.equate(axis, index)
    return solver.finished()


class _Solver:
    """Solves one reference, index by index."""

    def __init__(self, builder: Builder, reader: Value) -> None:
        self.builder, self.reader = builder, reader
        self.free = set(reader.iteration)
        self.found = Solution()
        self.parts: dict[Division, Affine] = {}
        self.made: list[str] = []
        self.checked: set[str] = set()  # new axes of which not every point may exist

    def equate(self, axis: str, index: Affine) -> None:
        """Add the equation that an index along an axis is that of the point."""
        wanted = Affine.axis(point(axis))
        for _ in range(MOST_PARTS):
            whole = index.resolve(self.parts)
            equation = whole.substitute(self.found.solved)
            plain = [a for a in _plain(equation) if a in self.free]
            if plain:
                chosen = min(plain, key=lambda a: self._rank(a, axis, equation))
                self._fix(chosen, equation.solve(chosen, wanted))
                return
            if not self.free & set(equation.axes) or not self._take_apart(whole):
                break
        whole = index.resolve(self.parts).substitute(self.found.solved)
        self.found.conditions.append(whole - wanted)

    def finished(self) -> Solution:
        """Return what was found; axes that are new and solved must be inside of their domains."""
        found = self.found
        for axis in self.made:
            if axis not in found.solved:
                found.added.append(axis)
                continue
            index = found.solved.pop(axis)
            if self._is_inside(axis, index):
                del self.builder.axes[axis]
            else:
                found.guards[axis] = index
        return found

    def _rank(self, axis: str, read: str, equation: Affine) -> tuple[bool, bool, int]:
        bound = axis in self.reader.reduced or axis in self.made
        return axis != read, bound, abs(equation.coefficient(axis))

    def _fix(self, axis: str, solution: Affine) -> None:
        found, own = self.found, {axis: solution}
        found.solved = {a: e.substitute(own) for a, e in found.solved.items()}
        found.solved[axis] = solution
        found.conditions = [c.substitute(own) for c in found.conditions]
        self.free.discard(axis)

    def _take_apart(self, expression: Affine) -> bool:
        """Replace a part of an expression by new axes; return whether there is one to replace."""
        for part in _innermost(expression):
            inner = part.inner.substitute(self.found.solved)
            for axis in _plain(inner):
                if axis not in self.free or inner.divisor != 1:
                    continue
                if part.remainder and not self._turns(axis, part, inner):
                    continue
                if part.remainder:
                    self._remainder(axis, part, inner)
                else:
                    self._quotient(axis, part, inner)
                return True
        return False

    def _turns(self, axis: str, part: Division, inner: Affine) -> bool:
        """Whether a remainder is a rotation along an axis: by its own length."""
        (end,) = part.by.ends
        own = part.by == Affine.last(end) + 1 and self._root(end) == self._root(axis)
        return own and abs(inner.coefficient(axis)) == 1

    def _remainder(self, axis: str, part: Division, inner: Affine) -> None:
        """Let the remainder be a new axis with the domain of the one that is turned."""
        left = self._axis(f"{axis}%", Affine.axis(axis))
        self.checked.add(left)
        sign = inner.coefficient(axis)
        rest = inner - Affine.axis(axis) * sign
        self.parts[part] = Affine.axis(left)
        self._fix(axis, ((Affine.axis(left) - rest) * sign) % part.by)

    def _quotient(self, axis: str, part: Division, inner: Affine) -> None:
        """Let the quotient and what is left be new axes."""
        divisor, factor = part.by.constant, inner.coefficient(axis)
        # The numerator runs from `least` over as many numbers as there are steps.
        least = inner - Affine.axis(axis) * factor
        least = least + Affine.last(axis) * min(factor, 0)
        start = least.floor(divisor)
        spare = 0 if (least - start * divisor) == Affine() else divisor - 1
        steps = (Affine.axis(axis) - 1) * abs(factor)
        quotient = self._axis(f"{axis}//{divisor}", (steps + spare + divisor) // divisor)
        left = self._axis(f"{axis}%{divisor}", Affine.number(divisor))
        self.checked.add(left)  # a point's quotient exists where the point does
        whole = Affine.axis(quotient) + start
        self.parts[part] = whole
        self._fix(axis, inner.solve(axis, whole * divisor + Affine.axis(left)))

    def _axis(self, name: str, extent: Affine) -> str:
        """Add an axis, and return its name."""
        axes = self.builder.axes
        while name in axes:
            name += "'"
        axes[name] = Axis(name, extent)
        self.made.append(name)
        self.free.add(name)
        return name

    def _root(self, axis: str) -> str:
        """Return the axis whose domain an axis has."""
        extent = self.builder.axes[axis].extent
        same = [a for a in extent.axes if extent.offset_from(a) == 0]
        return self._root(same[0]) if same else axis

    def _is_inside(self, axis: str, index: Affine) -> bool:
        """Whether a new axis that was solved is always inside of its domain."""
        if axis not in self.checked and index.divisor == 1:
            return True
        axes = self.builder.axes
        own = next((a for a in axes if index == Affine.axis(point(a))), None)
        if own is None:
            return False
        extents = fixed_extents(Program("", axes, {}))
        fits = own in extents and axis in extents and extents[own] <= extents[axis]
        return fits or self._root(own) == self._root(axis)


def _plain(expression: Affine) -> list[str]:
    """Return the axes of an expression that stand in none of its parts."""
    inside = {a for p, _ in expression.parts for a in p.inner.axes}
    return [a for a, _ in expression.terms if a not in inside]


def _innermost(expression: Affine) -> Iterator[Division]:
    """Yield the parts of an expression, inner ones first."""
    for part, _ in expression.parts:
        yield from _innermost(part.inner)
        yield part
