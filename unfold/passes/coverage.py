"""Which values are surely read: at every index point, and every element of them.

What nobody reads has no cotangent. Two sets say of which values that cannot happen:

    certain   some way to the result leads through no branch that `where` could leave
    whole     every element, at every point, has a reader that is whole itself

In `where(m[t], log(x[t]), 0)` the logarithm is neither. In `V @ h[last]`, where h is recurrent, h
is whole: the step t is read by the step t+1, and the last one by the result. In `relu(a[t])`, a is
certain, but an element of it that is negative is not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from unfold.core.affine import Affine
from unfold.core.bounds import at_reader, can_hold
from unfold.core.dependence import fixed_extents
from unfold.core.letters import letters
from unfold.core.op import OPS, Kind, Source, View
from unfold.core.paths import reachable
from unfold.core.program import BATCH, Axis, Program, Ref, Value

ELEMENTS, POINTS = "elements", "points"
MANY = 2**20  # more points than these are not tried


class Coverage:
    """What is surely read of a Program's values.

    Args:
        program: without boundaries and feedback.
        active: values that the result depends on, and that depend on what it is differentiated by.
        of: the result.

    Attributes:
        certain: values that are read whatever any `where` chooses.
        whole: those of which every element is.
    """

    def __init__(self, program: Program, active: set[str], of: str) -> None:
        self.program, self.active, self.of = program, active, of
        self.extents = fixed_extents(program)
        self.reads: dict[str, list[tuple[Value, int, _Seen]]] = {n: [] for n in {*active, of}}
        for reader in program:
            for position, ref in enumerate(reader.operands if reader.name in active else ()):
                if ref.value in active:
                    self.reads[ref.value].append((reader, position, self._seen(reader, ref)))
        self.certain = self._certain()
        self.whole = self._whole()

    def _seen(self, reader: Value, ref: Ref) -> _Seen:
        value = self.program[ref.value]
        fixed = {a for i in ref.index for a in i.axes}
        free = same_points(set(reader.iteration) - fixed, fixed, self.program.axes)
        if not can_hold(reader.within, free, at_reader(value, ref)):
            return _Seen(value.axes)
        return _Seen.of(value, ref, self.program.axes, self.extents)

    def _certain(self) -> set[str]:
        def follow(name: str) -> list[str]:
            reader = self.program[name]
            return [
                ref.value
                for position, ref in enumerate(reader.operands)
                if ref.value in self.active
                and (self._bounds(reader) or self._takes(reader, position))
            ]

        return reachable((self.of,), follow)

    def _bounds(self, reader: Value) -> bool:
        """Whether a `where` is about the index alone, as that of a boundary."""
        return reader.row.chooses and self.program[reader.operands[0].value].source is Source.INSIDE

    def _takes(self, reader: Value, position: int) -> bool:
        """Whether an operand is not a branch, or is chosen along axes that it does not have."""
        if not reader.row.chooses:
            return True
        condition, branch = reader.operands[0], reader.operands[position]
        common = set(condition.axes) & set(branch.axes)
        if self._bounds(reader):  # every sequence has a point beyond the boundary
            return not common - {BATCH}
        known = None if common or position == 0 else self._known(condition.value)
        return known is not None and bool(np.any(known) if position == 1 else not np.all(known))

    def _known(self, name: str) -> Any:
        """Return a value that follows from axes of known extents alone, None for another one."""
        value, row = self.program[name], OPS[self.program[name].op]
        if value.is_constant:
            return value.attributes["value"]
        if value.source is Source.INDEX:
            return _grid(value.attributes["index"], self.extents)
        here = all(r == self.program[r.value].here for r in value.operands)
        if row.kind is not Kind.POINTWISE or row.evaluate is None or not here:
            return None
        below = [self._known(r.value) for r in value.operands]
        if any(x is None for x in below):
            return None
        with np.errstate(all="ignore"):
            return row.evaluate(*below)

    def _whole(self) -> set[str]:
        # It is assumed of all and taken back where it is not so: the unfolded graph has no cycles,
        # so what is read by itself alone, at other points, fails at the last of them.
        found = {ELEMENTS: {*self.active, self.of}, POINTS: {*self.active, self.of}}
        work = [(n, what) for n in self.active - {self.of} for what in found]
        while work:
            name, what = work.pop()
            if name in found[what] and not self._is_whole(name, what, found):
                found[what].remove(name)
                below = {r.value for r in self.program[name].operands} & self.active - {self.of}
                work += [(n, w) for n in below for w in found]
        return found[ELEMENTS]

    def _is_whole(self, name: str, what: str, whole: Mapping[str, set[str]]) -> bool:
        value = self.program[name]
        seen, parts = list[_Seen](), list[tuple[int, int]]()
        for reader, position, at in self.reads[name]:
            if reader.row.view is View.PART and reader.name in whole[what] and not at.lost:
                parts.append((reader.attributes["start"], reader.attributes["stop"]))
            elif reader.name in whole.get(self._share(reader, position, what), ()):
                seen.append(at)
        if any(not s.lost for s in seen) or any(_joined(a, seen) for a in value.axes):
            return True
        return bool(parts) and (what == POINTS or _fills(parts, int(value.type.shape[0])))

    def _share(self, reader: Value, position: int, what: str) -> str:
        """Return what must be whole of a reader, so that what it reads is; "" if nothing helps.

        An element that is repeated, or multiplied with a matrix, is read if any element of the
        result is. What picks some elements of a vector still reads the vector.
        """
        row, shape = OPS[reader.op], self.program[reader.operands[position].value].type.shape
        if reader.row.chooses:
            inside = position == 1 and self._bounds(reader)
            return what if inside or self._takes(reader, position) else ""
        if reader.is_contraction:
            return self._product(reader, position, what)
        if row.selects:
            return POINTS if what == POINTS and shape and row.kind is not Kind.KERNEL else ""
        repeats = row.kind is Kind.POINTWISE or row.view is View.REPEAT
        return POINTS if repeats and shape != reader.type.shape else what

    def _product(self, reader: Value, position: int, what: str) -> str:
        own, result = letters(reader)
        picked = {
            letter
            for names, ref in zip(own, reader.operands, strict=True)
            if self.program[ref.value].type.kind == "category"
            for letter in names
        }
        if what == ELEMENTS and picked & set(own[position]):
            return ""
        return what if set(result) <= set(own[position]) else POINTS


def same_points(
    free: Iterable[str], fixed: Iterable[str], axes: Mapping[str, Axis]
) -> dict[str, list[str]]:
    """Return to each free axis the fixed ones over the same points."""
    return {a: [b for b in fixed if _extent(a, axes) == _extent(b, axes)] for a in free}


def _grid(index: Affine, extents: Mapping[str, int]) -> Any:
    """Return an index over axes of known extents, as an array over all of these in order."""
    if index.ends or not set(index.axes) <= set(extents):
        return None
    own = {a: extents[a] for a in index.axes}
    if prod(own.values()) > MANY:
        return None
    lanes = {
        a: np.arange(n).reshape([-1 if a == b else 1 for b in extents]) for a, n in own.items()
    }
    return index.evaluate(lanes, {})[0]


def _holds_zero(index: Affine, extents: Mapping[str, int]) -> bool:
    """Whether an index over axes of known extents is surely zero at one of their points."""
    if (
        index.ends
        or not index.is_linear
        or any(a not in extents or abs(c) != 1 for a, c in index.terms)
    ):
        return False
    ends = [c * (extents[a] - 1) for a, c in index.terms]
    low, high = (index.constant + sum(f(e, 0) for e in ends) for f in (min, max))
    return low <= 0 <= high


@dataclass(frozen=True)
class _Seen:
    """What one reader sees of a value.

    Attributes:
        lost: axes along which it does not see all points.
        shift: of an index t + c, c; None where it is no shift.
        point: of an index that is one point, it.
    """

    lost: tuple[str, ...]
    shift: int | None = None
    point: Affine | None = None

    @classmethod
    def of(
        cls, value: Value, ref: Ref, axes: Mapping[str, Axis], extents: Mapping[str, int]
    ) -> _Seen:
        """Compare an index with a value's axes; two of them may not follow one of the reader."""
        free = [a for i in ref.index for a in i.axes]
        lost, shift, point = list[str](), None, None
        for axis, index in zip(value.axes, ref.index, strict=True):
            if _sees_all(axis, index, axes, extents) and all(
                free.count(a) == 1 for a in index.axes
            ):
                continue
            lost.append(axis)
            shift = index.offset_from(axis)
            point = None if index.axes else index
        return cls(tuple(lost), shift, point)


def _sees_all(
    axis: str, index: Affine, axes: Mapping[str, Axis], extents: Mapping[str, int]
) -> bool:
    """Whether an index runs over all points of an axis, at some value of what is added to it."""
    if axis == BATCH:
        return True
    for name, sign in index.terms if index.divisor == 1 else ():
        rest = index - Affine.axis(name) * sign
        rest = rest - Affine.last(axis) if sign == -1 else rest
        same = abs(sign) == 1 and _extent(name, axes) == _extent(axis, axes)
        if same and _holds_zero(rest, extents):
            return True
    return False


def _extent(name: str, axes: Mapping[str, Axis]) -> Affine:
    """Return the extent of an axis in terms of axes that have one of their own."""
    extent = axes[name].extent
    if len(extent.axes) == 1 and extent == Affine.axis(extent.axes[0]):
        return _extent(extent.axes[0], axes)
    return Affine.axis(name) if axes[name].from_data or name == BATCH else extent


def _joined(axis: str, seen: Iterable[_Seen]) -> bool:
    """Whether readers together see all points of an axis: all but the last ones, and these."""
    own = [s for s in seen if s.lost == (axis,)]
    points = {s.point for s in own}
    shifts = [s.shift for s in own if s.shift]
    first = min((c for c in shifts if c > 0), default=None)
    last = max((c for c in shifts if c < 0), default=None)
    return (first is not None and all(Affine.number(i) in points for i in range(first))) or (
        last is not None and all(Affine.last(axis) - i in points for i in range(-last))
    )


def _fills(parts: Iterable[tuple[int, int]], size: int) -> bool:
    """Whether ranges together hold 0 … size-1."""
    end = 0
    for start, stop in sorted(parts):
        if start > end:
            return False
        end = max(end, stop)
    return end >= size
