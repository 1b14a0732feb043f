"""Insert masks, so that a batch of sequences of unequal length can be run over the longest one.

The meaning of a Program is each sequence unfolded over its own length: points beyond it do not
exist. What is computed there must not be seen, so a value that differs per sequence is set to zero
(no category, false) beyond the end wherever somebody could look:

* it is asked for;
* it is summed over an axis whose length varies (a maximum sees minus infinity there, and any
  reduction what changes nothing);
* it is read at an index that may pass the end.

A value that all sequences share is masked for the reader. Backends know nothing of lengths:
`inside` is an operator like any other.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from unfold.core.affine import Affine
from unfold.core.build import Builder, Term
from unfold.core.op import SUM, Kind
from unfold.core.origin import Beside, Origin
from unfold.core.program import BATCH, Program, Ref, Value
from unfold.core.types import BOOL
from unfold.passes.boundaries import zero_of


def mask_lengths(program: Program, varying: Container[str]) -> Program:
    """Return the Program with masks.

    Args:
        program: without boundaries and feedback.
        varying: axes of which some sequence is shorter than the longest.
    """
    builder = Builder.of(program)
    seen = {
        r.value
        for v in program
        for r in v.operands
        if not v.row.neutral and _looks_beyond(program, v, r, varying)
    }
    asked = {*program.outputs, *([program.loss] if program.loss else [])}
    masked: dict[str, str] = {}
    for value in program:
        axes = _own(value, varying)
        if value.batched and axes and value.name in seen | asked:
            masked[value.name] = _mask(builder, value, axes)
    for value in program:
        raw = _raw(value).name if masked.get(value.name) == value.name else value.name
        present = builder.values[raw]
        builder.about(value)
        operands = tuple(
            _operand(builder, program, value, r, varying, masked) for r in present.operands
        )
        operands = _existing(builder, program, value, operands, varying)
        builder.values[raw] = replace(present, operands=operands)
    return builder.build(program)


def _own(value: Value, varying: Container[str]) -> list[str]:
    return [a for a in value.axes if a in varying]


def _raw(value: Value) -> Value:
    """Return a value beside the one that is masked under its name."""
    origin = Beside(value.origin)
    return replace(value, name=origin.name, origin=origin)


def _looks_beyond(program: Program, reader: Value, ref: Ref, varying: Container[str]) -> bool:
    """Whether a reader could see what lies beyond the end of a sequence."""
    if BATCH not in reader.iteration:
        return False
    source = program[ref.value]
    # A kernel is told how many points there are, and looks at no others.
    kernel = reader.row.kind is Kind.KERNEL
    reduced = {a for a in reader.reduced if a in varying and not kernel}
    if BATCH in reader.reduced:
        reduced |= {a for a in reader.axes if a in varying}
    for axis, index in zip(source.axes, ref.index, strict=True):
        if axis in varying and (index.may_pass_the_end(axis) or reduced & set(index.axes)):
            return True
    return False


def _mask(builder: Builder, value: Value, axes: list[str]) -> str:
    """Mask a value under its own name; a source, which keeps its name, under another."""
    builder.about(value)
    source = value.row.from_host
    raw = value if source else _raw(value)
    builder.values[raw.name] = raw
    if not source:
        del builder.values[value.name]
        builder.pending[value.name] = value.type
    origin = Beside(value.origin) if source else value.origin
    term = builder.term(raw.name)
    for axis in axes[:-1]:
        term = _kept(builder, term, Affine.axis(axis), axis, zero_of(builder, value))
    last = axes[-1]
    _kept(builder, term, Affine.axis(last), last, zero_of(builder, value), origin)
    made = builder.values[origin.name]
    builder.values[made.name] = replace(made, axes=value.axes, at=value.at)
    return made.name


def _kept(
    builder: Builder,
    term: Term,
    index: Affine,
    axis: str,
    zero: Term,
    origin: Origin | None = None,
) -> Term:
    condition = builder.emit(
        "inside", (), {"index": index, "axis": axis}, axes=(BATCH, *index.axes), type=BOOL
    )
    return builder.emit("where", (condition, term, zero), origin=origin)


def _operand(
    builder: Builder,
    program: Program,
    reader: Value,
    ref: Ref,
    varying: Container[str],
    masked: dict[str, str],
) -> Ref:
    other = reader.row.neutral != 0.0 and BATCH in reader.iteration
    if not other and not _looks_beyond(program, reader, ref, varying):
        return ref
    source = program[ref.value]
    at = dict(zip(source.axes, ref.index, strict=True))
    if other:
        # Its own points that do not exist are left out; what it reads elsewhere is zero there.
        at = {a: i for a, i in at.items() if i != Affine.axis(a) and i.may_pass_the_end(a)}
    elif ref.value in masked:
        return replace(ref, value=masked[ref.value])
    term = builder.read(ref)
    for axis, index in at.items():
        if axis in varying:
            term = _kept(builder, term, index, axis, zero_of(builder, source))
    return _neutral(builder, reader, term, varying) if other else term.ref


def _neutral(builder: Builder, reader: Value, term: Term, varying: Container[str]) -> Ref:
    """Let a reduction see what changes nothing at points that do not exist."""
    axes = reader.iteration if BATCH in reader.reduced else reader.reduced
    neutral = builder.number(reader.row.neutral)
    for axis in axes:
        if axis in varying:
            term = _kept(builder, term, Affine.axis(axis), axis, neutral)
    return term.ref


def _existing(
    builder: Builder,
    program: Program,
    reader: Value,
    operands: tuple[Ref, ...],
    varying: Container[str],
) -> tuple[Ref, ...]:
    """Leave points that do not exist out of a sum, where no operand is zero there by itself."""
    if reader.row.reduces is not SUM or BATCH not in reader.iteration or not operands:
        return operands
    axes = reader.iteration if BATCH in reader.reduced else reader.reduced
    covered = {
        a
        for r in reader.operands
        for a, i in zip(program[r.value].axes, r.index, strict=True)
        if i == Affine.axis(a)
    }
    open_axes = [a for a in axes if a in varying and a not in covered]
    if not open_axes:
        return operands
    smallest = min(range(len(operands)), key=lambda i: len(builder.read(operands[i]).type.shape))
    term = builder.read(operands[smallest])
    zero = zero_of(builder, builder.values[term.ref.value])
    for axis in open_axes:
        term = _kept(builder, term, Affine.axis(axis), axis, zero)
    return (*operands[:smallest], term.ref, *operands[smallest + 1 :])
