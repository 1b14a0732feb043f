"""Distances in place of positions for reductions that read the past, since measures need delays.

    c[t] = sum[s < t](e[t,s] * h[s])        s = t - d, of the same name
    c[t] = sum[1 <= s](e[t,s] * h[t-s])     h is read with the delays 1, 2, ...

In: a Program, and the axis that delays are measured along. Out: the same equations, in which each
axis that is bounded by that one counts the distance behind it. The value e[t,s] at the position s
becomes e[t,s] at the distance s; values before the first step are read like any others.
"""

from __future__ import annotations

from dataclasses import replace

from unfold.core.affine import Affine
from unfold.core.align import renamed, root
from unfold.core.bounds import moved, simplified
from unfold.core.program import Program, Ref, Value


def relative(program: Program, axis: str) -> Program:
    """Return the Program with distances along an axis.

    Args:
        program: any Program.
        axis: that delays are measured along.
    """
    forms = [f for v in program for f in v.within if axis in f.axes]
    tied = {
        a for f in forms for a in f.axes if a != axis and root(program, a) == root(program, axis)
    }
    for other in tied:
        program = _relative(program, axis, other)
    return program


def _relative(program: Program, axis: str, other: str) -> Program:
    """Let one axis count its distance behind another."""
    here = {v.name: v for v in program}
    for value in program:
        if other in value.axes and axis not in value.axes:
            here[value.name] = renamed(value, other, axis)
    both = {v.name for v in here.values() if {axis, other} <= set(v.axes)}
    distance = {other: Affine.axis(axis) - Affine.axis(other)}

    def read(ref: Ref, reader: Value) -> Ref:
        if {axis, other} <= set(reader.iteration):
            ref = ref.substitute(distance)
        if ref.value not in both:
            return ref
        at = dict(zip(here[ref.value].axes, ref.index, strict=True))
        at[other] = at[axis] - at[other]
        return Ref(ref.value, tuple(at.values()))

    def turned(value: Value) -> Value:
        forms = value.within
        if {axis, other} <= set(value.iteration):
            forms = simplified(moved(forms, distance))
        return replace(
            value,
            operands=tuple(read(r, value) for r in value.operands),
            boundary={a: read(r, value) for a, r in value.boundary.items()},
            within=forms,
        )

    return program.with_values(turned(v) for v in here.values())
