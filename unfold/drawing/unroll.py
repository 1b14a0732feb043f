"""A scheme unfolded over the drawn part of its index domain: the sketch of an unfolded picture.

In: a `Scheme`, the extent of every axis, and how many steps to draw. Out: a `Sketch` with a node
per box and drawn index point, initial values as boundary nodes, dots for omitted points, and one
edge per line and point. The work is proportional to the drawn part, never to the extents.

    h[t]: tanh(W @ h[t-1] + U @ x[t])      h[-1] -> h[0] -> h[1] -> … -> h[9]   with x below each
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np

from unfold.core.program import Ref
from unfold.drawing.blocks import Home, Plan
from unfold.drawing.boxes import Box
from unfold.drawing.legend import drawn_entries, notes, words
from unfold.drawing.palette import Styles
from unfold.drawing.scheme import Scheme
from unfold.drawing.sketch import Kind, LegendEntry, Sketch, SketchEdge, SketchNode, Spot, Stretch
from unfold.drawing.window import GAP, Slot, Window
from unfold.unfolded.lines import Line
from unfold.unfolded.reading import Environment

Point = tuple[Slot, ...]
NodeId = tuple[str, Point]
ALL = "·"
STYLES = Styles()
KINDS: tuple[Kind, ...] = ("feedback", "gap", "boundary", "delay", "spread", "data")
"""The kind of an edge with several ways: the first of theirs in this order."""


@dataclass(frozen=True)
class _Way:
    """A line at a point: the parameters nearest to the source and what kind of edge it is."""

    line: Line
    parameters: tuple[str, ...]
    kind: Kind


class Unrolling:
    """One unfolding under construction.

    Args:
        scheme: what is unfolded.
        extents: number of points of every axis.
        steps: how many points of each axis to draw.
        plan: which axes run across the page.
        run: arrays by value, [batch, *axes, *shape], whose ranges are shown on hovering.
        zeros: whether to draw nodes outside of the domain that hold zeros, and their readers.
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
        self.parts = scheme.parts or scheme
        self.zeros = zeros
        self.run = dict(run or {})
        self.extents = dict(extents)
        self.environment = Environment(self.extents)
        self.last = {a: n - 1 for a, n in extents.items()}
        self.windows = {a: Window.of(n, steps[a]) for a, n in extents.items()}
        self.plan = plan
        self.notes: dict[NodeId, dict[str, str]] = {}  # boundary nodes, with what members hold
        self.points: dict[NodeId, None] = {}
        self.members: dict[NodeId, dict[tuple[str, tuple[int, ...]], None]] = {}
        self.frames: dict[NodeId, None] = {}
        self.ways: dict[tuple[NodeId, NodeId, Any, Any], list[_Way]] = {}
        self.parameters: dict[str, tuple[str, tuple[int, ...]]] = {}

    def sketch(
        self,
        title: str,
        styles: Styles = STYLES,
        rows: tuple[tuple[str, ...], ...] = (),
        dots: bool = True,
    ) -> Sketch:
        """Unfold everything and return the sketch."""
        for box in self.parts.boxes.values():
            for point in product(*(self.windows[a].points for a in box.axes)):
                if not self._exists(box, point):
                    continue
                node = self._contracted((box.name, point))
                self.points[node] = None
                self.members.setdefault(node, {})[box.name, point] = None
        for line in self.parts.lines:
            self._draw(line)
        if dots:
            self._dot_rows()
        nodes = [*map(self._frame, self.frames), *map(self._node, self.points)]
        edges = tuple(self._edge(key, ways) for key, ways in self.ways.items())
        return Sketch(
            title=title,
            blocks=tuple(self._block(name) for name in self.plan.blocks),
            nodes=tuple(nodes),
            edges=edges,
            legend=tuple(self._legend(edges, styles)),
            rows=rows,
        )

    def _exists(self, box: Box, point: Sequence[int]) -> bool:
        """Return whether a point of the domain is within the bounds of a box."""
        at = dict(zip(box.axes, point, strict=True))
        return all(form.evaluate(at, self.last)[0] >= 0 for form in box.within)

    def _contracted(self, node: NodeId) -> NodeId:
        """Return the cell at the same point of its axes, for a member of one; else the node."""
        name, point = node
        kept = self.scheme.cells.kept(name, self.parts.boxes[name].axes)
        return self.scheme.cells.of(name), tuple(point[i] for i in kept)

    def count(self) -> int:
        """Return the largest possible number of boxes and edges, without drawing any."""
        boxes = self.scheme.boxes.values()
        total = sum(prod(len(self.windows[a].points) for a in box.axes) for box in boxes)
        for line in self.parts.lines:
            drawn, ranges = self._domain(line, *self._shared(line))
            total += prod(map(len, (*drawn, *ranges)))
        return total

    def _domain(
        self, line: Line, wide: Collection[str], runs: Collection[str]
    ) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """Return the points of the target, and of the bound axes, that a line is drawn at."""
        axes = self.parts.boxes[line.target].axes
        drawn = [self.windows[a].points if a not in wide else (0,) for a in axes]
        return drawn, [self._range(axis) if name not in runs else (0,) for name, axis in line.bound]

    def _draw(self, line: Line) -> None:
        axes = self.parts.boxes[line.target].axes
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
                self.points.setdefault(self._contracted((line.target, slots)), None)
                self._read(line, (line.target, slots), at, runs)

    def _homes(self, line: Line) -> tuple[Home, Home]:
        """Return the places of the ends of a line."""
        cells = self.scheme.cells
        return self.plan.homes[cells.of(line.source)], self.plan.homes[cells.of(line.target)]

    def _shared(self, line: Line) -> tuple[tuple[str, ...], dict[str, int]]:
        """Return the names that join many edges into one, which then starts or ends at a frame.

        Returns:
            axes of the target that the line does not use, and positions in the source's index, by
            name, of bound indices that run over everything and are used nowhere else.
        """
        cells, parallel = self.scheme.cells, self.plan.parallel
        source, target = self._homes(line)
        axes = self.parts.boxes[line.source].axes
        used = [a for i in line.index for a in i.axes]
        used += [a for r in line.nearest for a in r.axes]
        used += [a for g in line.guards for a in g.axes]
        across = target.inner if cells.of(line.target) in parallel else ()
        wide = across if not set(across) & set(used) else ()
        runs: dict[str, int] = {}
        bound = {new for new, _ in line.bound}
        for position, (axis, index) in enumerate(zip(axes, line.index, strict=True)):
            lone = index.axes[0] if len(index.axes) == 1 else ""
            if lone not in bound or index.offset_from(lone) != 0 or used.count(lone) > 1:
                continue
            inner = axis in source.inner and cells.of(line.source) in parallel
            apart = source.block != target.block and target.role != "bar"
            if inner or (axis in source.outer and source.role == "column" and apart):
                runs[lone] = position
        own = {axes[i] for i in cells.kept(line.source, axes)}
        needed = own if source.block != target.block else set(source.inner)
        complete = {axes[p] for p in runs.values()} == needed
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
        offsets = line.offsets(self.parts.boxes)
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
        """Draw the reads of a line at a point; the target is a part that is not contracted yet."""
        if not all(g.holds(at, self.environment, self.scheme.program) for g in line.guards):
            return
        values = [i.evaluate(at, self.last) for i in line.index]
        if not all(exact for _, exact in values):
            return
        open_ = frozenset(runs.values())
        source = self._resolve(line.source, tuple(int(v) for v, _ in values), open_)
        target = self._contracted(target)
        if source is None or source == target or (GAP in source[1] and GAP in target[1]):
            return
        if source in self.notes and GAP in target[1]:
            return
        for end in (source, target):
            if ALL in end[1]:
                self.frames.setdefault(end, None)
        self._add(source, target, line, at)

    def _resolve(
        self, name: str, index: tuple[int, ...], open_: Collection[int] = ()
    ) -> NodeId | None:
        """Return the node that holds a value at a point: itself, its initial value, or dots.

        Args:
            name: of a box; its cell is what is drawn.
            index: the point.
            open_: positions at which every point is meant, so that the node is a frame.
        """
        box = self.parts.boxes[name]
        for axis, i in zip(box.axes, index, strict=True):
            if 0 <= i < self.extents[axis]:
                continue
            if axis not in self.scheme.program[name].boundary:
                return self._boundary(box, index, "0")
            return self._outside(box, index, axis)
        if not self._exists(box, index):
            return None
        slots = tuple(self.windows[a].slot(i) for a, i in zip(box.axes, index, strict=True))
        self.points.setdefault(self._contracted((name, slots)), None)
        framed = tuple(ALL if i in open_ else p for i, p in enumerate(slots))
        return self._contracted((name, framed))

    def _outside(self, box: Box, index: tuple[int, ...], axis: str) -> NodeId | None:
        program, lines = self.scheme.program, self.parts.held(box.name, axis)
        at = dict(zip(box.axes, index, strict=True))
        value = program[program[box.name].boundary[axis].value]
        if value.name in self.parts.boxes:
            (line,) = lines
            return self._resolve(
                value.name, tuple(i.evaluate(at, self.last)[0] for i in line.index)
            )
        if value.is_parameter:
            return self._boundary(box, index, "learned")
        if value.is_constant:
            return self._boundary(box, index, f"{value.attributes['value']:g}")
        node = self._boundary(box, index, "")
        if node is not None:
            for line in lines:
                names = [name for name, _ in line.bound]
                for rest in product(*(self._range(axis) for _, axis in line.bound)):
                    here = at | dict(zip(names, rest, strict=True))
                    self._read(line, (box.name, index), here, {})
        return node

    def _boundary(self, box: Box, index: tuple[int, ...], note: str) -> NodeId | None:
        """Return the node outside of the domain; there is none beside points hidden by dots."""
        if note == "0" and not self.zeros:
            return None
        if any(self.windows[a].slot(i) == GAP for a, i in zip(box.axes, index, strict=True)):
            return None
        node = self._contracted((box.name, index))
        self.points.setdefault(node, None)
        kept = zip(self.scheme.boxes[node[0]].axes, map(int, node[1]), strict=True)
        outside = [(a, i) for a, i in kept if not 0 <= i < self.extents[a]]
        for axis, i in outside:
            self.windows[axis].note(i)
        if outside:  # a point outside along an axis that its cell lacks is inside the cell
            self.notes.setdefault(node, {})[box.name] = note
        return node

    def _parameter(self, ref: Ref, at: Mapping[str, int]) -> str | None:
        """Return the name of a parameter at a point; outside of its domain it is zero."""
        index = tuple(int(i.evaluate(at, self.last)[0]) for i in ref.index)
        axes = self.scheme.program[ref.value].axes
        if not all(0 <= i < self.extents[a] for a, i in zip(axes, index, strict=True)):
            return None
        found = _text((ref.value, index))
        self.parameters.setdefault(found, (ref.value, index))
        return found

    def _add(self, source: NodeId, target: NodeId, line: Line, at: Mapping[str, int]) -> None:
        """Remember a way in which a node reads another; a cell's ways are one edge."""
        parameters = tuple(p for r in line.nearest if (p := self._parameter(r, at)) is not None)
        own = self._homes(line)[1].outer
        offsets = line.offsets(self.parts.boxes)
        kind: Kind = "delay" if any(o for a, o in offsets.items() if a in own) else "data"
        if GAP in source[1] or GAP in target[1]:
            kind = "gap"
        elif source in self.notes:
            kind = "boundary"
        elif self._spreads(line):
            kind = "spread"
        if line.feedback:
            kind = "feedback"
        joined = self.scheme.parts is not None
        key = (source, target, None, None) if joined else (source, target, parameters, kind)
        self.ways.setdefault(key, []).append(_Way(line, parameters, kind))

    def _edge(self, key: tuple[NodeId, NodeId, Any, Any], ways: Sequence[_Way]) -> SketchEdge:
        source, target = key[:2]
        found = dict.fromkeys(p for w in ways for p in w.parameters)
        parameter = next(iter(found)) if len(found) == 1 else None
        tips = dict.fromkeys(w.line.factors for w in ways)
        carries = dict.fromkeys(
            n for w in ways for n in (w.line.source, *w.line.carries) if n != source[0]
        )
        return SketchEdge(
            source=_id(source),
            target=_id(target),
            kind=next(k for k in KINDS if any(w.kind == k for w in ways)),
            parameter=parameter,
            label=words(found, self.scheme.boxes[target[0]].reader),
            tooltip=(
                *(f"{self._called(source)} → {self._called(target)}{tip}" for tip in tips),
                *carries,
            ),
        )

    def _spreads(self, line: Line) -> bool:
        """Whether a point reads many points of the source, so that its edges are many."""
        guards = (g for g in line.guards if not g.is_bound)
        free = {new for new, _ in line.bound} - {a for g in guards for a in g.axes}
        kept = self.scheme.cells.kept(line.source, self.parts.boxes[line.source].axes)
        free &= {a for i in kept for a in line.index[i].axes}
        return bool(free) and self._homes(line)[1].role == "column"

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
        label, kind, small = box.shown(point), box.kind, False
        if node in self.notes:
            kind = "boundary"
            notes = dict.fromkeys(note for note in self.notes[node].values() if note)
            held = (note if note == "learned" else f"= {note}" for note in notes)
            label += "\n" + ", ".join(held) if notes else ""
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
            members=tuple(self.members.get(node, ())),
        )

    def _called(self, node: NodeId) -> str:
        """Name a node in words: by its label, or by its own name if that is an operation's."""
        box = self.scheme.boxes[node[0]]
        return box.shown(node[1]) if box.indexed else _text(node)

    def _range_of(self, node: NodeId) -> tuple[str, ...]:
        """Return a line with the least and the largest number that a run computed there."""
        found: list[str] = []
        for name, point in self.members.get(node, ()):
            array = np.asarray(self.run.get(name, ()))
            if array.ndim > len(point) and array.size:
                own = array[(slice(None), *point)]
                of = f" of {_text((name, point))}" if name != node[0] else ""
                found.append(f"values{of}: {own.min():.4g} to {own.max():.4g}")
        return tuple(found)

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

    def _block(self, name: str) -> Stretch:
        outer = self.plan.blocks[name]
        return Stretch(
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

    def _legend(self, edges: Iterable[SketchEdge], styles: Styles) -> Iterator[LegendEntry]:
        """Yield the legend: parameters by first use of the name, then by index."""
        used = {e.parameter: self.parameters[e.parameter] for e in edges if e.parameter}
        names = list(dict.fromkeys(name for name, _ in used.values()))
        keys = sorted(used, key=lambda k: (names.index(used[k][0]), used[k][1]))
        yield from drawn_entries(self.scheme, styles, {k: used[k] for k in keys})
        yield from notes(self.scheme, names)


def _text(node: NodeId) -> str:
    name, point = node
    return name + (f"[{','.join(map(str, point))}]" if point else "")


def _id(node: NodeId) -> str:
    return _text(node)
