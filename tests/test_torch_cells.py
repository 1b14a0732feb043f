"""Cells against PyTorch's layers: states, and gradients of weights and inputs, float64, to 1e-10.

PyTorch's layers get the weights of a spec, in their own order: rows of its matrices belong to
i, f, g, o of an LSTM, and to r, z, n of a GRU. `torch.nn.GRU` applies the reset gate after the
product: that is a spec of its own here, and the packaged GRUs are compared where the reset gate is
wide open, so that it makes no difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gradients import assert_close

import unfold

pytestmark = pytest.mark.bench
BATCH, STEPS, FEATURES, HIDDEN = 3, 5, 7, 11
OPEN = 60.0
"""A bias that opens a gate: its sigmoid is 1 in float64."""

HEAD = """
unfold: 1
name: cells
axes: {t: 5}
sizes: {features: 7, hidden: 11}
inputs:
  x[t]: [features]
  w[t]: [hidden]
loss: sum[t](h[t] @ w[t])
"""
PACKAGED = HEAD + "nodes:\n  h[t]: CELL(x[t], hidden=hidden)\n"
CONCATENATED = (
    HEAD
    + """
parameters:
  W: [4*hidden, hidden + features]
  b: [4*hidden]
nodes:
  z[t]: W @ concat(h[t-1], x[t]) + b
  z_i[t], z_f[t], z_o[t], z_g[t]: split(z[t], 4)
  c[t]: sigmoid(z_f[t]) * c[t-1] + sigmoid(z_i[t]) * tanh(z_g[t])
  h[t]: sigmoid(z_o[t]) * tanh(c[t])
"""
)
AFTER_THE_PRODUCT = (
    HEAD
    + """
parameters:
  W: [3*hidden, hidden]
  U: [3*hidden, features]
  b: [3*hidden]
  d: [3*hidden]
nodes:
  u_r[t], u_z[t], u_n[t]: split(U @ x[t] + b, 3)
  w_r[t], w_z[t], w_n[t]: split(W @ h[t-1] + d, 3)
  z[t]: sigmoid(u_z[t] + w_z[t])
  h[t]: (1 - z[t]) * tanh(u_n[t] + sigmoid(u_r[t] + w_r[t]) * w_n[t]) + z[t] * h[t-1]
"""
)

Tensors = dict[str, Any]
Weights = Callable[[Any, Tensors], tuple[Any, Any, Any, Any]]


def swapped(torch: Any, rows: Any) -> Any:
    """Return rows of i, f, o, g as those of i, f, g, o."""
    i, f, o, g = rows.chunk(4)
    return torch.cat([i, f, g, o])


def lstm(torch: Any, p: Tensors) -> tuple[Any, Any, Any, Any]:
    u, w, b = (swapped(torch, p[f"h.{name}"]) for name in "UWb")
    return u, w, b, torch.zeros_like(b)


def concatenated(torch: Any, p: Tensors) -> tuple[Any, Any, Any, Any]:
    w, b = swapped(torch, p["W"]), swapped(torch, p["b"])
    return w[:, HIDDEN:], w[:, :HIDDEN], b, torch.zeros_like(b)


def rnn(torch: Any, p: Tensors) -> tuple[Any, Any, Any, Any]:
    return p["h.U"], p["h.W"], p["h.b"], torch.zeros_like(p["h.b"])


def after_the_product(torch: Any, p: Tensors) -> tuple[Any, Any, Any, Any]:
    return p["U"], p["W"], p["b"], p["d"]


def cho(torch: Any, p: Tensors) -> tuple[Any, Any, Any, Any]:
    u, w, b = (torch.cat([p[f"h.{name}_{gate}"] for gate in "rzg"]) for name in "UWb")
    return u, w, b, torch.zeros_like(b)


def chung(torch: Any, p: Tensors) -> tuple[Any, Any, Any, Any]:
    """Return the same with the update gate turned around."""
    return cho(torch, {name: -v if name.endswith("_z") else v for name, v in p.items()})


CASES: dict[str, tuple[str, str, Weights]] = {
    "rnn": (PACKAGED.replace("CELL", "rnn"), "RNN", rnn),
    "lstm": (PACKAGED.replace("CELL", "lstm"), "LSTM", lstm),
    "concatenated lstm": (CONCATENATED, "LSTM", concatenated),
    "gru, reset after the product": (AFTER_THE_PRODUCT, "GRU", after_the_product),
    "gru_cho with an open reset gate": (PACKAGED.replace("CELL", "gru_cho"), "GRU", cho),
    "gru with an open reset gate": (PACKAGED.replace("CELL", "gru"), "GRU", chung),
}


@pytest.mark.parametrize("name", CASES)
def test_states_and_gradients(name: str) -> None:
    import torch

    text, kind, weights = CASES[name]
    model, rng = unfold.loads(text), np.random.default_rng(7)
    params = {n: 0.6 * rng.standard_normal(v.shape) for n, v in model.init().items()}
    if "h.b_r" in params:
        params["h.b_r"] = np.full(HIDDEN, OPEN)
    x = rng.standard_normal((BATCH, STEPS, FEATURES))
    w = rng.standard_normal((BATCH, STEPS, HIDDEN))
    run = model.forward(params, {"x": x, "w": w})
    _, grads = model.value_and_grad(params, {"x": x, "w": w}, wrt=[*params, "x"])

    leaves = {n: torch.tensor(v, requires_grad=True) for n, v in {**params, "x": x}.items()}
    layer = getattr(torch.nn, kind)(FEATURES, HIDDEN, batch_first=True, dtype=torch.float64)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    given: dict[str, Any] = dict(zip(names, weights(torch, leaves), strict=True))
    h, _ = torch.func.functional_call(layer, given, (leaves["x"],))
    ((h * torch.tensor(w)).sum() / BATCH).backward()
    assert_close("h", run["h"], h.detach().numpy(), 1e-10)
    for key, leaf in leaves.items():
        assert leaf.grad is not None, key
        assert_close(f"gradient of {key}", grads[key], leaf.grad.numpy(), 1e-10)
