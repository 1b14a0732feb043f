"""Cells as boxes: the equations of each instance of a cell become one box.

In: boxes and lines at the level of named equations. Out: the same with `l1.z`, `l1.s`, `l1.h`
joined to `l1`. Lines inside a cell and a step disappear, delays inside a cell become loops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from unfold.core.affine import Affine
from unfold.core.program import Program
from unfold.drawing.boxes import Box, Line
from unfold.drawing.reads import merged


def cell_of(program: Program, name: str) -> str:
    """Return the cell that an equation belongs to: `l1` for `l1.s`, nothing for `h`."""
    value, plain = program.values.get(name), program.values.get(name.lstrip("∂"))
    if value is None or not value.is_named or (plain and plain.op == "parameter"):
        return ""
    return name.rpartition(".")[0]


def join_cells(
    program: Program, boxes: Mapping[str, Box], lines: Sequence[Line], labels: Mapping[str, str]
) -> tuple[dict[str, Box], tuple[Line, ...]]:
    """Join the equations of each instance of a cell.

    Args:
        program: whose names say which equations belong together.
        boxes: of the named equations.
        lines: between them.
        labels: other labels for names.
    """
    owner = {n: cell_of(program, n) or n for n in boxes}
    cells = {c for n, c in owner.items() if c != n}
    joined: dict[str, Box] = {}
    for name, box in boxes.items():
        if owner[name] not in cells:
            joined[name] = box
        elif owner[name] not in joined:
            members = [boxes[n] for n in boxes if owner[n] == owner[name]]
            joined[owner[name]] = _cell_box(owner[name], members, labels)
    moved = (_moved(line, owner, boxes, joined) for line in lines)
    return joined, merged(line for line in moved if line is not None)


def _moved(
    line: Line, owner: Mapping[str, str], boxes: Mapping[str, Box], joined: Mapping[str, Box]
) -> Line | None:
    """Return a line between cells, or nothing where it stays inside one."""
    source, target = owner[line.source], owner[line.target]
    at = dict(zip(boxes[line.source].axes, line.index, strict=True))
    here = tuple(Affine.axis(a) for a in joined[source].axes)
    kept = tuple(at.get(a, own) for a, own in zip(joined[source].axes, here, strict=True))
    if source == target and kept == here:
        return None
    known = (*joined[target].axes, *(new for new, _ in line.bound))
    free = dict.fromkeys(a for i in kept for a in i.axes if a not in known)
    return replace(
        line,
        source=source,
        target=target,
        index=kept,
        bound=line.bound + tuple((a, a) for a in free),
        carries=(line.source,) if (source, target) != (line.source, line.target) else line.carries,
    )


def _cell_box(name: str, members: list[Box], labels: Mapping[str, str]) -> Box:
    common = [a for a in members[-1].axes if all(a in m.axes for m in members)]
    state = any(m.kind == "state" for m in members)
    equations = [m.tooltip[0] for m in members if m.tooltip]
    return Box(
        name=name,
        label=labels.get(name, name),
        axes=tuple(common),
        kind="state" if state else "node",
        values=tuple(v for m in members for v in m.values),
        tooltip=tuple(equations),
        boundary={a: r for m in members for a, r in m.boundary.items() if a in common},
    )
