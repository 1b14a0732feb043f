"""Levels of detail: the same Program with fewer, larger equations.

In: a Program. Out: a Program that tells only which values read which others, at which index points
(its equations cannot be evaluated). With detail

    op     every value                                         unchanged
    node   the named equations of the spec and the sources     parts are composed away (`reads`)

A composed reference has the composed index, also through reduced axes, which are renamed if they
would clash with the reader's:

    a.1[t,s] = exp(e[t,s])   a.2[t] = sum[s](a.1[t,s])   a[t,s] = a.1[t,s] / a.2[t]
    node detail:  a[t,s] reads e[t,s'] for all s'

Attributes of a collapsed equation: "guards", per operand, the conditions under which it is read at
all (a part that is read outside of its own domain is zero); "feedback", the operands that come
through a choice between teacher and free run; "boundaries", per axis, all that is read outside of
it, where a boundary is an expression. Its bounds are those of where it exists; those of reductions
are guards.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from unfold.core.affine import Affine
from unfold.core.bounds import bounds_of
from unfold.core.program import BATCH, Axis, Program, Ref, Value
from unfold.unfolded.lines import Line, merged
from unfold.unfolded.reading import Guard
from unfold.unfolded.reads import Reads


def collapse(program: Program, detail: str, *, feedback: Collection[str] = ()) -> Program:
    """Return the Program at a level of detail.

    Args:
        program: any Program.
        detail: "op" or "node".
        feedback: names of the values that choose between teacher and free run.
    """
    if detail == "node":
        return _node_detail(program, feedback)
    marked = {
        v.name: replace(v, attributes={**v.attributes, "feedback": tuple(range(len(v.operands)))})
        for v in program
        if v.name in feedback
    }
    return program.with_values(marked.get(v.name, v) for v in program)


def boundary_refs(value: Value, axis: str) -> tuple[Ref, ...]:
    """Return the reads of a reference that leaves a value's domain on an axis."""
    several: Mapping[str, tuple[Ref, ...]] = value.attributes.get("boundaries", {})
    if axis in several:
        return several[axis]
    return (value.boundary[axis],) if axis in value.boundary else ()


def operand_guards(value: Value, operand: int) -> tuple[Guard, ...]:
    """Return the conditions on an operand."""
    guards = value.attributes.get("guards")
    return guards[operand] if guards else ()


def bound_axes(value: Value, operand: int) -> tuple[str, ...]:
    """Return the axes that an operand binds."""
    used = {*value.operands[operand].axes}
    used |= {a for g in operand_guards(value, operand) for a in g.axes}
    return tuple(a for a in value.reduced if a in used and a != BATCH)


def _node_detail(program: Program, feedback: Collection[str]) -> Program:
    kept = {v.name for v in program if v.is_named and not v.is_constant}
    held = {r.value for v in program for r in v.boundary.values()}
    kept |= {n for n in held if not program[n].operands}
    kept |= {*program.outputs, *([program.loss] if program.loss else [])}
    while True:
        reads = Reads(program, kept, feedback)
        own = [v for v in program if v.name in kept]
        lines = {
            v.name: merged((_own(program, v, x) for x in reads.of(v.name)), reads.origins)
            for v in own
        }
        missing = reads.cut | {n for v in own for n in _alone(reads, v)}
        if not missing:
            break
        kept |= missing
    bound = {name: axis for some in lines.values() for x in some for name, axis in x.bound}
    aliases = {n: Axis(n, Affine.axis(a)) for n, a in bound.items() if n not in program.axes}
    values = [_collapsed(reads, v, lines[v.name]) for v in own]
    return replace(program.with_values(values), axes={**program.axes, **aliases})


def _alone(reads: Reads, value: Value) -> Iterable[str]:
    """Yield parts that boundaries hold, and that cannot be composed away.

    The order of equations requires one plain reference.
    """
    for axis, ref in value.boundary.items():
        if ref.value in reads.kept:
            continue
        lines = reads.held(value, axis)
        computed = [x for x in lines if not reads.program[x.source].is_given]
        if not lines or len(computed) > 1 or any(x.guards or x.bound for x in lines):
            yield ref.value


def _collapsed(reads: Reads, value: Value, lines: Sequence[Line]) -> Value:
    """Return a value that reads what its lines say."""
    held = {a: _held(reads, value, a) for a in value.boundary}
    attributes = {
        **value.attributes,
        "guards": tuple(x.guards for x in lines),
        "feedback": tuple(i for i, x in enumerate(lines) if x.feedback),
        "boundaries": held,
    }
    bound = dict.fromkeys(name for x in lines for name, _ in x.bound)
    return replace(
        value,
        operands=tuple(_ref(reads.program, x) for x in lines),
        attributes=attributes,
        reduced=((BATCH,) if BATCH in value.reduced else ()) + tuple(bound),
        boundary={a: refs[0] for a, refs in held.items()},
        within=bounds_of(value),
    )


def _held(reads: Reads, value: Value, axis: str) -> tuple[Ref, ...]:
    """Return the content of a boundary, computed values first."""
    lines = sorted(reads.held(value, axis), key=lambda x: reads.program[x.source].is_given)
    return tuple(_ref(reads.program, x) for x in lines)


def _ref(program: Program, line: Line) -> Ref:
    index = iter(line.index)
    axes = program[line.source].axes
    return Ref(line.source, tuple(Affine.axis(a) if a == BATCH else next(index) for a in axes))


def _own(program: Program, value: Value, line: Line) -> Line:
    """Return a line with the bound axes that decide it, marked where their names are taken."""
    guards = _decisive(value, line)
    used = {a for x in (*line.index, *guards) for a in x.axes}
    names: dict[str, str] = {}
    for new, axis in (b for b in line.bound if b[0] in used):
        name = axis
        while name in (*value.axes, *names.values()) or (name != axis and name in program.axes):
            name += "'"
        names[new] = name
    at = {n: Affine.axis(a) for n, a in names.items()}
    bound = tuple((names[n], a) for n, a in line.bound if n in names)
    return replace(line, guards=guards, bound=bound, via=(), others=()).substitute(at, value.name)


def _decisive(value: Value, line: Line) -> tuple[Guard, ...]:
    """Return the guards but bounds of the value itself, and of axes that nothing else uses."""
    others = [*line.index, *(g for g in line.guards if not g.is_bound)]
    known = {*value.axes, *(a for x in others for a in x.axes)}
    own = bounds_of(value)
    return tuple(
        g for g in line.guards if not g.is_bound or (set(g.axes) <= known and g.what not in own)
    )
