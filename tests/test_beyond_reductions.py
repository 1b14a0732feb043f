"""Beyond its domain a reduction is zero, on every backend: not the number it begins with.

A maximum begins at minus infinity, a minimum at infinity, a product at one. Each model reads one
where it has no points: before the first step, after the last, beside a grid, beyond a bound.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from differential.interpreted import interpret
from gradients import assert_close

import unfold

HEAD = """
unfold: 1
name: beyond
axes: {t: 5, s: t, k: 4, i: 3}
sizes: {d: 3}
inputs: {x[t]: [], v[t]: [d], w[i]: []}
"""
MODELS = {
    "both sides": "m[t]: max[k](x[t] + 0.1 * k); h[t]: m[t-1] + 2 * m[t+1]",
    "of vectors": "m[t]: min[k](v[t] * (k - 1)); h[t]: sum(m[t-2] - m[t+1])",
    "a grid": "m[t,i]: max[k](x[t] + w[i] * k); h[t]: sum[i](m[t-1,i+1] + m[t,i-1])",
    "in a cycle": "m[t,i]: max[k](tanh(m[t-1,i-1]) + w[i] * k + x[t]); h[t]: sum[i](m[t-1,i+1])",
    "causal": "m[t]: max[s <= t](x[s]); h[t]: m[t-1] * x[t]",
    "beyond a bound": "m[t,s]: max[k](x[t] * k + x[s]); h[t]: sum[s <= t](m[t,s] * x[s])",
    "without points": "m[t]: max[s < t](x[s]); h[t]: m[t+1] + m[t]",
    "over the batch": "m[t]: max[batch,k](v[t] * k); h[t]: sum(m[t-1] * v[t])",
    "in a product": "m[t]: max[k](v[t] * k); h[t]: m[t-1] @ m[t+2]",
    "of classes": "m[t]: argmax(max[k](v[t] * k)); h[t]: sum(one_hot(m[t-1]) * v[t])",
}


def results(name: str, backend: str, lengths: dict[str, list[int]]) -> dict[str, Any]:
    """Return nodes, loss and gradients of the second of two runs in the same memory."""
    nodes = "".join(f"  {line.strip()}\n" for line in MODELS[name].split(";"))
    model = unfold.loads(f"{HEAD}nodes:\n{nodes}loss: sum[t](exp(0.1 * h[t]))")
    rng = np.random.default_rng(0)
    shapes = {"x": (3, 5), "v": (3, 5, 3), "w": (3, 3)}
    inputs = {n: rng.normal(size=shape) for n, shape in shapes.items()}
    if backend == "interpreted":
        interpret(model)
        backend = "numba"
    given: dict[str, Any] = {"lengths": lengths, "backend": backend}
    model.step({}, inputs, wrt=list(inputs), **given)
    inputs = {n: a + 1 for n, a in inputs.items()}
    run = model.forward({}, inputs, **given)
    step = model.step({}, inputs, wrt=list(inputs), **given)
    return {"m": run["m"], "h": run["h"], "loss": step.loss, **step.grads}


@pytest.mark.parametrize("lengths", [{}, {"t": [3, 5, 1]}], ids=["equal", "unequal"])
@pytest.mark.parametrize("name", MODELS)
def test_a_reduction_is_zero_beyond_its_domain(name: str, lengths: dict[str, list[int]]) -> None:
    expected = results(name, "reference", lengths)
    for key, found in results(name, "interpreted", lengths).items():
        assert_close(key, found, expected[key], 1e-12)


def test_compiled() -> None:
    expected = results("both sides", "reference", {})
    np.testing.assert_allclose(expected["h"][0, 0], 2 * expected["m"][0, 1])
    for key, found in results("both sides", "numba", {}).items():
        assert_close(key, found, expected[key], 1e-12)
