"""Gradients of long sequences in the memory of one segment: keep states, recompute the rest.

    step = recomputed(execution, pipeline, Asked(params, inputs, ("W",), options), 500)

The forward pass runs each segment once and keeps only the state at its start. Then come the loss
and its gradients by sums and last states. The backward pass runs each segment once more, with its
gradients. The results are those of the whole run, except for the order of additions. The cost is
one more forward run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from unfold.core.origin import Carried, Direction, Next
from unfold.core.paths import read_inputs
from unfold.core.program import Program
from unfold.errors import UnsupportedError
from unfold.execution.asked import Asked
from unfold.execution.runs import Execution, Segment, element_type
from unfold.passes.differentiate import adjoint_name
from unfold.passes.pipeline import Pipeline
from unfold.passes.segments import Body, Gradients, Segments
from unfold.runs.domain import Domain
from unfold.runs.feeds import check_inputs, domain_of
from unfold.runs.results import Step

Arrays = Mapping[str, Any]


def recomputed(
    execution: Execution, pipeline: Pipeline, asked: Asked, checkpoint: int | Mapping[str, int]
) -> Step:
    """Return the loss, its gradients, and the state for the next chunk.

    Args:
        execution: runs Programs.
        pipeline: makes them.
        asked: arrays and options; the backend is a compiled one.
        checkpoint: points of a segment, along an axis that can be cut or along a given one.

    Raises:
        DataError: arrays that do not fit.
        UnsupportedError: the Program cannot be cut.
    """
    pieces, length = cut(pipeline, asked.wrt, checkpoint, asked.options)
    domain = domain_of_run(pipeline, asked)
    run = _Run(execution, pieces, domain, asked, length)
    loss, last = run.whole()
    zeros = {n: np.zeros_like(asked.params[n]) for n in asked.wrt}
    grads = zeros | run.rounded(run.grads)
    same = pieces.axis == pipeline.carry_axis
    states = {n: d for n, d in pipeline.delays.items() if same and n in pieces.states}
    stop = -asked.options["chunk"].overlap or None
    kept = {n: slice((stop or 0) - d, stop) for n, d in states.items()}
    return Step(loss, grads, {n: last[Carried(n).name][:, part] for n, part in kept.items()})


def domain_of_run(pipeline: Pipeline, asked: Asked) -> Domain:
    """Return the domain of the whole run.

    Raises:
        DataError: arrays that do not fit.
    """
    program = pipeline.resolved(**asked.options)
    arrays = check_inputs(program, asked.feeds(program), read_inputs(program), dtype=None)
    return domain_of(program, arrays, asked.lengths)


def cut(
    pipeline: Pipeline,
    wrt: tuple[str, ...],
    checkpoint: int | Mapping[str, int],
    options: Mapping[str, Any],
) -> tuple[Segments, int]:
    """Return the pieces to run, and the length of a segment.

    Args:
        pipeline, wrt, checkpoint, options: see `recomputed`.

    Raises:
        UnsupportedError: no axis that comes into question can be cut.
    """
    given = {} if isinstance(checkpoint, int) else dict(checkpoint)
    axes = tuple(given) or pipeline.recurrent_axes
    length = checkpoint if isinstance(checkpoint, int) else next(iter(given.values()), 0)
    others = [n for n in wrt if not pipeline.program[n].is_parameter]
    why = ""
    if others:
        why = (
            f"the gradient with respect to {others[0]}, which is not a parameter, needs the "
            f"whole run"
        )
    elif length < 1:
        why = f"a segment has at least one step, not {length}"
    elif len(given) > 1 or not axes or axes[0] not in pipeline.recurrent_axes:
        known = ", ".join(pipeline.recurrent_axes) or "none"
        why = f"name one axis along which states continue; the axes are {known}"
    if why:
        raise UnsupportedError(f"cannot recompute segments (checkpoint={checkpoint}): {why}")
    refused: UnsupportedError | None = None
    for axis in axes:
        try:
            return pipeline.segments(wrt, axis, **options), length
        except UnsupportedError as error:
            refused = refused or error
    assert refused is not None
    raise refused


@dataclass
class _Run:
    """One run; `grads` adds up gradients by parameters.

    What segments add up is kept in double precision until all are done.
    """

    execution: Execution
    pieces: Segments
    domain: Domain
    asked: Asked
    length: int
    grads: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def axis(self) -> str:
        return self.pieces.axis

    @cached_property
    def dtype(self) -> str:
        """The precision of the run."""
        return element_type(self.asked.params, self.asked.inputs)

    @cached_property
    def given(self) -> dict[str, Any]:
        """Parameters and inputs, but for the state that the first segment begins with."""
        arrays = {**self.asked.params, **self.asked.inputs}
        states = {Carried(n).name for n in self.pieces.states}
        return {n: np.asarray(a) for n, a in arrays.items() if n not in states}

    @cached_property
    def handed(self) -> dict[str, str]:
        """The states, by the names of what a segment hands on."""
        return {Next(n).name: n for n in self.pieces.states}

    def whole(self) -> tuple[float, dict[str, Any]]:
        """Return the loss and the last states; gradients are in `grads`."""
        before: dict[str, Any] = {}
        if self.pieces.before is not None:
            before = self._run(self.pieces.before, {})
        states = self._forward(before)
        loss, back = self._after(before, states)
        self._backward(before, states, back)
        if self.pieces.before_back is not None and self.pieces.before_back.wrt:
            given = {Direction(n).name: back.get(n) for n in self.pieces.before_back.of}
            self._add(self.pieces.before_back, self._run(self.pieces.before_back.program, given))
        return loss, states[-1]

    # Programs

    def _run(
        self, program: Program, more: Arrays, part: tuple[int, int] | None = None
    ) -> dict[str, Any]:
        """Run a piece; a part of the axis, or what has no point on it, over the whole."""
        fed = {v.name for v in (*program.parameters, *program.inputs)}
        pool = {n: a for n, a in {**self.given, **more}.items() if n in fed}
        own = [a for a in self.domain.free if a in program.axes]
        lengths = {a: self.domain.length(a) for a in own}
        extents = {a: self.domain.extents[a] for a in own}
        origin: dict[str, int] = {}
        if part is not None:
            start, stop = part
            pool = {n: self._part(program, n, a, part) for n, a in pool.items()}
            lengths[self.axis] = np.clip(lengths[self.axis] - start, 0, stop - start)
            origin, extents[self.axis] = {self.axis: start}, stop - start
        params = {v.name: pool[v.name] for v in program.parameters if v.name in pool}
        inputs = {v.name: pool[v.name] for v in program.inputs if v.name in pool}
        values, _ = self.execution.run(
            self.asked.backend,
            program,
            params,
            inputs,
            lengths=lengths,
            seed=self.asked.seed,
            batch=self.domain.batch,
            part=Segment(origin, extents),
        )
        return {
            n: values[n] if program[n].batched else values[n][0]
            for n in program.outputs + ((program.loss,) if program.loss else ())
        }

    def _part(self, program: Program, name: str, array: Any, part: tuple[int, int]) -> Any:
        axes = program[name].axes
        if self.axis not in axes:
            return array
        return array[(slice(None),) * axes.index(self.axis) + (slice(*part),)]

    def _parts(self) -> list[tuple[int, int]]:
        extent = self.domain.extents[self.axis]
        return [(s, min(s + self.length, extent)) for s in range(0, extent, self.length)]

    def _body(self, start: int) -> Body:
        return self.pieces.later if start else self.pieces.first

    # Sweeps

    def _forward(self, before: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the state at the start of each segment, and after the last one.

        The sums of the segments are left in `before`.
        """
        states = [self._begin()]
        sums: dict[str, Any] = {}
        for part in self._parts():
            program = self._body(part[0]).forward
            more = {**before, **states[-1], **self._indices(program)}
            found = self._run(program, more, part)
            states.append({Carried(n).name: found[full] for full, n in self.handed.items()})
            for name in self.pieces.sums:
                _add_up(sums, name, found[name])
        before |= self.rounded(sums)
        return states

    def _begin(self) -> dict[str, Any]:
        """Return the state that the first segment starts from, as far as it is read."""
        found: dict[str, Any] = {}
        for name, delay in self.pieces.states.items():
            array = self.asked.inputs.get(Carried(name).name)
            if array is not None:
                array = np.asarray(array)
                missing = [(0, 0)] * array.ndim
                missing[1] = (delay - array.shape[1], 0)
                found[Carried(name).name] = np.pad(array, missing)
        return found

    def _after(
        self, before: dict[str, Any], states: list[dict[str, Any]]
    ) -> tuple[float, dict[str, Any]]:
        """Return the loss, and its gradients by the inputs of the last Program."""
        last = {full: states[-1][Carried(n).name] for full, n in self.handed.items()}
        program = self.pieces.after.program
        found = self._run(program, {**before, **last})
        self._add(self.pieces.after, found)
        assert program.loss is not None
        passed = (*before, *last)
        back = {n: found[adjoint_name(n)] for n in self.pieces.after.wrt if n in passed}
        return float(found[program.loss]), back

    def _backward(
        self, before: dict[str, Any], states: list[dict[str, Any]], back: dict[str, Any]
    ) -> None:
        """Run the segments from the last to the first, each with its gradients."""
        shared = {n: back.pop(n) for n in self.pieces.shared if n in back}
        sums = {n: back[n] for n in self.pieces.sums if n in back}
        through = {n: back[full] for full, n in self.handed.items() if full in back}
        for number, part in reversed(list(enumerate(self._parts()))):
            own = self._body(part[0]).backward
            if not own.wrt:
                continue
            more = {**before, **states[number], **self._indices(own.program)}
            for name in own.of:
                gradient = sums[name] if name in sums else through.get(self.handed.get(name, ""))
                more[Direction(name).name] = (
                    np.zeros_like(self._like(name, before, states))
                    if gradient is None
                    else gradient
                )
            found = self._run(own.program, more, part)
            self._add(own, found, part)
            through = {
                n: found[adjoint_name(Carried(n).name)]
                for n in self.pieces.states
                if Carried(n).name in own.wrt
            }
            for name in self.pieces.shared:
                if name in own.wrt:
                    _add_up(shared, name, found[adjoint_name(name)])
        back |= self.rounded(shared)

    def rounded(self, sums: dict[str, Any]) -> dict[str, Any]:
        """Return sums in the precision of the run."""
        return {n: np.asarray(total, self.dtype) for n, total in sums.items()}

    def _like(self, name: str, before: Arrays, states: list[dict[str, Any]]) -> Any:
        return before[name] if name in before else states[-1][Carried(self.handed[name]).name]

    def _indices(self, program: Program) -> dict[str, Any]:
        """Return numbers of index points, over the whole axis."""
        found: dict[str, Any] = {}
        for value in program.parameters:
            index = value.attributes.get("index")
            if index is not None:
                points = np.meshgrid(
                    *(np.arange(self.domain.extents[a]) for a in value.axes), indexing="ij"
                )
                found[value.name], _ = index.evaluate(
                    dict(zip(value.axes, points, strict=True)), {}
                )
        return found

    def _add(self, own: Gradients, found: Arrays, part: tuple[int, int] | None = None) -> None:
        """Add gradients of parameters up."""
        for name in own.wrt:
            if name not in self.asked.params:
                continue
            gradient = found[adjoint_name(name)]
            if name not in self.grads:
                self.grads[name] = np.zeros(np.shape(self.asked.params[name]), np.float64)
            axes = own.program[adjoint_name(name)].axes
            at = tuple(
                slice(*part) if part and a == self.axis else slice(0, n)
                for a, n in zip(axes, gradient.shape, strict=False)
            )
            self.grads[name][at] += gradient


def _add_up(sums: dict[str, Any], name: str, more: Any) -> None:
    """Add a segment's contribution to a sum, which is kept in double precision."""
    sums[name] = sums.get(name, 0.0) + np.asarray(more, np.float64)
