"""Choose the branch of every `feedback`, and whether `dropout` acts: the mode of a run.

    prev[t] = feedback(y[t-1], pred[t-1])      teacher: y[t-1]      free: pred[t-1]
                                               scheduled p: a coin per step and sequence chooses y
                                                   with p
                                               prompted t: y[t-1] at the first `PROMPT` steps of t

Where the teacher's own reference leaves the domain there is no previous output yet, so every mode
starts from the teacher's initial value; modes therefore agree at their first step. The share of the
teacher is a number of the Program, or, where it changes from run to run, a parameter `SHARE`.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from unfold.core.affine import Affine
from unfold.core.build import Builder, Term
from unfold.core.op import Source
from unfold.core.origin import Origin, Part, Setting
from unfold.core.program import BATCH, Program, Value
from unfold.core.types import Type
from unfold.errors import UnsupportedError
from unfold.passes.boundaries import inside, zero_of
from unfold.passes.carry import begins
from unfold.passes.simplify import drop_dead

Mode = str | tuple[str, float]
ProgramMode = str | tuple[str, float | str | None]  # None: of a Program in which p is a parameter
SHARE = Setting("feedback", ":", "teacher")
PROMPT = Setting("feedback", ":", "prompt")
SCHEDULED = ("scheduled", None)
PROMPTED = "prompted"


def prompted(axis: str) -> ProgramMode:
    """Return the mode that reads the teacher at the first steps of an axis; `PROMPT` says how many.

    What it makes of them is that of teacher forcing, and what it writes after them that of free
    running. A model that reads all of its past has no smaller state to go on from.
    """
    return PROMPTED, axis


def split_mode(mode: ProgramMode) -> tuple[ProgramMode, float | None]:
    """Return the mode of a Program in which the share of the teacher is a parameter, and the share.

    Raises:
        UnsupportedError: there is no such mode.
    """
    kind, share = (mode, None) if isinstance(mode, str) else mode
    if kind in ("teacher", "free"):
        return kind, None
    if isinstance(share, float | int) and kind == "scheduled" and 0.0 <= share <= 1.0:
        return SCHEDULED, float(share)
    raise UnsupportedError(
        f"unknown mode {mode!r}; choose teacher, free, or ('scheduled', p) with 0 <= p <= 1"
    )


def resolve_modes(
    program: Program,
    *,
    mode: ProgramMode = "teacher",
    training: bool = False,
    start: bool = True,
    some_begin: str | None = None,
) -> Program:
    """Return the Program of one mode.

    Args:
        program: any Program.
        mode: "teacher", "free", ("scheduled", probability of the teacher), `SCHEDULED`, where
            that is the parameter `SHARE`, or `prompted`.
        training: whether dropout acts.
        start: whether the first step begins the sequence, or goes on where another run stopped.
        some_begin: an axis along which only some sequences begin, as `carry.BEGINS` says, and the
            others go on.
    """
    kind, share = (mode, None) if isinstance(mode, str) else mode
    if mode != SCHEDULED and kind != PROMPTED:
        split_mode(mode)
    masks = [v for v in program if v.source is Source.DROPOUT]
    if not masks and not program.feedbacks:
        return drop_dead(program)
    builder = Builder.of(program)
    for value in program.feedbacks:
        builder.about(value)
        axes = (a for a in program.axes if start or a == some_begin)
        term = _branch(builder, program, value, kind, share, frozenset(axes), some_begin)
        builder.values[value.name] = replace(value, op="identity", operands=(term.ref,))
    if not training:
        one = builder.number(1.0)
        for value in masks:
            chosen = replace(
                value,
                op="broadcast_to",
                operands=(one.ref,),
                attributes={"shape": value.type.shape},
            )
            builder.values[value.name] = chosen
    return drop_dead(builder.build(program))


def _branch(
    builder: Builder,
    program: Program,
    value: Value,
    kind: str,
    share: float | str | None,
    starts: Container[str],
    some_begin: str | None,
) -> Term:
    """Return what a feedback reads; along the axes `starts` there may be no output yet."""
    teacher, free = (builder.read(r) for r in value.operands)
    if kind == "teacher":
        return teacher
    source = program[teacher.ref.value]
    # The first axis that is left decides, so its condition comes last.
    for axis, index in reversed(list(zip(source.axes, teacher.ref.index, strict=True))):
        if axis not in starts or axis == BATCH or not index.may_leave(axis):
            continue
        outside = source.boundary.get(axis)
        at = dict(zip(source.axes, teacher.ref.index, strict=True))
        first = builder.read(outside.substitute(at)) if outside else zero_of(builder, source)
        if axis == some_begin:
            first = begins(builder).apply("where", first, free)
        free = inside(builder, index, axis, batched=value.batched).apply("where", free, first)
    if kind == "free":
        return free
    if isinstance(share, str):
        index = {"index": Affine.axis(share)}
        step = builder.emit("index", (), index, axes=(share,), type=Type())
        return step.apply("less", _parameter(builder, PROMPT)).apply("where", teacher, free)
    axes = {BATCH, *value.axes}
    origin = Part(value.origin, "coin")
    coin = builder.emit("uniform", (), {}, axes=axes, type=Type(), origin=origin)
    return coin.apply("less", _share(builder, share)).apply("where", teacher, free)


def _share(builder: Builder, share: float | None) -> Term:
    """Return the probability of the teacher."""
    if share is not None:
        return builder.number(share)
    return _parameter(builder, SHARE)


def _parameter(builder: Builder, origin: Origin) -> Term:
    """Return a number that is given to every run."""
    if origin.name not in builder.values:
        fixed = {"init": "zeros", "argument": None, "frozen": True}
        value = Value(origin.name, (), Type(), "parameter", attributes=fixed, origin=origin)
        builder.add(value)
    return builder.term(origin.name)
