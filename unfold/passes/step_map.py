"""The map from the state before a step to the state after it, as a Program, with its adjoint.

What is read with a delay along an axis, and goes on being read, is the state; all else that a step
reads is held fixed. For `h[t]: tanh(W @ h[t-1] + U @ x[t])`:

    next.h = tanh(W @ carry.h + U @ x)          ∂carry.h from direction.next.h

In: a spec's Program, an axis. Out: a `StepMap`. Its Programs keep the axis, so that several steps
in a row are one run, too. Raises `UnsupportedError` where a step has no such map: nothing recurs,
the state holds classes, or a step depends on its number, on chance or on what comes later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf

from unfold.core.bounds import reach
from unfold.core.dependence import fixed_extents
from unfold.core.op import Source
from unfold.core.origin import Carried, Next
from unfold.core.paths import ancestors, reads
from unfold.core.program import Program, Value
from unfold.errors import UnsupportedError
from unfold.passes.carry import delays
from unfold.passes.lowering import ZEROS, lower, to_chunk, to_mode, to_next
from unfold.passes.modes import ProgramMode
from unfold.passes.segments import Gradients, needed, pullback


@dataclass(frozen=True)
class StepMap:
    """What a step does to the state.

    Attributes:
        axis: the axis of the steps.
        states: the values that the state consists of, and how many of the last ones of each.
        inputs: inputs that are read with a delay, and how many steps of them are held.
        forward: from `carry.NAME` of states and inputs to `next.NAME` of states.
        backward: from `direction.next.NAME` to the gradients by `carry.NAME`.
    """

    axis: str
    states: dict[str, int]
    inputs: dict[str, int]
    forward: Program
    backward: Gradients


def step_map(program: Program, axis: str, mode: ProgramMode = "teacher") -> StepMap:
    """Return the map of a step.

    Args:
        program: of a spec, with boundaries and feedback.
        axis: along which the steps are.
        mode: which branch of a feedback is in force.

    Raises:
        UnsupportedError: there is no such map.
    """
    every = tuple(v.name for v in program if not v.is_given)
    resolved = replace(program, outputs=every, loss=None)
    whole = lower(resolved, to_mode(mode, start=False))
    found = delays(whole, axis)
    states = {n: d for n, d in found.items() if not whole[n].is_input}
    handed = lower(whole, (*to_chunk(axis, found), *to_next(axis, states)))
    while True:  # what is read later, but by no later state, is not part of the state
        read = _read(handed, states)
        recurring = {n: d for n, d in states.items() if Carried(n).name in read}
        if recurring == states:
            break
        states = recurring
    if not states:
        raise _refused(axis, f"in mode {mode} no state at a step needs the one before")
    outputs = tuple(Next(n).name for n in states)
    forward = needed(replace(handed, outputs=outputs))
    for value in forward:
        _check(forward, value, axis, states)
    carried = tuple(Carried(n).name for n in states)
    backward = pullback(lower(forward, ZEROS), forward.outputs, carried)
    inputs = {
        n: d for n, d in found.items() if n not in states and Carried(n).name in forward.values
    }
    return StepMap(axis, states, inputs, forward, backward)


def _read(program: Program, names: Iterable[str]) -> set[str]:
    """Return all that the equations of some values read, directly or through others."""
    return ancestors(program, (r for n in names for r in reads(program)[n]))


def _check(program: Program, value: Value, axis: str, states: dict[str, int]) -> None:
    """Refuse a value that is not a function of the state and of what is held fixed."""
    node = value.node or value.name
    if value.name in states and value.type.kind != "real":
        raise _refused(axis, f"{node} is a class, so the state cannot be perturbed")
    if value.source is Source.RANDOM:
        raise _refused(axis, f"{node} is drawn at random")
    if axis in value.axes and value.source in (Source.INDEX, Source.PARAMETER):
        raise _refused(axis, f"{node} differs from step to step")
    if axis in value.reduced:
        raise _refused(axis, f"{node} needs all steps")
    if isinstance(value.origin.equation, Next):
        return
    for ref in program.reads(value):
        source = program[ref.value]
        if axis in source.axes and axis in value.iteration:
            index = ref.index[source.axes.index(axis)]
            around = reach(index, axis, fixed_extents(program), value.within)
            if around.high > 0:
                raise _refused(axis, f"{node} reads {source.node}[{index}], which comes later")
            if around.low == -inf:
                raise _refused(axis, f"{node} reads {source.node}[{index}], all of its past")


def _refused(axis: str, why: str) -> UnsupportedError:
    return UnsupportedError(f"a step along {axis} is not a map from state to state: {why}")
