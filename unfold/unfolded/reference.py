"""The reference backend: walk the unfolded graph in float64 NumPy. It defines the language.

Each wavefront of the graph holds the nodes whose predecessors have all been computed; nodes of one
equation are computed together, for all sequences at once, from what they read:

    operand = the value read, at its index point; outside of the domain its boundary, or zero
    result  = op.evaluate(operands), reduced over the equation's reduced index points that exist

The walk of a Program over a domain (which nodes, which index arrays, which points exist) is
prepared once, in `Walk`, and run for any data. Results are arrays [batch or 1, *extents, *stored
shape]; points outside of a sequence's own domain hold zero (category -1, false).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfold.core.affine import Affine
from unfold.core.bounds import bounds_of
from unfold.core.op import LEAD, OPS, Kind, Source
from unfold.core.program import BATCH, Program, Ref, Value
from unfold.core.random import stream
from unfold.runs.domain import EMPTY, Domain
from unfold.unfolded.levels import wavefronts

DTYPES = {"real": np.float64, "category": np.int64, "bool": np.bool_}


@dataclass(frozen=True)
class Read:
    """The gathering of one operand.

    Attributes:
        value: the value read.
        index: [batch, points, reduced] indices into its array, the batch index first; empty without
            axes.
        branches: per axis that may be left, the last axis first: which points are inside, and what
            is read for the others (None: zero).
    """

    value: str
    index: tuple[Any, ...]
    branches: tuple[tuple[Any, Read | None], ...]

    def part(self, points: slice) -> Read:
        """Return the gathering for some of the points."""
        branches = ((_part(good, points), beyond) for good, beyond in self.branches)
        return Read(
            self.value,
            tuple(_part(i, points) for i in self.index),
            tuple((g, b and b.part(points)) for g, b in branches if not g.all()),
        )


@dataclass(frozen=True)
class Wavefront:
    """The nodes of one equation in one wavefront.

    Attributes:
        value: the equation.
        points: index arrays of the nodes, one per axis other than batch.
        coordinates: index arrays [batch, points, reduced] of every axis of the equation.
        reads: its operands.
        exists: which reduced points exist, [batch, points, reduced]; None means all.
        inside: which nodes exist, [batch, points]; None means all.
    """

    value: Value
    points: tuple[Any, ...]
    coordinates: Mapping[str, Any]
    reads: tuple[Read, ...]
    exists: Any
    inside: Any

    def part(self, points: slice) -> Wavefront:
        """Return the nodes of some of the points."""
        return Wavefront(
            self.value,
            tuple(p[points] for p in self.points),
            {a: _part(c, points) for a, c in self.coordinates.items()},
            tuple(r.part(points) for r in self.reads),
            _part(self.exists, points),
            _part(self.inside, points),
        )


def _part(array: Any, points: slice) -> Any:
    """Return the part of an array for some points; it may hold for all of them alike."""
    return array if array is None or array.shape[1] == 1 else array[:, points]


class Walk:
    """The unfolded graph of a Program over a domain, ready to be run."""

    def __init__(self, program: Program, domain: Domain) -> None:
        self.program, self.domain = program, domain
        fronts = [nodes for front in wavefronts(program, domain) for nodes in front]
        found: dict[str, list[Any]] = {}
        for name, points in fronts:
            found.setdefault(name, []).append(points)
        # Indices are computed for all nodes of an equation at once; a wavefront has some of them.
        whole = {n: self._nodes(program[n], np.concatenate(p)) for n, p in found.items()}
        done = dict.fromkeys(found, 0)
        self.steps: list[Wavefront] = []
        for name, points in fronts:
            start, done[name] = done[name], done[name] + len(points)
            self.steps.append(whole[name].part(slice(start, done[name])))

    def _last(self, axis: str, *, batched: bool) -> Any:
        """Largest index of an axis: one number, or one per sequence where they differ."""
        if axis == BATCH:
            return self.domain.batch - 1
        lengths = self.domain.length(axis)
        if batched and len(lengths) and np.any(lengths != lengths[0]):
            return (lengths - 1).reshape(-1, 1, 1)
        return (int(lengths[0]) if batched and len(lengths) else self.domain.extents[axis]) - 1

    def _exists(
        self, value: Value, coordinates: Mapping[str, Any], axes: Sequence[str], batched: bool
    ) -> Any:
        mask: Any = True
        for axis in axes:
            last = self._last(axis, batched=batched)
            if axis != BATCH and np.any(last < self.domain.extents[axis] - 1):
                mask = mask & (coordinates[axis] <= last)
        return None if mask is True else mask

    def _nodes(self, value: Value, points: Any) -> Wavefront:
        own = [a for a in value.axes if a != BATCH]
        coordinates: dict[str, Any] = {BATCH: np.arange(self.domain.batch).reshape(-1, 1, 1)}
        for i, axis in enumerate(own):
            coordinates[axis] = points[:, i].reshape(1, -1, 1)
        bound = [a for a in value.reduced if a != BATCH]
        kernel = OPS[value.op].kind is Kind.KERNEL
        # An operand of a kernel is read along one of the axes, not at all their combinations.
        extents = [self.domain.extents[a] for a in bound]
        grids = map(np.arange, extents) if kernel else np.indices(extents)
        for axis, grid in zip(bound, grids, strict=True):
            coordinates[axis] = grid.reshape(1, 1, -1)
        batched = value.batched or BATCH in value.reduced
        reads = tuple(self._read(ref, coordinates, batched) for ref in value.operands)
        exists = None
        if value.reduced and not kernel:
            exists = self._exists(
                value, coordinates, (*own, *bound) if BATCH in value.reduced else bound, batched
            )
            exists = self._bounded(value.within, exists, coordinates, batched)
        inside = self._exists(value, coordinates, own, value.batched)
        # A condition on the end of a sequence excludes different points in each.
        ends = [f for f in bounds_of(value) if f.lasts]
        inside = self._bounded(ends, inside, coordinates, value.batched)
        return Wavefront(
            value,
            tuple(points[:, i] for i in range(len(own))),
            coordinates,
            reads,
            exists,
            None if inside is None else inside[:, :, 0],
        )

    def _bounded(
        self, forms: Iterable[Affine], mask: Any, coordinates: Mapping[str, Any], batched: bool
    ) -> Any:
        """Return a mask, None where all points exist, without the points beyond some bounds."""
        for form in forms:
            held = _three(self.index(form, coordinates, batched)[0] >= 0)
            mask = held if mask is None else mask & held
        return mask

    def index(
        self, expression: Affine, coordinates: Mapping[str, Any], batched: bool
    ) -> tuple[Any, Any]:
        """Evaluate an index expression: its value, and whether it divides exactly."""
        last = {a: self._last(a, batched=batched) for a in expression.ends}
        return expression.evaluate(coordinates, last)

    def within(
        self, expression: Affine, axis: str, coordinates: Mapping[str, Any], batched: bool
    ) -> tuple[Any, Any]:
        """Evaluate an index and whether it is in the domain of an axis."""
        at, exact = self.index(expression, coordinates, batched)
        return at, (at >= 0) & (at <= self._last(axis, batched=batched)) & exact

    def _read(self, ref: Ref, coordinates: Mapping[str, Any], batched: bool) -> Read:
        source = self.program[ref.value]
        at = dict(zip(source.axes, ref.index, strict=True))
        index: list[Any] = []
        branches: list[tuple[Any, Read | None]] = []
        for axis in reversed(source.axes):
            if axis == BATCH:
                continue
            position, good = self.within(at[axis], axis, coordinates, batched)
            index.insert(0, np.clip(_three(position), 0, self.domain.extents[axis] - 1))
            if not np.all(good):
                other = source.boundary.get(axis)
                beyond = self._read(other.substitute(at), coordinates, batched) if other else None
                branches.append((_three(good), beyond))
        if source.axes:
            index.insert(
                0, coordinates[BATCH] if source.batched else np.zeros((1, 1, 1), dtype=np.int64)
            )
        return Read(ref.value, tuple(index), tuple(branches))

    def run(self, feeds: Mapping[str, Any], *, seed: int = 0) -> dict[str, Any]:
        """Compute every value.

        Args:
            feeds: arrays of all inputs [batch, *extents, *stored] and parameters [*extents,
                *stored].
            seed: of the random values.

        Returns:
            arrays by value name, [batch or 1, *extents, *stored shape].
        """
        store = {v.name: self._empty(v) for v in self.program}
        for value in filter(lambda v: v.is_given, self.program):
            given = value.attributes["value"] if value.is_constant else feeds[value.name]
            store[value.name][...] = given if value.batched else np.asarray(given)[None]
        with np.errstate(all="ignore"):
            for step in self.steps:
                if not step.value.is_given:
                    self._compute(step, store, seed)
        return store

    def _empty(self, value: Value) -> Any:
        batch = self.domain.batch if value.batched else 1
        extents = [self.domain.extents[a] for a in value.axes if a != BATCH]
        return np.full(
            (batch, *extents, *value.type.stored), EMPTY[value.type.kind], DTYPES[value.type.kind]
        )

    def _compute(self, step: Wavefront, store: Mapping[str, Any], seed: int) -> None:
        value, op = step.value, OPS[step.value.op]
        if op.kind is Kind.SOURCE:
            result = self._source(step, seed)
        else:
            operands = [gather(r, store, self.program[r.value]) for r in step.reads]
            if op.kind is Kind.POINTWISE:
                operands = _equal_rank(operands)
            how = _reduction(step) if op.kind is not Kind.KERNEL else {}
            if value.along is not None:
                how["at"] = step.coordinates[value.along]
            if value.is_contraction:
                kinds = [self.program[r.value].type.kind for r in step.reads]
                how["picks"] = tuple(i for i, kind in enumerate(kinds) if kind == "category")
                operands = [self._dense(r, x) for r, x in zip(step.reads, operands, strict=True)]
            assert op.evaluate is not None, value
            result = op.evaluate(*operands, **value.attributes, **how)
        result = result[:, :, 0]
        if step.inside is not None:
            shape = step.inside.shape + (1,) * (result.ndim - 2)
            result = np.where(step.inside.reshape(shape), result, EMPTY[value.type.kind])
        store[value.name][(slice(None), *step.points)] = result if step.points else result[:, 0]

    def _dense(self, read: Read, array: Any) -> Any:
        source = self.program[read.value].type
        if source.kind != "category":
            return array
        return OPS["one_hot"].evaluate(array, size=source.shape[0])  # type: ignore[misc]

    def _source(self, step: Wavefront, seed: int) -> Any:
        value = step.value
        if value.source is Source.COUNT:
            grid = [c for a, c in step.coordinates.items() if a in value.iteration]
            shape = np.broadcast_shapes((1, 1, 1), *(c.shape for c in grid))
            ones = np.ones(shape) if step.exists is None else np.broadcast_to(step.exists, shape)
            return OPS["sum"].evaluate(ones.astype(np.float64), over=_reduction(step)["over"])  # type: ignore[misc]
        if value.source is Source.INDEX:
            return _three(
                self.index(value.attributes["index"], step.coordinates, value.batched)[0]
            ).astype(np.float64)
        if value.source is Source.INSIDE:
            expression, axis = value.attributes["index"], value.attributes["axis"]
            return _three(self.within(expression, axis, step.coordinates, value.batched)[1])
        key = stream(seed, value.name)
        lanes = [step.coordinates[a] for a in value.axes]
        evaluate = OPS[value.op].evaluate
        assert evaluate is not None, value
        return evaluate(key=key, coordinates=lanes, shape=value.type.shape, **value.attributes)


def _three(x: Any) -> Any:
    """Give a number or array the three leading dimensions."""
    return np.asarray(x).reshape((1, 1, 1)) if np.ndim(x) == 0 else np.asarray(x)


def gather(read: Read, store: Mapping[str, Any], source: Value) -> Any:
    """Return the values of an operand, [batch or 1, points, reduced, *stored]."""
    array = store[read.value]
    if not read.index:
        result = array.reshape((1, 1, *array.shape)) if not source.axes else array
    elif all(i.size == 1 for i in read.index[1:]):  # one point: a view instead of a copy
        result = array[(slice(None), *(int(i.item()) for i in read.index[1:]))][:, None, None]
    else:
        result = array[read.index]
    for good, beyond in read.branches:
        other = EMPTY[source.type.kind] if beyond is None else gather(beyond, store, source)
        result = np.where(good.reshape(good.shape + (1,) * len(source.type.stored)), result, other)
    return result


def _equal_rank(operands: Sequence[Any]) -> list[Any]:
    rank = max((x.ndim for x in operands), default=LEAD)
    return [x.reshape(x.shape + (1,) * (rank - x.ndim)) if x.ndim < rank else x for x in operands]


def _reduction(step: Wavefront) -> dict[str, Any]:
    """Return the arguments of an op that reduces over axes: the operand, the existing points."""
    if not step.value.reduced:
        return {}
    over = tuple(
        [0] * (BATCH in step.value.reduced) + [2] * any(a != BATCH for a in step.value.reduced)
    )
    return {"over": over, "mask": step.exists}
