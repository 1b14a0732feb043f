"""Carry the state of one chunk of a long sequence into the next.

A value read with a delay along an axis has, before the first step, the last values of the chunk
before:

    h[t-1] at t = 0      reads   carry.h[k] with k = D - 1      (D the longest delay of h)

so its boundary along the axis becomes an input `carry.h` with an axis of its own, read at `t + D`.
Beyond that input's ends the old boundary stays in force. Nothing else changes; gradients stop at
the chunk's start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from unfold.core.affine import Affine
from unfold.core.build import Builder
from unfold.core.program import BATCH, Axis, Program, Value

PREFIX = "carry."


def delays(program: Program, axis: str) -> Mapping[str, int]:
    """Return the longest delay with which each computed value or input is read along an axis."""
    found: dict[str, int] = {}
    for value in program:
        for ref in program.reads(value):
            source = program[ref.value]
            if axis not in source.axes or axis not in value.axes or source.op == "parameter":
                continue
            offset = ref.index[source.axes.index(axis)].offset_from(axis)
            if offset is not None and offset < 0:
                found[ref.value] = max(found.get(ref.value, 0), -offset)
    return found


def carry_state(program: Program, axis: str) -> Program:
    """Return the Program with inputs `carry.NAME` as boundaries before an axis's first step.

    Args:
        program: with boundaries.
        axis: the axis along which sequences are cut into chunks.
    """
    builder = Builder.of(program)
    for name, delay in delays(program, axis).items():
        value = program[name]
        extra = f"{PREFIX}{name}.{axis}"
        builder.axes[extra] = Axis(extra, Affine.number(delay))
        others = tuple(a for a in value.axes if a not in (BATCH, axis))
        own = (BATCH, extra, *others)
        boundary = {a: r for a, r in value.boundary.items() if axis not in r.axes and a != axis}
        if axis in value.boundary:
            boundary[extra] = value.boundary[axis]
        builder.add(
            Value(
                f"{PREFIX}{name}",
                own,
                value.type,
                "input",
                boundary=boundary,
                node=f"{PREFIX}{name}",
                at=value.at,
            )
        )
        here = builder.term(f"{PREFIX}{name}").at({extra: Affine.axis(axis) + delay})
        builder.values[name] = replace(value, boundary={**value.boundary, axis: here.ref})
    return builder.build(program)
