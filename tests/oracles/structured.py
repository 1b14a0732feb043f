"""Oracles of the networks over several axes: encoder-decoders, attention, windows in time, grids.

Every function takes the parameters and ONE sequence's inputs and gives its loss and its main
nodes; see the package's docstring. Equations: Cho et al. 2014; Bahdanau et al. 2015; Waibel et
al. 1989; Graves et al. 2007.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from oracles.algebra import cross_entropy, nothing, pick, sigmoid

Arrays = dict[str, jax.Array]


def encode(p: Arrays, x: jax.Array) -> list[jax.Array]:
    """Return the encoder's states over the source symbols x [S]."""
    h = jnp.zeros(p["W"].shape[0])
    hs = []
    for s in range(len(x)):
        h = jnp.tanh(p["W"] @ h + pick(p["U"], x[s]) + p["b"])
        hs.append(h)
    return hs


def encoder_decoder(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes: one context C for the decoder's start and all its steps."""
    hs, y = encode(p, inputs["x"]), inputs["y"]
    context = hs[-1]
    d, prev = jnp.tanh(p["M"] @ context), nothing()
    ds, os, choices, loss = [], [], [], jnp.zeros(())
    for t in range(len(y)):
        d = jnp.tanh(p["W_d"] @ d + pick(p["R"], prev) + p["K"] @ context + p["b_d"])
        o = p["V"] @ d + p["c"]
        choice = jnp.argmax(o)
        loss += cross_entropy(o, y[t])
        ds.append(d)
        os.append(o)
        choices.append(choice)
        prev = choice if free else y[t]
    nodes = {"h": hs, "d": ds, "o": os, "choice": choices}
    return loss / len(y), {
        "C": context,
        **{name: jnp.stack(values) for name, values in nodes.items()},
    }


def attention(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes: scores e [T, S], weights a [T, S], contexts c [T, encoder]."""
    hs, y = encode(p, inputs["x"]), inputs["y"]
    d, prev = jnp.zeros(p["W_d"].shape[0]), nothing()
    found: dict[str, list[jax.Array]] = {name: [] for name in ("e", "a", "c", "d", "o", "choice")}
    loss = jnp.zeros(())
    for t in range(len(y)):
        e = jnp.stack([p["v"] @ jnp.tanh(p["A"] @ d + p["B"] @ h) for h in hs])
        a = jnp.exp(e) / jnp.sum(jnp.exp(e))
        c = sum(a[s] * h for s, h in enumerate(hs))
        d = jnp.tanh(p["W_d"] @ d + pick(p["R"], prev) + p["K"] @ c + p["b_d"])
        o = p["V"] @ d + p["b_o"]
        choice = jnp.argmax(o)
        loss += cross_entropy(o, y[t])
        for name, value in {"e": e, "a": a, "c": c, "d": d, "o": o, "choice": choice}.items():
            found[name].append(value)
        prev = choice if free else y[t]
    return loss / len(y), {
        "h": jnp.stack(hs),
        **{name: jnp.stack(values) for name, values in found.items()},
    }


def tdnn(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes: two windows over delayed frames, then the mean over time."""
    x = inputs["x"]
    gs: list[jax.Array] = []
    hs: list[jax.Array] = []
    for t in range(len(x)):
        a = p["b"]
        for k in range(p["K"].shape[0]):
            if t - k >= 0:
                a = a + p["K"][k] @ x[t - k]
        gs.append(sigmoid(a))
    for t in range(len(x)):
        a = p["d"]
        for m in range(p["M"].shape[0]):
            if t - m >= 0:
                a = a + p["M"][m] @ gs[t - m]
        hs.append(sigmoid(a))
    o = p["c"] + sum(p["V"] @ h for h in hs) / len(x)
    return cross_entropy(o, inputs["y"]), {"g": jnp.stack(gs), "h": jnp.stack(hs), "o": o}


def rnn_2d(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes: x [I, J, features], every point seeing those above and to the left."""
    x = inputs["x"]
    zero = jnp.zeros(p["W"].shape[0])
    rows: list[list[jax.Array]] = []
    for i in range(x.shape[0]):
        row: list[jax.Array] = []
        for j in range(x.shape[1]):
            above = rows[i - 1][j] if i > 0 else zero
            left = row[j - 1] if j > 0 else zero
            row.append(jnp.tanh(p["b"] + p["W"] @ above + p["Q"] @ left + p["U"] @ x[i, j]))
        rows.append(row)
    o = p["c"] + p["V"] @ rows[-1][-1]
    return cross_entropy(o, inputs["y"]), {"h": jnp.stack([jnp.stack(r) for r in rows]), "o": o}
