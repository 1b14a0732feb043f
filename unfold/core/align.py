"""Give equations of one cycle one name for the axis that it runs along.

    axes: {t: 64, s: t}
    e[t,s] = q[t] @ k.1[s]      k.1[s] = K @ h[s]      h[t] = f(sum[s < t](e[t,s] ...))

The keys `k.1` are read at s and are in the cycle of h. As k.1[t] they are a part of the step that
makes h[t]; as k.1[s] no loop over t could make them. Whoever reads k.1 at s goes on to do so.

In: any Program. Out: the same Program; where a cycle has no order, an equation that has another
axis over the same points (`s: t`) in place of one that the rest of the cycle has, has that one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from unfold.core.affine import Affine
from unfold.core.bounds import moved
from unfold.core.dependence import components, edges, is_ordered
from unfold.core.program import Program, Value


def align(program: Program) -> Program:
    """Return the Program with aligned equations."""
    origin = {a: first for a in program.axes if (first := root(program, a)) != a}
    own = [v for v in program if _replaceable(v, origin)]
    if not own:
        return program
    linked = edges(program)
    changed: dict[str, Value] = {}
    for component in components(list(program.values), linked):
        members = set(component)
        some = [v for v in own if v.name in members]
        if len(component) == 1 or not some:
            continue
        inner = [e for e in linked if e.reader in members and e.source in members]
        if is_ordered(program, component, inner):
            continue
        present = {a for n in component for a in program[n].axes}
        for value in some:
            axis = next((a for a in _replaceable(value, origin) if origin[a] in present), None)
            if axis is not None:
                changed[value.name] = renamed(value, axis, origin[axis])
    return program.with_values(changed.get(v.name, v) for v in program) if changed else program


def root(program: Program, axis: str) -> str:
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


def renamed(value: Value, axis: str, name: str) -> Value:
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
