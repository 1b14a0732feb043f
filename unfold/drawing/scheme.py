"""The boxes and lines of a Program's picture, at one level of detail.

In: a Program, a level of detail ("node" or "op") and a mode. Out: a `Scheme`: one `Box` per named
equation or operation, and the `Line`s between them. Unfolding a scheme gives the collapsed
unfolding of its Program. `cells.join_cells` makes a scheme of cells of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from unfold.core.bounds import bounds_of
from unfold.core.op import OPS, SUM, Source
from unfold.core.origin import Adjoint, Written
from unfold.core.program import BATCH, Program, Value
from unfold.drawing.boxes import Box
from unfold.unfolded.cells import Cells
from unfold.unfolded.lines import Line, merged
from unfold.unfolded.reads import Reads, below

Detail = Literal["node", "op"]


@dataclass(frozen=True)
class Scheme:
    """Boxes by name, in the Program's order, and the lines between them.

    Attributes:
        reads: the reads of boxes by any value of the Program.
        boxes: by name.
        lines: their reads.
        starts: their reads outside of their domains, as lines into the box itself.
        parts: the scheme of the named equations, of which this one is the contraction.
        cells: which of them belong together.
    """

    reads: Reads
    boxes: Mapping[str, Box]
    lines: tuple[Line, ...]
    starts: tuple[Line, ...] = ()
    parts: Scheme | None = None
    cells: Cells = field(default_factory=Cells)

    @property
    def program(self) -> Program:
        """The Program that is drawn."""
        return self.reads.program

    def between(self, names: Collection[str]) -> Scheme:
        """Return the part of a scheme between some of its boxes."""
        lines, starts = (
            tuple(x for x in some if x.source in names and x.target in names)
            for some in (self.lines, self.starts)
        )
        boxes = {n: b for n, b in self.boxes.items() if n in names}
        return replace(self, boxes=boxes, lines=lines, starts=starts)

    def held(self, name: str, axis: str) -> tuple[Line, ...]:
        """Return the lines of reads outside of a box's domain on an axis."""
        return self.reads.held(self.program[name], axis)


def make_scheme(
    program: Program,
    *,
    detail: Detail = "node",
    mode: str = "scheduled",
    hide: Iterable[str] = (),
    labels: Mapping[str, str] | None = None,
) -> Scheme:
    """Return the boxes and lines of a Program.

    Args:
        program: any Program, also an adjoint one.
        detail: "op" draws every operation, "node" every named equation.
        mode: the active branch of a `feedback`: "teacher", "free", or "scheduled" for both.
        hide: names of equations that are not drawn; their readers read through them.
        labels: other labels for names.
    """
    hidden, labels = set(hide), dict(labels or {})
    parts = _loss_parts(program) if detail != "op" else {}
    shown = [v for v in program if _is_drawn(v, detail, parts) and v.name not in hidden]
    drawn = frozenset(v.name for v in shown)
    reads = Reads(program, drawn, {v.name for v in program if v.row.by_mode}, mode)
    lines = merged((x for v in shown for x in reads.of(v.name)), reads.origins)
    boxes = {v.name: _box(program, v, detail, parts, labels, drawn) for v in shown}
    boxes = {
        name: replace(box, kind=_kind(program, box, boxes, lines)) for name, box in boxes.items()
    }
    starts = (x for v in shown for axis in v.boundary for x in reads.held(v, axis))
    return Scheme(reads, boxes, lines, tuple(starts))


def _is_invisible(value: Value) -> bool:
    """Whether a value, named or not, has no node: a source that is not an input."""
    return value.source not in (None, Source.INPUT)


def _is_drawn(value: Value, detail: Detail, parts: Mapping[str, str]) -> bool:
    if _is_invisible(value):
        return False
    return detail == "op" or value.is_named or value.name in parts


def _loss_parts(program: Program) -> dict[str, str]:
    """Return the loss per index point, as textbooks draw it: the operands of its reductions."""
    if program.loss is None:
        return {}
    name = program.loss
    found: list[str] = []
    for inner in below(
        program, name, frozenset(v.name for v in program if v.is_named and v.name != name)
    ):
        value = program[inner]
        reduced = set(value.reduced) - {BATCH}
        if value.reduction is SUM and reduced and value.node == program[name].node:
            operand = program[value.operands[0].value]
            if set(operand.axes) - {BATCH} and not _is_invisible(operand) and not operand.is_named:
                found.append(operand.name)
    letter = "L" if "L" not in program.values else "loss"
    distinct = list(dict.fromkeys(found))
    parts = {n: letter if len(distinct) == 1 else f"{letter}{i}" for i, n in enumerate(distinct, 1)}
    gradients = {Adjoint(program[n].origin).name: Adjoint(Written(p)) for n, p in parts.items()}
    return parts | {n: label.name for n, label in gradients.items() if n in program.values}


def _box(
    program: Program,
    value: Value,
    detail: Detail,
    parts: Mapping[str, str],
    labels: Mapping[str, str],
    drawn: frozenset[str],
) -> Box:
    label = labels.get(value.name, parts.get(value.name, value.name))
    unnamed = detail == "op" and not value.is_named
    if unnamed:
        label = _operation(program, value)
    parameters = parameters_of(program, value, drawn)
    return Box(
        name=value.name,
        label=label,
        axes=tuple(a for a in value.axes if a != BATCH),
        kind="node",
        values=(value.name,),
        tooltip=_tooltip(value, parameters),
        indexed=not unnamed,
        parameters=() if unnamed else parameters,
        within=bounds_of(value),
        origin=value.origin,
    )


def _operation(program: Program, value: Value) -> str:
    """Label an unnamed operation: `tanh`, `+`, with parameters and numbers `W @ ·`, `· + b`."""
    sources = [program[r.value] for r in value.operands]
    shown = [
        f"{s.attributes['value']:g}" if s.is_constant else s.name if s.is_parameter else "·"
        for s in sources
    ]
    over = f"[{','.join(value.reduced)}]" if value.reduced else ""
    symbol = "{} @ {}" if value.is_contraction and len(sources) == 2 else OPS[value.op].symbol
    if symbol and not over:
        text = symbol.format(*shown)
        return text if any(s != "·" for s in shown) else text.replace("·", "").strip() or value.op
    known = [s for s in shown if s != "·"]
    return value.op + over + (f"({', '.join(shown)})" if known else "")


def _tooltip(value: Value, parameters: Sequence[str]) -> tuple[str, ...]:
    lines = [value.at.source.strip()] if value.at and value.at.source else []
    lines.append(f"shape: {value.type.show()}")
    if parameters:
        lines.append(f"parameters: {', '.join(parameters)}")
    return tuple(lines)


def parameters_of(program: Program, value: Value, drawn: Collection[str]) -> tuple[str, ...]:
    """Return the parameters that an equation, or its initial value, reads."""
    starts = [r.value for r in value.boundary.values() if r.value not in drawn]
    inner = [n for name in (value.name, *starts) for n in below(program, name, drawn)]
    used = (*starts, *(r.value for name in inner for r in program[name].operands))
    return tuple(dict.fromkeys(n for n in used if program[n].is_parameter))


def _kind(program: Program, box: Box, boxes: Mapping[str, Box], lines: tuple[Line, ...]) -> str:
    value = program[box.name]
    losses = {n for n in boxes if program.loss and program[n].node == program[program.loss].node}
    readers = {line.target for line in lines if line.source == box.name and not line.feedback}
    if value.is_input:
        return "target" if readers and readers <= losses else "input"
    if box.name in losses:
        return "loss"
    if value.row.by_mode:
        return "feedback"
    if box.is_adjoint:
        return "adjoint"
    if any(line.source == box.name and _is_delay(line, boxes) for line in lines):
        return "state"
    return "output" if (readers and readers & losses) or box.name in program.outputs else "node"


def _is_delay(line: Line, boxes: Mapping[str, Box]) -> bool:
    return any(line.offsets(boxes).values()) and not line.feedback
