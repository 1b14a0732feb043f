"""Make boundary values explicit, so that every read outside of a domain is zero.

    h[t-1], with `initial: {h: e}`   becomes   where(inside(t-1), h[t-1], e)

In: a Program whose values have boundaries. Out: the same meaning with ordinary `where` and `inside`
values and no boundary left, which is what differentiation and backends expect. Where several axes
can be left at once, the first one in the value's axes' order decides. What is never inside, as
h[-1], is its boundary, and no dependence on h.
"""

from __future__ import annotations

from dataclasses import replace

from unfold.core.affine import Affine
from unfold.core.align import align
from unfold.core.build import Builder, Term
from unfold.core.dependence import fixed_extents, is_outside, never_inside
from unfold.core.program import BATCH, Program, Ref, Value
from unfold.core.types import BOOL

Key = tuple[Ref, bool, tuple[Affine, ...]]


def lower_boundaries(program: Program) -> Program:
    """Return the Program without boundaries."""
    known = fixed_extents(program)
    never = any(never_inside(r, program[r.value], known) for v in program for r in v.operands)
    if not never and not any(v.boundary for v in program):
        return program
    builder = Builder.of(program)
    done: dict[Key, Ref] = {}
    for value in program:
        builder.about(value)
        batched = BATCH in value.iteration
        operands = tuple(_lowered(builder, program, r, batched, done) for r in value.operands)
        builder.values[value.name] = replace(value, operands=operands, boundary={})
    return align(builder.build(program))


def inside(builder: Builder, index: Affine, axis: str, *, batched: bool) -> Term:
    """Return the condition that an index is in the domain of an axis.

    Args:
        builder: receives it.
        index: in terms of the reader's axes.
        axis: whose domain is meant.
        batched: whether the reader differs per sequence, and so sees its sequence's own domain.
    """
    # A delay can only leave at the start, which is the same place in every sequence.
    per_sequence = batched and index.may_pass_the_end(axis)
    axes = (*index.axes, BATCH) if per_sequence else index.axes
    return builder.emit("inside", (), {"index": index, "axis": axis}, axes=axes, type=BOOL)


def zero_of(builder: Builder, value: Value) -> Term:
    """Return what is read outside of a domain without a boundary: zero, or no category."""
    if value.type.kind == "real":
        zero = builder.number(0.0)
        return zero.apply("broadcast_to", shape=value.type.shape) if value.type.shape else zero
    empty = -1 if value.type.kind == "category" else False
    return builder.emit("constant", (), {"value": empty}, type=value.type)


def _ends(builder: Builder, axis: str, index: Affine) -> bool:
    """Whether what an index reads depends on the length of a sequence."""
    passes = index.may_pass_the_end(axis) and builder.varies(axis)
    return passes or any(builder.varies(a) for a in index.ends)


def _lowered(
    builder: Builder,
    program: Program,
    ref: Ref,
    batched: bool,
    done: dict[Key, Ref],
) -> Ref:
    value = program[ref.value]
    known = fixed_extents(program)
    never = never_inside(ref, value, known)
    if not never and not any(ref.index[value.axes.index(a)].may_leave(a) for a in value.boundary):
        return ref
    key = ref, batched, builder.within
    if key not in done:
        at = dict(zip(value.axes, ref.index, strict=True))
        term = read = builder.read(ref)
        if batched and not value.batched and any(_ends(builder, a, i) for a, i in at.items()):
            # All sequences share the value, and each reads it at its own end.
            term = read = builder.emit("identity", (read,), axes=(BATCH,))
        for axis in reversed(value.axes):
            if axis == BATCH or not at[axis].may_leave(axis):
                continue
            outside = value.boundary.get(axis)
            if outside is not None:
                beyond = _lowered(builder, program, outside.substitute(at), batched, done)
                other = builder.read(beyond)
            elif never or term is not read:  # of a later axis's boundary, this one decides
                other = zero_of(builder, value)
            else:
                continue
            if is_outside(at[axis], axis, known):
                term = other
            else:
                term = inside(builder, at[axis], axis, batched=batched).apply("where", term, other)
        done[key] = term.ref
    return done[key]
