"""The index points that a reference reads: index arithmetic on NumPy arrays, both ways.

In: a `Ref`, arrays of the reader's index points and an `Environment`, the extents of one sequence.
Out: the points that are read and which of them are in the domain (`locate`); or, the other way, the
reader's index points that read a given point (`invert`). Index points leave out the axis "batch".

    x[2*t+k-1] at t = [[0], [1]], k = [[0, 1, 2]]     reads p = [[-1, 0, 1], [1, 2, 3]]
    x[2*t+k-1] reads p = 1 at                         (t, k) = (0, 2) and (1, 0)

Index arrays are open meshes: each has one long dimension, and broadcasting makes the box.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.core.affine import Affine
from unfold.core.program import BATCH, Program, Ref, Value
from unfold.runs.domain import Domain
from unfold.unfolded.conditions import decide

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Environment:
    """The extents of one sequence of a batch, which define `last` and every domain in it."""

    own: Mapping[str, int]


@dataclass(frozen=True)
class Guard:
    """A condition on the index point of a reader, under which it reads something.

    Attributes:
        what: an index; or a value that the index point decides, such as `l == 0`.
        axis: whose domain must contain the index; without one, it must not be negative.
        wanted: whether the condition must be true, or false.
    """

    what: Affine | Ref
    axis: str | None = None
    wanted: bool = True

    @property
    def axes(self) -> tuple[str, ...]:
        """The reader's axes that decide it."""
        return self.what.axes

    @property
    def is_bound(self) -> bool:
        """Whether this is a bound of a reduction, or of where a value exists."""
        return self.axis is None and isinstance(self.what, Affine)

    def substitute(self, replacements: Mapping[str, Affine]) -> Guard:
        """Replace the reader's axes."""
        what = self.what.substitute(replacements)
        if self.axis is None and isinstance(what, Affine):  # where it is negative stays the same
            what = replace(what, divisor=1)
        return replace(self, what=what)

    def holds(
        self, at: Mapping[str, Any], environment: Environment, program: Program | None = None
    ) -> Any:
        """Return whether the condition is met at points of the reader.

        Args:
            at: the points, arrays that broadcast; a single point where a value decides.
            environment: of the sequence that is run.
            program: that computes the deciding value.
        """
        if isinstance(self.what, Ref):
            assert program is not None, self
            last = {a: n - 1 for a, n in environment.own.items()}
            return bool(decide(program, self.what, at, last)) == self.wanted
        value, exact = evaluate(self.what, at, environment)
        held = exact & (value >= 0)
        if self.axis is not None:
            held = held & (value < environment.own[self.axis])
        return held if self.wanted else ~held


@dataclass(frozen=True)
class Reading:
    """The reads of a reference at an array of index points.

    Attributes:
        points: for each axis of the value read but "batch", the index; they broadcast to one shape.
        inside: whether the point is in the box of the value's axes.
        exists: whether anything is read: the index divides exactly, the guards hold, and a point
            in the box is within the value's bounds.
    """

    points: tuple[Ints, ...]
    inside: Bools
    exists: Bools


def inner(value: Value) -> tuple[str, ...]:
    """Return the axes of a value but "batch"."""
    return tuple(a for a in value.axes if a != BATCH)


def inner_indices(source: Value, ref: Ref) -> tuple[Affine, ...]:
    """Return the indices of a reference but that of "batch"."""
    return tuple(i for a, i in zip(source.axes, ref.index, strict=True) if a != BATCH)


def open_mesh(ranges: Mapping[str, Ints]) -> dict[str, Ints]:
    """Return each range along a dimension of its own, in order."""
    count = len(ranges)
    return {
        axis: values.reshape((1,) * i + (-1,) + (1,) * (count - i - 1))
        for i, (axis, values) in enumerate(ranges.items())
    }


def evaluate(index: Affine, at: Mapping[str, Any], environment: Environment) -> tuple[Ints, Any]:
    """Return an index at points of the reader, and whether it divides exactly there."""
    value, exact = index.evaluate(at, {a: environment.own[a] - 1 for a in index.ends})
    return np.asarray(value, dtype=np.int64), exact


def side(axis: str, points: Ints, environment: Environment) -> Bools:
    """Return whether points are in the domain of an axis."""
    return (points >= 0) & (points < environment.own[axis])


def sides(value: Value, points: Iterable[Ints], environment: Environment) -> list[Bools]:
    """Return, for each axis of a value, whether points are in its domain."""
    return [side(a, p, environment) for a, p in zip(inner(value), points, strict=True)]


def within(value: Value, points: Iterable[Ints], environment: Environment) -> Bools:
    """Return whether points are in the box of a value's axes."""
    answer: Any = np.True_
    for side in sides(value, points, environment):
        answer = answer & side
    return np.asarray(answer)


def bounded(value: Value, at: Mapping[str, Ints], environment: Environment) -> Bools:
    """Return whether the bounds of a value over some of its axes hold at their points."""
    answer: Any = np.True_
    for form in value.within:
        if set(form.axes) <= set(at):
            answer = answer & (evaluate(form, at, environment)[0] >= 0)
    return np.asarray(answer)


def existing(value: Value, points: Sequence[Ints], environment: Environment) -> Bools:
    """Return whether points are in the domain of a value: in the box, and within its bounds."""
    at = dict(zip(inner(value), points, strict=True))
    return within(value, points, environment) & bounded(value, at, environment)


def locate(
    source: Value,
    ref: Ref,
    at: Mapping[str, Ints],
    environment: Environment,
    guards: Iterable[Guard] = (),
) -> Reading:
    """Return the reads of a reference.

    Args:
        source: the value that is read.
        ref: the reference, with indices in terms of the axes in `at`.
        at: index points of the reader, arrays that broadcast.
        environment: of the sequence that is run.
        guards: conditions under which the reference is read at all.
    """
    points: list[Ints] = []
    exists: Any = np.True_
    for index in inner_indices(source, ref):
        value, exact = evaluate(index, at, environment)
        points.append(value)
        exists = exists & exact
    for guard in guards:
        exists = exists & guard.holds(at, environment)
    inside = within(source, points, environment)
    if source.within:
        exists = exists & (~inside | existing(source, points, environment))
    return Reading(tuple(points), inside, np.asarray(exists))


def deciding_axis(value: Value, points: Sequence[Ints], environment: Environment) -> Ints:
    """Return, for points outside of a value's domain, the position of the first axis left."""
    decided = np.full(np.broadcast_shapes(*(p.shape for p in points)), -1, dtype=np.int64)
    for i, side in reversed(list(enumerate(sides(value, points, environment)))):
        decided = np.where(side, decided, i)
    return decided


def invert(
    indices: Sequence[Affine],
    point: Sequence[int],
    sizes: Mapping[str, int],
    environment: Environment,
) -> dict[str, Ints]:
    """Return every index point of a reader at which its indices equal a given point.

    Args:
        indices: one affine index per axis of the value that is read.
        point: the index point that is read.
        sizes: extents of the reader's axes: its own, and the bound ones that the indices use.
        environment: of the sequence that is run.

    Returns:
        one array [n] per axis in `sizes`.
    """
    pending = list(zip(indices, point, strict=True))
    known: set[str] = set()
    free: list[str] = []
    steps: list[tuple[str, Affine, int]] = []
    while pending:
        # The equation with the fewest unknowns first: it needs the fewest axes to be enumerated.
        pending.sort(key=lambda e: len(set(e[0].axes) - known))
        index, value = pending.pop(0)
        unknown = [a for a in index.axes if a not in known]
        inside = {a for p, _ in index.parts for a in p.inner.axes}
        solved = [a for a in unknown if a not in inside][-1:]  # no axis inside of a part
        free += [a for a in unknown if a not in solved]
        steps += [(a, index, value) for a in solved]
        known |= set(unknown)
    free += [a for a in sizes if a not in known]
    mesh = np.meshgrid(*(np.arange(sizes[a]) for a in free), indexing="ij")
    at = {a: m.ravel() for a, m in zip(free, mesh, strict=True)}
    keep: Any = np.True_
    for axis, index, value in steps:
        numerator = replace(index, divisor=1)
        rest, _ = evaluate(numerator, {**at, axis: np.int64(0)}, environment)
        wanted, factor = value * index.divisor - rest, index.coefficient(axis)
        at[axis] = np.atleast_1d(wanted // factor)
        keep = keep & (wanted % factor == 0) & (at[axis] >= 0) & (at[axis] < sizes[axis])
    for index, value in zip(indices, point, strict=True):
        found, exact = evaluate(index, at, environment)
        keep = keep & (found == value) & exact
    arrays = np.broadcast_arrays(*(at[a] for a in sizes), np.atleast_1d(keep))
    return {a: x[arrays[-1]] for a, x in zip(sizes, arrays[:-1], strict=True)}


class Environments:
    """The environments of every sequence of a batch; equal ones are one.

    Args:
        domain: of the run.
    """

    def __init__(self, domain: Domain) -> None:
        self.longest = Environment(domain.extents)
        self.distinct = (
            (self.longest,)
            if domain.uniform
            else tuple(Environment(own) for own in domain.distinct())
        )

    def of(self, value: Value) -> tuple[Environment, ...]:
        """Return the environments in which an equation holds."""
        if value.batched or BATCH in value.reduced:
            return self.distinct
        return (self.longest,)

    def exists(self, value: Value, points: Sequence[Ints]) -> Bools:
        """Return whether points are in the domain of a value in some sequence."""
        answer: Any = np.False_
        for environment in self.of(value):
            answer = answer | existing(value, points, environment)
        return np.asarray(answer)
