"""Let the loss count the newest points of an axis alone: those that no chunk before has counted.

    sum[t](e[t])      becomes  sum[t](where(t >= chunk:known, e[t], 0))
    mean[t](e[t])     divides by how many such points there are

Truncated backpropagation through time with a window longer than the step from chunk to chunk
(BPTT(h; h') of Williams & Peng 1990) runs a chunk together with points before it, through which
gradients flow, but whose losses have had their turn. `KNOWN` [batch] says how many these are.

Reductions that end in the loss alone are changed. What a point of the axis reads, such as a softmax
over all points, sees the whole window.
"""

from __future__ import annotations

from dataclasses import replace

from unfold.core.affine import Affine
from unfold.core.build import Builder, Term
from unfold.core.op import Source
from unfold.core.origin import Setting
from unfold.core.paths import ancestors
from unfold.core.program import BATCH, Program, Value
from unfold.core.types import Type
from unfold.passes.boundaries import zero_of
from unfold.passes.carry import mean_loss, per_sequence

KNOWN = Setting("chunk", ":", "known")


def count_newest(program: Program, axis: str) -> Program:
    """Return the Program whose loss counts the newest points, with `KNOWN` as an input.

    Args:
        program: with a loss.
        axis: along which sequences are cut into chunks.
    """
    names = _ending(program, axis)
    program = per_sequence(program, [n for n in names if BATCH not in program[n].iteration])
    builder = Builder.of(program)
    builder.origin = KNOWN
    known = builder.add(Value(KNOWN.name, (BATCH,), Type(), "input", origin=KNOWN))
    index = {"index": Affine.axis(axis)}
    point = builder.emit("index", (), index, axes=(axis,), type=Type())
    newest = point.apply("greater_equal", known)
    for value in [program[n] for n in names]:
        builder.about(value)
        builder.values[value.name] = _masked(builder, program, value, newest, axis)
    return builder.build(program, loss=mean_loss(builder, program))


def _ending(program: Program, axis: str) -> list[str]:
    """Return the reductions over an axis that nothing along the axis reads."""
    within = ancestors(program, (v.name for v in program if axis in v.axes))
    return [v.name for v in program if axis in v.reduced and v.name not in within]


def _masked(builder: Builder, program: Program, value: Value, newest: Term, axis: str) -> Value:
    """Return a reduction that sees nothing of what is no newest point."""
    if value.source is Source.COUNT:
        one, zero = builder.number(1.0), builder.number(0.0)
        counted = newest.apply("where", one, zero)
        total = builder.sum(counted, value.reduced)
        return replace(value, op="identity", operands=(total.ref,), attributes={}, reduced=())
    smallest = min(value.operands, key=lambda r: len(builder.read(r).type.shape))
    chosen, term = value.operands.index(smallest), builder.read(smallest)
    neutral = value.row.neutral
    none = builder.number(neutral) if neutral else zero_of(builder, program[term.ref.value])
    kept = newest.apply("where", term, none)
    operands = (*value.operands[:chosen], kept.ref, *value.operands[chosen + 1 :])
    return replace(value, operands=operands)
