"""Choose the branch of every `feedback`, and whether `dropout` acts: the mode of a run.

    prev[t] = feedback(y[t-1], pred[t-1])      teacher: y[t-1]      free: pred[t-1]
                                               scheduled p: a coin per step and sequence chooses y
                                                   with p

Where the teacher's own reference leaves the domain there is no previous output yet, so every mode
starts from the teacher's initial value; modes therefore agree at their first step.
"""

from __future__ import annotations

from dataclasses import replace

from unfold.core.build import Builder, Term
from unfold.core.program import BATCH, Program, Value
from unfold.core.types import Type
from unfold.errors import UnsupportedError
from unfold.passes.boundaries import inside, zero_of
from unfold.passes.simplify import drop_dead

Mode = str | tuple[str, float]
MODES = ("teacher", "free", "scheduled")


def resolve_modes(
    program: Program, *, mode: Mode = "teacher", training: bool = False, start: bool = True
) -> Program:
    """Return the Program of one mode.

    Args:
        program: any Program.
        mode: "teacher", "free", or ("scheduled", probability of the teacher).
        training: whether dropout acts.
        start: whether the first step begins the sequence, or goes on where another run stopped.
    """
    kind, probability = (mode, 1.0) if isinstance(mode, str) else mode
    if (
        kind not in MODES
        or not 0.0 <= probability <= 1.0
        or (kind == "scheduled" and isinstance(mode, str))
    ):
        raise UnsupportedError(
            f"unknown mode {mode!r}; choose teacher, free, or ('scheduled', p) with 0 <= p <= 1"
        )
    if not program.of("feedback", "keep_mask"):
        return drop_dead(program)
    builder = Builder.of(program)
    for value in program.of("feedback"):
        builder.node, builder.at = value.node, value.at
        term = _branch(builder, program, value, (kind, probability), start)
        builder.values[value.name] = replace(value, op="identity", operands=(term.ref,))
    if not training:
        one = builder.number(1.0)
        for value in program.of("keep_mask"):
            chosen = replace(
                value,
                op="broadcast_to",
                operands=(one.ref,),
                attributes={"shape": value.type.shape},
            )
            builder.values[value.name] = chosen
    return drop_dead(builder.build(program))


def _branch(
    builder: Builder, program: Program, value: Value, mode: tuple[str, float], start: bool
) -> Term:
    kind, probability = mode
    teacher, free = (builder.read(r) for r in value.operands)
    if kind == "teacher":
        return teacher
    source = program[teacher.ref.value]
    # The first axis that is left decides, so its condition comes last.
    for axis, index in reversed(list(zip(source.axes, teacher.ref.index, strict=True))):
        if not start or axis == BATCH or not index.may_leave(axis):
            continue
        outside = source.boundary.get(axis)
        at = dict(zip(source.axes, teacher.ref.index, strict=True))
        first = builder.read(outside.substitute(at)) if outside else zero_of(builder, source)
        free = inside(builder, index, axis, batched=value.batched).apply("where", free, first)
    if kind == "free":
        return free
    axes = {BATCH, *value.axes}
    coin = builder.emit("uniform", (), {}, axes=axes, type=Type(), name=f"{value.name}.coin")
    return coin.apply("less", builder.number(probability)).apply("where", teacher, free)
