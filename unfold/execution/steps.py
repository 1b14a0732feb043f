"""Loss and gradients of one batch: in one run, or in segments if that would not fit; lengths.

    found = step(execution, pipeline, Asked(params, inputs, ("W",), options), memory)

Whole runs are tried first, unless segments are requested. A run that does not fit is refused with
the setting that would make it fit, or, with `checkpoint: auto`, run with that setting at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from unfold.core.origin import Next
from unfold.core.program import Program, StopRule
from unfold.errors import MemoryLimitError, UnsupportedError
from unfold.execution.asked import Asked
from unfold.execution.memory import Checkpoint, Memory, advised, longest
from unfold.execution.recompute import cut, domain_of_run, recomputed
from unfold.execution.runs import Execution, element_type
from unfold.passes.differentiate import adjoint_name
from unfold.passes.pipeline import Pipeline
from unfold.passes.segments import Segments
from unfold.runs.domain import Domain
from unfold.runs.results import Step, padded
from unfold.runs.stopping import stopped_lengths


def step(
    execution: Execution,
    pipeline: Pipeline,
    asked: Asked,
    memory: Memory,
    checkpoint: Checkpoint | str | None,
) -> Step:
    """Return the loss, its gradients, and the state for the next chunk.

    Args:
        execution: runs Programs.
        pipeline: makes them.
        asked: arrays and options.
        memory: that may be taken.
        checkpoint: see `Memory`; the reference, which defines the meaning, ignores it.

    Raises:
        DataError: arrays that do not fit the spec.
        UnsupportedError: the Program cannot be cut into segments.
        MemoryLimitError: the run would not fit.
    """
    if not execution.backend(asked.backend).takes_parts:
        return _whole(execution, pipeline, asked)
    if checkpoint is not None and not isinstance(checkpoint, str):
        return recomputed(execution, pipeline, asked, checkpoint)
    key = _key(asked) if checkpoint == "auto" else None
    length = execution.segments.get(key)
    if length is not None:
        return recomputed(execution, pipeline, asked, length)
    try:
        return _whole(execution, pipeline, asked)
    except MemoryLimitError as error:
        try:
            pieces, _ = cut(pipeline, asked.wrt, 1, asked.options)
        except UnsupportedError as refused:
            raise MemoryLimitError(
                f"{error}; {refused}; use a smaller batch or shorter sequences"
            ) from error
        domain = domain_of_run(pipeline, asked)
        dtype = element_type(asked.params, asked.inputs)
        needs = _needs(execution, asked.backend, pieces, domain, dtype)
        length = longest(domain.extents[pieces.axis], needs, memory.limit)
        if length is None or checkpoint is None:
            raise advised(error, length, needs) from error
        execution.segments[key] = length
    return recomputed(execution, pipeline, asked, length)


def _key(asked: Asked) -> tuple[Any, ...]:
    """Return the key of the segments that were found to fit."""
    shapes = ((n, np.shape(a)) for n, a in asked.inputs.items())
    return (asked.wrt, *asked.options.items(), *shapes)


def _whole(execution: Execution, pipeline: Pipeline, asked: Asked) -> Step:
    """Return loss and gradients from one run."""
    program = pipeline.adjoint(asked.wrt, **asked.options, state=asked.state)
    values, _ = execution.run(
        asked.backend,
        program,
        asked.params,
        asked.feeds(program),
        lengths=asked.lengths,
        seed=asked.seed,
    )
    grads: dict[str, Any] = {}
    for name in asked.wrt:
        gradient = values[adjoint_name(name)]
        whole = program[name].batched
        grads[name] = gradient if whole else padded(gradient[0], asked.params[name])
    assert program.loss is not None
    return Step(float(values[program.loss].item()), grads, pipeline.state(values))


def estimate(
    execution: Execution,
    backend: str | None,
    pipeline: Pipeline,
    domain: Domain,
    options: Mapping[str, Any],
    dtype: str,
    *,
    state: bool,
) -> tuple[int, str]:
    """Return the bytes that a step takes, and a description of the way it runs.

    Args:
        execution: its `memory` determines whether segments are recomputed.
        backend: would run it.
        pipeline: makes Programs.
        domain: of a run of the spec's Program.
        options: mode, training, carry, chunk of `Pipeline.resolved`.
        dtype: element type.
        state: whether the state for the next chunk is computed.

    Raises:
        UnsupportedError: it cannot be cut into the requested segments.
    """
    checkpoint, wrt = execution.memory.checkpoint, pipeline.wrt(None)
    program = pipeline.adjoint(wrt, **options, state=state)
    whole = not execution.backend(backend).takes_parts
    if whole or checkpoint is None or checkpoint == "auto":
        own = {a: n for a, n in domain.extents.items() if a in domain.free}
        needed = execution.needs(backend, program, Domain(program, own, None, domain.batch), dtype)
        if whole or checkpoint is None or needed <= execution.memory.limit:
            return needed, "one run"
    pieces, length = cut(pipeline, wrt, 1 if isinstance(checkpoint, str) else checkpoint, options)
    needs = _needs(execution, backend, pieces, domain, dtype)
    if isinstance(checkpoint, str):
        found = longest(domain.extents[pieces.axis], needs, execution.memory.limit)
        length = found or 1
    return needs(length), f"segments of {length} along {pieces.axis}, recomputed"


def _needs(
    execution: Execution, backend: str | None, pieces: Segments, domain: Domain, dtype: str
) -> Callable[[int], int]:
    """Return the bytes that segments of a length need."""
    extent, body = domain.extents[pieces.axis], pieces.later

    def arena(program: Program, length: int) -> int:
        known = {a: domain.extents[a] for a in domain.free if a in program.axes}
        if pieces.axis in program.axes:
            known[pieces.axis] = length
        return execution.needs(backend, program, Domain(program, known, None, domain.batch), dtype)

    def states(length: int) -> int:
        own = Domain(body.forward, {pieces.axis: length}, None, domain.batch)
        kept = [body.forward[Next(n).name] for n in pieces.states]
        points = sum(prod((*own.shape(v.axes), *map(int, v.type.stored))) for v in kept)
        return points * np.dtype(dtype).itemsize * -(-extent // length)

    def needs(length: int) -> int:
        # Arenas of one Program make room for those of the other.
        arenas = (arena(p, length) for p in (body.forward, body.backward.program))
        return max(arenas) + states(length)

    return needs


def stopped(
    execution: Execution,
    pipeline: Pipeline,
    program: Program,
    rule: StopRule,
    asked: Asked,
    batch: int | None,
) -> Mapping[str, Any]:
    """Return the lengths that a free run's stopping rule gives.

    Args:
        execution: runs Programs.
        pipeline: makes them.
        program: of the free run.
        rule: for the end of the run.
        asked: arrays and options.
        batch: number of sequences if there are no inputs.
    """
    needed = pipeline.only(program, rule.values)
    given = {v.name: asked.inputs[v.name] for v in needed.inputs if v.name in asked.inputs}

    def run(bounds: Mapping[str, Any]) -> tuple[Mapping[str, Any], Domain]:
        return execution.run(
            asked.backend,
            needed,
            asked.params,
            given,
            lengths=bounds,
            seed=asked.seed,
            batch=batch,
        )

    return stopped_lengths(rule, needed, given, asked.lengths or {}, run, batch)
