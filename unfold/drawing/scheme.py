"""What a picture shows of a Program: boxes and the lines between them, at one level of detail.

In: a Program, a level of detail ("cell", "node" or "op") and a mode. Out: a `Scheme`: one `Box` per
cell, named equation or operation, and one `Line` per way in which a box reads another, with the
affine index it reads at, the parameters it is multiplied by on the way, and the conditions on the
index point under which it exists. Parameters are not boxes: they are the colours of lines.

    h[t]: tanh(W @ h[t-1] + U @ x[t] + b)
    boxes x[t], h[t];  lines  h -> h at t-1 via W,  x -> h at t via U

Parts of an equation disappear by composing their indices, so a line is exact at every level:
unfolding a scheme gives the collapsed unfolding of its Program.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Literal

from unfold.core.affine import Affine
from unfold.core.op import OPS
from unfold.core.program import BATCH, Program, Ref, Value
from unfold.drawing.guards import Guard, Within, is_static

Detail = Literal["cell", "node", "op"]
PRODUCTS = ("einsum", "mul", "div")
INVISIBLE = ("parameter", "constant", "index", "inside", "count", "uniform", "normal", "keep_mask")


@dataclass(frozen=True)
class Box:
    """A drawn unit.

    Attributes:
        name: unique in the scheme; the Program's value that it stands for, or a cell's name.
        label: how it is called in the picture, without its index.
        axes: index axes, without "batch".
        kind: a key of `palette.NODES`.
        values: names of the Program's values it shows.
        tooltip: lines for hovering: equation, shape, parameters.
        boundary: what lies outside of the domain, by axis (as in `Value`).
        indexed: whether its index is shown; operations without a name go without.
    """

    name: str
    label: str
    axes: tuple[str, ...]
    kind: str
    values: tuple[str, ...]
    tooltip: tuple[str, ...] = ()
    boundary: Mapping[str, Ref] = field(default_factory=dict)
    indexed: bool = True


@dataclass(frozen=True)
class Line:
    """A box that reads another.

    Attributes:
        source: the box that is read.
        target: the box that reads.
        index: where, one affine index per axis of the source, over the target's axes and `bound`.
        bound: further index names that run over an axis each: (name, axis).
        via: parameters multiplied with on the way, the one nearest to the source first.
        guards: conditions on the index point; the line exists where all hold.
        feedback: whether it passes through the branch of a `feedback`.
        others: parameters that further ways of reading the same are multiplied with.
        carries: how the source is read, for hovering.
    """

    source: str
    target: str
    index: tuple[Affine, ...]
    bound: tuple[tuple[str, str], ...] = ()
    via: tuple[Ref, ...] = ()
    guards: tuple[Guard | Within, ...] = ()
    feedback: bool = False
    others: tuple[Ref, ...] = ()
    carries: tuple[str, ...] = ()

    @property
    def parameter(self) -> Ref | None:
        """The one parameter that the line is coloured by: the one nearest to the source."""
        nearest = dict.fromkeys((*self.via[:1], *self.others))
        return next(iter(nearest)) if len(nearest) == 1 else None

    @property
    def factors(self) -> str:
        """Words for hovering: what is multiplied with on the way."""
        chain = " · ".join(r.value for r in reversed(self.via))
        more = [r.value for r in self.others if r not in self.via]
        text = " and ".join([*([chain] if chain else []), *more])
        return f", times {text}" if text else ""

    def substitute(self, replacements: Mapping[str, Affine], target: str) -> Line:
        """Read the same from another box: replace the target's axes."""
        return replace(
            self,
            target=target,
            index=tuple(i.substitute(replacements) for i in self.index),
            via=tuple(r.substitute(replacements) for r in self.via),
            others=tuple(r.substitute(replacements) for r in self.others),
            guards=tuple(g.substitute(replacements) for g in self.guards),
        )

    def offsets(self, boxes: Mapping[str, Box]) -> dict[str, int]:
        """Return the constant offsets along axes that source and target share."""
        own = boxes[self.target].axes
        pairs = zip(boxes[self.source].axes, self.index, strict=True)
        found = {a: i.offset_from(a) for a, i in pairs if a in own}
        return {a: o for a, o in found.items() if o is not None}


@dataclass(frozen=True)
class Scheme:
    """Boxes by name, in the Program's order, and the lines between them."""

    program: Program
    detail: Detail
    boxes: Mapping[str, Box]
    lines: tuple[Line, ...]

    def boundary_lines(self, ref: Ref, target: str) -> tuple[Line, ...]:
        """Return what the expression at a boundary reads: the lines of an unnamed initial value."""
        lines = _Reads(self.program, frozenset(self.boxes), "scheduled").of(ref.value)
        at = dict(zip(self.program[ref.value].axes, ref.index, strict=True))
        return tuple(line.substitute(at, target) for line in lines)


class _Reads:
    """Reads of a value through everything that is not drawn, remembered per value."""

    def __init__(self, program: Program, drawn: frozenset[str], mode: str) -> None:
        self.program, self.drawn, self.mode = program, drawn, mode
        self.known: dict[str, tuple[Line, ...]] = {}
        self.fresh = count(1)

    def of(self, name: str) -> tuple[Line, ...]:
        """Return the lines into a value, their targets named after it."""
        if name not in self.known:
            for pending in _below(self.program, name, self.drawn):
                if pending not in self.known:
                    self.known[pending] = tuple(self._lines(self.program[pending]))
        return self.known[name]

    def _lines(self, value: Value) -> Iterable[Line]:
        fresh = {a: f"{a}#{next(self.fresh)}" for a in value.reduced if a != BATCH}
        bound = tuple((new, axis) for axis, new in fresh.items())
        rename = {axis: Affine.axis(new) for axis, new in fresh.items()}
        for position, written in self._operands(value):
            ref = written.substitute(rename)
            factors = self._factors(value, position, rename)
            guards = self._guards(value, position, rename)
            for line in self._through(ref, value.name):
                yield replace(
                    line,
                    bound=line.bound + bound,
                    via=line.via + factors,
                    guards=line.guards + guards,
                    feedback=line.feedback or value.op == "feedback",
                )

    def _operands(self, value: Value) -> list[tuple[int, Ref]]:
        operands = list(enumerate(value.operands))
        if value.op == "feedback" and self.mode == "teacher":
            return operands[:1]
        if value.op == "where" and is_static(self.program, value.operands[0]):
            return operands[1:]
        return operands

    def _through(self, ref: Ref, target: str) -> tuple[Line, ...]:
        source = self.program[ref.value]
        if source.op in INVISIBLE:
            return ()
        kept = [(a, i) for a, i in zip(source.axes, ref.index, strict=True) if a != BATCH]
        if source.name in self.drawn:
            return (Line(source.name, target, tuple(i for _, i in kept)),)
        own = tuple(Within(a, i) for a, i in kept if _may_leave(i, a))
        moved = (line.substitute(dict(kept), target) for line in self.of(source.name))
        return tuple(replace(line, guards=own + line.guards) for line in moved)

    def _factors(
        self, value: Value, position: int, rename: Mapping[str, Affine]
    ) -> tuple[Ref, ...]:
        if value.op not in PRODUCTS:
            return ()
        others = (r.substitute(rename) for i, r in enumerate(value.operands) if i != position)
        return tuple(p for other in others for p in _parameters(self.program, other))

    def _guards(
        self, value: Value, position: int, rename: Mapping[str, Affine]
    ) -> tuple[Guard | Within, ...]:
        if value.op == "feedback" and self.mode == "free":
            # A free run has no output yet where the teacher's reference leaves the domain.
            teacher = value.operands[0]
            pairs = zip(self.program[teacher.value].axes, teacher.index, strict=True)
            leaving = [(a, i) for a, i in pairs if a != BATCH and _may_leave(i, a)]
            if position == 0:
                leaving = leaving[:1] or [("", Affine())]
            return tuple(Within(a, i, position == 1) for a, i in leaving)
        if value.op != "where" or not is_static(self.program, value.operands[0]):
            return ()
        return (Guard(value.operands[0].substitute(rename), position == 1),)


def _may_leave(index: Affine, axis: str) -> bool:
    """Whether an index can be outside of an axis; a bound one, `s#1`, ranges over its axis."""
    lone = index.axes[0] if len(index.axes) == 1 else ""
    if lone.partition("#")[0] == axis and index.offset_from(lone) == 0:
        return False
    return index not in (Affine.number(0), Affine.last(axis))


def _below(program: Program, name: str, drawn: frozenset[str]) -> list[str]:
    """Return a value and the undrawn values it is made of, parts before wholes."""
    order: list[str] = []
    seen: set[str] = set()
    work = [(name, False)]
    while work:
        current, done = work.pop()
        if done:
            order.append(current)
        elif current not in seen:
            seen.add(current)
            work.append((current, True))
            work += [(r.value, False) for r in program[current].operands if r.value not in drawn]
    return order


def _parameters(program: Program, ref: Ref) -> tuple[Ref, ...]:
    """Return the parameters of an operand made of parameters and constants alone."""
    found: list[Ref] = []
    work = [ref]
    while work:
        current = work.pop()
        value = program[current.value]
        if value.op == "parameter":
            found.append(current)
        elif value.op != "constant":
            if not value.operands or value.is_named or value.reduced:
                return ()
            at = dict(zip(value.axes, current.index, strict=True))
            work += [r.substitute(at) for r in value.operands]
    return tuple(found)


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
        detail: "op" draws every operation, "node" every named equation, "cell" every cell as one
            box.
        mode: which branch of a `feedback` is in force: "teacher", "free", or "scheduled" for both.
        hide: names of equations that are not drawn; what reads them reads through them.
        labels: other labels for names.
    """
    hidden, labels = set(hide), dict(labels or {})
    parts = _loss_parts(program) if detail != "op" else {}
    shown = [v for v in program if _is_drawn(v, detail, parts) and v.name not in hidden]
    drawn = frozenset(v.name for v in shown)
    reads = _Reads(program, drawn, mode)
    lines = _merged(line for value in shown for line in reads.of(value.name))
    boxes = {v.name: _box(program, v, detail, parts, labels) for v in shown}
    boxes = {
        name: replace(box, kind=_kind(program, box, boxes, lines)) for name, box in boxes.items()
    }
    scheme = Scheme(program, detail, boxes, lines)
    return _cells(scheme, labels) if detail == "cell" else scheme


def _is_drawn(value: Value, detail: Detail, parts: Mapping[str, str]) -> bool:
    if value.op in INVISIBLE:
        return False
    return detail == "op" or value.is_named or value.name in parts


def _loss_parts(program: Program) -> dict[str, str]:
    """Return the loss per index point, as textbooks draw it: what the loss's reductions reduce."""
    if program.loss is None:
        return {}
    name = program.loss
    found: list[str] = []
    for inner in _below(
        program, name, frozenset(v.name for v in program if v.is_named and v.name != name)
    ):
        value = program[inner]
        reduced = set(value.reduced) - {BATCH}
        if value.op == "sum" and reduced and value.node == program[name].node:
            operand = program[value.operands[0].value]
            if set(operand.axes) - {BATCH} and operand.op not in INVISIBLE and not operand.is_named:
                found.append(operand.name)
    letter = "L" if "L" not in program.values else "loss"
    distinct = list(dict.fromkeys(found))
    parts = {n: letter if len(distinct) == 1 else f"{letter}{i}" for i, n in enumerate(distinct, 1)}
    return parts | {
        "∂" + name: "∂" + label for name, label in parts.items() if "∂" + name in program.values
    }


def _box(
    program: Program,
    value: Value,
    detail: Detail,
    parts: Mapping[str, str],
    labels: Mapping[str, str],
) -> Box:
    label = labels.get(value.name, parts.get(value.name, value.name))
    unnamed = detail == "op" and not value.is_named
    if unnamed:
        label = _operation(program, value)
    return Box(
        name=value.name,
        label=label,
        axes=tuple(a for a in value.axes if a != BATCH),
        kind="node",
        values=(value.name,),
        tooltip=_tooltip(program, value),
        boundary={a: r for a, r in value.boundary.items() if a != BATCH},
        indexed=not unnamed,
    )


def _operation(program: Program, value: Value) -> str:
    """Label an unnamed operation: `tanh`, `+`, with parameters and numbers `W @ ·`, `· + b`."""
    sources = [program[r.value] for r in value.operands]
    shown = [
        f"{s.attributes['value']:g}"
        if s.op == "constant"
        else s.name
        if s.op == "parameter"
        else "·"
        for s in sources
    ]
    over = f"[{','.join(value.reduced)}]" if value.reduced else ""
    symbol = "{} @ {}" if value.op == "einsum" and len(sources) == 2 else OPS[value.op].symbol
    if symbol and not over:
        text = symbol.format(*shown)
        return text if any(s != "·" for s in shown) else text.replace("·", "").strip() or value.op
    known = [s for s in shown if s != "·"]
    return value.op + over + (f"({', '.join(shown)})" if known else "")


def _tooltip(program: Program, value: Value) -> tuple[str, ...]:
    lines = [value.at.source.strip()] if value.at and value.at.source else []
    lines.append(f"shape: {value.type.show()}")
    inner = _below(
        program, value.name, frozenset(v.name for v in program if v.is_named) - {value.name}
    )
    used = (r.value for name in inner for r in program[name].operands)
    parameters = dict.fromkeys(n for n in used if program[n].op == "parameter")
    if parameters:
        lines.append(f"parameters: {', '.join(parameters)}")
    return tuple(lines)


def _merged(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Join lines that read the same value at the same index."""
    found: dict[object, Line] = {}
    for line in lines:
        names = {new: f"{axis}~{i}" for i, (new, axis) in enumerate(line.bound)}
        key = (line.source, line.target, tuple(i.rename(names) for i in line.index), line.guards)
        if key in found:
            others = dict.fromkeys((*found[key].others, *line.via[:1], *line.others))
            carries = dict.fromkeys((*found[key].carries, *line.carries))
            feedback = found[key].feedback or line.feedback
            found[key] = replace(
                found[key], others=tuple(others), carries=tuple(carries), feedback=feedback
            )
        else:
            found[key] = line
    lines = tuple(found.values())
    return tuple(x for x in lines if not any(_covers(y, x) for y in lines if y is not x))


def _covers(general: Line, special: Line) -> bool:
    """Whether a line that runs over all points of an axis includes another one."""
    if (general.source, general.target) != (special.source, special.target) or general.guards:
        return False
    bound = {new for new, _ in general.bound}
    pairs = list(zip(general.index, special.index, strict=True))
    wide = [a for a, b in pairs if a != b]
    return bool(wide) and all(a.axes and a.axes[0] in bound and len(a.terms) == 1 for a in wide)


def _kind(program: Program, box: Box, boxes: Mapping[str, Box], lines: tuple[Line, ...]) -> str:
    value = program[box.name]
    losses = {n for n in boxes if program.loss and program[n].node == program[program.loss].node}
    readers = {line.target for line in lines if line.source == box.name and not line.feedback}
    if value.op == "input":
        return "target" if readers and readers <= losses else "input"
    if box.name in losses:
        return "loss"
    if value.op == "feedback":
        return "feedback"
    if box.name.startswith("∂"):
        return "adjoint"
    if any(line.source == box.name and _is_delay(line, boxes) for line in lines):
        return "state"
    return "output" if (readers and readers & losses) or box.name in program.outputs else "node"


def _is_delay(line: Line, boxes: Mapping[str, Box]) -> bool:
    return any(line.offsets(boxes).values()) and not line.feedback


def cell_of(name: str) -> str:
    """Return the cell that a dotted name belongs to: `l1` for `l1.s`, nothing for `h`."""
    return name.rpartition(".")[0]


def _cells(scheme: Scheme, labels: Mapping[str, str]) -> Scheme:
    """Join the equations of each cell instance into one box."""
    names = {
        n: cell_of(n) if n in scheme.program.values and scheme.program[n].is_named else ""
        for n in scheme.boxes
    }
    cells = {c for c in names.values() if c}
    owner = {n: c or n for n, c in names.items()}
    boxes: dict[str, Box] = {}
    for name, box in scheme.boxes.items():
        if owner[name] not in cells:
            boxes[name] = box
        elif owner[name] not in boxes:
            members = [scheme.boxes[n] for n in scheme.boxes if owner[n] == owner[name]]
            boxes[owner[name]] = _cell_box(owner[name], members, labels)
    lines: list[Line] = []
    for line in scheme.lines:
        source, target = owner[line.source], owner[line.target]
        at = dict(zip(scheme.boxes[line.source].axes, line.index, strict=True))
        kept = tuple(at.get(a, Affine.axis(a)) for a in boxes[source].axes)
        if source == target and kept == tuple(Affine.axis(a) for a in boxes[source].axes):
            continue
        own = (*boxes[target].axes, *(new for new, _ in line.bound))
        free = [a for i in kept for a in i.axes if a not in own]
        bound = line.bound + tuple((a, a) for a in dict.fromkeys(free))
        inside = source in cells or target in cells
        lines.append(
            replace(
                line,
                source=source,
                target=target,
                index=kept,
                bound=bound,
                carries=(line.source,) if inside else line.carries,
            )
        )
    return replace(scheme, boxes=boxes, lines=_merged(lines))


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
