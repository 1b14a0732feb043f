"""Edges of the unfolded graph as arrays: the reads of a Program's equations at index points.

In: a Program at a level of detail, and a domain. Out: `EdgeBlock`s, an array of edges for each
reference of each equation (`of`) and for what boundaries hold (`held`); the points outside of
domains that are read (`outside`); and, the other way, the edges from a point (`leaving`). Nothing
is stored per node. Index points leave out the axis "batch".

    h[t] = tanh(W @ h[t-1])      t: 3      targets [[0], [1], [2]]    sources [[-1], [0], [1]]

Sequences of different lengths have one graph, the union of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from unfold.core.affine import Affine
from unfold.core.bounds import bounds_of
from unfold.core.program import Program, Ref, Value
from unfold.runs.domain import Domain
from unfold.unfolded.collapse import bound_axes, boundary_refs, operand_guards
from unfold.unfolded.reading import (
    Bools,
    Environment,
    Environments,
    Guard,
    Ints,
    deciding_axis,
    inner,
    inner_indices,
    invert,
    locate,
    open_mesh,
    side,
    sides,
)

Points = Callable[[Sequence[str], Environment], Mapping[str, Ints]]


@dataclass(frozen=True)
class EdgeBlock:
    """Edges that stem from one reference of one equation.

    Attributes:
        reader: name of the reading value.
        source: name of the value read.
        operand: position of the reference in the equation, or in what a boundary holds.
        targets: index points of the readers, [edges, axes of the reader].
        bound: points of the axes that the reference binds, [edges, axes].
        here: whether targets are in their value's domain, [edges, axes, or 1 for all of them].
        sources: index points that are read, [edges, axes of the source].
        inside: whether sources are in their value's domain, [edges, axes, or 1 for all of them].
        feedback: whether the reference goes through a choice of teacher or free run, [edges].
    """

    reader: str
    source: str
    operand: int
    targets: Ints
    bound: Ints
    here: Bools
    sources: Ints
    inside: Bools
    feedback: Bools

    @classmethod
    def of(
        cls, reader: str, source: str, operand: int, table: Ints, sizes: Sequence[int]
    ) -> EdgeBlock:
        """Return the block of a `table`; `sizes` are the columns of its arrays but the last."""
        parts = np.split(table, np.cumsum(sizes), axis=1)
        targets, bound, here, sources, inside, feedback = parts
        return cls(
            reader, source, operand, targets, bound, here.astype(bool), sources,
            inside.astype(bool), feedback[:, 0].astype(bool),
        )  # fmt: skip

    @property
    def _arrays(self) -> tuple[Ints | Bools, ...]:
        return self.targets, self.bound, self.here, self.sources, self.inside

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of columns of all arrays but the last."""
        return tuple(a.shape[1] for a in self._arrays)

    @property
    def table(self) -> Ints:
        """All arrays side by side, [edges, columns]."""
        return np.concatenate([*self._arrays, self.feedback[:, None]], axis=1, dtype=np.int64)

    @property
    def left(self) -> tuple[str, Ints]:
        """The source and the points outside of its domain that are read, [points, axes]."""
        return self.source, unique(self.sources[~self.inside.all(axis=1)])

    def some(self, chosen: Bools) -> EdgeBlock:
        """Return the edges that a mask, [edges], chooses."""
        return EdgeBlock.of(self.reader, self.source, self.operand, self.table[chosen], self.sizes)


class Edges:
    """The edges of a Program's unfolded graph, computed on demand.

    Args:
        program: at a level of detail.
        domain: of its axes.
    """

    def __init__(self, program: Program, domain: Domain) -> None:
        self.program, self.domain = program, domain
        self.environments = Environments(domain)

    def is_box(self, name: str) -> bool:
        """Return whether a value exists at every point of its axes."""
        return self.domain.uniform and not bounds_of(self.program[name])

    def points(self, name: str) -> Ints:
        """Return the index points of a value, [nodes, axes], in row-major order."""
        value = self.program[name]
        shape = self.domain.shape(inner(value))
        grid = np.indices(shape).reshape(len(shape), int(np.prod(shape, dtype=np.int64)))
        if self.is_box(name):
            return grid.T
        keep = self.environments.exists(value, list(grid))
        return grid.T[np.broadcast_to(keep, grid.shape[1:])]

    def of(self, reader: str, at: Mapping[str, Ints]) -> Iterator[EdgeBlock]:
        """Yield the edges to an equation.

        Args:
            reader: its name.
            at: index points along some of its axes; the others run over their extents.
        """

        def mesh(axes: Iterable[str], environment: Environment) -> dict[str, Ints]:
            ranges = {a: at.get(a, np.arange(environment.own[a])) for a in axes}
            return open_mesh({a: p[side(a, p, environment)] for a, p in ranges.items()})

        for operand in range(len(self.program[reader].operands)):
            yield self._operand(reader, operand, mesh)

    def held(self, name: str, points: Ints) -> Iterator[EdgeBlock]:
        """Yield the edges to the boundaries of a value at points outside of its domain."""
        value = self.program[name]
        for axis in value.boundary:
            for operand, ref in enumerate(boundary_refs(value, axis)):
                tables: list[Ints] = []
                for environment in self.environments.of(value):
                    deciding = deciding_axis(value, list(points.T), environment)
                    chosen = points[deciding == inner(value).index(axis)]
                    at = dict(zip(inner(value), chosen.T, strict=True))
                    tables.append(self._table(value, ref, at, environment))
                yield self._block(value, ref, operand, tables)

    def leaving(self, name: str, point: tuple[int, ...]) -> Iterator[EdgeBlock]:
        """Yield the edges from a point of a value, in its domain or not."""
        for reader, operand in self.readers.get(name, ()):
            if operand is None:
                blocks = [b for b in self.held(reader, self.outside[reader]) if b.source == name]
            else:
                ref = self.program[reader].operands[operand]
                indices = inner_indices(self.program[name], ref)
                blocks = [self._operand(reader, operand, partial(_inverse, indices, point))]
            yield from (b.some((b.sources == point).all(axis=1)) for b in blocks)

    @cached_property
    def outside(self) -> dict[str, Ints]:
        """The points outside of each value's domain that are read, also from such points."""
        found = {v.name: np.empty((0, len(inner(v))), dtype=np.int64) for v in self.program}
        pending = [b.left for name in found for b in self.of(name, {})]
        while pending:
            name, left = pending.pop()
            known = set(map(tuple, found[name].tolist()))
            fresh = left[[tuple(p) not in known for p in left.tolist()]]
            if len(fresh):
                found[name] = unique(np.concatenate([found[name], fresh]))
                pending += [b.left for b in self.held(name, fresh)]
        return found

    def every(self) -> Iterator[EdgeBlock]:
        """Yield all edges."""
        for name, points in self.outside.items():
            yield from self.of(name, {})
            yield from self.held(name, points)

    @cached_property
    def readers(self) -> dict[str, dict[tuple[str, int | None], None]]:
        """The readers of a value: equations, with an operand's position, or none at a boundary."""
        found: dict[str, dict[tuple[str, int | None], None]] = {}
        for value in self.program:
            reads: list[tuple[Ref, int | None]] = [(r, i) for i, r in enumerate(value.operands)]
            reads += [(r, None) for axis in value.boundary for r in boundary_refs(value, axis)]
            for ref, operand in reads:
                found.setdefault(ref.value, {})[value.name, operand] = None
        return found

    def _operand(self, reader: str, operand: int, points: Points) -> EdgeBlock:
        """Return the reads of an operand at points of the reader's axes and of those it binds."""
        value = self.program[reader]
        ref, axes = value.operands[operand], (*inner(value), *bound_axes(value, operand))
        bounds = (Guard(f) for f in value.within if set(f.axes) <= set(axes))
        guards = (*operand_guards(value, operand), *bounds)
        tables = [
            self._table(value, ref, points(axes, e), e, guards) for e in self.environments.of(value)
        ]
        feedback = operand in value.attributes.get("feedback", ())
        return self._block(value, ref, operand, tables, feedback=feedback)

    def _table(
        self,
        value: Value,
        ref: Ref,
        at: Mapping[str, Ints],
        environment: Environment,
        guards: Iterable[Guard] = (),
    ) -> Ints:
        """Return the reads of a reference in one sequence: the arrays of a block side by side."""
        source = self.program[ref.value]
        reading = locate(source, ref, at, environment, guards)
        here = sides(value, [at[a] for a in inner(value)], environment)
        columns = [
            *at.values(),
            *here,
            *reading.points,
            *sides(source, reading.points, environment),
        ]
        shape = np.broadcast_shapes(*(p.shape for p in at.values()))
        keep = np.broadcast_to(reading.exists, shape).reshape(-1)
        full = [np.broadcast_to(c, shape).reshape(-1)[keep] for c in columns]
        return np.stack([*full, np.zeros(int(keep.sum()), dtype=bool)], axis=1, dtype=np.int64)

    def _block(
        self, value: Value, ref: Ref, operand: int, tables: list[Ints], *, feedback: bool = False
    ) -> EdgeBlock:
        """Return the union of the reads of a reference in several sequences."""
        whole = tables[0] if len(tables) == 1 else unique(np.concatenate(tables))
        whole[:, -1] = feedback
        own, other = len(inner(value)), len(inner(self.program[ref.value]))
        bound = whole.shape[1] - 2 * (own + other) - 1
        return EdgeBlock.of(value.name, ref.value, operand, whole, (own, bound, own, other, other))


def _inverse(
    indices: Sequence[Affine], point: tuple[int, ...], axes: Sequence[str], environment: Environment
) -> Mapping[str, Ints]:
    """Return the points of some axes at which indices are a point."""
    sizes = {a: environment.own[a] for a in axes}
    return invert(indices, point, sizes, environment) if axes else {}


def unique(rows: Ints) -> Ints:
    """Return the different rows of an array, sorted."""
    if not rows.shape[1]:
        return rows[:1]
    ordered = rows[np.lexsort(rows.T[::-1])]
    return ordered[np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1))[: len(rows)]]
