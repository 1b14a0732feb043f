"""Optimisers and clipping against the formulas of their papers, written out for single numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import unfold
from unfold.backends import BACKENDS, load
from unfold.core.rule import Applied, Lines, Rule, before
from unfold.core.scalar import X, call
from unfold.settings.train import TrainSettings
from unfold.training.rules.clip import SQUARES, ClipNorm, ClipValue, euclidean
from unfold.training.rules.optimizers import (
    OPTIMIZERS,
    Adagrad,
    Adam,
    AdamW,
    Optimizer,
    RmsProp,
    Sgd,
)
from unfold.training.update import SHRINK, Update
from unfold.training.weights import Layout, Weights

Bind = Callable[..., tuple[Applied, ...]]
GRADIENTS = [0.5, -2.0, 0.25, 3.0]
START = 1.5


@pytest.fixture(params=BACKENDS)
def bind(request: pytest.FixtureRequest) -> Bind:
    """Bind rules to arrays, on every backend."""

    def planner(*_: Any) -> Any:
        raise AssertionError("rules need no planner")

    return load(request.param)(planner, lambda held: math.inf).bind


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
        (lambda: Adagrad(epsilon=0), "one of them above 0, got 0 and 0.0"),
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


def clipped(clip: ClipNorm | ClipValue, gradient: np.ndarray, bind: Bind) -> float:
    """Clip a gradient in place, and return the share that changed."""
    (apply,) = bind((clip.rule, {"g": gradient}))
    return clip.clip(apply, euclidean(gradient), gradient.size)


def test_clipping_by_norm_keeps_the_direction(bind: Bind) -> None:
    gradient = flat(3.0, 0.0, 4.0)
    assert clipped(ClipNorm(norm=2.0), gradient, bind) == 1.0
    np.testing.assert_allclose(gradient, [1.2, 0.0, 1.6], rtol=1e-15)
    assert clipped(ClipNorm(norm=2.0 + 1e-12), gradient, bind) == 0.0
    np.testing.assert_allclose(gradient, [1.2, 0.0, 1.6], rtol=1e-15)


def test_clipping_by_value_cuts_entries_and_counts_them(bind: Bind) -> None:
    gradient = flat(6.0, -7.0, 1.0, 2.0)
    assert clipped(ClipValue(value=5.0), gradient, bind) == 0.5
    np.testing.assert_array_equal(gradient, [5.0, -5.0, 1.0, 2.0])
    assert clipped(ClipValue(value=5.0), gradient, bind) == 0.0
    assert clipped(ClipValue(value=5.0), flat(), bind) == 0.0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_norm_neither_overflows_nor_hides_a_nan(dtype: str, bind: Bind) -> None:
    def norm(gradient: np.ndarray) -> float:
        return euclidean(gradient, *bind((SQUARES, {"g": gradient})))

    top = 1e30 if dtype == "float32" else 1e200
    assert norm(flat(3 * top, 4 * top, dtype=dtype)) == pytest.approx(5 * top, rel=1e-6)
    assert norm(flat(3 / top, 4 / top, dtype=dtype)) == pytest.approx(5 / top, rel=1e-6)
    assert math.isnan(norm(flat(1.0, math.nan, dtype=dtype)))
    assert math.isinf(norm(flat(1.0, -math.inf, dtype=dtype)))
    assert norm(flat(dtype=dtype)) == 0.0
    many = np.random.default_rng(0).standard_normal(10_007).astype(dtype)
    digits = 3e-8 if dtype == "float32" else 1e-14
    assert norm(many) == pytest.approx(np.linalg.norm(many.astype("float64")), rel=digits)


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


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_is_taken_in_place_and_can_be_taken_back(name: str, bind: Bind) -> None:
    start = np.array([1.0, -2.0, 3.0, 0.5])
    settings = TrainSettings.model_validate({"optimizer": {name: {"rate": 0.1}}})
    layout = Layout({"W": start.reshape(2, 2)})
    slots = settings.optimizer.start(start)
    weights = Weights(layout, [start, *slots], {"frozen": np.ones(2)})
    view, update = weights.views["W"], Update(settings, weights, np.ones(4), bind)
    assert set(weights.views) == {"frozen", "W"} and update.norm() == 2.0
    seen = [[a.copy() for a in weights.now]]
    for step in (1, 2):
        update.take(0.1, step)
        seen.append([a.copy() for a in weights.now])
        assert (seen[step][0] < seen[step - 1][0]).all()
        assert weights.views["W"] is view and (view.ravel() == seen[step][0]).all()
    weights.take_back()
    for found, expected in zip(weights.now, seen[1], strict=True):
        np.testing.assert_array_equal(found, expected)


# Rules on backends


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "optimizer", [Sgd(), Sgd(momentum=0.9, nesterov=True), RmsProp(momentum=0.9), Adam()], ids=str
)
def test_compiled_equations_are_those_that_numpy_computes(
    optimizer: Optimizer, dtype: str, bind: Bind
) -> None:
    rule, generator = optimizer.rule.keeping(), np.random.default_rng(1)
    arrays = {n: generator.uniform(1, 2, 131).astype(dtype) for n in rule.arrays}
    names = ("p", *optimizer.slots)
    old = {n: arrays[n].copy() for n in names}
    slots = [old[n] for n in optimizer.slots]
    moved, after = optimizer.update(old["p"], arrays["g"], slots, step=3)
    (apply,) = bind((rule, arrays))
    assert apply(*optimizer.constants(optimizer.rate, 3).values()) == []
    for name, expected in zip(names, (moved, *after), strict=True):
        digits = 4 * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(arrays[name], expected, rtol=digits, atol=digits)
        np.testing.assert_array_equal(arrays[before(name)], old[name])


def test_a_part_of_an_array_shrinks(bind: Bind) -> None:
    now, old = np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0])
    (apply,) = bind((SHRINK, {"p": now[:2], "old": old[:2]}))
    apply(0.01)
    np.testing.assert_allclose(now, [0.9, 1.8, 3.0], rtol=1e-15)


def test_arrays_that_lie_apart_are_changed_too(bind: Bind) -> None:
    whole = np.arange(8.0)
    rule = Rule("swap", ("a", "b"), (), (("old", X("a")), ("a", X("b")), ("b", X("old"))))
    (apply,) = bind((rule, {"a": whole[:4:2], "b": whole[4::2]}))
    apply()
    np.testing.assert_array_equal(whole, [4, 1, 6, 3, 0, 5, 2, 7])


@dataclass(frozen=True)
class Lion(Optimizer):
    """Chen et al. 2023: p' = p - rate sign(β₁ m + (1-β₁) g), m' = β₂ m + (1-β₂) g."""

    rate: float = 0.003
    beta1: float = 0.9
    beta2: float = 0.99
    key: ClassVar[str] = "lion"

    def check(self) -> None:
        """Accept all constants."""

    @property
    def slots(self) -> tuple[str, ...]:
        """The average."""
        return ("mean",)

    @property
    def lines(self) -> Lines:
        """p' and m'."""
        p, g, m, one, two = map(X, ("p", "g", "mean", "beta1", "beta2"))
        pull = call("sign", one * m + (1 - one) * g)
        return ("p", p - X("rate") * pull), ("mean", two * m + (1 - two) * g)

    def constants(self, rate: float, step: int) -> Mapping[str, float]:
        """Return rate, β₁, β₂."""
        return {"rate": rate, "beta1": self.beta1, "beta2": self.beta2}


SPEC = """
unfold: 1
name: small
axes: {t: 4}
inputs: {x[t]: [2]}
parameters: {W: [3, 3], U: [3, 2]}
nodes: {"h[t]": tanh(W @ h[t-1] + U @ x[t])}
loss: mean[t](sum((h[t] - 1) * (h[t] - 1)))
"""


@pytest.fixture
def lion(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Add an optimiser to the table, as a line in it would, and to the settings made from it."""
    monkeypatch.setitem(OPTIMIZERS, "lion", Lion)
    TrainSettings.model_rebuild(force=True)
    yield
    monkeypatch.undo()
    TrainSettings.model_rebuild(force=True)


@pytest.mark.usefixtures("lion")
def test_a_new_optimizer_is_one_class() -> None:
    x = np.random.default_rng(0).standard_normal((6, 4, 2))
    found: dict[str, Any] = {}
    for name in BACKENDS:
        settings = {"steps": 8, "optimizer": {"lion": {"beta1": 0.8}}, "clip": {"norm": 0.5}}
        found[name] = unfold.train(unfold.loads(SPEC), {"x": x}, batch=3, backend=name, **settings)
        assert found[name].losses[-1] < found[name].losses[0]
    first, *others = found.values()
    for other in others:
        for name, array in first.params.items():
            np.testing.assert_allclose(array, other.params[name], rtol=1e-12)
