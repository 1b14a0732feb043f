"""The unfolded graph of a Program over a domain: implicit, answered by index arithmetic.

In: a Program, a Domain and a level of detail. Out: nodes (value, index point) and the edges between
them, one at a time (`in_edges`, `out_edges`), in order (`nodes`, `edges`) or as arrays (`blocks`).
Nothing is stored per node.

    h[t] = tanh(W @ h[t-1] + U @ x[t])      detail "node", t: 3

    h[-1] ──▶ h[0] ──▶ h[1] ──▶ h[2]        h[-1] is a boundary node
               ▲        ▲        ▲
              x[0]     x[1]     x[2]        and W, U have an edge to every h[t]

A node outside of its value's domain is a boundary node. Its initial value (a learned initial state,
another value) has an edge to it; a boundary of zeros has none. There is an edge per operand and per
index point that it binds; its kind is the first that applies:

    boundary    from or to a boundary node
    parameter   from a parameter
    feedback    through a choice between teacher and free run
    delay       to another index along an axis that both have
    data        the rest

Index points leave out the axis "batch". The graph of a batch with sequences of different lengths is
the union of the sequences' graphs; `sequence` selects one of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from unfold.core.op import Source
from unfold.core.program import Program
from unfold.errors import DataError
from unfold.runs.domain import Domain
from unfold.unfolded.cells import Cells, find_cells
from unfold.unfolded.collapse import collapse
from unfold.unfolded.contraction import Contraction
from unfold.unfolded.edges import EdgeBlock, Edges
from unfold.unfolded.reading import Ints, inner

if TYPE_CHECKING:
    import networkx

DETAILS = ("op", "node", "cell")
KINDS = ("data", "delay", "feedback", "boundary", "parameter")


class Node(NamedTuple):
    """A value at an index point; `boundary` if the point is outside of the value's domain."""

    value: str
    point: tuple[int, ...] = ()
    boundary: bool = False

    def __str__(self) -> str:
        return f"{self.value}[{','.join(map(str, self.point))}]" if self.point else self.value


class Edge(NamedTuple):
    """A node that another one reads.

    Attributes:
        source: the node that is read.
        target: the node that reads it.
        kind: one of `KINDS`.
        delay: per common axis with different indices, the target's index less the source's.
        operand: position of the reference in the reader's equation.
    """

    source: Node
    target: Node
    kind: str
    delay: tuple[tuple[str, int], ...]
    operand: int


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
        assert detail in DETAILS, detail
        parts = collapse(program, "op" if detail == "op" else "node", feedback=feedback)
        own = domain if sequence is None else domain.sequence(sequence)
        self.domain = own.of(parts)
        self.detail = detail
        cells = find_cells(parts) if detail == "cell" else Cells()
        self._source = Contraction(Edges(parts, self.domain), cells)
        self.program = self._source.program

    # Nodes

    def axes(self, value: str) -> tuple[str, ...]:
        """Return the axes of a value's index points."""
        return inner(self.program[value])

    def given(self, value: str) -> Source | None:
        """Return the kind of a value that is an input, a parameter or a constant."""
        is_cell = value in self._source.cells.axes
        return None if is_cell or not self.program[value].is_given else self.program[value].source

    def shape(self, value: str) -> tuple[int, ...]:
        """Return the extents of a value's domain."""
        return self.domain.shape(self.axes(value))

    def points(self, value: str) -> Ints:
        """Return the index points of a value, [nodes, axes], in row-major order."""
        return self._source.points(value)

    def nodes(self) -> Iterator[Node]:
        """Yield every node that is not a boundary node, value by value."""
        for value in self.program.values:
            for point in self.points(value).tolist():
                yield Node(value, tuple(point))

    def number_of_nodes(self) -> int:
        """Count the nodes that are not boundary nodes."""
        return sum(
            int(np.prod(self.shape(v), dtype=np.int64))
            if self._source.is_box(v)
            else len(self.points(v))
            for v in self.program.values
        )

    def boundary_points(self, value: str) -> Ints:
        """Return the index points outside of a value's domain that are read, [points, axes]."""
        return self._source.outside[value]

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
        at = {a: np.array([p]) for a, p in zip(self.axes(node.value), node.point, strict=True)}
        blocks = self._source.of(node.value, at, outside=node.boundary)
        return tuple(edge for block in blocks for edge in self._edges(block))

    def out_edges(self, node: Node) -> tuple[Edge, ...]:
        """Return the edges from a node."""
        self._check(node)
        edges = (e for b in self._source.leaving(node.value, node.point) for e in self._edges(b))
        return tuple(e for e in edges if e.source == node)

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

    def all_blocks(self) -> Iterator[EdgeBlock]:
        """Yield every edge of the graph, as arrays."""
        for outside in (False, True):
            for value in self.program.values:
                yield from self._source.of(value, {}, outside=outside)

    def blocks(self, reader: str, at: Mapping[str, Ints] | None = None) -> Iterator[EdgeBlock]:
        """Yield the edges to one value's nodes, an array per reference.

        Args:
            reader: the value.
            at: index points along some of its axes; the others run over their extents.
        """
        return self._source.of(reader, at or {})

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

    def _edges(self, block: EdgeBlock) -> Iterator[Edge]:
        arrays = (block.targets, block.here, block.sources, block.inside, block.feedback)
        for to, here, at, inside, feedback in zip(*(a.tolist() for a in arrays), strict=True):
            source = Node(block.source, tuple(at), not all(inside))
            target = Node(block.reader, tuple(to), not all(here))
            yield self._edge(source, target, block.operand, feedback)

    def _edge(self, source: Node, target: Node, operand: int, feedback: bool) -> Edge:
        at = dict(zip(self.axes(source.value), source.point, strict=True))
        to = zip(self.axes(target.value), target.point, strict=True)
        delay = tuple((a, p - at[a]) for a, p in to if a in at and p != at[a])
        if source.boundary or target.boundary:
            kind = "boundary"
        elif self.given(source.value) is Source.PARAMETER:
            kind = "parameter"
        else:
            kind = "feedback" if feedback else "delay" if delay else "data"
        return Edge(source, target, kind, delay, operand)

    def _check(self, node: Node) -> None:
        if node.value not in self.program.values:
            raise DataError(f"the graph has no value {node.value!r} at detail {self.detail!r}")
        axes = self.axes(node.value)
        if len(node.point) != len(axes):
            raise DataError(
                f"{node} needs one index per axis of {node.value}: {', '.join(axes) or 'none'}"
            )
        known = node.boundary and node in self._boundary_ids
        if not node.boundary:
            known = self._source.exists(node.value, node.point)
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
