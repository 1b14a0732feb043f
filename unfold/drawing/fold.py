"""A scheme as a circuit diagram: the sketch of a folded picture, delays as black squares.

In: a `Scheme`. Out: a `Sketch` of one column. A box shows its axes as index. A line that reads at
another index point shows the distance: a square with "t-1" beside it, "last" at a fixed point,
"all t" if it spans an axis, "s <= t" if it spans a part of one.

    x[t] --U--> h[t] --V--> o[t]       with a loop  h -- W, ■ -- h
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from unfold.core.affine import Affine
from unfold.core.printing import show_form
from unfold.core.program import Ref
from unfold.drawing.boxes import Box
from unfold.drawing.legend import drawn_entries, notes, words
from unfold.drawing.palette import Styles
from unfold.drawing.scheme import Scheme
from unfold.drawing.sketch import Sketch, SketchEdge, SketchNode, Spot, Stretch
from unfold.unfolded.lines import Line


def fold(
    scheme: Scheme,
    title: str,
    styles: Styles,
    rows: tuple[tuple[str, ...], ...] = (),
    direction: Literal["up", "right"] = "up",
) -> Sketch:
    """Return the sketch of the folded graph."""
    nodes = [
        SketchNode(
            id=name,
            label=box.shown(box.axes),
            kind=box.kind,
            spot=Spot(block="", key=(name,)),
            tooltip=box.tooltip,
            members=tuple((value, None) for value in box.values),
        )
        for name, box in scheme.boxes.items()
    ]
    lines = [*scheme.lines, *(x for x in scheme.starts if x not in scheme.lines)]
    edges = [_edge(scheme, line) for line in lines]
    used = {e.parameter: (e.parameter.partition("[")[0], ()) for e in edges if e.parameter}
    legend = [
        *drawn_entries(scheme, styles, used),
        *notes(scheme, [name for name, _ in used.values()]),
    ]
    return Sketch(
        title=title,
        blocks=(Stretch(name=""),),
        nodes=tuple(nodes),
        edges=tuple(edges),
        legend=tuple(legend),
        rows=rows,
        direction=direction,
    )


def _edge(scheme: Scheme, line: Line) -> SketchEdge:
    source = scheme.boxes[line.source]
    read = _where(scheme, line, source)
    delayed = any(line.offsets(scheme.boxes).values())
    parameters = dict.fromkeys(map(_text, line.nearest))
    at = [i.show(lambda n: n.partition("#")[0]) for i in line.index]
    target = scheme.boxes[line.target]
    reading = (source.label if source.indexed else source.name) + (
        f"[{','.join(at)}]" if at else ""
    )
    tip = f"{reading} → {target.label if target.indexed else target.name}{line.factors}"
    label = words(parameters, target.reader)
    if read and not delayed:
        label = f"{label}  ({read})" if label else read
    return SketchEdge(
        source=line.source,
        target=line.target,
        kind="feedback" if line.feedback else ("delay" if delayed else "data"),
        parameter=next(iter(parameters)) if len(parameters) == 1 else None,
        label=label,
        delay=read if delayed else None,
        tooltip=(tip, *line.carries),
    )


def _text(ref: Ref) -> str:
    """Return the name of a parameter, with its index as written."""
    shown = ",".join(i.show(lambda n: n.partition("#")[0]) for i in ref.index)
    return ref.value + (f"[{shown}]" if ref.index else "")


def _where(scheme: Scheme, line: Line, source: Box) -> str:
    """Return the index at which a line reads, without the parts that equal the reader's own."""
    own = scheme.boxes[line.target].axes
    bound = {new: axis for new, axis in line.bound}
    words: list[str] = []
    for axis, index in zip(source.axes, line.index, strict=True):
        offset = index.offset_from(axis) if axis in own else None
        if offset == 0:
            continue
        if offset is not None:
            words.append(_delay(axis, offset, len(source.axes)))
        elif index.axes and all(a in bound for a in index.axes) and len(index.axes) == 1:
            words.append(_all(axis, index.axes[0], line))
        elif index == Affine.last(axis):
            words.append("last")
        else:
            words.append(show_index(index, bound))
    return ", ".join(dict.fromkeys(words))


def _all(axis: str, name: str, line: Line) -> str:
    """Return the points of an axis that a line runs over: `all s`, or its bounds, `s <= t`."""
    bounds = [g.what for g in line.guards if g.is_bound and name in g.axes]
    forms = [f for f in bounds if isinstance(f, Affine)]
    written = [show_form(f.rename({a: a.partition("#")[0] for a in f.axes})) for f in forms]
    return ", ".join(written) or f"all {axis}"


def show_index(index: Affine, names: Mapping[str, str]) -> str:
    """Return an index with its positive terms first, as people write it: `t-k`."""
    ordered = sorted(index.terms, key=lambda term: term[1] < 0)
    moved = replace(index, terms=tuple(ordered))
    return moved.show(lambda n: names.get(n, n))


def _delay(axis: str, offset: int, axes: int) -> str:
    """Return the length beside a black square, with its axis if there are several."""
    return f"{-offset}" if offset < 0 and axes == 1 else f"{axis}{offset:+d}"
