"""Give equations of one cycle one name for the axis that it runs along.

    axes: {t: 64, s: t}
    e[t,s] = q[t] @ k.1[s]      k.1[s] = K @ h[s]      h[t] = f(sum[s < t](e[t,s] ...))

The keys `k.1` are read at s and are in the cycle of h. As k.1[t] they are a part of the step that
makes h[t]; as k.1[s] no loop over t could make them. Whoever reads k.1 at s goes on to do so.

In: any Program. Out: the same Program, where an equation in a cycle that has another axis over the
same points (`s: t`) in place of one that the cycle has, has that one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from unfold.core.affine import Affine
from unfold.core.bounds import moved
from unfold.core.dependence import components, edges
from unfold.core.program import Program, Value


def align(program: Program) -> Program:
    """Return the Program with aligned equations."""
    origin = {a: root for a in program.axes if (root := _root(program, a)) != a}
    own = [v for v in program if _replaceable(v, origin)]
    if not own:
        return program
    linked = edges(program)
    loops = [c for c in components(list(program.values), linked) if len(c) > 1]
    member = {name: set(c) for c in loops for name in c}
    changed: dict[str, Value] = {}
    for value in own:
        others = (program[n] for n in member.get(value.name, ()))
        present = {a for v in others for a in v.axes}
        for axis in _replaceable(value, origin):
            if origin[axis] in present:
                changed[value.name] = _renamed(value, axis, origin[axis])
                break
    return program.with_values(changed.get(v.name, v) for v in program) if changed else program


def _root(program: Program, axis: str) -> str:
    """Return the axis that an axis has the points of."""
    extent = program.axes[axis].extent
    while len(extent.terms) == 1 and extent == Affine.axis(extent.terms[0][0]):
        axis = extent.terms[0][0]
        extent = program.axes[axis].extent
    return axis


def _replaceable(value: Value, origin: dict[str, str]) -> list[str]:
    """Return the axes of an equation that could have the name of the axis they come from."""
    every = [origin.get(a, a) for a in value.axes]
    return [a for a in value.axes if a in origin and every.count(origin[a]) == 1]


def _renamed(value: Value, axis: str, name: str) -> Value:
    """Return an equation with another name for one of its axes; one that it binds takes the old."""
    names = {axis: name, name: axis}
    at = {a: Affine.axis(n) for a, n in names.items()}

    def named(axes: Iterable[str]) -> tuple[str, ...]:
        return tuple(names.get(a, a) for a in axes)

    return replace(
        value,
        axes=named(value.axes),
        reduced=named(value.reduced),
        operands=tuple(r.substitute(at) for r in value.operands),
        boundary={names.get(a, a): r.substitute(at) for a, r in value.boundary.items()},
        within=moved(value.within, at),
    )
