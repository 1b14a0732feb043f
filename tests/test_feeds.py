"""What a run is fed with: arrays that do not fit are refused, with what was found and expected.

x of shape [3, 5, 7]    "input x has the shape [3, 5, 7]; an array of numbers [batch, t, 2] is
                        expected ([2])"
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import unfold
from unfold.errors import DataError, UnsupportedError

HEAD = "unfold: 1\nname: meaning\naxes: {t: 5, i: 3}\n"
FED = """
inputs: {x[t]: [2], y[t]: [2], q[i]: {category: 3}}
parameters: {W: [4, 2], V[t]: [2]}
nodes:
  h[t]: W @ (x[t] * V[t])
  c: sum[i](one_hot(q[i]))
outputs: [h]
loss: sum[t](mse(x[t], y[t]))
"""
X, Q = np.zeros((3, 5, 2)), np.zeros((3, 6), dtype=int)

MISFITS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"z": X}, "meaning has no input z; the inputs are x, y, q"),
    "misspelt": ({"xx": X}, "meaning has no input xx; did you mean x?"),
    "rank": (
        {"x": X[0]},
        "input x has 2 dimensions; an array of numbers [batch, t, 2] is expected ([2])",
    ),
    "features": (
        {"x": np.zeros((3, 5, 7))},
        "input x has the shape [3, 5, 7]; an array of numbers [batch, t, 2] is expected ([2])",
    ),
    "text": (
        {"x": np.full((3, 5, 2), "a")},
        "input x contains <U1; an array of numbers [batch, t, 2] is expected ([2])",
    ),
    "one-hot": (
        {"q": np.zeros((3, 6, 3), dtype=int)},
        "input q has 3 dimensions; an array of integers [batch, i] is expected (category(3))",
    ),
    "real classes": (
        {"q": np.zeros((3, 6))},
        "input q contains float64; an array of integers [batch, i] is expected (category(3))",
    ),
    "class too large": (
        {"q": np.where(np.arange(18).reshape(3, 6) == 8, 3, Q)},
        "input q[1, 2] is 3; classes are 0 to 2; -1 means no class",
    ),
    "class too small": (
        {"q": np.full((3, 6), -2)},
        "input q[0, 0] is -2; classes are 0 to 2; -1 means no class",
    ),
    "batch": ({"y": X[:2]}, "inputs disagree along batch: x has 3, y has 2"),
    "steps": ({"y": X[:, :4]}, "inputs disagree along t: x has 5, y has 4"),
    "empty": ({"q": Q[:, :0]}, "input q is empty along i"),
}


def fed(**changes: Any) -> tuple[unfold.Model, dict[str, Any], dict[str, Any]]:
    model = unfold.loads(HEAD + FED)
    return model, model.init(), {"x": X, "y": X, "q": Q, **changes}


@pytest.mark.parametrize("name", MISFITS)
def test_inputs_that_do_not_fit(name: str) -> None:
    changes, message = MISFITS[name]
    model, params, inputs = fed(**changes)
    with pytest.raises(DataError) as caught:
        model.forward(params, inputs, backend="reference")
    assert str(caught.value) == message


@pytest.mark.parametrize("backend", ["reference", "numba"])
@pytest.mark.parametrize(("name", "kind"), [("x", "complex128"), ("x", "m8[s]"), ("q", "m8[s]")])
def test_quiet_conversions(name: str, kind: str, backend: str) -> None:
    """No backend drops an imaginary part, or takes durations for numbers."""
    model, params, inputs = fed()
    inputs[name] = inputs[name].astype(kind)
    with pytest.raises(DataError, match=re.escape(f"input {name} contains {inputs[name].dtype}")):
        model.forward(params, inputs, backend=backend)


def test_inputs_that_are_missing() -> None:
    """What only the loss needs may be left out of a forward run, and of nothing else."""
    model, params, _ = fed()
    run = model.forward(params, {"x": X}, backend="reference")
    assert run.loss is None and "c" not in run and run["h"].shape == (3, 5, 4)
    with pytest.raises(DataError, match="input x is missing; h depends on it"):
        model.forward(params, {"y": X, "q": Q}, backend="reference")
    with pytest.raises(DataError, match="input y is missing: an array of numbers"):
        model.value_and_grad(params, {"x": X, "q": Q}, backend="reference")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"W": np.zeros((2, 4))}, "parameter W has the shape [2, 4]; expected [4, 2] ([4, 2])"),
        ({"V": np.zeros((4, 2))}, "parameter V has the shape [4, 2]; expected [5, 2] ([2])"),
        (
            {"W": np.zeros((4, 2), complex)},
            "parameter W contains complex128, expected real numbers",
        ),
        ({"W": None}, "parameter W is missing; start from model.init()"),
    ],
)
def test_parameters_that_do_not_fit(changes: dict[str, Any], message: str) -> None:
    model, params, inputs = fed()
    params = {n: a for n, a in {**params, **changes}.items() if a is not None}
    with pytest.raises(DataError) as caught:
        model.forward(params, inputs, backend="reference")
    assert str(caught.value) == message


def test_what_cannot_be_differentiated() -> None:
    model, params, inputs = fed()
    with pytest.raises(DataError, match="with respect to q; choose from W, V, x, y"):
        model.value_and_grad(params, inputs, wrt=["q"], backend="reference")
    plain = unfold.loads(HEAD + "inputs: {x[t]: [2]}\nnodes:\n  h[t]: x[t]\n")
    with pytest.raises(UnsupportedError, match="no loss to differentiate; add one"):
        plain.value_and_grad({}, {"x": X}, backend="reference")


def test_an_unknown_backend() -> None:
    model, params, inputs = fed()
    with pytest.raises(UnsupportedError, match="unknown backend abacus; choose"):
        model.forward(params, inputs, backend="abacus")


@pytest.mark.parametrize("node", ["e: h[last]", "e: sum[t](h[t])", "e[t]: h[t+1]"])
def test_lengths_that_shared_values_cannot_follow_are_refused(node: str) -> None:
    text = HEAD + f"nodes:\n  h[t]: {{is: 0.5 * h[t-1] + 1, shape: []}}\n  {node}\n"
    model = unfold.loads(text)
    assert model.forward({}, {}, batch=2, lengths={"t": [4, 4]}, backend="reference")["h"].any()
    with pytest.raises(DataError, match=r"cannot differ in length along t.* e is computed once"):
        model.forward({}, {}, batch=2, lengths={"t": [4, 2]}, backend="reference")
