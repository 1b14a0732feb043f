"""Optimisers and clipping against the formulas of their papers, written out for single numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unfold.training.clip import clip_by_norm, clip_by_value, global_norm, keep
from unfold.training.optimizers import OPTIMIZERS, Adagrad, Adam, Optimizer, Sgd

GRADIENTS = [0.5, -2.0, 0.25, 3.0]
START = 1.5


def sgd(rate: float, momentum: float) -> list[float]:
    """Polyak 1964."""
    p, v, path = START, 0.0, []
    for g in GRADIENTS:
        v = momentum * v - rate * g
        p += v
        path.append(p)
    return path


def adagrad(rate: float, epsilon: float) -> list[float]:
    """Duchi, Hazan & Singer 2011."""
    p, s, path = START, 0.0, []
    for g in GRADIENTS:
        s += g**2
        p -= rate * g / (math.sqrt(s) + epsilon)
        path.append(p)
    return path


def adam(rate: float, beta1: float, beta2: float, epsilon: float) -> list[float]:
    """Kingma & Ba 2015, algorithm 1."""
    p, m, v, path = START, 0.0, 0.0, []
    for t, g in enumerate(GRADIENTS, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        p -= rate * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + epsilon)
        path.append(p)
    return path


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (Sgd(0.3), sgd(0.3, 0.0)),
        (Sgd(0.3, momentum=0.8), sgd(0.3, 0.8)),
        (Adagrad(0.3, epsilon=0.01), adagrad(0.3, 0.01)),
        (Adam(0.3, 0.8, 0.95, 0.01), adam(0.3, 0.8, 0.95, 0.01)),
    ],
    ids=["sgd", "momentum", "adagrad", "adam"],
)
def test_follows_the_paper(optimizer: Optimizer, expected: list[float]) -> None:
    parameters = {"W": np.full((2, 3), START), "frozen": np.ones(4)}
    state = optimizer.start(parameters)
    for number, g in enumerate(GRADIENTS):
        parameters, state = optimizer.update(parameters, {"W": np.full((2, 3), g)}, state)
        np.testing.assert_allclose(parameters["W"], expected[number], rtol=1e-14)
    assert state.step == len(GRADIENTS)
    np.testing.assert_array_equal(parameters["frozen"], np.ones(4))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_changes_nothing_in_place_and_keeps_the_dtype(name: str) -> None:
    optimizer = OPTIMIZERS[name]()
    parameters = {"b": np.array([1.0, -2.0], dtype=np.float32)}
    state = optimizer.start(parameters)
    moved, after = optimizer.update(parameters, {"b": np.array([1, 2], dtype=np.float32)}, state)
    np.testing.assert_array_equal(parameters["b"], [1.0, -2.0])
    assert all(not a["b"].any() for a in state.slots.values())
    assert moved["b"].dtype == np.float32
    assert all(a["b"].dtype == np.float32 for a in after.slots.values())
    assert (moved["b"] < parameters["b"]).all()


def test_clipping_by_norm_keeps_the_direction() -> None:
    gradients = {"a": np.array([3.0, 0.0]), "b": np.array([[4.0]])}
    clipped = clip_by_norm(gradients, 2.0)
    assert clipped.norm == pytest.approx(5.0, rel=1e-15)
    assert clipped.share == 1.0
    assert global_norm(clipped.gradients) == pytest.approx(2.0, rel=1e-15)
    np.testing.assert_allclose(clipped.gradients["a"], [1.2, 0.0], rtol=1e-15)
    np.testing.assert_allclose(clipped.gradients["b"], [[1.6]], rtol=1e-15)


def test_clipping_by_norm_leaves_small_gradients_alone() -> None:
    clipped = clip_by_norm({"a": np.array([3.0, 4.0])}, 5.0)
    assert clipped.share == 0.0
    np.testing.assert_array_equal(clipped.gradients["a"], [3.0, 4.0])


def test_clipping_by_value_cuts_entries_and_counts_them() -> None:
    clipped = clip_by_value({"a": np.array([6.0, -7.0, 1.0]), "b": np.array([2.0])}, 5.0)
    np.testing.assert_array_equal(clipped.gradients["a"], [5.0, -5.0, 1.0])
    np.testing.assert_array_equal(clipped.gradients["b"], [2.0])
    assert clipped.share == 0.5
    assert clipped.norm == pytest.approx(math.sqrt(36 + 49 + 1 + 4), rel=1e-15)


def test_the_norm_neither_overflows_nor_hides_a_nan() -> None:
    assert global_norm({"a": np.array([3e200, 4e200])}) == pytest.approx(5e200)
    assert math.isnan(global_norm({"a": np.array([1.0]), "b": np.array([math.nan])}))
    assert math.isinf(global_norm({"a": np.array([1.0, -math.inf])}))
    assert keep({}).norm == 0.0
