"""The graph of cells: that of the named equations, contracted.

In: `Edges` and `Cells`. Out: the edges between the nodes that equations are parts of (without
cells, between the equations themselves). A part at a point, in its domain or outside of it, belongs
to its cell at the same point of the cell's axes; this node is outside if the point is outside along
one of these. So the graph of cells has, by construction,

    nodes      those with at least one part; a cell's own inputs and parameters are inside it
    edges      those between parts of different nodes; a cell reads another node once, even if
               several of its parts do, through feedback if any of them does

and has a cycle if a cell is left and entered within a step.

    l1.s[3,0] reads l1.s[3,-1], which holds l1.s[2,last]; cells have the axis t: l1[3] reads l1[2]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import product

import numpy as np

from unfold.core.origin import Written
from unfold.core.program import BATCH, Program, Value
from unfold.unfolded.cells import Cells, instance_of
from unfold.unfolded.collapse import boundary_refs
from unfold.unfolded.edges import EdgeBlock, Edges, unique
from unfold.unfolded.reading import Bools, Ints, inner


class Contraction:
    """The edges between the nodes that equations are parts of.

    Args:
        parts: the edges between the equations.
        cells: which of them belong together.

    Attributes:
        program: cells and other values; without cells, the Program of the equations.
    """

    def __init__(self, parts: Edges, cells: Cells) -> None:
        self.parts, self.cells = parts, cells
        self.program = _contracted(parts.program, cells) if cells.owner else parts.program

    def is_box(self, name: str) -> bool:
        """Return whether a value exists at every point of its axes."""
        return any(map(self.parts.is_box, self.cells.members(name)))

    def exists(self, name: str, point: tuple[int, ...]) -> bool:
        """Return whether a value has a point, inside of its domain."""
        here = [np.asarray(p) for p in point]
        inside = bool(self.parts.environments.exists(self.program[name], here))
        whole = name not in self.cells.axes or self.is_box(name)
        return inside and (whole or bool((self.points(name) == point).all(axis=1).any()))

    def points(self, name: str) -> Ints:
        """Return the index points of a value, [nodes, axes], in row-major order."""
        if name not in self.cells.axes:
            return self.parts.points(name)
        members = self.cells.members(name)
        return unique(np.concatenate([self.parts.points(n)[:, self._kept(n)] for n in members]))

    def of(
        self, name: str, at: Mapping[str, Ints], *, outside: bool = False
    ) -> Iterator[EdgeBlock]:
        """Yield the edges to nodes of a value.

        Args:
            name: of the value.
            at: index points along some of its axes; the others run over their extents.
            outside: whether the boundary nodes are meant, and what they hold.
        """
        axes = inner(self.program[name])
        if name in self.cells.axes:
            own = (b for n in self.cells.members(name) for b in self.parts.of(n, at) if not outside)
            held = (
                b.some((b.here[:, 0] != outside) & _are(b.targets, axes, at))
                for b in self._held[name]
            )
            yield from _joined([*self._moved(own), *held])
        elif outside:
            left = self.parts.outside[name]
            yield from self._moved(self.parts.held(name, left[_are(left, axes, at)]))
        else:
            yield from self._moved(self.parts.of(name, at))

    def leaving(self, name: str, point: tuple[int, ...]) -> Iterator[EdgeBlock]:
        """Yield the edges from a point of a value, in its domain or not."""
        if not self.cells.owner:
            yield from self._moved(self.parts.leaving(name, point))
            return
        found = (b for n, p in self._parts(name, point) for b in self.parts.leaving(n, p))
        targets = {
            (b.reader, tuple(to), here)
            for b in self._moved(found)
            for to, here in zip(b.targets.tolist(), b.here[:, 0].tolist(), strict=True)
        }
        for reader, target, here in sorted(targets):
            for block in self.of(reader, self._at(reader, target), outside=not here):
                if block.source == name:
                    yield block.some((block.sources == point).all(axis=1))

    @cached_property
    def outside(self) -> dict[str, Ints]:
        """The points outside of each value's domain that are read."""
        if not self.cells.owner:
            return self.parts.outside
        found = {v.name: [np.empty((0, len(inner(v))), dtype=np.int64)] for v in self.program}
        for name, points in (b.left for b in self._moved(self.parts.every())):
            found[name].append(points)
        return {name: unique(np.concatenate(points)) for name, points in found.items()}

    @cached_property
    def _held(self) -> dict[str, list[EdgeBlock]]:
        """The reads of parts of cells outside of their own domains."""
        found: dict[str, list[EdgeBlock]] = {cell: [] for cell in self.cells.axes}
        for name, cell in self.cells.owner.items():
            found[cell] += self._moved(self.parts.held(name, self.parts.outside[name]))
        return found

    def _at(self, name: str, point: tuple[int, ...]) -> dict[str, Ints]:
        return {a: np.array([p]) for a, p in zip(inner(self.program[name]), point, strict=True)}

    def _parts(self, name: str, point: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield the values and points, also outside of domains, that are parts of a node."""
        at = self._at(name, point)
        for member in self.cells.members(name):
            axes, outside = inner(self.parts.program[member]), self.parts.outside[member]
            ranges = [at.get(a, np.arange(self.parts.domain.extents[a])).tolist() for a in axes]
            left = outside[_are(outside, axes, at)].tolist()
            yield from ((member, p) for p in (*product(*ranges), *map(tuple, left)))

    def _kept(self, name: str) -> list[int]:
        """Return the axes of a part that its node has, too."""
        return list(self.cells.kept(name, inner(self.parts.program[name])))

    def _moved(self, blocks: Iterable[EdgeBlock]) -> Iterator[EdgeBlock]:
        """Yield the edges between nodes; parts inside a cell are not nodes."""
        if not self.cells.owner and len(self.parts.environments.distinct) == 1:
            yield from blocks
            return
        for block in blocks:
            reader, source = self.cells.of(block.reader), self.cells.of(block.source)
            if source in self.program.values:
                yield self._between(block, reader, source)

    def _between(self, block: EdgeBlock, reader: str, source: str) -> EdgeBlock:
        own, other = self._kept(block.reader), self._kept(block.source)
        moved = replace(
            block,
            reader=reader,
            source=source,
            targets=block.targets[:, own],
            here=block.here[:, own].all(axis=1, keepdims=True),
            sources=block.sources[:, other],
            inside=block.inside[:, other].all(axis=1, keepdims=True),
        )
        if reader == source and reader in self.cells.axes:
            moved = moved.some((moved.targets != moved.sources).any(axis=1))
        if reader in self.cells.axes:
            return moved
        return EdgeBlock.of(reader, source, block.operand, unique(moved.table), moved.sizes)


def _are(points: Ints, axes: Sequence[str], at: Mapping[str, Ints]) -> Bools:
    """Return a mask of the points that have given indices along some axes."""
    same = [np.isin(points[:, axes.index(a)], some) for a, some in at.items()]
    return np.all([np.ones(len(points), dtype=bool), *same], axis=0)


def _joined(blocks: Iterable[EdgeBlock]) -> Iterator[EdgeBlock]:
    """Yield one edge for all between the same nodes, by source."""
    groups: dict[str, list[EdgeBlock]] = {}
    for block in blocks:  # of equal rows the first stays, which is the one through feedback
        plain = replace(block, bound=block.bound[:, :0], feedback=~block.feedback)
        groups.setdefault(block.source, []).append(plain)
    for number, (source, some) in enumerate(groups.items()):
        rows = unique(np.concatenate([b.table for b in some]))
        new = np.ones(len(rows), dtype=bool)
        new[1:] = (rows[1:, :-1] != rows[:-1, :-1]).any(axis=1)
        found = EdgeBlock.of(some[0].reader, source, number, rows[new], some[0].sizes)
        yield replace(found, feedback=~found.feedback)


def _contracted(program: Program, cells: Cells) -> Program:
    """Return cells and other values, without their operands.

    A cell's own inputs and parameters are inside it, unless boundaries hold them.
    """
    held = {r.value for v in program for axis in v.boundary for r in boundary_refs(v, axis)}
    values: dict[str, Value] = {}
    for value in program:
        name = cells.of(value.name)
        own = value.is_given and instance_of(name) in cells.axes and name not in held
        if name in cells.axes and name not in values:
            values[name] = _cell(name, [program[n] for n in cells.members(name)], cells)
        elif name not in cells.axes and not own:
            values[name] = replace(value, operands=(), boundary={}, attributes={})
    return replace(
        program.with_values(values.values()),
        outputs=tuple(dict.fromkeys(map(cells.of, program.outputs))),
        loss=program.loss and cells.of(program.loss),
        aliases={a: cells.of(n) for a, n in program.aliases.items() if a not in values},
    )


def _cell(name: str, members: Sequence[Value], cells: Cells) -> Value:
    face = next((m for m in members if m.name == name), members[-1])
    batch = (BATCH,) if all(m.batched for m in members) else ()
    reduced = (BATCH,) if any(BATCH in m.reduced for m in members) and not batch else ()
    axes = batch + cells.axes[name]
    return Value(name, axes, face.type, "cell", reduced=reduced, origin=Written(name), at=face.at)
