"""Optimisers and clipping against the formulas of their papers, written out for single numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unfold.training.clip import ClipNorm, ClipValue, euclidean
from unfold.training.optimizers import (
    OPTIMIZERS,
    Adagrad,
    Adam,
    AdamW,
    Optimizer,
    RmsProp,
    Sgd,
)
from unfold.training.weights import Layout, Weights

GRADIENTS = [0.5, -2.0, 0.25, 3.0]
START = 1.5


def sgd(rate: float, momentum: float, nesterov: bool = False) -> list[float]:
    """Polyak 1964; Nesterov's as in Sutskever et al. 2013, seen from the point looked ahead to."""
    p, v, path = START, 0.0, []
    for g in GRADIENTS:
        v = momentum * v - rate * g
        p += momentum * v - rate * g if nesterov else v
        path.append(p)
    return path


def adagrad(rate: float, epsilon: float, start: float) -> list[float]:
    """Duchi, Hazan & Singer 2011."""
    p, s, path = START, start, []
    for g in GRADIENTS:
        s += g**2
        p -= rate * g / (math.sqrt(s) + epsilon)
        path.append(p)
    return path


def rmsprop(rate: float, rho: float, epsilon: float, momentum: float) -> list[float]:
    """Tieleman & Hinton 2012."""
    p, s, v, path = START, 0.0, 0.0, []
    for g in GRADIENTS:
        s = rho * s + (1 - rho) * g**2
        v = momentum * v - rate * g / (math.sqrt(s) + epsilon)
        p += v
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
        (Sgd(0.3, momentum=0.8, nesterov=True), sgd(0.3, 0.8, nesterov=True)),
        (Adagrad(0.3, epsilon=0.01), adagrad(0.3, 0.01, 0.0)),
        (Adagrad(0.3, epsilon=0.0, start_at=0.2), adagrad(0.3, 0.0, 0.2)),
        (RmsProp(0.3, rho=0.7, epsilon=0.01), rmsprop(0.3, 0.7, 0.01, 0.0)),
        (RmsProp(0.3, 0.7, 0.01, momentum=0.6), rmsprop(0.3, 0.7, 0.01, 0.6)),
        (Adam(0.3, 0.8, 0.95, 0.01), adam(0.3, 0.8, 0.95, 0.01)),
        (AdamW(0.3, 0.8, 0.95, 0.01), adam(0.3, 0.8, 0.95, 0.01)),
    ],
    ids=lambda v: f"{v}" if isinstance(v, Optimizer) else "",
)
def test_follows_the_paper(optimizer: Optimizer, expected: list[float]) -> None:
    weights = np.full(7, START)
    slots = optimizer.start(weights)
    assert len(slots) == len(optimizer.slots)
    for number, g in enumerate(GRADIENTS):
        gradient = np.full(7, g)
        weights, slots = optimizer.update(weights, gradient, slots, step=number + 1)
        np.testing.assert_allclose(weights, expected[number], rtol=1e-14)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_changes_nothing_in_place_and_keeps_the_dtype(name: str) -> None:
    optimizer = OPTIMIZERS[name]()
    weights = np.array([1.0, -2.0], dtype=np.float32)
    slots = optimizer.start(weights)
    gradient = np.array([1, 2], dtype=np.float32)
    moved, after = optimizer.update(weights, gradient, slots, step=1)
    np.testing.assert_array_equal(weights, [1.0, -2.0])
    assert not any(s.any() for s in slots)
    assert all(a.dtype == np.float32 for a in (moved, *after))
    assert (moved < weights).all()


def test_a_rate_of_a_schedule_takes_the_place_of_its_own() -> None:
    weights, gradient = np.ones(3), np.ones(3)
    moved, _ = Sgd(0.3).update(weights, gradient, [], step=1, rate=0.1)
    np.testing.assert_allclose(moved, 0.9, rtol=1e-15)


def test_numbers_that_are_not_finite_pass_through() -> None:
    for rule in (Sgd(), Adagrad(), RmsProp(), Adam()):
        weights = np.ones(3)
        gradient = np.array([0.0, np.nan, np.inf])
        moved, _ = rule.update(weights, gradient, rule.start(weights), step=1)
        assert np.isfinite(moved).tolist() == [True, False, False], rule


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sgd(rate=0), "rate must be above 0, got 0"),
        (lambda: Sgd(rate=math.inf), "rate must be a finite number, got inf"),
        (lambda: Sgd(momentum=1), "momentum must be at least 0 and below 1, got 1"),
        (lambda: Sgd(nesterov=True), "nesterov needs a momentum above 0"),
        (lambda: Adagrad(epsilon=0), "one of them must be above it, got 0 and 0.0"),
        (lambda: RmsProp(rho=-0.1), "rho must be at least 0 and below 1, got -0.1"),
        (lambda: Adam(epsilon=0), "epsilon must be above 0, got 0"),
        (lambda: AdamW(weight_decay=1), "weight_decay must be at least 0 and below 1, got 1"),
    ],
)
def test_constants_that_make_no_sense_are_refused(make: type, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# Clipping


def flat(*numbers: float, dtype: str = "float64") -> np.ndarray:
    """Return a flat gradient."""
    return np.array(numbers, dtype=dtype)


def test_clipping_by_norm_keeps_the_direction() -> None:
    gradient = flat(3.0, 0.0, 4.0)
    assert ClipNorm(norm=2.0).clip(gradient, euclidean(gradient)) == 1.0
    np.testing.assert_allclose(gradient, [1.2, 0.0, 1.6], rtol=1e-15)
    assert ClipNorm(norm=2.0 + 1e-12).clip(gradient, euclidean(gradient)) == 0.0
    np.testing.assert_allclose(gradient, [1.2, 0.0, 1.6], rtol=1e-15)


def test_clipping_by_value_cuts_entries_and_counts_them() -> None:
    gradient = flat(6.0, -7.0, 1.0, 2.0)
    assert ClipValue(value=5.0).clip(gradient, euclidean(gradient)) == 0.5
    np.testing.assert_array_equal(gradient, [5.0, -5.0, 1.0, 2.0])
    assert ClipValue(value=5.0).clip(gradient, euclidean(gradient)) == 0.0
    assert ClipValue(value=5.0).clip(flat(), 0.0) == 0.0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_norm_neither_overflows_nor_hides_a_nan(dtype: str) -> None:
    top = 1e30 if dtype == "float32" else 1e200
    assert euclidean(flat(3 * top, 4 * top, dtype=dtype)) == pytest.approx(5 * top, rel=1e-6)
    assert euclidean(flat(3 / top, 4 / top, dtype=dtype)) == pytest.approx(5 / top, rel=1e-6)
    assert math.isnan(euclidean(flat(1.0, math.nan, dtype=dtype)))
    assert math.isinf(euclidean(flat(1.0, -math.inf, dtype=dtype)))
    assert euclidean(flat(dtype=dtype)) == 0.0
    many = np.random.default_rng(0).standard_normal(10_007).astype(dtype)
    assert euclidean(many) == pytest.approx(np.linalg.norm(many.astype("float64")), rel=1e-14)


# One flat array


def test_parameters_are_views_of_one_array_and_those_that_decay_come_first() -> None:
    arrays = {"b": np.arange(3.0), "W": np.arange(6.0).reshape(2, 3), "V": np.ones((1, 2))}
    layout = Layout(arrays, decayed=["V", "W"])
    assert (layout.names, layout.size, layout.decaying) == (("W", "V", "b"), 11, 8)
    whole = layout.gather(arrays)
    for name, view in layout.views(whole).items():
        np.testing.assert_array_equal(view, arrays[name])
        assert view.base is not None
    layout.gather({"W": arrays["W"]}, whole)
    np.testing.assert_array_equal(whole, [0, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("optimizer", [rule(0.1) for rule in OPTIMIZERS.values()], ids=str)
def test_a_step_is_taken_in_place_and_can_be_taken_back(optimizer: Optimizer) -> None:
    start = np.array([1.0, -2.0, 3.0, 0.5])
    layout = Layout({"W": start.reshape(2, 2)})
    weights = Weights(layout, [start, *optimizer.start(start)], {"frozen": np.ones(2)})
    view, kernel = weights.views["W"], optimizer.compiled()
    assert set(weights.views) == {"frozen", "W"}
    seen = [[a.copy() for a in weights.now]]
    for step in (1, 2):
        numbers = np.array(optimizer.constants(0.1, step))
        kernel(weights.now[0], np.ones(4), *weights.now[1:], *weights.before, numbers)
        seen.append([a.copy() for a in weights.now])
        assert (seen[step][0] < seen[step - 1][0]).all()
        assert weights.views["W"] is view and (view.ravel() == seen[step][0]).all()
    weights.take_back()
    for found, expected in zip(weights.now, seen[1], strict=True):
        np.testing.assert_array_equal(found, expected)
