"""Oracles of the gated units: LSTM, peepholes, GRU in both conventions.

The packaged cells are given as functions from a sequence of input vectors to the sequence of
outputs and of memories, `prefix` being the instance's name in the parameters ("l1." or "").
Equations: Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000; Gers & Schmidhuber
2000; Cho et al. 2014; Chung et al. 2014; Elman 1990.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from oracles.algebra import cross_entropy, mean_squared_error, sigmoid

Arrays = dict[str, jax.Array]
States = tuple[list[jax.Array], list[jax.Array]]


def rnn_cell(p: Arrays, x: Sequence[jax.Array], prefix: str = "") -> States:
    """Return h of every step (and h again: it is its own memory)."""
    h = jnp.zeros(p[prefix + "b"].shape[0])
    hs = []
    for x_t in x:
        h = jnp.tanh(p[prefix + "b"] + p[prefix + "W"] @ h + p[prefix + "U"] @ x_t)
        hs.append(h)
    return hs, hs


def lstm_cell(p: Arrays, x: Sequence[jax.Array], prefix: str = "") -> States:
    """Return h and s of every step; rows of W, U, b in the order i, f, o, g; peepholes if any."""
    W, U, b = (p[prefix + name] for name in ("W", "U", "b"))
    n = W.shape[1]
    peephole = [p.get(prefix + name, jnp.zeros(n)) for name in ("p_i", "p_f", "p_o")]
    h = jnp.zeros(n)
    s = p.get(prefix + "s.initial", jnp.zeros(n))
    hs, ss = [], []
    for x_t in x:
        row = [
            W[k * n : k * n + n] @ h + U[k * n : k * n + n] @ x_t + b[k * n : k * n + n]
            for k in range(4)
        ]
        i = sigmoid(row[0] + peephole[0] * s)
        f = sigmoid(row[1] + peephole[1] * s)
        s = f * s + i * jnp.tanh(row[3])
        o = sigmoid(row[2] + peephole[2] * s)
        h = o * jnp.tanh(s)
        hs.append(h)
        ss.append(s)
    return hs, ss


def gru_cell(p: Arrays, x: Sequence[jax.Array], prefix: str = "", keeps: bool = False) -> States:
    """Return h of every step; `keeps`: z weighs the old state (Cho), not the candidate (Chung)."""
    h = p.get(prefix + "h.initial", jnp.zeros(p[prefix + "b_z"].shape[0]))
    hs = []
    for x_t in x:
        z = sigmoid(p[prefix + "W_z"] @ h + p[prefix + "U_z"] @ x_t + p[prefix + "b_z"])
        r = sigmoid(p[prefix + "W_r"] @ h + p[prefix + "U_r"] @ x_t + p[prefix + "b_r"])
        g = jnp.tanh(p[prefix + "W_g"] @ (r * h) + p[prefix + "U_g"] @ x_t + p[prefix + "b_g"])
        h = z * h + (1 - z) * g if keeps else (1 - z) * h + z * g
        hs.append(h)
    return hs, hs


def gru_cho_cell(p: Arrays, x: Sequence[jax.Array], prefix: str = "") -> States:
    """Return h of every step in the convention of Cho et al."""
    return gru_cell(p, x, prefix, keeps=True)


def lstm_stack(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes of two LSTM layers over one-hot characters."""
    vocab = p["c"].shape[0]
    one_hot = [jnp.where(jnp.arange(vocab) == k, 1.0, 0.0) for k in inputs["x"]]
    l1, s1 = lstm_cell(p, one_hot, "l1.")
    l2, s2 = lstm_cell(p, l1, "l2.")
    os = [p["V"] @ h + p["c"] for h in l2]
    loss = sum(cross_entropy(o, y) for o, y in zip(os, inputs["target"], strict=True)) / len(os)
    nodes = {"l1": l1, "l1.s": s1, "l2": l2, "l2.s": s2, "o": os}
    return jnp.asarray(loss), {name: jnp.stack(values) for name, values in nodes.items()}


def lstm_peephole(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes of the peephole LSTM with every weight matrix by its own name."""
    h = c = jnp.zeros(p["p_i"].shape[0])
    found: dict[str, list[jax.Array]] = {name: [] for name in ("i", "f", "c", "o", "h", "y")}
    loss = jnp.zeros(())
    for x, target in zip(inputs["x"], inputs["target"], strict=True):
        i = sigmoid(p["W_xi"] @ x + p["W_hi"] @ h + p["p_i"] * c + p["b_i"])
        f = sigmoid(p["W_xf"] @ x + p["W_hf"] @ h + p["p_f"] * c + p["b_f"])
        c = f * c + i * jnp.tanh(p["W_xc"] @ x + p["W_hc"] @ h + p["b_c"])
        o = sigmoid(p["W_xo"] @ x + p["W_ho"] @ h + p["p_o"] * c + p["b_o"])
        h = o * jnp.tanh(c)
        y = p["W_hy"] @ h + p["b_y"]
        loss += cross_entropy(y, target)
        for name, value in {"i": i, "f": f, "c": c, "o": o, "h": h, "y": y}.items():
            found[name].append(value)
    return loss / len(inputs["x"]), {name: jnp.stack(values) for name, values in found.items()}


def gru(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes of a GRU with a learned initial state and a real output."""
    hs, _ = gru_cell(p, list(inputs["x"]))
    os = [p["V"] @ h + p["c"] for h in hs]
    loss = sum(mean_squared_error(o, y) for o, y in zip(os, inputs["y"], strict=True)) / len(os)
    return jnp.asarray(loss), {"h": jnp.stack(hs), "o": jnp.stack(os)}
