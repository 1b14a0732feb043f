"""The folded graph along one axis: equations as nodes, delays on the edges, other axes unfolded.

In: a Program, the axis that time runs along, the extents of the others. Out: nodes (value, index
point of the other axes) and edges with a delay along the axis. Only values on some route from an
input to an output are in it.

    h[t] = tanh(W @ h[t-1] + U @ x[t])        x ─0▶ U@x ─0▶ + ─0▶ h,   h ─1▶ W@h ─0▶ +
    s[t,l], with l = 0, 1 and s[l]: s[t-1,last]       s0 ─0▶ s1 ─1▶ s0

A reference that does not move with the axis (`h[last]`, `x[0]`, a reduction, a value without the
axis) has delay 0. What a boundary on the axis holds enters once, at the first step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from unfold.core.affine import Affine
from unfold.core.dependence import components, edges
from unfold.core.op import OPS, Kind
from unfold.core.paths import ancestors, descendants, readers
from unfold.core.program import BATCH, Program, Ref, Value
from unfold.errors import DataError, UnsupportedError
from unfold.runs.domain import Domain
from unfold.unfolded.reading import Environment, Environments, Ints, bounded, inner
from unfold.unfolded.relative import relative

COUNTS = ("layers", "nodes", "ops")
MOST_NODES = 200_000
DEEPEST_BOUNDARY = 64


@dataclass(frozen=True)
class Arc:
    """An edge of the folded graph.

    Attributes:
        source: number of the node that is read.
        target: number of the node that reads it.
        length: of the edge: 0 or 1.
        delay: the reader's index along the axis less that of what it reads.
        once: whether it exists at the first step only.
    """

    source: int
    target: int
    length: int
    delay: int
    once: bool


@dataclass(frozen=True)
class FoldedGraph:
    """A graph with delays along one axis.

    Attributes:
        names: of the nodes; empty for parts of equations.
        arcs: its edges.
        inputs: numbers of the nodes that are inputs.
        outputs: numbers of the nodes that are outputs.
    """

    names: tuple[str, ...]
    arcs: tuple[Arc, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def fold(
    program: Program,
    *,
    axis: str,
    count: str,
    extents: Mapping[str, int] | None = None,
    outputs: Collection[str] | None = None,
) -> FoldedGraph:
    """Return the folded graph of a Program along an axis.

    Args:
        program: any Program.
        axis: the axis that delays are measured along.
        count: the edges with length 1: "layers", "nodes" or "ops".
        extents: of the other axes; the default is the Program's.
        outputs: the ends of routes; the default is the Program's outputs.

    Raises:
        DataError: no such axis or way of counting.
        UnsupportedError: the graph is too large, or an index of another axis moves with this one.
    """
    axes = [a for a in program.axes if a != BATCH]
    if axis not in axes:
        raise DataError(f"{program.name} has no axis {axis}; its axes are {', '.join(axes)}")
    if count not in COUNTS:
        raise DataError(f"lengths are counted in {', '.join(COUNTS)}; found {count!r}")
    program = relative(program, axis)
    return _Folding(program, axis, count, Domain(program, extents), outputs).graph()


class _Folding:
    """The construction of one folded graph."""

    def __init__(
        self,
        program: Program,
        axis: str,
        count: str,
        domain: Domain,
        outputs: Collection[str] | None,
    ) -> None:
        self.program, self.axis, self.count, self.domain = program, axis, count, domain
        self.environment: Environment = Environments(domain).longest
        ends = [n for n in (outputs or program.outputs) if not program[n].is_input]
        self.outputs = ends or _unread(program)
        self.values = _on_routes(program, self.outputs)
        self.weights = _computed_from_parameters(program) if count == "layers" else frozenset()
        self.starts: dict[str, int] = {}
        total = 0
        for name in self.values:
            self.starts[name] = total
            total += int(np.prod(domain.shape(self.others(program[name])), dtype=np.int64))
        if total > MOST_NODES:
            raise UnsupportedError(
                f"measuring along {axis} unfolds the other axes to {total:,} nodes;"
                f" give them smaller extents (at most {MOST_NODES:,} nodes)"
            )

    def others(self, value: Value) -> tuple[str, ...]:
        """Return the axes of a value that are unfolded."""
        return tuple(a for a in inner(value) if a != self.axis)

    def graph(self) -> FoldedGraph:
        """Build the graph."""
        names = tuple(name for v in self.values for name in self.labels(self.program[v]))
        arcs = [arc for v in self.values for arc in self.arcs(self.program[v])]
        inputs = [v.name for v in self.program.inputs if v.name in self.starts]
        return FoldedGraph(
            names, tuple(dict.fromkeys(arcs)), self.numbers(inputs), self.numbers(self.outputs)
        )

    def numbers(self, names: Iterable[str]) -> tuple[int, ...]:
        """Return the numbers of all nodes of some values."""
        known = [n for n in names if n in self.starts]
        return tuple(
            self.starts[n] + i
            for n in known
            for i in range(int(np.prod(self.domain.shape(self.others(self.program[n])))))
        )

    def labels(self, value: Value) -> Iterator[str]:
        """Yield the names of a value's nodes."""
        others = self.others(value)
        for point in np.ndindex(self.domain.shape(others)):
            at = dict(zip(others, map(str, point), strict=True))
            shown = ",".join(at.get(a, a) for a in inner(value))
            yield "" if not value.is_named else f"{value.name}[{shown}]" if others else value.name

    def arcs(self, value: Value) -> Iterator[Arc]:
        """Yield the edges to a value's nodes."""
        if value.is_input:
            return
        for operand, ref in enumerate(value.operands):
            bound = [a for a in value.reduced if a in ref.axes and a not in (BATCH, self.axis)]
            own = self.others(value)
            ranges = [np.arange(self.domain.extents[a]) for a in (*own, *bound)]
            mesh = [m.ravel() for m in np.meshgrid(*ranges, indexing="ij")]
            at = dict(zip((*own, *bound), mesh, strict=True))
            exists = np.broadcast_to(
                bounded(value, at, self.environment), mesh[0].shape if mesh else 1
            )
            at = {a: m[exists] for a, m in at.items()}
            readers = np.atleast_1d(self._numbers(value, [at[a] for a in own]))
            size = int(exists.sum())
            moving = np.zeros(size, dtype=np.int64) if self.axis in value.axes else None
            length = self._length(value, operand)
            for source, numbers, rows, delay, once in self._resolve(
                ref, at, moving, size, False, 0
            ):
                if source not in self.starts:
                    continue
                targets = np.broadcast_to(readers, (size,))[rows]
                for a, b, d in zip(numbers.tolist(), targets.tolist(), delay.tolist(), strict=True):
                    yield Arc(a, b, length, d, once)

    def _numbers(self, value: Value, points: list[Ints]) -> Ints:
        shape = self.domain.shape(self.others(value))
        flat = np.ravel_multi_index(points, shape) if shape else np.zeros(1, dtype=np.int64)
        return self.starts.get(value.name, 0) + flat

    def _length(self, value: Value, operand: int) -> int:
        if self.count == "ops":
            return 1
        if self.count == "nodes":
            return int(value.is_named)
        if OPS[value.op].kind not in (Kind.CONTRACT, Kind.KERNEL):
            return 0
        weighted = [r.value in self.weights for r in value.operands]
        return int(any(weighted) and not weighted[operand])

    def _resolve(
        self,
        ref: Ref,
        at: Mapping[str, Ints],
        moved: Ints | None,
        size: int,
        once: bool,
        depth: int,
    ) -> Iterator[tuple[str, Ints, Ints, Ints, bool]]:
        """Yield what a reference reads, boundaries followed.

        Args:
            ref: the reference.
            at: index points of the axes in its indices but the measured one, arrays [size].
            moved: by how much the index along the measured axis is behind that of the reader
                that we began with, [size]; None where it does not move with it.
            size: number of index points.
            once: whether a boundary on the measured axis was crossed.
            depth: number of boundaries crossed.

        Yields:
            (value, numbers of its nodes, rows of `at` they belong to, delays, once).
        """
        source = self.program[ref.value]
        indices = dict(zip(source.axes, ref.index, strict=True))
        behind = self._behind(ref, source, at, moved, size)
        points: dict[str, Ints] = {}
        exists = np.ones(size, dtype=bool)
        for other in self.others(source):
            if self.axis in indices[other].axes and self.axis not in at:
                raise UnsupportedError(
                    f"cannot measure along {self.axis}: {source.name} is read at"
                    f" {other} = {indices[other]}, an index of another axis that moves with it"
                )
            lasts = {a: n - 1 for a, n in self.domain.extents.items()}
            position, exact = indices[other].evaluate(at, lasts)
            points[other] = np.broadcast_to(np.asarray(position, dtype=np.int64), (size,))
            exists = exists & exact
        decided = np.full(size, -1)
        for i, other in reversed(list(enumerate(points))):
            out = (points[other] < 0) | (points[other] >= self.domain.extents[other])
            decided[out] = i
        decided[~exists] = len(points)
        inside = np.flatnonzero(decided < 0)
        delays = np.zeros(size, dtype=np.int64) if behind is None else behind
        here = np.broadcast_to(
            self._numbers(source, [p[inside] for p in points.values()]), inside.shape
        )
        yield source.name, here, inside, delays[inside], once
        crossed = [(o, np.flatnonzero(decided == i), once) for i, o in enumerate(points)]
        if self.axis in source.axes and indices[self.axis].may_leave(self.axis):
            crossed.append((self.axis, inside, True))
        for left, rows, first in crossed:
            held = source.boundary.get(left)
            # A boundary that leads outside again ends at the first step, which has no number here.
            if held is None or not len(rows) or depth > DEEPEST_BOUNDARY:
                continue
            beyond = points
            if left == self.axis and self._differs(held):
                rows, steps = self._outside(indices[left], at, behind, rows)
                beyond = {**points, self.axis: steps}
            beyond = {a: p[rows] if a != self.axis else p for a, p in beyond.items()}
            further = None if behind is None else behind[rows]
            for found in self._resolve(held, beyond, further, len(rows), first, depth + 1):
                name, numbers, own, delay, only = found
                yield name, numbers, rows[own], delay, only

    def _differs(self, held: Ref) -> bool:
        """Return whether what a boundary holds differs between the points outside."""
        axes = self.program[held.value].axes
        pairs = zip(axes, held.index, strict=True)
        return any(self.axis in i.axes for a, i in pairs if a != self.axis)

    def _outside(
        self, index: Affine, at: Mapping[str, Ints], behind: Ints | None, rows: Ints
    ) -> tuple[Ints, Ints]:
        """Return the points outside of the measured axis that are read, and whose rows they are."""
        last = self.domain.extents[self.axis] - 1
        if behind is None:
            lasts = {a: n - 1 for a, n in self.domain.extents.items()}
            start, _ = index.evaluate({**at, self.axis: 0}, lasts)
            return rows, np.broadcast_to(np.asarray(start), rows.shape)
        counts = np.abs(behind[rows])
        further = np.concatenate([np.arange(n) for n in (*counts, 0)])
        rows = np.repeat(rows, counts)
        return rows, np.where(behind[rows] > 0, -1 - further, last + 1 + further)

    def _behind(
        self, ref: Ref, source: Value, at: Mapping[str, Ints], moved: Ints | None, size: int
    ) -> Ints | None:
        """Return the delay of a reference to the first reader; None if it does not move."""
        if moved is None or self.axis not in source.axes:
            return None
        index = ref.index[source.axes.index(self.axis)]
        if index.coefficient(self.axis) != 1 or index.lasts or not index.is_linear:
            return None
        ahead, _ = index.evaluate({**at, self.axis: 0}, {})
        return moved - np.broadcast_to(np.asarray(ahead, dtype=np.int64), (size,))


def _unread(program: Program) -> list[str]:
    """Return the values that nothing reads."""
    return [v.name for v in program if not readers(program)[v.name] and not v.is_input]


def _on_routes(program: Program, outputs: Iterable[str]) -> list[str]:
    """Return the values between an input and an output; without inputs, all that outputs need."""
    needed = ancestors(program, outputs)
    inputs = [v.name for v in program.inputs if v.name in needed]
    keep = needed & descendants(program, inputs) if inputs else needed
    return [v.name for v in program if v.name in keep]


def _computed_from_parameters(program: Program) -> frozenset[str]:
    """Return the values that act as weights: functions of parameters alone, not recurrent."""
    linked = edges(program)
    varying = {v.name for v in program if v.is_input or v.row.is_random}
    varying |= {e.reader for e in linked if e.reader == e.source}
    for component in components(list(program.values), linked):
        varying |= set(component) if len(component) > 1 else set()
    above = descendants(program, (v.name for v in program.parameters))
    return frozenset(above - descendants(program, varying))
