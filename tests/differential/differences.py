"""The reference's gradients of random specs against central differences, with their kinks left out.

    differences(sample).kind     "agrees", "disagrees", "ambiguous" …

Differentiated is by each parameter and real input alone and by all of them, as in
`tests/gradients.py`. Left out are specs with `stop_gradient` (the difference sees what the gradient
must not), a stopping rule, NaN, and those that decide something so closely that a step could cross
the edge.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import unfold
from tests.differential.case import Sample
from tests.differential.compare import Outcome, draw, raised
from tests.differential.engines import Watch, walking
from tests.gradients import check_gradient
from unfold.errors import DataError, SpecError

NEAR = 4e-3
STEP = 3e-5
TOLERANCE = 1e-5


def differences(sample: Sample) -> Outcome:
    """Compare gradients with central differences."""
    if sample.run.spoiled or "stop_gradient" in sample.text or "\nstop:" in sample.text:
        return Outcome("unsupported", "not differentiable as written", "left out")
    try:
        model = unfold.loads(sample.text, file="case.yaml")
        params, inputs, lengths = draw(model, sample.run)
    except (SpecError, DataError) as error:
        return Outcome("illegal", str(error), type(error).__name__)
    run = sample.run
    options: dict[str, Any] = {"mode": run.mode, "seed": run.seed, "lengths": lengths}
    options |= {"training": run.training, "backend": "reference"}
    real = [n for n, a in inputs.items() if a.dtype.kind == "f"]
    at = {**params, **{n: np.nan_to_num(inputs[n]) for n in real}}

    def split(values: Any) -> tuple[Any, Any]:
        return {n: values[n] for n in params}, {**inputs, **{n: values[n] for n in real}}

    def loss(values: Any) -> float:
        return model.forward(*split(values), **options).loss or 0.0

    def gradient(values: Any) -> Any:
        return model.step(*split(values), wrt=tuple(at), **options).grads

    watch = Watch(NEAR)
    try:
        with walking(model, watch.walk):
            loss(at)
            gradient(at)
        if watch.found:
            return Outcome("ambiguous", f"a close decision: {watch.found[0]}", "decision")
        try:
            check_gradient(loss, gradient, at, tolerance=TOLERANCE, step=STEP)
        except AssertionError:  # where the loss bends much, only small steps are straight
            check_gradient(loss, gradient, at, tolerance=30 * TOLERANCE, step=STEP / 50)
    except AssertionError as error:
        return Outcome("disagrees", str(error), "central difference")
    except Exception as error:
        return raised("broken", error)
    return Outcome("agrees")
