"""A scheme unfolded over the drawn part of its index domain: the sketch of an unfolded picture.

In: a `Scheme`, the extent of every axis, and how many steps to draw. Out: a `Sketch` with a node
per box and drawn index point, initial values as boundary nodes, dots for what is left out, and one
edge per line and point. Work is proportional to what is drawn, never to the extents.

    h[t]: tanh(W @ h[t-1] + U @ x[t])      h[-1] -> h[0] -> h[1] -> … -> h[9]   with x below each
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np

from unfold.core.program import Ref
from unfold.drawing.blocks import Home, Plan
from unfold.drawing.boxes import Box, Line
from unfold.drawing.scheme import Scheme
from unfold.drawing.sketch import Block, LegendEntry, Sketch, SketchEdge, SketchNode, Spot
from unfold.drawing.window import GAP, Slot, Window

Point = tuple[Slot, ...]
NodeId = tuple[str, Point]
ALL = "·"


@dataclass(frozen=True)
class _Parameter:
    """A parameter at an index: what one colour stands for."""

    name: str
    index: tuple[int, ...]

    @property
    def text(self) -> str:
        return self.name + (f"[{','.join(map(str, self.index))}]" if self.index else "")


class Unrolling:
    """One unfolding under construction.

    Args:
        scheme: what is unfolded.
        extents: number of points of every axis.
        steps: how many points of each axis to draw.
        plan: which axes run across the page.
        run: arrays by value, [batch, *axes, *shape], whose ranges are shown on hovering.
        zeros: whether to draw nodes outside of the domain that hold zeros, and what reads them.
    """

    def __init__(
        self,
        scheme: Scheme,
        extents: Mapping[str, int],
        steps: Mapping[str, int],
        plan: Plan,
        run: Mapping[str, Any] | None = None,
        zeros: bool = True,
    ) -> None:
        self.scheme = scheme
        self.zeros = zeros
        self.run = dict(run or {})
        self.extents = dict(extents)
        self.last = {a: n - 1 for a, n in extents.items()}
        self.windows = {a: Window.of(n, steps[a]) for a, n in extents.items()}
        self.plan = plan
        self.notes: dict[NodeId, str] = {}  # boundary nodes, with what they hold
        self.points: dict[NodeId, None] = {}
        self.frames: dict[NodeId, None] = {}
        self.edges: dict[tuple[NodeId, NodeId, str | None, str], SketchEdge] = {}
        self.parameters: dict[str, _Parameter] = {}

    def sketch(
        self, title: str, rows: tuple[tuple[str, ...], ...] = (), dots: bool = True
    ) -> Sketch:
        """Unfold everything and return the sketch."""
        for box in self.scheme.boxes.values():
            for point in product(*(self.windows[a].points for a in box.axes)):
                self.points[box.name, point] = None
        for line in self.scheme.lines:
            self._draw(line)
        if dots:
            self._dot_rows()
        nodes = [*map(self._frame, self.frames), *map(self._node, self.points)]
        return Sketch(
            title=title,
            blocks=tuple(self._block(name) for name in self.plan.blocks),
            nodes=tuple(nodes),
            edges=tuple(self.edges.values()),
            legend=tuple(self._legend(key) for key in self._ordered()),
            rows=rows,
        )

    def count(self) -> int:
        """Return how many boxes and edges there may be at most, without drawing any."""
        boxes = self.scheme.boxes.values()
        total = sum(prod(len(self.windows[a].points) for a in box.axes) for box in boxes)
        for line in self.scheme.lines:
            drawn, ranges = self._domain(line, *self._shared(line))
            total += prod(map(len, (*drawn, *ranges)))
        return total

    def _domain(
        self, line: Line, wide: Collection[str], runs: Collection[str]
    ) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """Return the points of the target, and of the bound axes, that a line is drawn at."""
        axes = self.scheme.boxes[line.target].axes
        drawn = [self.windows[a].points if a not in wide else (0,) for a in axes]
        return drawn, [self._range(axis) if name not in runs else (0,) for name, axis in line.bound]

    def _draw(self, line: Line) -> None:
        axes = self.scheme.boxes[line.target].axes
        wide, runs = self._shared(line)
        drawn, ranges = self._domain(line, wide, runs)
        names = (*axes, *(name for name, _ in line.bound))
        for point in product(*drawn):
            for rest in product(*ranges):
                at = dict(zip(names, point + rest, strict=True))
                slots = tuple(ALL if a in wide else p for a, p in zip(axes, point, strict=True))
                self._read(line, (line.target, slots), at, runs)
        for point in self._next_hidden(line, axes, wide):
            for rest in product(*ranges):
                at = dict(zip(names, point + rest, strict=True))
                slots = tuple(self.windows[a].slot(p) for a, p in zip(axes, point, strict=True))
                self.points.setdefault((line.target, slots), None)
                self._read(line, (line.target, slots), at, runs)

    def _shared(self, line: Line) -> tuple[tuple[str, ...], dict[str, int]]:
        """Return what makes one edge out of many, which then starts or ends at a frame.

        Returns:
            axes of the target that the line does not use, and positions in the source's index, by
            name, of bound indices that run over everything and are used nowhere else.
        """
        boxes, homes = self.scheme.boxes, self.plan.homes
        source, target = homes[line.source], homes[line.target]
        used = [a for i in line.index for a in i.axes]
        used += line.parameter.axes if line.parameter else ()
        used += [a for g in line.guards for a in g.axes]
        across = () if line.target not in self.plan.parallel else target.inner
        wide = across if not set(across) & set(used) else ()
        runs: dict[str, int] = {}
        bound = {new for new, _ in line.bound}
        for position, (axis, index) in enumerate(
            zip(boxes[line.source].axes, line.index, strict=True)
        ):
            lone = index.axes[0] if len(index.axes) == 1 else ""
            if lone not in bound or index.offset_from(lone) != 0 or used.count(lone) > 1:
                continue
            inner = axis in source.inner and line.source in self.plan.parallel
            apart = source.block != target.block and target.role != "bar"
            if inner or (axis in source.outer and source.role == "column" and apart):
                runs[lone] = position
        own = boxes[line.source].axes
        needed = set(own) if source.block != target.block else set(source.inner)
        complete = {own[p] for p in runs.values()} == needed
        return wide, runs if complete else {}

    def _range(self, axis: str) -> tuple[int, ...]:
        """Return the drawn points of a bound axis, and one for the dots."""
        window = self.windows[axis]
        return (*window.points, window.hidden) if window.elided else window.points

    def _next_hidden(
        self, line: Line, axes: tuple[str, ...], wide: tuple[str, ...]
    ) -> Iterator[tuple[int, ...]]:
        """Yield hidden points that read drawn ones by a delay: their edges end at the dots."""
        middle = {a: w.points[len(w.points) // 2 :][:1] for a, w in self.windows.items()}
        offsets = line.offsets(self.scheme.boxes)
        for axis, offset in offsets.items():
            window = self.windows[axis]
            if not offset or not window.elided or axis not in axes:
                continue
            hidden = {p - offset for p in window.points} - set(window.points)
            inside = sorted(p for p in hidden if 0 <= p < window.extent)
            others = [middle[a] if a in wide else self.windows[a].points for a in axes]
            yield from product(
                *(inside if a == axis else o for a, o in zip(axes, others, strict=True))
            )

    def _read(
        self, line: Line, target: NodeId, at: Mapping[str, int], runs: Mapping[str, int]
    ) -> None:
        extents = self.extents
        if any(not g.holds(self.scheme.program, at, extents) for g in line.guards):
            return
        values = [i.evaluate(at, self.last) for i in line.index]
        if not all(exact for _, exact in values):
            return
        source = self._resolve(line.source, tuple(int(v) for v, _ in values))
        if source and runs:
            open_ = set(runs.values())
            source = source[0], tuple(ALL if i in open_ else p for i, p in enumerate(source[1]))
        if source is None or (GAP in source[1] and GAP in target[1]):
            return
        if source in self.notes and GAP in target[1]:
            return
        for end in (source, target):
            if ALL in end[1]:
                self.frames.setdefault(end, None)
        parameter = self._parameter(line, at)
        self._add(source, target, line, parameter)

    def _resolve(self, name: str, index: tuple[int, ...]) -> NodeId | None:
        """Return the node that holds a value at a point: itself, its initial value, or dots."""
        box = self.scheme.boxes[name]
        for axis, i in zip(box.axes, index, strict=True):
            if 0 <= i < self.extents[axis]:
                continue
            outside = box.boundary.get(axis)
            if outside is None:
                return self._boundary(box, index, "0")
            return self._outside(box, index, outside)
        slots = tuple(self.windows[a].slot(i) for a, i in zip(box.axes, index, strict=True))
        self.points.setdefault((name, slots), None)
        return name, slots

    def _outside(self, box: Box, index: tuple[int, ...], ref: Ref) -> NodeId | None:
        program = self.scheme.program
        at = dict(zip(box.axes, index, strict=True))
        value = program[ref.value]
        if ref.value in self.scheme.boxes:
            axes = self.scheme.boxes[ref.value].axes
            pairs = {a: i for a, i in zip(value.axes, ref.index, strict=True) if a in axes}
            return self._resolve(
                ref.value, tuple(pairs[a].evaluate(at, self.last)[0] for a in axes)
            )
        if value.op == "parameter":
            return self._boundary(box, index, "learned")
        if value.op == "constant":
            return self._boundary(box, index, f"{value.attributes['value']:g}")
        node = self._boundary(box, index, "")
        if node is not None:
            for line in self.scheme.boundary_lines(ref, box.name):
                names = [name for name, _ in line.bound]
                for rest in product(*(self._range(axis) for _, axis in line.bound)):
                    self._read(line, node, at | dict(zip(names, rest, strict=True)), {})
        return node

    def _boundary(self, box: Box, index: tuple[int, ...], note: str) -> NodeId | None:
        """Return the node outside of the domain; beside points that the dots stand for is none."""
        node = (box.name, index)
        if note == "0" and not self.zeros:
            return None
        if any(self.windows[a].slot(i) == GAP for a, i in zip(box.axes, index, strict=True)):
            return None
        for axis, i in zip(box.axes, index, strict=True):
            self.windows[axis].note(i)
        self.points.setdefault(node, None)
        self.notes[node] = note
        return node

    def _parameter(self, line: Line, at: Mapping[str, int]) -> str | None:
        ref = line.parameter
        if ref is None:
            return None
        index = [i.evaluate(at, self.last)[0] for i in ref.index]
        found = _Parameter(ref.value, tuple(int(i) for i in index))
        self.parameters.setdefault(found.text, found)
        return found.text

    def _add(self, source: NodeId, target: NodeId, line: Line, parameter: str | None) -> None:
        crosses = self.plan.homes[line.target].outer and any(
            o
            for a, o in line.offsets(self.scheme.boxes).items()
            if a in self.plan.homes[line.target].outer
        )
        kind: Any = "delay" if crosses else "data"
        if GAP in source[1] or GAP in target[1]:
            kind = "gap"
        elif source in self.notes:
            kind = "boundary"
        elif self._spreads(line):
            kind = "spread"
        if line.feedback:
            kind = "feedback"
        tip = f"{self._called(source)} → {self._called(target)}{line.factors}"
        # The gradient of a parameter says by its own name which one it is.
        gathers = parameter is not None and line.target == f"∂{self.parameters[parameter].name}"
        edge = SketchEdge(
            source=_id(source),
            target=_id(target),
            kind=kind,
            parameter=parameter,
            label="" if gathers else short(parameter or "", line.target),
            tooltip=(tip, *line.carries),
        )
        self.edges.setdefault((source, target, parameter, kind), edge)

    def _spreads(self, line: Line) -> bool:
        """Whether a point reads many points of the source, so that its edges are many."""
        free = {new for new, _ in line.bound} - {a for g in line.guards for a in g.axes}
        return bool(free) and self.plan.homes[line.target].role == "column"

    def _dot_rows(self) -> None:
        """Put dots into every row of an elided block, and between the elided points of a frame."""
        for name, _box in self.scheme.boxes.items():
            home = self.plan.homes[name]
            if home.role != "column" or not any(self.windows[a].elided for a in home.outer):
                continue
            if len(home.outer) == 1 and not home.inner:
                self.points.setdefault((name, (GAP,)), None)
        for name in (n for n in self.scheme.boxes if n in self.plan.parallel):
            axes = self.scheme.boxes[name].axes
            inner = self.plan.homes[name].inner
            drawn = (self.windows[a].points if a not in inner else (GAP,) for a in axes)
            if len(inner) == 1 and self.windows[inner[0]].elided:
                self.points.update(dict.fromkeys((name, point) for point in product(*drawn)))

    def _frame(self, frame: NodeId) -> SketchNode:
        """Return the outline around all drawn points that a frame's open axes run over."""
        name, point = frame
        members = [
            (other, slots)
            for other, slots in self.points
            if other == name and all(p in (ALL, s) for p, s in zip(point, slots, strict=True))
        ]
        members = [m for m in members if m not in self.notes]
        box, home = self.scheme.boxes[name], self.plan.homes[name]
        at = dict(zip(box.axes, point, strict=True))
        whole = any(at[a] == ALL for a in home.outer)
        column = 0.0 if whole else float(self.windows[home.outer[-1]].position(at[home.outer[-1]]))
        return SketchNode(
            id=_id(frame),
            label="",
            kind="frame",
            frames=tuple(_id(m) for m in members),
            spot=Spot(block=home.block, key=("frame", name), column=column, spans=whole),
            tooltip=(f"all of {self._called(frame)}",),
        )

    def _node(self, node: NodeId) -> SketchNode:
        name, point = node
        box, home = self.scheme.boxes[name], self.plan.homes[name]
        at = dict(zip(box.axes, point, strict=True))
        label, kind, small = _text((box.label, point if box.indexed else ())), box.kind, False
        if node in self.notes:
            note = self.notes[node]
            kind = "boundary"
            label += f"\n{'= ' if note and note != 'learned' else ''}{note}" if note else ""
        elif GAP in point:
            label, kind, small = "⋯", "gap", True
        return SketchNode(
            id=_id(node),
            label=label,
            kind=kind,
            small=small,
            spot=self._spot(name, home, at),
            tooltip=(self._called(node), *box.tooltip, *self._range_of(node))
            if kind != "gap"
            else (),
        )

    def _called(self, node: NodeId) -> str:
        """Name a node in words: by its label, or by its own name where that is an operation's."""
        box = self.scheme.boxes[node[0]]
        return _text((box.label if box.indexed else box.name, node[1]))

    def _range_of(self, node: NodeId) -> tuple[str, ...]:
        """Return the least and the largest number that a run put there, as a line."""
        name, point = node
        if name not in self.run or node in self.notes:
            return ()
        array = np.asarray(self.run[name])
        if array.ndim < 1 + len(point) or not array.size:
            return ()
        found = array[(slice(None), *(int(p) for p in point))]
        return (f"values: {found.min():.4g} to {found.max():.4g}",)

    @property
    def places(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return value and index point of every node that is neither dots nor boundary."""
        inside = [n for n in self.points if n not in self.notes and GAP not in n[1]]
        return {_id(n): (n[0], tuple(int(p) for p in n[1])) for n in inside}

    def _spot(self, name: str, home: Home, at: Mapping[str, Slot]) -> Spot:
        key = (name, *(str(at[a]) for a in home.inner))
        if home.role == "column" and home.outer:
            places = [float(self.windows[a].position(at[a])) for a in home.outer]
            row, column = (places[0], places[1]) if len(places) == 2 else (0.0, places[0])
            return Spot(block=home.block, key=key, column=column, row=row)
        window = self.windows[home.outer[0]] if home.outer else None
        if window is None:
            return Spot(block=home.block, key=key)
        column = window.middle
        if home.role == "fixed" and home.at is not None:
            index = home.at.evaluate({}, self.last)[0]
            column = float(window.position(window.slot(index)))
        return Spot(block=home.block, key=key, column=column, spans=home.role == "bar")

    def _block(self, name: str) -> Block:
        outer = self.plan.blocks[name]
        return Block(
            name=name,
            headers=self._headers(outer[-1]) if outer else (),
            row_headers=self._headers(outer[0]) if len(outer) == 2 else (),
            grid=len(outer) == 2,
            above=self.plan.above.get(name),
        )

    def _headers(self, axis: str) -> tuple[tuple[float, str], ...]:
        window = self.windows[axis]
        found = [(float(window.position(p)), str(p)) for p in window.points]
        found[0] = (found[0][0], f"{axis} = {found[0][1]}")
        if window.elided:
            found.append((float(window.position(GAP)), "⋯"))
        return tuple(found)

    def _ordered(self) -> list[str]:
        """Return the parameters' keys by first use of the name, then by index."""
        names = list(dict.fromkeys(p.name for p in self.parameters.values()))
        return sorted(
            self.parameters,
            key=lambda k: (names.index(self.parameters[k].name), self.parameters[k].index),
        )

    def _legend(self, key: str) -> LegendEntry:
        value = self.scheme.program[self.parameters[key].name]
        return LegendEntry(key=key, text=key, tooltip=(f"{key}: {value.type.show()}",))


def short(parameter: str, reader: str) -> str:
    """Leave out the name of the cell, where a parameter belongs to the cell that reads."""
    cell = reader.rpartition(".")[0]
    return parameter.removeprefix(f"{reader}.").removeprefix(f"{cell}." if cell else "")


def _text(node: NodeId) -> str:
    name, point = node
    return name + (f"[{','.join(map(str, point))}]" if point else "")


def _id(node: NodeId) -> str:
    return _text(node)
