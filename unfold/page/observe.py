"""What a run computes at the points of values: the values, and the norms of the loss's gradients.

In: a Pipeline, parameters, inputs and the names of values. Out: arrays, for as many of the names as
the mode computes. The reference computes them: it is exact, and nothing has to be compiled.

    found = observe(model.pipeline, params, {"x": x, "y": y}, ["h", "o"])
    found.values["h"]    [batch, *axes, *shape]
    found.norms["h"]     [*axes]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfold.backends import MEANING
from unfold.core.program import BATCH, Program
from unfold.execution.runs import Execution
from unfold.page.points import exists
from unfold.passes.differentiate import adjoint_name
from unfold.passes.modes import Mode
from unfold.passes.pipeline import Pipeline
from unfold.runs.results import norms

Array = np.ndarray
Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class Observed:
    """The results of a run, forward and backward.

    Attributes:
        values: arrays [batch, *axes, *stored shape], by name.
        axes: of each of them, without "batch".
        inside: which points exist, [batch, *axes].
        norms: of the loss's gradient by a value, over the batch and the features, [*axes].
        lengths: per axis, the length of each sequence.
    """

    values: Arrays
    axes: Mapping[str, tuple[str, ...]]
    inside: Arrays
    norms: Arrays
    lengths: Arrays


def observe(
    pipeline: Pipeline,
    params: Arrays,
    inputs: Arrays,
    names: Iterable[str],
    *,
    mode: Mode = "teacher",
    lengths: Arrays | None = None,
    seed: int = 0,
) -> Observed:
    """Run forward and backward.

    Args:
        pipeline: of the model.
        params, inputs: arrays by name.
        names: of values and inputs.
        mode: "teacher" or "free".
        lengths: per axis, the length of each sequence, [batch].
        seed: of random values.
    """
    wanted, execution = tuple(dict.fromkeys(names)), Execution()
    forward = pipeline.resolved(mode=mode)
    kept = [n for n in wanted if n in forward.values and not forward[n].is_given]
    program = pipeline.only(forward, kept)
    given = {n: inputs[n] for n in inputs if n in program.values}
    options: dict[str, Any] = {"lengths": lengths, "seed": seed}
    values, domain = execution.run(MEANING, program, params, given, **options)
    found = {n: values[n] for n in kept} | {n: inputs[n] for n in wanted if n in inputs}
    axes = {n: tuple(a for a in forward[n].axes if a != BATCH) for n in found}
    known = {a: domain.length(a) for a in domain.extents if a != BATCH}
    shapes = {n: (domain.batch, *np.shape(a)[1 : 1 + len(axes[n])]) for n, a in found.items()}
    whole = {n: np.broadcast_to(a, (domain.batch, *np.shape(a)[1:])) for n, a in found.items()}
    inside = {n: exists(shape, axes[n], known) for n, shape in shapes.items()}
    return Observed(
        whole,
        axes,
        inside,
        _norms(pipeline, execution, params, inputs, wanted, mode, options),
        known,
    )


def _norms(
    pipeline: Pipeline,
    execution: Execution,
    params: Arrays,
    inputs: Arrays,
    names: Iterable[str],
    mode: Mode,
    options: Mapping[str, Any],
) -> dict[str, Array]:
    """Return the norm of the loss's gradient by each value that has one, at each index point."""
    if pipeline.program.loss is None:
        return {}
    adjoint: Program = pipeline.adjoint(pipeline.wrt(None), mode=mode, training=False)
    own = {n: adjoint_name(n) for n in names if adjoint_name(n) in adjoint.values}
    program = pipeline.only(adjoint, own.values())
    given = {n: inputs[n] for n in inputs if n in program.values}
    values, _ = execution.run(MEANING, program, params, given, **options)
    return norms(adjoint, {n: values[gradient] for n, gradient in own.items()})
