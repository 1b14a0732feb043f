"""The unfolded graph of a Program over a domain: implicit, answered by index arithmetic.

In: a Program, a Domain and a level of detail. Out: nodes (value, index point) and the edges between
them, one at a time (`in_edges`, `out_edges`), in order (`nodes`, `edges`) or as arrays (`blocks`).
Nothing is stored per node.

    h[t] = tanh(W @ h[t-1] + U @ x[t])      detail "node", t: 3

    h[-1] ──▶ h[0] ──▶ h[1] ──▶ h[2]        h[-1] is a boundary node
               ▲        ▲        ▲
              x[0]     x[1]     x[2]        and W, U have an edge to every h[t]

A node outside of its value's domain is a boundary node; what the boundary holds (a learned initial
state, another value) has an edge to it, and a boundary of zeros has none. There is an edge per
operand and per index point that it binds; its kind is the first that applies:

    boundary    from or to a boundary node
    parameter   from a parameter
    feedback    through a choice between teacher and free run
    delay       to another index along an axis that both have
    data        the rest

Index points leave out the axis "batch". The graph of a batch with sequences of different lengths is
the union of the sequences' graphs; `sequence` selects one of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from unfold.core.bounds import bounds_of
from unfold.core.program import BATCH, Program, Ref, Value
from unfold.errors import DataError
from unfold.unfolded.collapse import boundary_refs, collapse, operand_guards
from unfold.unfolded.domain import Domain
from unfold.unfolded.reading import (
    Environment,
    Environments,
    Guard,
    Ints,
    bounded,
    deciding_axis,
    inner,
    inner_indices,
    invert,
    locate,
    open_mesh,
    within,
)

if TYPE_CHECKING:
    import networkx

KINDS = ("data", "delay", "feedback", "boundary", "parameter")


class Node(NamedTuple):
    """A value at an index point; `boundary` where the point is outside of the value's domain."""

    value: str
    point: tuple[int, ...] = ()
    boundary: bool = False

    def __str__(self) -> str:
        return f"{self.value}[{','.join(map(str, self.point))}]" if self.point else self.value


class Edge(NamedTuple):
    """A node that another one reads.

    Attributes:
        source: what is read.
        target: what reads it.
        kind: one of `KINDS`.
        delay: per axis that both have and where they differ, the target's index less the source's.
        operand: position of the reference in the reader's equation.
    """

    source: Node
    target: Node
    kind: str
    delay: tuple[tuple[str, int], ...]
    operand: int


@dataclass(frozen=True)
class Block:
    """All edges that stem from one reference of one equation.

    Attributes:
        reader: name of the reading value.
        source: name of the value read.
        operand: position of the reference in the equation.
        targets: index points of the readers, [edges, axes of the reader].
        sources: index points that are read, [edges, axes of the source].
        inside: whether these are in the source's domain, [edges].
        feedback: whether the reference goes through a choice of teacher or free run.
        outside: whether the readers are boundary nodes.
    """

    reader: str
    source: str
    operand: int
    targets: Ints
    sources: Ints
    inside: np.ndarray
    feedback: bool = False
    outside: bool = False


class UnfoldedGraph:
    """A directed acyclic graph of (value, index point); "cell" detail may have cycles.

    Args:
        program: any Program.
        domain: its index domain.
        detail: "op" for every value, "node" for the named equations, "cell" for instances of cells.
        sequence: which sequence of the batch; default: the union of all.
        feedback: names of the values that choose between teacher and free run.
    """

    def __init__(
        self,
        program: Program,
        domain: Domain,
        *,
        detail: str = "op",
        sequence: int | None = None,
        feedback: Collection[str] = (),
    ) -> None:
        self.program = collapse(program, detail, feedback=feedback)
        self.domain = (domain if sequence is None else domain.sequence(sequence)).of(self.program)
        self.detail = detail
        self.environments = Environments(self.domain)

    # Nodes

    def axes(self, value: str) -> tuple[str, ...]:
        """Return the axes of a value's index points."""
        return inner(self.program[value])

    def shape(self, value: str) -> tuple[int, ...]:
        """Return the extents of a value's domain."""
        return self.domain.shape(self.axes(value))

    def points(self, value: str) -> Ints:
        """Return the index points of a value, [nodes, axes], in row-major order."""
        shape = self.shape(value)
        grid = np.indices(shape).reshape(len(shape), int(np.prod(shape, dtype=np.int64)))
        if self._is_box(value):
            return grid.T
        keep = self.environments.exists(self.program[value], list(grid))
        return grid.T[np.broadcast_to(keep, grid.shape[1:])]

    def nodes(self) -> Iterator[Node]:
        """Yield every node that is not a boundary node, value by value."""
        for value in self.program.values:
            for point in self.points(value).tolist():
                yield Node(value, tuple(point))

    def number_of_nodes(self) -> int:
        """Count the nodes that are not boundary nodes."""
        return sum(
            int(np.prod(self.shape(v), dtype=np.int64)) if self._is_box(v) else len(self.points(v))
            for v in self.program.values
        )

    def boundary_points(self, value: str) -> Ints:
        """Return the index points outside of a value's domain that are read, [points, axes]."""
        return self._outside.get(value, np.empty((0, len(self.axes(value))), dtype=np.int64))

    def boundary_nodes(self) -> Iterator[Node]:
        """Yield every boundary node that is read."""
        for value in self.program.values:
            for point in self.boundary_points(value).tolist():
                yield Node(value, tuple(point), boundary=True)

    def node_id(self, node: Node) -> int:
        """Return the number of a node: the values' boxes one after another, then boundary nodes."""
        self._check(node)
        if node.boundary:
            return self._boundary_ids[node]
        shape = self.shape(node.value)
        flat = int(np.ravel_multi_index(node.point, shape)) if shape else 0
        return self._offsets[node.value] + flat

    def node_at(self, number: int) -> Node:
        """Return the node with a number (see `node_id`)."""
        if not 0 <= number < self._total + len(self._boundary_ids):
            raise DataError(f"there is no node {number}")
        if number >= self._total:
            return list(self._boundary_ids)[number - self._total]
        starts = list(self._offsets.values())
        which = int(np.searchsorted(starts, number, side="right")) - 1
        value = list(self._offsets)[which]
        shape = self.shape(value)
        point = np.unravel_index(number - starts[which], shape) if shape else ()
        return Node(value, tuple(int(i) for i in point))

    # Edges

    def in_edges(self, node: Node) -> tuple[Edge, ...]:
        """Return the edges to a node."""
        self._check(node)
        point = np.array([node.point], dtype=np.int64).reshape(1, -1)
        if node.boundary:
            blocks = list(self._held_blocks(node.value, point))
        else:
            blocks = list(
                self.blocks(node.value, dict(zip(self.axes(node.value), point.T, strict=True)))
            )
        return tuple(edge for block in blocks for edge in self._edges(block))

    def out_edges(self, node: Node) -> tuple[Edge, ...]:
        """Return the edges from a node."""
        self._check(node)
        found: dict[Edge | tuple[Edge, tuple[int, ...]], Edge] = {}
        for reader, operand in self._readers.get(node.value, ()):
            for environment in self.environments.of(self.program[reader]):
                source = self.program[node.value]
                point = [np.asarray(p) for p in node.point]
                if bool(within(source, point, environment)) == node.boundary:
                    continue
                for target, bound in self._reading(reader, operand, node, environment):
                    if target == node:
                        continue
                    edge = self._edge(node, target, operand, self._is_feedback(reader, operand))
                    found[edge, bound] = edge
        for value in self._holders.get(node.value, ()):
            for block in self._held_blocks(value, self.boundary_points(value)):
                edges = (e for e in self._edges(block) if e.source == node)
                found.update({e: e for e in edges})
        return tuple(found.values())

    def predecessors(self, node: Node) -> tuple[Node, ...]:
        """Return the nodes that a node reads, each once."""
        return tuple(dict.fromkeys(e.source for e in self.in_edges(node)))

    def successors(self, node: Node) -> tuple[Node, ...]:
        """Return the nodes that read a node, each once."""
        return tuple(dict.fromkeys(e.target for e in self.out_edges(node)))

    def edges(self) -> Iterator[Edge]:
        """Yield every edge, reader by reader, those to boundary nodes last."""
        for block in self.all_blocks():
            yield from self._edges(block)

    def number_of_edges(self) -> int:
        """Count the edges, those from and to boundary nodes included."""
        return sum(len(block.targets) for block in self.all_blocks())

    def all_blocks(self) -> Iterator[Block]:
        """Yield every edge of the graph, as arrays."""
        for value in self.program.values:
            yield from self.blocks(value)
        for value, points in self._outside.items():
            yield from self._held_blocks(value, points)

    def blocks(self, reader: str, at: Mapping[str, Ints] | None = None) -> Iterator[Block]:
        """Yield the edges to one value's nodes, an array per reference.

        Args:
            reader: the value.
            at: index points along some of its axes; the others run over their extents.
        """
        value = self.program[reader]
        for operand, ref in enumerate(value.operands):
            source = self.program[ref.value]
            guards = operand_guards(value, operand)
            bound = self._bound(value, ref, guards)
            rows = [
                self._rows(value, source, ref, guards, bound, at or {}, environment)
                for environment in self.environments.of(value)
            ]
            whole = rows[0] if len(rows) == 1 else np.unique(np.concatenate(rows), axis=0)
            own = len(inner(value))
            targets, sources = whole[:, :own], whole[:, own + len(bound) : -1]
            if reader == ref.value:  # what a cell reads of itself at one point stays inside of it
                leaves = (targets != sources).any(axis=1)
                whole, targets, sources = whole[leaves], targets[leaves], sources[leaves]
            yield Block(
                reader, ref.value, operand, targets, sources, whole[:, -1].astype(bool),
                self._is_feedback(reader, operand),
            )  # fmt: skip

    # Views

    def to_networkx(self) -> networkx.MultiDiGraph:
        """Return a networkx graph with all attributes; warns before it makes a large one."""
        from unfold.unfolded.views import to_networkx

        return to_networkx(self)

    def to_json(self) -> dict[str, Any]:
        """Return node-link data for `json.dump`; warns before it makes a large one."""
        from unfold.unfolded.views import to_json

        return to_json(self)

    # Parts of the above

    def _is_box(self, value: str) -> bool:
        """Whether a value exists at every point of its axes."""
        return self.domain.uniform and not bounds_of(self.program[value])

    def _rows(
        self,
        value: Value,
        source: Value,
        ref: Ref,
        guards: Collection[Guard],
        bound: tuple[str, ...],
        at: Mapping[str, Ints],
        environment: Environment,
    ) -> Ints:
        """Return (reader's point, bound point, point read, inside) of each edge in a sequence."""
        ranges: dict[str, Ints] = {}
        for axis in (*inner(value), *bound):
            points = at.get(axis, np.arange(environment.own[axis]))
            ranges[axis] = points[(points >= 0) & (points < environment.own[axis])]
        shape = tuple(len(r) for r in ranges.values())
        mesh = open_mesh(ranges)
        reading = locate(source, ref, mesh, environment, guards)
        columns = [*mesh.values(), *reading.points, reading.inside]
        full = [np.broadcast_to(c, shape).reshape(-1) for c in columns]
        held = reading.exists & bounded(value, mesh, environment)
        exists = np.broadcast_to(held, shape).reshape(-1)
        return np.stack([c[exists].astype(np.int64) for c in full], axis=1)

    def _held_blocks(self, name: str, points: Ints) -> Iterator[Block]:
        """Yield the edges to a value's boundary nodes."""
        value = self.program[name]
        axes = inner(value)
        columns = list(points.T)
        for position, axis in enumerate(axes):
            for operand, ref in enumerate(boundary_refs(value, axis)):
                source = self.program[ref.value]
                rows: list[Ints] = []
                for environment in self.environments.of(value):
                    chosen = deciding_axis(value, columns, environment) == position
                    at = {a: c[chosen] for a, c in zip(axes, columns, strict=True)}
                    reading = locate(source, ref, at, environment)
                    full = [*at.values(), *reading.points, reading.inside]
                    count = (int(chosen.sum()),)
                    stacked = np.stack(
                        [np.broadcast_to(c, count).astype(np.int64) for c in full], 1
                    )
                    rows.append(stacked[np.broadcast_to(reading.exists, count)])
                whole = np.unique(np.concatenate(rows), axis=0)
                if len(whole):
                    yield Block(
                        name, ref.value, operand, whole[:, : len(axes)], whole[:, len(axes) : -1],
                        whole[:, -1].astype(bool), outside=True,
                    )  # fmt: skip

    def _reading(
        self, reader: str, operand: int, node: Node, environment: Environment
    ) -> Iterator[tuple[Node, tuple[int, ...]]]:
        """Yield the reader's nodes that read a node, and the bound points at which they do."""
        value = self.program[reader]
        ref = value.operands[operand]
        guards = operand_guards(value, operand)
        own = inner(value)
        bound = self._bound(value, ref, guards)
        sizes = {a: environment.own[a] for a in (*own, *bound)}
        source = self.program[node.value]
        at = invert(inner_indices(source, ref), node.point, sizes, environment)
        if not sizes:  # neither side has an index: the reference holds or it does not
            reading = locate(source, ref, {}, environment, guards)
            same = tuple(int(p) for p in reading.points) == node.point
            if same and bool(reading.exists):
                yield Node(reader), ()
            return
        exists = locate(source, ref, at, environment, guards).exists
        exists = exists & bounded(value, at, environment)
        columns = [np.broadcast_to(exists, at[next(iter(at))].shape), *at.values()]
        for keep, *point in zip(*(c.tolist() for c in columns), strict=True):
            if keep:
                yield Node(reader, tuple(point[: len(own)])), tuple(point[len(own) :])

    def _edges(self, block: Block) -> Iterator[Edge]:
        rows = zip(
            block.targets.tolist(), block.sources.tolist(), block.inside.tolist(), strict=True
        )
        for target, source, inside in rows:
            yield self._edge(
                Node(block.source, tuple(source), not inside),
                Node(block.reader, tuple(target), block.outside),
                block.operand,
                block.feedback,
            )

    def _edge(self, source: Node, target: Node, operand: int, feedback: bool) -> Edge:
        at = dict(zip(self.axes(source.value), source.point, strict=True))
        to = zip(self.axes(target.value), target.point, strict=True)
        delay = tuple((a, p - at[a]) for a, p in to if a in at and p != at[a])
        if source.boundary or target.boundary:
            kind = "boundary"
        elif self.program[source.value].is_parameter:
            kind = "parameter"
        else:
            kind = "feedback" if feedback else "delay" if delay else "data"
        return Edge(source, target, kind, delay, operand)

    def _bound(self, value: Value, ref: Ref, guards: Collection[Guard]) -> tuple[str, ...]:
        """Return the axes that a reference binds."""
        used = {*ref.axes, *(a for g in guards for a in g.index.axes)}
        return tuple(a for a in value.reduced if a in used and a != BATCH)

    def _is_feedback(self, reader: str, operand: int) -> bool:
        return operand in self.program[reader].attributes.get("feedback", ())

    def _check(self, node: Node) -> None:
        if node.value not in self.program.values:
            raise DataError(f"the graph has no value {node.value!r} at detail {self.detail!r}")
        axes = self.axes(node.value)
        if len(node.point) != len(axes):
            raise DataError(
                f"{node} needs one index per axis of {node.value}: {', '.join(axes) or 'none'}"
            )
        value, point = self.program[node.value], [np.asarray(p) for p in node.point]
        if node.boundary:
            known = node in self._boundary_ids
        else:
            known = bool(self.environments.exists(value, point))
        if not known:
            raise DataError(
                f"there is no {'boundary ' if node.boundary else ''}node {node}; the extents are"
                f" {dict(zip(axes, self.shape(node.value), strict=True))}"
            )

    @cached_property
    def _offsets(self) -> dict[str, int]:
        sizes = [int(np.prod(self.shape(v), dtype=np.int64)) for v in self.program.values]
        starts = np.cumsum([0, *sizes])[:-1].tolist()
        return dict(zip(self.program.values, starts, strict=True))

    @cached_property
    def _total(self) -> int:
        return sum(int(np.prod(self.shape(v), dtype=np.int64)) for v in self.program.values)

    @cached_property
    def _boundary_ids(self) -> dict[Node, int]:
        return {node: self._total + i for i, node in enumerate(self.boundary_nodes())}

    @cached_property
    def _readers(self) -> dict[str, list[tuple[str, int]]]:
        found: dict[str, list[tuple[str, int]]] = {}
        for value in self.program:
            for operand, ref in enumerate(value.operands):
                found.setdefault(ref.value, []).append((value.name, operand))
        return found

    @cached_property
    def _holders(self) -> dict[str, list[str]]:
        """Whose boundaries read a value."""
        found: dict[str, list[str]] = {}
        for value in self.program:
            refs = [r for axis in value.boundary for r in boundary_refs(value, axis)]
            for name in dict.fromkeys(r.value for r in refs):
                found.setdefault(name, []).append(value.name)
        return found

    @cached_property
    def _outside(self) -> dict[str, Ints]:
        """The boundary nodes that are read, also by other boundary nodes."""
        found: dict[str, Ints] = {}
        pending = [left for v in self.program.values for left in _left(self.blocks(v))]
        while pending:
            name, left = pending.pop()
            before = found.get(name, left[:0])
            merged = np.unique(np.concatenate([before, left]), axis=0)
            if len(merged) > len(before):
                known = set(map(tuple, before.tolist()))
                fresh = np.array(
                    [p for p in left.tolist() if tuple(p) not in known], dtype=np.int64
                )
                found[name] = merged
                pending += _left(self._held_blocks(name, fresh))
        return found


def _left(blocks: Iterable[Block]) -> Iterator[tuple[str, Ints]]:
    """Yield the points outside of the domain that some blocks read."""
    for block in blocks:
        if not block.inside.all():
            yield block.source, np.unique(block.sources[~block.inside], axis=0)
