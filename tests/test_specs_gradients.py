"""Gradients of every spec of the library against central differences, to 1e-6, float64.

A random direction over everything at once (parameters, learned initial states, real inputs), and
one direction for each of them alone, so that an error in a small one cannot hide behind the
others.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from sample import CASES, EVERY_MODE, Sample, sample

TOLERANCE = 1e-6
STEP = 1e-5
WHOLE = [mode for mode in EVERY_MODE if not CASES[str(mode.values[0])].cut]


def projected(drawn: Sample, names: list[str], mode: str, seed: int) -> tuple[float, float]:
    """Return (gradient . direction, its central difference) for a random direction."""
    rng = np.random.default_rng(seed)
    values = {**drawn.params, **drawn.inputs}
    direction = {name: rng.standard_normal(values[name].shape) for name in names}
    _, grads = drawn.value_and_grad(mode=mode)
    exact = sum(float(np.sum(grads[name] * direction[name])) for name in names)
    return exact, central_difference(drawn, direction, mode)


def central_difference(drawn: Sample, direction: Mapping[str, np.ndarray], mode: str) -> float:
    """Return (loss(v + e d) - loss(v - e d)) / 2e."""
    values = {**drawn.params, **drawn.inputs}
    losses = []
    for sign in (STEP, -STEP):
        moved = {name: values[name] + sign * d for name, d in direction.items()}
        params = {name: moved.get(name, value) for name, value in drawn.params.items()}
        inputs = {name: moved.get(name, value) for name, value in drawn.inputs.items()}
        run = drawn.model.forward(params, inputs, mode=mode, lengths=drawn.lengths)
        losses.append(run.loss)
    return float(losses[0] - losses[1]) / (2 * STEP)


def assert_projected(drawn: Sample, names: list[str], mode: str, seed: int) -> None:
    exact, numeric = projected(drawn, names, mode, seed)
    error = abs(exact - numeric) / max(1, abs(numeric))
    assert error <= TOLERANCE, f"{names}: gradient gives {exact}, central difference {numeric}"


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize(("name", "mode"), WHOLE)
def test_random_direction(name: str, mode: str, steps: int) -> None:
    drawn = sample(CASES[name], steps, seed=1)
    assert_projected(drawn, drawn.names, mode, seed=steps)


@pytest.mark.parametrize(("name", "mode"), WHOLE)
def test_each_alone(name: str, mode: str) -> None:
    drawn = sample(CASES[name], steps=5, seed=2)
    for number, one in enumerate(drawn.names):
        assert_projected(drawn, [one], mode, seed=number)


def test_the_check_notices_a_wrong_rule() -> None:
    """A gradient that forgets one parameter's share does not pass."""
    drawn = sample(CASES["shared"], steps=5, seed=3)
    exact, numeric = projected(drawn, ["W", "U"], "teacher", seed=0)
    part, _ = projected(drawn, ["W"], "teacher", seed=0)
    assert abs(exact - numeric) < TOLERANCE < abs(part - numeric)
