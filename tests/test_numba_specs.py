"""Every spec of the library on the compiled backend: what the reference computes, to 1e-10.

Values of all nodes, the loss, the state for the next chunk, and gradients by parameters, learned
initial states and real inputs; in every mode, with equal and unequal lengths, in float64 (1e-10)
and float32 (2e-5 of the largest number of an array; the reference gets the same float32 numbers).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from machine import interpreted
from sample import CASES, EVERY_MODE, EVERY_NAME, Sample, sample

import unfold

TOLERANCE = {"float64": 1e-10, "float32": 2e-5}
# Arrays of which nothing is large next to the numbers that they are made of are compared to 1.
SMALLEST = {"float64": 0.0, "float32": 1e-2}


def assert_close(name: str, found: Any, expected: Any, dtype: str) -> None:
    """Compare an array with the reference's, relative to its largest number."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, name
    assert (np.isnan(found) == np.isnan(expected)).all(), name
    scale = max(float(np.max(np.abs(expected), initial=0.0)), SMALLEST[dtype])
    error = float(np.max(np.abs(found.astype(np.float64) - expected), initial=0.0))
    assert error <= TOLERANCE[dtype] * scale, f"{name}: {error} of {scale}"


def agree(drawn: Sample, mode: str, lengths: Any, dtype: str) -> None:
    """Run both backends and compare everything."""
    params = {n: a.astype(dtype) for n, a in drawn.params.items()}
    inputs = {n: a.astype(dtype) if a.dtype.kind == "f" else a for n, a in drawn.inputs.items()}
    shared: dict[str, Any] = {"mode": mode, "lengths": lengths}
    model: unfold.Model = drawn.model
    found = model.forward(params, inputs, backend="numba", **shared)
    expected = model.forward(params, inputs, backend="reference", **shared)
    assert set(found) == set(expected)
    for name in expected:
        assert_close(name, found[name], expected[name], dtype)
    for name, state in expected.carry.items():
        assert_close(f"carry {name}", found.carry[name], state, dtype)
    step = model.step(params, inputs, wrt=drawn.names, backend="numba", **shared)
    wanted = model.step(params, inputs, wrt=drawn.names, backend="reference", **shared)
    assert_close("loss", step.loss, wanted.loss, dtype)
    for name, gradient in wanted.grads.items():
        assert_close(f"gradient of {name}", step.grads[name], gradient, dtype)
        assert step.grads[name].dtype == dtype


@pytest.mark.parametrize(("name", "mode"), EVERY_MODE)
def test_float64(name: str, mode: str, request: pytest.FixtureRequest) -> None:
    drawn = sample(CASES[name], steps=5, seed=1)
    interpreted(drawn, name, request.config)
    agree(drawn, mode, drawn.lengths, "float64")
    agree(drawn, mode, None, "float64")


@pytest.mark.parametrize(("name", "mode"), EVERY_MODE)
def test_one_step(name: str, mode: str, request: pytest.FixtureRequest) -> None:
    drawn = sample(CASES[name], steps=1, seed=2)
    interpreted(drawn, name, request.config)
    agree(drawn, mode, drawn.lengths, "float64")


@pytest.mark.parametrize("name", EVERY_NAME)
def test_float32(name: str, request: pytest.FixtureRequest) -> None:
    drawn = sample(CASES[name], steps=5, seed=3)
    interpreted(drawn, name, request.config)
    agree(drawn, "teacher", drawn.lengths, "float32")


def test_shards_are_bit_identical_from_run_to_run() -> None:
    drawn = sample(CASES["lstm-stack"], steps=5, seed=4)
    first = drawn.model.step(drawn.params, drawn.inputs, backend="numba")
    for _ in range(5):
        again = drawn.model.step(drawn.params, drawn.inputs, backend="numba")
        assert again.loss == first.loss
        for name, gradient in first.grads.items():
            np.testing.assert_array_equal(again.grads[name], gradient)


def test_the_gradient_of_a_maximum_finds_the_largest() -> None:
    """What a maximum saw and what is compared with it are the same to the last bit."""
    model = unfold.loads(
        "unfold: 1\nname: largest\naxes: {t: 4}\ninputs: {x[t]: [3]}\n"
        "nodes:\n  n[t]: layer_norm(x[t], epsilon=0.1)\n"
        "loss: max[t](mse(0.5, n[t]) + 0.1 * t)\n"
    )
    inputs = {"x": np.random.default_rng(0).standard_normal((2, 4, 3))}
    found = model.step({}, inputs, wrt=["x"], backend="numba").grads["x"]
    expected = model.step({}, inputs, wrt=["x"], backend="reference").grads["x"]
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
