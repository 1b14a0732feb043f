"""Recurrent layers by `lax.scan`; products with inputs are computed for all steps before it."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from benchmarks.models.cases import Written
from benchmarks.models.jax_models.attention import cross_entropy, normalised
from benchmarks.models.packing import moved, steps_first

Arrays = dict[str, jax.Array]
State = tuple[jax.Array, jax.Array]
sigmoid, tanh = jax.nn.sigmoid, jnp.tanh


def lstm_layer_norm(p: Arrays, data: Arrays) -> jax.Array:
    """Return the loss; data is [steps, batch]."""
    own = p["gain_x"] * normalised(data["x"] @ p["U"].T) + p["b"]
    recurrent = p["W"].T

    def body(state: State, z: jax.Array) -> tuple[State, jax.Array]:
        h, s = state
        i, f, o, g = jnp.split(z + p["gain_h"] * normalised(h @ recurrent), 4, -1)
        s = sigmoid(f) * s + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(p["gain_s"] * normalised(s) + p["b_s"])
        return (h, s), h

    zeros = jnp.zeros((own.shape[1], len(recurrent)), own.dtype)
    _, states = jax.lax.scan(body, (zeros, zeros), own)
    return cross_entropy(states @ p["V"].T + p["c"], data["y"])


def bidirectional_lstm(p: Arrays, data: Arrays) -> jax.Array:
    """Return the loss; data is [steps, batch]."""
    forward = _lstm(p, "forward", data["x"], reverse=False)
    backward = _lstm(p, "backward", data["x"], reverse=True)
    states = jnp.concatenate([forward, backward], -1)
    return cross_entropy(states @ p["V"].T + p["c"], data["y"])


def _lstm(p: Arrays, name: str, x: jax.Array, *, reverse: bool) -> jax.Array:
    recurrent = p[f"{name}.W"].T

    def body(state: State, z: jax.Array) -> tuple[State, jax.Array]:
        h, s = state
        i, f, o, g = jnp.split(z + h @ recurrent, 4, -1)
        s = sigmoid(f) * s + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(s)
        return (h, s), h

    own = x @ p[f"{name}.U"].T + p[f"{name}.b"]
    zeros = jnp.zeros((own.shape[1], len(recurrent)), own.dtype)
    return jax.lax.scan(body, (zeros, zeros), own, reverse=reverse)[1]


def rnn_2d(p: Arrays, data: Arrays) -> jax.Array:
    """Return the loss; the image is [rows, columns, batch].

    A scan over rows contains one over columns, before which the product with the row above is
    computed. A scan over diagonals, as PyTorch's, took twice as long.
    """
    own = data["x"][..., None] * p["u"] + p["b"]
    down, along = p["W"].T, p["Q"].T

    def column(h: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        h = tanh(z + h @ along)
        return h, h

    def row(above: jax.Array, z: jax.Array) -> tuple[jax.Array, None]:
        return jax.lax.scan(column, jnp.zeros_like(above[0]), z + above @ down)[1], None

    last, _ = jax.lax.scan(row, jnp.zeros_like(own[0]), own)
    return cross_entropy(last[-1] @ p["V"].T + p["c"], data["y"])


MODELS = {
    "lstm-layer-norm": Written(lstm_layer_norm, arrange=steps_first),
    "bidirectional-lstm": Written(bidirectional_lstm, arrange=steps_first),
    "rnn-2d": Written(rnn_2d, arrange=moved((1, 2, 0), "x").pack),
}
