"""One step of a recurrence as a function of flat state vectors, and its Jacobian by the adjoint.

In: a model, its parameters, and the inputs that a step reads, the same at every step. Out: a
`StateMap`, which takes many states at once.

    flow = state_map(model, params, inputs={"x": [0.0, 1.0]})
    flow(states)             F(s), [N, n] from [N, n]
    flow.jacobian(states)    dF/ds, [N, n, n]: row i holds the derivatives of the new component i

A state vector holds the values of `flow.parts` one after the other: the last values along the
axis, oldest first, each [*other axes, *shape], flattened. The Jacobian is n runs of the adjoint
Program at once, one for each direction; no differences are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Protocol

import numpy as np

from unfold.backends import MEANING
from unfold.core.origin import Carried, Direction, Next, StateAxis
from unfold.core.program import BATCH, Program, Value
from unfold.errors import DataError, UnsupportedError
from unfold.execution.runs import Execution
from unfold.passes.carry import delays
from unfold.passes.differentiate import adjoint_name
from unfold.passes.modes import Mode
from unfold.passes.pipeline import Pipeline
from unfold.passes.step_map import StepMap, step_map
from unfold.runs.domain import Domain
from unfold.runs.results import Run

Array = np.ndarray
Arrays = Mapping[str, Any]
# The largest number of state components in one run of the adjoint, to limit its memory.
MOST_AT_ONCE = 1 << 21


class Model(Protocol):
    """The part of a model's interface that is used here; `unfold.Model` has it."""

    @property
    def name(self) -> str:
        """The spec's name."""
        ...

    @property
    def program(self) -> Program:
        """The spec's Program."""
        ...

    @property
    def pipeline(self) -> Pipeline:
        """The maker of its Programs."""
        ...

    @property
    def forward(self) -> Callable[..., Run]:
        """The function that runs it."""
        ...


@dataclass(frozen=True)
class StatePart:
    """A part of the state vector: the last values of one equation.

    Attributes:
        name: of the equation.
        shape: [delay, *other axes, *shape].
        start: its offset in the vector.
    """

    name: str
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """The number of its components."""
        return prod(self.shape)


@dataclass(frozen=True)
class StateMap:
    """The map of one step, or of several in a row.

    Attributes:
        how: its Programs.
        parts: of the state vector.
        steps: the number of steps it takes.
        extents: of the other axes.
        params: in double precision.
        inputs: of one run over `steps`, without the batch: [*axes, *shape] by name.
        backend: runs it.
        driven: whether each state has inputs of its own, [N, *axes, *shape]; see `along`.
    """

    how: StepMap
    parts: tuple[StatePart, ...]
    steps: int
    extents: Mapping[str, int]
    params: Arrays
    inputs: Arrays
    backend: str
    driven: bool = False
    execution: Execution = field(default_factory=Execution, repr=False)

    @property
    def size(self) -> int:
        """The number n of components of a state."""
        return sum(part.size for part in self.parts)

    @property
    def labels(self) -> tuple[str, ...]:
        """The name of each component, as in h[0]."""
        return tuple(
            part.name + (f"[{number}]" if part.size > 1 else "")
            for part in self.parts
            for number in range(part.size)
        )

    def __call__(self, states: Array) -> Array:
        """Return the states after the step, [N, n] from [N, n]."""
        states = self._checked(states)
        values = self._run(self.how.forward, self._split(states, _before), len(states))
        return np.concatenate(
            [values[Next(p.name).name].reshape(len(states), -1) for p in self.parts], axis=1
        )

    def jacobian(self, states: Array) -> Array:
        """Return the derivatives of the map at states, [N, n, n] from [N, n]."""
        states = self._checked(states)
        most = max(1, MOST_AT_ONCE // self.size**2)
        pieces = [
            self._part(slice(i, i + most))._jacobian(states[i : i + most])
            for i in range(0, len(states), most)
        ]
        return np.concatenate(pieces) if pieces else np.zeros((0, self.size, self.size))

    def along(self, inputs: Arrays, at: tuple[Array, Array]) -> StateMap:
        """Return the map of single steps of sequences: each state has the inputs of its own step.

        Args:
            inputs: of whole sequences, [batch, *axes, *shape] by name.
            at: the sequence of each state, and the number of its step along the axis, [N].

        Raises:
            DataError: an input of a step is missing.
        """
        found = {n: _at_steps(self.how, n, inputs, at) for n in self.inputs}
        return replace(self, inputs=found, steps=1, driven=True)

    def _part(self, some: slice) -> StateMap:
        """Return the map for some of the states."""
        if not self.driven:
            return self
        return replace(self, inputs={n: a[some] for n, a in self.inputs.items()})

    def _jacobian(self, states: Array) -> Array:
        count, n = states.shape
        given = self._split(np.repeat(states, n, axis=0), _before)
        directions = self._split(np.tile(np.eye(n), (count, 1)), _along)
        values = self._run(self.how.backward.program, given | directions, count * n)
        rows = np.zeros((count * n, n))
        for part in self.parts:
            gradient = values[adjoint_name(Carried(part.name).name)]
            rows[:, part.start : part.start + part.size] = gradient.reshape(count * n, -1)
        return rows.reshape(count, n, n)

    def _checked(self, states: Array) -> Array:
        states = np.asarray(states, dtype=np.float64)
        if states.ndim != 2 or states.shape[1] != self.size:
            raise DataError(
                f"states have the shape {list(states.shape)}, expected [number, {self.size}]:"
                f" {', '.join(f'{p.name} {list(p.shape)}' for p in self.parts)}"
            )
        return states

    def _split(self, states: Array, called: Callable[[str], str]) -> dict[str, Array]:
        return {
            called(p.name): states[:, p.start : p.start + p.size].reshape(-1, *p.shape)
            for p in self.parts
        }

    def _run(self, program: Program, states: Arrays, count: int) -> Mapping[str, Any]:
        if self.driven:
            held = {n: np.repeat(a, count // len(a), axis=0) for n, a in self.inputs.items()}
        else:
            held = {n: np.broadcast_to(a, (count, *a.shape)) for n, a in self.inputs.items()}
        given = {n: a for n, a in {**held, **states}.items() if n in program.values}
        lengths = {self.how.axis: np.full(count, self.steps)}
        values, _ = self.execution.run(
            self.backend, program, self.params, given, lengths=lengths, batch=count
        )
        return values


def state_map(
    model: Model,
    params: Arrays,
    inputs: Arrays | None = None,
    *,
    axis: str | None = None,
    mode: Mode = "teacher",
    steps: int = 1,
    backend: str = MEANING,
) -> StateMap:
    """Return the map of the state over a step with constant inputs.

    Args:
        model: an `unfold.Model`.
        params: of the model.
        inputs: for a step, [*other axes, *shape] by name; a number stands for a constant array.
            Default: zeros, and no class.
        axis: of the steps; default: the first axis with a delay.
        mode: the active branch of an output feedback.
        steps: the number of steps of the map; its fixed points are then cycles of this length.
        backend: runs the steps; the reference is fast for few steps.

    Raises:
        UnsupportedError: a step is not a map from state to state; the message says why.
        DataError: the inputs do not fit.
    """
    program = model.pipeline.resolved(mode=mode)
    recurrent = [a for a in program.axes if a != BATCH and delays(program, a)]
    axis = axis or next(iter(recurrent), None)
    if axis not in recurrent:
        known = ", ".join(recurrent) or "none"
        what = f"along {axis}" if axis else "along any axis"
        raise UnsupportedError(f"{model.name} passes no state {what}; axes with a state: {known}")
    if steps < 1:
        raise DataError(f"steps is {steps}; a map needs at least one step")
    how = step_map(model.program, axis, mode)
    domain = Domain(how.forward, {axis: steps} if axis in how.forward.axes else None)
    params = {n: np.asarray(a, dtype=np.float64) for n, a in params.items()}
    held = _held(how, domain, dict(inputs or {}))
    return StateMap(how, _parts(how, domain), steps, domain.extents, params, held, backend)


def _at_steps(how: StepMap, name: str, inputs: Arrays, at: tuple[Array, Array]) -> Array:
    """Return what single steps read of an input, [N, *axes, *shape]; before the first step, zero.

    An input that is read with a delay has the steps before each one along its first axis.
    """
    sequence, step = at
    origin = how.forward[name].origin
    own, delay = (origin.of, how.inputs[origin.of]) if isinstance(origin, Carried) else (name, 0)
    if own not in inputs:
        raise DataError(f"input {own} is missing; a step along {how.axis} reads it")
    whole = np.asarray(inputs[own])
    axes = [a for a in how.forward[name].axes if a != BATCH]
    time = [
        i for i, a in enumerate(axes)
        if a == how.axis or isinstance(how.forward.axes[a].origin, StateAxis)
    ]  # fmt: skip
    if not time:
        return whole[sequence]
    moved = np.moveaxis(whole, time[0] + 1, 1)
    numbers = step[:, None] - np.arange(delay, 0, -1) if delay else step[:, None]
    taken = moved[sequence[:, None], np.maximum(numbers, 0)]
    empty = -1 if whole.dtype.kind in "iu" else 0
    inside = (numbers >= 0).reshape(*numbers.shape, *(1,) * (taken.ndim - 2))
    return np.moveaxis(np.where(inside, taken, empty), 1, time[0] + 1)


def _before(name: str) -> str:
    """Return the name of the input that holds a state before the step."""
    return Carried(name).name


def _along(name: str) -> str:
    """Return the name of what a state after the step is multiplied by."""
    return Direction(Next(name).name).name


def _parts(how: StepMap, domain: Domain) -> tuple[StatePart, ...]:
    parts: list[StatePart] = []
    start = 0
    for name in how.states:
        value = how.forward[_before(name)]
        shape = (*domain.shape(a for a in value.axes if a != BATCH), *map(int, value.type.shape))
        parts.append(StatePart(name, shape, start))
        start += prod(shape)
    return tuple(parts)


def _held(how: StepMap, domain: Domain, given: dict[str, Any]) -> dict[str, Array]:
    """Return the inputs of a run, the same at every step, and those held from earlier steps."""
    program = how.forward
    inputs = {v.name: v for v in program.inputs if not isinstance(v.origin, Carried)}
    delayed = {n: program[_before(n)] for n in how.inputs}
    known = {**delayed, **inputs}
    if unknown := [n for n in given if n not in known]:
        names = ", ".join(known) or "none"
        raise DataError(f"a step reads no input {unknown[0]}; the inputs of a step are {names}")
    found: dict[str, Array] = {}
    for name in known:
        for full, value in ((name, inputs.get(name)), (_before(name), delayed.get(name))):
            if value is not None:
                found[full] = _constant(name, value, domain, how, given.get(name))
    return found


def _constant(name: str, value: Value, domain: Domain, how: StepMap, given: Any) -> Array:
    """Return an input that does not change along the axis, [*axes, *shape]."""
    real = value.type.kind == "real"
    axes = [a for a in value.axes if a != BATCH]
    whole = (*domain.shape(axes), *map(int, value.type.stored))
    own = [how.forward.axes[a].origin for a in axes]
    time = [i for i, a in enumerate(axes) if a == how.axis or isinstance(own[i], StateAxis)]
    one = tuple(n for i, n in enumerate(whole) if i not in time)
    array = np.asarray((0.0 if real else -1) if given is None else given)
    if not real and not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"input {name} is a class: expected a whole number, got {given!r}")
    if array.dtype.kind not in "iufb" or array.shape not in ((), one):
        found = list(array.shape) if array.dtype.kind in "iufb" else repr(given)
        raise DataError(f"input {name} of a step: expected a number or {list(one)}, got {found}")
    array = np.broadcast_to(array.astype(np.float64 if real else np.int64), one)
    return np.broadcast_to(np.expand_dims(array, time), whole)
