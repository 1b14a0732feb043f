"""A branch that `where` does not choose sends back nothing, whatever its derivative is there.

Each case has a step at which a branch, or what else nobody reads, is infinite or NaN, or has such a
derivative. Gradients by parameters, first and second ones, are compared with central differences,
which need none; those by what stands in that step must be finite, too. The compiled backend gets
cases of every kind in one spec.

At t = 1, x is 0, m is 0 (1 elsewhere) and z is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from gradients import check_gradient, check_second

import unfold
from unfold.shipped import find

HEAD = """unfold: 1
name: edge
axes: {t: 4, s: t}
inputs: {x[t]: [3], m[t]: [], z[t]: []}
parameters: {w: [3], V: [3, 3], a: []}
nodes:
"""
SCORES = "e[t,s]: where(m[t] * m[s] > 0, x[t] @ V @ x[s], log(m[t] * m[s]))"  # log(0) is -inf
CASES: dict[str, tuple[str, ...]] = {
    "quotient": ("r[t]: where(m[t] > 0, a * x[t] / (m[t] * w), 0)",),
    "logarithm": ("r[t]: where(m[t] > 0, w * log(a * x[t]), 0)",),
    "root": ("r[t]: where(m[t] > 0, sqrt(a * a * x[t]), 0)",),
    "root as a power": ("r[t]: where(m[t] > 0, (a * x[t]) ** 0.5, 0)",),
    "negative power": ("r[t]: where(m[t] > 0, (a * x[t]) ** -1.5, 0)",),
    "learned power": ("r[t]: where(m[t] > 0, (a * x[t]) ** w, 0)",),
    "overflow": ("r[t]: where(m[t] > 0, exp((1 - m[t]) * 2000 + w * x[t]), 0)",),
    "remainder": ("r[t]: where(m[t] > 0, (w * x[t]) % (a * m[t]), 0)",),
    "missing target": ("r[t]: where(m[t] > 0, mse(V @ x[t], z[t] + x[t]), 0)",),
    "missing input": ("r[t]: where(m[t] > 0, tanh(V @ (x[t] + z[t])), w)",),
    "row without scores": (
        SCORES,
        "q[t,s]: where(m[t] > 0, softmax[s](e[t,s]), 0)",
        "r[t]: sum[s](q[t,s] * (V @ x[s]))",
    ),
    "context of such a row": (
        SCORES,
        "q[t,s]: softmax[s](e[t,s])",
        "r[t]: where(m[t] > 0, sum[s](q[t,s] * (V @ x[s])), 0)",
    ),
    "literal infinity": (
        "e[t,s]: where(m[t] * m[s] > 0, x[t] @ V @ x[s], -inf)",
        "q[t,s]: where(m[t] > 0, softmax[s](e[t,s]), 0)",
        "r[t]: sum[s](q[t,s] * (V @ x[s]))",
    ),
    "sum of exponentials": (SCORES, "r[t]: where(m[t] > 0, logsumexp[s](e[t,s]) * w, 0)"),
    "maximum over an axis": ("r[t]: where(m[t] > 0, max[s](w * x[s] * a / m[t]), 0)",),
    "of the past": ("r[t]: sum[s <= t](where(m[s] > 0, w * log(a * x[s]), 0)) / (t + 1)",),
    "nested": (
        "r[t]: where(m[t] > 0, where(x[t] > 0.9, w * log(a * x[t]), sqrt(a * a * x[t])),"
        " where(m[t] < 0, 1 / w, a))",
    ),
    "element by element": ("r[t]: where(x[t] > 0.5, w * log(a * x[t]), 0)",),
    "deep": (
        "l[t]: log(a * x[t])",
        "h[t]: tanh(V @ l[t] + 0.5 * w)",
        "k[t]: l[t] / h[t]",
        "r[t]: where(m[t] > 0, k[t] * x[t], 0)",
    ),
    "latch": (
        "h[t]: where(m[t] > 0, tanh(V @ h[t-1] + w / x[t]), h[t-1])",
        "r[t]: h[last] * x[t]",
    ),
    "two readers": (
        "l[t]: log(a * x[t])",
        "r[t]: where(m[t] > 0, w * l[t], 0) + where(m[t-1] > 0, l[t-1], 0)",
    ),
    "product of three": (
        'r[t]: where(m[t] > 0, einsum("ij,j,i->i", V, x[t] / m[t], 1 / (w * m[t])), 0)',
    ),
    "norm": ("r[t]: where(m[t] > 0, w / norm(V @ x[t]), 0)",),
    "normalised": ("r[t]: where(m[t] > 0, w * layer_norm(V @ x[t], epsilon=0), 0)",),
    "the larger": ("r[t]: maximum(w * x[t], a * log(x[t]))",),
    "rectified": ("r[t]: relu(a * log(x[t] * w * w)) + w",),
    "step that is not read": ("l[t]: w * log(a * x[t])", "r[t]: l[last] * x[t]"),
    "element that is not read": (
        "l[t]: concat(log(a * sum(x[t])), w)",
        "r[t]: slice(l[t], start=1, stop=4)",
    ),
    "class that is not picked": (
        "p[t]: softmax(V @ x[t] * 400)",
        "r[t]: -log(p[t]) @ argmax(x[t]) * w",
    ),
}
TWICE = (
    "quotient",
    "learned power",
    "missing target",
    "row without scores",
    "nested",
    "element by element",
    "deep",
    "latch",
)
DIVERGES = (
    "h[t]: {is: 1e200 * h[t-1] * h[t-1] * sum(w) + a + 1, shape: []}",
    "r[t]: where(t < 1, h[t] * w, 0)",
)


def load(*nodes: str, loss: str = "mean[t](mse(r[t], 0.3))") -> unfold.Model:
    return unfold.loads(HEAD + "".join(f"  {n}\n" for n in nodes) + f"loss: {loss}\n")


def data() -> tuple[dict[str, Any], dict[str, Any]]:
    rng = np.random.default_rng(0)
    x = np.abs(rng.standard_normal((2, 4, 3))) + 0.2
    m, z = np.ones((2, 4)), 0.1 * rng.standard_normal((2, 4))
    x[:, 1], m[:, 1], z[:, 1] = 0, 0, np.nan
    w, v = np.array([0.7, 1.1, 1.3]), np.eye(3) + 0.3 * rng.standard_normal((3, 3))
    return {"w": w, "V": v, "a": np.array(0.8)}, {"x": x, "m": m, "z": z}


def check(model: unfold.Model, *, order: int = 2, backend: str = "reference") -> None:
    params, inputs = data()
    inputs = {v.name: inputs[v.name] for v in model.program.inputs}

    def loss(at: Mapping[str, Any]) -> float:
        found = model.forward(dict(at), inputs, backend="reference").loss
        assert found is not None
        return found

    def gradient(at: Mapping[str, Any]) -> Mapping[str, Any]:
        return model.value_and_grad(dict(at), inputs, backend=backend)[1]

    check_gradient(loss, gradient, params)
    if order > 1:
        check_second(
            gradient, lambda at, d: model.hessian_vector(at, inputs, d, backend="reference"), params
        )
    _, found = model.value_and_grad(params, inputs, wrt=tuple(inputs), backend=backend)
    for name, array in found.items():
        assert np.isfinite(array).all(), f"gradient by {name}"


def test_where_gradient() -> None:
    model = unfold.loads("""
unfold: 1
name: rate
axes: {t: 4}
inputs: {x[t]: [], dt[t]: [], y[t]: []}
parameters: {w: {shape: [], init: ones}}
nodes:
  rate[t]: where(dt[t] > 0, w * x[t] / dt[t], 0)
loss: mean[t](mse(rate[t], y[t]))
""")
    x, dt, y = np.array([[1.0, 2, 3, 4]]), np.array([[1.0, 0, 2, 4]]), np.array([[0.0, 1, 1, 2]])
    for backend in ("reference", "numba"):
        loss, grads = model.value_and_grad(
            {"w": np.array(1.0)}, {"x": x, "dt": dt, "y": y}, wrt=("w", "x", "dt"), backend=backend
        )
        assert loss == (1 + 1 + 0.25 + 1) / 4
        assert grads["w"] == (2 * 1 * 1 + 0 + 2 * 0.5 * 1.5 - 2 * 1 * 1) / 4
        np.testing.assert_allclose(grads["x"], [[0.5, 0, 0.125, -0.125]])
        np.testing.assert_allclose(grads["dt"], [[-0.5, 0, -0.1875, 0.125]])


@pytest.mark.parametrize("name", CASES)
def test_what_is_not_chosen_sends_nothing_back(name: str) -> None:
    check(load(*CASES[name]), order=1 + (name in TWICE))


def test_a_state_may_diverge_after_it_was_read() -> None:
    check(load(*DIVERGES), order=1)


def test_compiled() -> None:
    """One spec with cases of all kinds, each under names of its own."""
    nodes, results = list[str](), list[str]()
    names = ("learned power", "missing input", "row without scores", "latch", "the larger")
    for number, name in enumerate(names):
        for node in CASES[name]:
            for own in "elqhkpr":
                node = node.replace(f"{own}[t", f"{own}{number}[t").replace(
                    f"{own}[last", f"{own}{number}[last"
                )
            nodes.append(node)
        results.append(f"mean[t](mse(r{number}[t], 0.3))")
    check(load(*nodes, loss=" + ".join(results)), order=1, backend="numba")


def test_an_infinite_derivative_of_what_is_chosen_stays_infinite() -> None:
    model = load("r[t]: where(m[t] >= 0, sqrt(a * x[t]) * w, 0)", loss="mean[t](sum(r[t]))")
    params, inputs = data()
    _, grads = model.value_and_grad(params, inputs, wrt=("x", "w"), backend="reference")
    assert np.isposinf(grads["x"][:, 1]).all() and np.isfinite(grads["x"][:, 2:]).all()
    assert np.isfinite(grads["w"]).all()


def test_second_derivatives_where_the_cotangent_happens_to_be_zero() -> None:
    """At a perfect fit the first derivative is zero, and the second one is not."""
    model = load("r[t]: where(m[t] > 0, a * x[t] / m[t], 0)", loss="mean[t](mse(r[t], 0.8 * x[t]))")
    params, inputs = data()
    _, grads = model.value_and_grad(params, inputs, backend="reference")
    assert grads["a"] == 0
    one = {"a": np.array(1.0)}
    found = model.hessian_vector(
        params, inputs, {**one, "w": np.zeros(3), "V": np.zeros((3, 3))}, backend="reference"
    )
    expected = 2 * np.mean(inputs["x"] ** 2)
    np.testing.assert_allclose(found["a"], expected)


def test_padding_may_hold_nan() -> None:
    """Beyond the end of a sequence nothing is read either."""
    nodes = CASES["deep"]
    model = load(*nodes)
    params, inputs = data()
    given = {n: np.ascontiguousarray(a[:, 2:]) for n, a in inputs.items()}
    lengths = {"t": [2, 1]}
    expected = model.value_and_grad(
        params, given, lengths=lengths, wrt=("w", "V", "a", "x"), backend="reference"
    )
    spoiled = {n: a.copy() for n, a in given.items()}
    for array in spoiled.values():
        array[1, 1] = np.nan
    found = model.value_and_grad(
        params, spoiled, lengths=lengths, wrt=("w", "V", "a", "x"), backend="reference"
    )
    assert found[0] == expected[0]
    for name, array in expected[1].items():
        np.testing.assert_array_equal(found[1][name], array)


@pytest.mark.parametrize(
    "name", ["char-rnn", "gru", "lstm-stack", "attention", "self-attention", "conv-2d", "glimpses"]
)
def test_programs_in_which_all_is_read_have_no_selects(name: str) -> None:
    model = unfold.load(find(name))
    program = model.pipeline.adjoint(model.pipeline.trained)
    assert "inf" not in program.values
