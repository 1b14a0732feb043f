"""Cells as boxes: a scheme of named equations contracted to one box per instance of a cell.

In: a `Scheme` at the level of named equations. Out: one in which `l1.z`, `l1.s`, `l1.h` are `l1`.
Lines inside a cell and a step disappear; delays inside a cell become loops. The scheme determines
the places of boxes and the folded picture. An unfolded picture contracts the points and edges of
the equations themselves (`Scheme.parts`), so that both always agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from unfold.core.affine import Affine
from unfold.core.origin import Adjoint, Written
from unfold.drawing.boxes import Box
from unfold.drawing.scheme import Scheme
from unfold.unfolded.cells import Cells, find_cells
from unfold.unfolded.lines import Line, merged

KINDS = ("state", "adjoint", "loss", "feedback", "output")


def join_cells(scheme: Scheme, labels: Mapping[str, str]) -> Scheme:
    """Join the equations of each instance of a cell.

    Args:
        scheme: at the level of named equations.
        labels: other labels for names.
    """
    cells = find_cells(scheme.program)
    members: dict[str, list[Box]] = {}
    for name, box in scheme.boxes.items():
        members.setdefault(cells.of(name), []).append(box)
    boxes = {
        name: _cell_box(name, own, cells, labels) if name in cells.axes else own[0]
        for name, own in members.items()
    }

    def contracted(lines: Sequence[Line]) -> tuple[Line, ...]:
        moved = (_moved(line, cells, scheme.boxes, boxes) for line in lines)
        return merged((x for x in moved if x is not None), scheme.reads.origins)

    lines, starts = contracted(scheme.lines), contracted(scheme.starts)
    return replace(scheme, boxes=boxes, lines=lines, starts=starts, parts=scheme, cells=cells)


def _moved(
    line: Line, cells: Cells, parts: Mapping[str, Box], boxes: Mapping[str, Box]
) -> Line | None:
    """Return a line between cells, or nothing if it stays inside one."""
    source, target = cells.of(line.source), cells.of(line.target)
    if (source, target) == (line.source, line.target):
        return line
    kept = cells.kept(line.source, parts[line.source].axes)
    index = tuple(line.index[i] for i in kept)
    if source == target and index == tuple(Affine.axis(a) for a in boxes[source].axes):
        return None
    axes = dict(line.bound)
    free = dict.fromkeys(a for i in index for a in i.axes if a not in boxes[target].axes)
    return replace(
        line,
        source=source,
        target=target,
        index=index,
        bound=tuple((a, axes.get(a, a)) for a in free),
        guards=(),
        carries=(line.source,) if source != line.source else (),
    )


def _cell_box(name: str, members: list[Box], cells: Cells, labels: Mapping[str, str]) -> Box:
    kinds, forward = {m.kind for m in members}, members[0].forward
    return Box(
        name=name,
        origin=Adjoint(Written(cells.of(forward))) if forward else Written(name),
        label=labels.get(name, name),
        axes=cells.axes[name],
        kind=next((k for k in KINDS if k in kinds), "node"),
        values=tuple(v for m in members for v in m.values),
        tooltip=tuple(m.tooltip[0] for m in members if m.tooltip),
        parameters=tuple(dict.fromkeys(p for m in members for p in m.parameters)),
    )
