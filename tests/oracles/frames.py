"""Oracles of networks that read frames, words or numbers: windows, both directions, attention.

Every function takes the parameters and ONE sequence's inputs and gives its loss and its main
nodes; see the package's docstring. Equations: Graves, Mohamed & Hinton 2013; de Andrade et al.
2018; Vaswani et al. 2017; the cells are those of `gated`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from oracles.algebra import cross_entropy, mean_squared_error, pick
from oracles.gated import gru_cell, lstm_cell

Arrays = dict[str, jax.Array]
Found = tuple[jax.Array, Arrays]


def window(K: jax.Array, x: jax.Array, t: int, before: int) -> jax.Array:
    """Return the sum over k of K[k] x(t + k - before); what is outside of x [T, n] is zero."""
    seen = [(k, t + k - before) for k in range(len(K)) if 0 <= t + k - before < len(x)]
    return sum((K[k] @ x[s] for k, s in seen), jnp.zeros(K.shape[1]))


def softmax(scores: jax.Array) -> jax.Array:
    """Return softmax of scores [n]."""
    return jnp.exp(scores) / jnp.sum(jnp.exp(scores))


def _mean_loss(os: list[jax.Array], y: jax.Array) -> jax.Array:
    return jnp.mean(jnp.stack([cross_entropy(o, k) for o, k in zip(os, y, strict=True)]))


def frame_window(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: a class per frame, told from the frames around it."""
    x = inputs["x"]
    hs = [jnp.tanh(p["b"] + window(p["W"], x, t, before=2)) for t in range(len(x))]
    os = [p["c"] + p["V"] @ h for h in hs]
    return _mean_loss(os, inputs["y"]), {"h": jnp.stack(hs), "o": jnp.stack(os)}


def bidirectional_lstm(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: two layers, each an LSTM forward and one over the turned sequence."""
    x = list(inputs["x"])
    for layer in ("1", "2"):
        forward, _ = lstm_cell(p, x, f"forward{layer}.")
        backward, _ = lstm_cell(p, x[::-1], f"backward{layer}.")
        x = [jnp.concatenate(pair) for pair in zip(forward, backward[::-1], strict=True)]
    os = [p["c"] + p["V"] @ h for h in x]
    return _mean_loss(os, inputs["y"]), {"h2": jnp.stack(x), "o": jnp.stack(os)}


def speech_commands(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: the last vector asks which steps tell the command."""
    x = inputs["x"]
    z = [jax.nn.relu(p["b"] + window(p["K"], x, t, before=2)) for t in range(len(x))]
    forward, _ = gru_cell(p, z, "forward.")
    backward, _ = gru_cell(p, z[::-1], "backward.")
    h = jnp.stack([jnp.concatenate(pair) for pair in zip(forward, backward[::-1], strict=True)])
    a = softmax(h @ (p["Q"] @ h[-1]))
    o = p["c"] + p["V"] @ (a @ h)
    return cross_entropy(o, inputs["y"]), {"z": jnp.stack(z), "h": h, "a": a, "o": o}


def text_classification(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: a GRU over embedded words, and the mean of its states."""
    hs, _ = gru_cell(p, [pick(p["E"], word) for word in inputs["x"]], "h.")
    o = p["c"] + p["V"] @ (sum(hs) / len(hs))
    return cross_entropy(o, inputs["y"]), {"h": jnp.stack(hs), "o": o}


def forecast(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: the present value, and what an LSTM of all changes adds to it."""
    x = inputs["x"]
    change = 25 * jnp.diff(x, axis=0, prepend=x[:1])
    hs, _ = lstm_cell(p, list(change), "h.")
    said = [now + (p["V"] @ h + p["c"]) / 25 for now, h in zip(x, hs, strict=True)]
    losses = [mean_squared_error(f, y) for f, y in zip(said, inputs["y"], strict=True)]
    nodes = {"change": change, "h": jnp.stack(hs), "forecast": jnp.stack(said)}
    return jnp.mean(jnp.stack(losses)), nodes


def self_attention(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: attention of every word to all, in matrices, one row per word."""
    e = jnp.stack([pick(p["E"], word) + p["P"][t] for t, word in enumerate(inputs["x"])])
    q, k, v = (e @ p[name].T for name in ("W_q", "W_k", "W_v"))
    a = jax.vmap(softmax)(q @ k.T / jnp.sqrt(e.shape[1]))
    u = normalise(e + a @ v)
    r = normalise(u + jax.nn.relu(u @ p["W_1"].T + p["b_1"]) @ p["W_2"].T + p["b_2"])
    o = p["c"] + p["V"] @ r.mean(0)
    return cross_entropy(o, inputs["y"]), {"e": e, "a": a, "u": u, "r": r, "o": o}


def normalise(rows: jax.Array) -> jax.Array:
    """Return rows [T, n] with mean 0 and variance 1 (1e-5 is added to it) each."""
    centred = rows - rows.mean(1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
