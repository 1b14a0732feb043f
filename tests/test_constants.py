"""Constants are IEEE numbers everywhere: what Python cannot compute, and `inf` and `nan`."""

from __future__ import annotations

import math
from math import inf, nan
from typing import Any

import numpy as np
import pytest

import unfold
from tests.differential.interpreted import interpret
from unfold.core.scalar import X, call
from unfold.errors import SpecError

# Expression -> its value, where x is -2.
VALUES = {
    "-1 / 0": -inf,
    "0 / 0": nan,
    "10 ** 400": inf,
    "(-8) ** 0.5": nan,
    "0 % 0": nan,
    "1 // 0": inf,
    "-1 // inf": -1.0,
    "1e300 * 1e300 - inf": nan,
    "exp(1000)": inf,
    "log(0)": -inf,
    "log(-1)": nan,
    "sqrt(-1)": nan,
    "sin(inf)": nan,
    "erf(-inf)": -1.0,
    "tanh(inf)": 1.0,
    "sigmoid(-1 / 0)": 0.0,
    "inf": inf,
    "-inf": -inf,
    "nan": nan,
    "1 / inf": 0.0,
    "1 / (-1 / inf)": -inf,
    "x / 0": -inf,
    "x * inf": -inf,
    "x ** inf": inf,
    "x // inf": -1.0,
    "x % 0": nan,
    "maximum(x, -inf)": -2.0,
    "clip(x, -inf, -3)": -3.0,
    "where(1 / 0 > 3, x, nan)": -2.0,
    "where(x < inf and not nan > 1, 3, 4)": 3.0,
    "where(nan == nan, 1, x)": -2.0,
    "where(x == -inf, 1, 5)": 5.0,
}
HEAD = "unfold: 1\nname: constants\naxes: {t: 3}\ninputs:\n  x: []\n"
NODES = "nodes:\n" + "".join(f"  y{i}: {text}\n" for i, text in enumerate(VALUES))


def values(backend: str, dtype: str = "float64") -> dict[str, Any]:
    """Return the value of every expression."""
    model = unfold.loads(f"{HEAD}parameters:\n  w: []\n{NODES}  z: w * x\n")
    if backend == "interpreted":
        interpret(model, backend)
    found = model.forward(model.init(dtype=dtype), {"x": np.array([-2.0])}, backend=backend)
    return {text: float(np.ravel(found[f"y{i}"])[0]) for i, text in enumerate(VALUES)}


@pytest.mark.parametrize("backend", ["reference", "interpreted"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_constants_are_those_of_ieee_arithmetic(backend: str, dtype: str) -> None:
    np.testing.assert_equal(values(backend, dtype), VALUES)


def test_constants_compile() -> None:
    """The example that the compiled backend refused: an unchosen branch of -1 / 0."""
    text = f"{HEAD}  u[t]: []\nparameters:\n  w: {{shape: [], init: ones}}\nnodes:\n"
    text += "  y[t]: where(u[t] > 0, w * u[t], -1 / 0)\n"
    text += "  z[t]: y[t] * 10 ** 400\n  n[t]: y[t] + (-8) ** 0.5\n"
    model = unfold.loads(text)
    inputs = {"u": np.array([[2.0, -1.0, 0.5]]), "x": np.array([-2.0])}
    for backend in ("reference", "numba"):
        found = model.forward(model.init(), inputs, backend=backend)
        np.testing.assert_array_equal(found["y"], [[2.0, -inf, 0.5]])
        np.testing.assert_array_equal(found["z"], [[inf, -inf, inf]])
        np.testing.assert_array_equal(found["n"], [[nan] * 3])


@pytest.mark.parametrize("text", ["-1 / 0", "inf", "10 ** 400", "1e308 * 10", "(t - 2) ** 0.5"])
def test_constants_that_are_not_chosen_leave_gradients_alone(text: str) -> None:
    model = unfold.loads(
        f"{HEAD}  u[t]: []\nparameters:\n  w: {{shape: [], init: ones}}\nnodes:\n"
        f"  y[t]: where(u[t] > 0, w * u[t], ({text}) ** 2 * w)\n"
        "loss: sum[t](where(u[t] > 0, y[t], 0))\n"
    )
    inputs = {"u": np.array([[2.0, -1.0, 0.5]]), "x": np.array([-2.0])}
    found = model.step(model.init(), inputs, backend="reference")
    assert (found.loss, float(found.grads["w"])) == (2.5, 2.5)


def test_constants_fold_where_they_are_written() -> None:
    x = X("x")
    assert call("div", 1.0, call("sub", 2.0, 2.0)) == X("number", (), inf)
    assert math.isnan(call("pow", -8.0, 0.5).number)
    assert call("select", call("lt", 1.0, inf), x, nan) == x
    assert str(x * call("neg", inf)) == "(x * -inf)"


def test_constants_in_parameters_and_initial_values() -> None:
    text = (
        f"{HEAD}parameters:\n"
        "  mask: {shape: [2, 3], init: {values: [[0, -inf, +inf], [nan, -.inf, 1]]}}\n"
        "  c: {shape: [2], init: {constant: -inf}}\n"
        "nodes:\n  h[t]: minimum(h[t-1], x)\n  n[t]: n[t-1] * x\n"
        "initial: {h: inf, n: nan}\n"
    )
    model = unfold.loads(text)
    params = model.init(dtype="float32")
    np.testing.assert_array_equal(params["mask"], [[0, -inf, inf], [nan, -inf, 1]])
    np.testing.assert_array_equal(params["c"], [-inf, -inf])
    found = model.forward(params, {"x": np.array([2.0])}, backend="reference")
    np.testing.assert_array_equal(found["h"], [[2.0, 2.0, 2.0]])
    np.testing.assert_array_equal(np.ravel(found["n"]), [nan] * 3)


# Where a number must be finite, and what else can be wrong: one message each.
REFUSED = {
    "nodes:\n  y: x * -1e999": (
        "9:11: this number is too large",
        "the largest is 1.8e+308; write infinity as inf",
    ),
    "nodes:\n  y: .inf * x": (
        "9:6: a value is missing before .",
        "write  inf  without a dot",
    ),
    "nodes:\n  y: x * np.inf": ("9:10: unknown name np.inf", "write  inf"),
    "nodes:\n  y: x * NaN": ("9:10: unknown name NaN", "write  nan"),
    "nodes:\n  y: x * inf[0]": (
        "9:10: only a name can be indexed",
        "give this part an entry of its own under nodes, and index that",
    ),
    "nodes:\n  inf: x": (
        "9:3: inf is a reserved name: it is infinity",
        "rename it",
    ),
    "nodes:\n  y[t]: x\n  z[t]: y[t-inf]": (
        "10:13: inf is not an index",
        "combine axes and whole numbers with + - *, // and %, as in t-1, 2*t+k-1, last-t, "
        "l//2, l%3",
    ),
    "nodes:\n  y: leaky_relu(x, slope=inf)": (
        "9:26: slope must be a finite number, found inf",
        None,
    ),
    "nodes:\n  y: x\nparameters:\n  w: {shape: [inf]}": (
        "11:15: inf is not a size",
        "combine whole numbers and names of sizes with + - * //",
    ),
    "nodes:\n  y: x\nparameters:\n  w: {shape: [], init: {normal: inf}}": (
        "11:33: normal: expected a finite number, got inf",
        None,
    ),
    "nodes:\n  y: x\nsizes: {nan: 3}": (
        "10:9: nan is a reserved name: it is the undefined number, as of 0 / 0",
        "rename it",
    ),
}


@pytest.mark.parametrize("rest", REFUSED)
def test_constants_that_cannot_be(rest: str) -> None:
    with pytest.raises(SpecError) as caught:
        unfold.loads(f"{HEAD}  c: {{category: 3}}\n  v: [2]\n{rest}\n", file="s")
    ((message, help),) = [
        (f"{d.location.line}:{d.location.column}: {d.message}", d.help)
        for d in caught.value.diagnostics
        if d.location is not None
    ]
    assert (message, help) == REFUSED[rest]


def test_constants_that_are_too_large_are_one_mistake() -> None:
    """What reads the equation along its axes is not told that it does not depend on them."""
    text = (
        f"{HEAD}  q[t]: []\n"
        "nodes:\n  score[t,k]: where(k <= t, q[t] * q[k], -1e999)\n"
        "  out[t]: sum[k](softmax[k](score[t,k]) * q[k])\nloss: mean[t](out[t])\n"
    ).replace("{t: 3}", "{t: 3, k: t}")
    with pytest.raises(SpecError) as caught:
        unfold.loads(text)
    assert [d.message for d in caught.value.diagnostics] == ["this number is too large"]
