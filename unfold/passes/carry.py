"""Carry the state of one chunk of a long sequence into the next.

A value read with a delay along an axis has, before the first step, the last values of the chunk
before:

    h[t-1] at t = 0      reads   carry.h[k] with k = D - 1      (D the longest delay of h)

so its boundary along the axis becomes an input `carry.h` with an axis of its own, read at `t + D`.
Beyond that input's ends the old boundary stays in force. Nothing else changes; gradients stop at
the chunk's start. What the next chunk needs is a value like any other:

    next.h[k] = h[last + k - D + 1]     which reads the boundary where the chunk is shorter than D

Where some sequences of a batch begin in a chunk and others go on, the state is chosen row by row,

    where(chunk:begins, initial value, carry.h[k])

so that gradients reach a learned initial value from the rows that begin with it, and from no other.

Known weakness: a bare index counts from the start of each chunk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import ceil, inf

from unfold.core.affine import Affine
from unfold.core.bounds import reach
from unfold.core.build import Builder, Term
from unfold.core.dependence import fixed_extents
from unfold.core.origin import Carried, Next, Setting, StateAxis
from unfold.core.paths import inverted, reachable
from unfold.core.program import BATCH, Axis, Program, Ref, Value
from unfold.core.types import BOOL, Type
from unfold.passes.boundaries import zero_of

BEGINS = Setting("chunk", ":", "begins")


@dataclass(frozen=True)
class Chunk:
    """What is particular about a chunk of long sequences.

    Attributes:
        begins: whether some sequences begin here, beside others that go on; the input `BEGINS`
            [batch] says which.
        known: whether the first points of sequences have been counted in the loss of a chunk
            before; the input `unfold.passes.newest.KNOWN` [batch] says how many.
        overlap: points at the end that the next chunk begins with.
    """

    begins: bool = False
    known: bool = False
    overlap: int = 0


WHOLE = Chunk()


def delays(program: Program, axis: str) -> dict[str, int]:
    """Return the longest delay with which each computed value or input is read along an axis."""
    found: dict[str, int] = {}
    extents = fixed_extents(program)
    for value in program:
        for ref in program.reads(value):
            source = program[ref.value]
            if axis not in source.axes or axis not in value.iteration or source.is_parameter:
                continue
            low = reach(ref.index[source.axes.index(axis)], axis, extents, value.within).low
            if -inf < low < 0:
                found[ref.value] = max(found.get(ref.value, 0), ceil(-low))
    return found


def remembered(program: Program, axis: str) -> dict[str, str]:
    """Return what is read at earlier points of an axis by another index over it, and by whom.

    Such an index begins where the axis does: with  sum[s <= t](h[s])  a chunk, whose s begins with
    it, cannot go on from a state of a few last values.
    """
    extents = fixed_extents(program)
    others = {a for a in program.axes if a != axis and _follows(program, a, axis)}
    found: dict[str, str] = {}
    for value in program:
        for ref in program.reads(value) if axis in value.axes else ():
            source = program[ref.value]
            if axis in source.axes and not source.is_parameter:
                index = ref.index[source.axes.index(axis)]
                around = reach(index, axis, extents, value.within)
                if others & set(index.axes) and around.high <= 0:
                    found.setdefault(source.node, value.node)
    return found


def _follows(program: Program, name: str, axis: str) -> bool:
    """Whether the extent of an axis depends on that of another, or is it."""
    extent = program.axes[name].extent
    return name == axis or any(_follows(program, a, axis) for a in extent.axes)


def begins(builder: Builder) -> Term:
    """Return the input that says which sequences begin, [batch]."""
    if BEGINS.name not in builder.values:
        builder.add(Value(BEGINS.name, (BATCH,), BOOL, "input", origin=BEGINS))
    return builder.term(BEGINS.name)


def carry_state(
    program: Program,
    axis: str,
    needed: Mapping[str, int] | None = None,
    *,
    some_begin: bool = False,
) -> Program:
    """Return the Program with inputs `carry.NAME` as boundaries before an axis's first step.

    Args:
        program: with boundaries.
        axis: the axis along which sequences are cut into chunks.
        needed: how many of the last values of each state there are; default: what this Program
            reads. A chunk hands on what only another mode reads.
        some_begin: whether some sequences begin with their initial values, as `BEGINS` says.
    """
    needed = delays(program, axis) if needed is None else needed
    needed = {n: d for n, d in needed.items() if n in program.values}
    program = per_sequence(program, needed)
    builder = Builder.of(program)
    for name, delay in needed.items():
        value, extra = program[name], _axis(builder, name, axis, delay)
        boundary = {a: r for a, r in value.boundary.items() if axis not in r.axes and a != axis}
        if axis in value.boundary:
            # At its own points, as far before the first step as they stand.
            boundary[extra] = value.boundary[axis].substitute({axis: Affine.axis(extra) - delay})
        origin = Carried(name)
        own = (BATCH, extra, *_others(value, axis))
        carried = Value(origin.name, own, value.type, "input", boundary=boundary, origin=origin)
        state = builder.add(replace(carried, at=value.at))
        if some_begin:
            state = _chosen(builder, value, axis, extra, delay)
        here = state.at({extra: Affine.axis(axis) + delay})
        builder.values[name] = replace(value, boundary={**value.boundary, axis: here.ref})
    return builder.build(program, loss=mean_loss(builder, program))


def _chosen(builder: Builder, value: Value, axis: str, extra: str, delay: int) -> Term:
    """Return the state before the first step: initial values where a sequence begins.

    What a point outside of another axis, too, reads is chosen the same way.
    """
    origin = Carried(value.name)
    carried = builder.values[origin.name]
    builder.origin, builder.at = origin, value.at
    before = value.boundary.get(axis)
    at = {axis: Affine.axis(extra) - delay}
    initial = builder.read(before.substitute(at)) if before else zero_of(builder, value)
    state = begins(builder).apply("where", initial, builder.term(carried.name))
    boundary = dict(carried.boundary)
    for other in value.axes[value.axes.index(axis) + 1 :]:
        outside, constant = carried.boundary.get(other), other not in initial.axes
        if (outside and other not in outside.axes) or (not outside and before and constant):
            rest = builder.read(outside) if outside else zero_of(builder, value)
            first = initial if constant else zero_of(builder, value)
            boundary[other] = begins(builder).apply("where", first, rest).ref
    chosen = builder.values[state.ref.value]
    builder.values[chosen.name] = replace(chosen, axes=carried.axes, boundary=boundary)
    return builder.term(chosen.name)


def mean_loss(builder: Builder, program: Program) -> str | None:
    """Return the loss, or its mean over the batch where the state makes it differ per sequence."""
    if program.loss is None or not program[program.loss].batched:
        return program.loss
    builder.origin, builder.at = program[program.loss].origin, program[program.loss].at
    total = builder.sum(builder.term(program.loss), [BATCH])
    return (total / builder.emit("count", (), reduced=[BATCH], type=Type())).ref.value


def hand_over(program: Program, axis: str, needed: Mapping[str, int], overlap: int = 0) -> Program:
    """Return the Program with outputs `next.NAME`, [batch, delay, ...], beside its own.

    Args:
        program: with boundaries.
        axis: the axis along which sequences are cut into chunks.
        needed: how many of the last values of each state to keep; names it lacks are left out.
        overlap: points at the end of this chunk that the next one begins with; the last values are
            those before them.
    """
    builder = Builder.of(program)
    made: list[str] = []
    for name, delay in needed.items():
        if name not in program.values:
            continue
        value, extra = program[name], _axis(builder, name, axis, delay)
        origin = Next(name)
        end = Affine.last(axis) + Affine.axis(extra) - (delay - 1 + overlap)
        index = tuple(end if a == axis else Affine.axis(a) for a in value.axes)
        own = (BATCH, extra, *_others(value, axis))
        builder.origin, builder.at = origin, value.at
        builder.emit("identity", (builder.read(Ref(name, index)),), axes=own, origin=origin)
        builder.values[origin.name] = replace(builder.values[origin.name], axes=own)
        made.append(origin.name)
    return builder.build(program, outputs=(*program.outputs, *made))


def _axis(builder: Builder, name: str, axis: str, delay: int) -> str:
    """Add the axis of a state, which is as long as its delay."""
    origin = StateAxis(name, axis)
    builder.axes[origin.name] = Axis(origin.name, Affine.number(delay), origin=origin)
    return origin.name


def _others(value: Value, axis: str) -> tuple[str, ...]:
    return tuple(a for a in value.axes if a not in (BATCH, axis))


def per_sequence(program: Program, names: Iterable[str]) -> Program:
    """Let some values, and with them all that read them, differ per sequence."""
    read = {
        v.name: () if BATCH in v.iteration else [r.value for r in (*program.reads(v), *v.refs)]
        for v in program
    }
    start = (n for n in names if not program[n].batched)
    turned = reachable(start, inverted(read).__getitem__)

    def own(ref: Ref) -> Ref:
        return Ref(ref.value, (Affine.axis(BATCH), *ref.index)) if ref.value in turned else ref

    return program.with_values(
        replace(
            v,
            axes=(BATCH, *v.axes) if v.name in turned else v.axes,
            operands=tuple(map(own, v.operands)),
            boundary={a: own(r) for a, r in v.boundary.items()},
        )
        for v in program
    )
