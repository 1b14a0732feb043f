"""Oracles of the networks that learn formal languages: counting, embedded Reber, Tomita.

Equations: Rodriguez, Wiles & Elman 1999; Hochreiter & Schmidhuber 1997, with their block structure
(gates are shared by the cells of a block and see all gates and cells); Elman 1990; Pollack 1991.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from oracles.algebra import cross_entropy, pick, sigmoid
from oracles.cells import bce, mean, recognize
from oracles.gated import lstm_cell

Arrays = dict[str, jax.Array]
Found = tuple[jax.Array, Arrays]


def counting(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes of the simple recurrent networks that count."""
    h = jnp.zeros(p["b"].shape)
    hs, ys, losses = [], [], []
    for x, following in zip(inputs["x"], inputs["next"], strict=True):
        h = jnp.tanh(p["W"] @ h + pick(p["U"], x) + p["b"])
        y = p["V"] @ h + p["c"]
        losses.append(cross_entropy(y, following))
        hs.append(h)
        ys.append(y)
    return mean(losses), {"h": jnp.stack(hs), "y": jnp.stack(ys)}


def reber_lstm(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss (a sum) and nodes of today's LSTM on the embedded Reber grammar."""
    symbols = p["c"].shape[0]
    one_hot = [jnp.where(jnp.arange(symbols) == k, 1.0, 0.0) for k in inputs["x"]]
    hs, _ = lstm_cell(p, one_hot, "h.")
    ys = [p["V"] @ h + p["c"] for h in hs]
    losses = [cross_entropy(y, k) for y, k in zip(ys, inputs["next"], strict=True)]
    return jnp.asarray(sum(losses)), {"h": jnp.stack(hs), "y": jnp.stack(ys)}


def reber_lstm_1997(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes of the paper's network, block by block."""
    blocks = p["b_in"].shape[0]
    cells = p["V"].shape[1] // blocks
    h, s = jnp.zeros(blocks * cells), jnp.zeros(blocks * cells)
    i, o = jnp.zeros(blocks), jnp.zeros(blocks)
    hs, ys, loss = [], [], jnp.zeros(())
    for x, following in zip(inputs["x"], inputs["next"], strict=True):
        u = jnp.concatenate([h, i, o])
        i = sigmoid(p["W_in"] @ u + pick(p["U_in"], x) + p["b_in"])
        o = sigmoid(p["W_out"] @ u + pick(p["U_out"], x) + p["b_out"])
        net = p["W_c"] @ u + pick(p["U_c"], x)
        new_h, new_s = [], []
        for block in range(blocks):
            for cell in range(cells):
                j = block * cells + cell
                memory = s[j] + i[block] * (4 * sigmoid(net[j]) - 2)
                new_s.append(memory)
                new_h.append(o[block] * (2 * sigmoid(memory) - 1))
        h, s = jnp.stack(new_h), jnp.stack(new_s)
        y = sigmoid(p["V"] @ h)
        wanted = jnp.where(jnp.arange(y.shape[0]) == following, 1.0, 0.0)
        loss += 0.5 * jnp.sum((y - wanted) ** 2)
        hs.append(h)
        ys.append(y)
    return loss, {"h": jnp.stack(hs), "y": jnp.stack(ys)}


def reber_srn(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss (a sum) and nodes of Elman's network, whose context is a mere input."""
    h = jnp.zeros(p["W"].shape[0])
    hs, ys, loss = [], [], jnp.zeros(())
    for x, following in zip(inputs["x"], inputs["next"], strict=True):
        h = sigmoid(p["W"] @ jax.lax.stop_gradient(h) + pick(p["U"], x))
        y = p["V"] @ h
        loss += cross_entropy(y, following)
        hs.append(h)
        ys.append(y)
    return loss, {"h": jnp.stack(hs), "y": jnp.stack(ys)}


def tomita_srn(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes of Elman's network that says after every symbol: in the language?"""
    h = jnp.zeros(p["b"].shape)
    hs, os, losses = [], [], []
    for x, accepted in zip(inputs["x"], inputs["accepted"], strict=True):
        h = jnp.tanh(p["b"] + p["W"] @ h + pick(p["U"], x))
        o = p["c"] + p["v"] @ h
        losses.append(bce(o, accepted))
        hs.append(h)
        os.append(o)
    return mean(losses), {"h": jnp.stack(hs), "o": jnp.stack(os)}


def tomita_1_recognizer(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return the share of wrong answers and the nodes."""
    states, answers = recognize(p, inputs["symbol"])
    wrong = [
        jnp.where(z * (2 * accepted - 1) > 0, 0.0, 1.0)
        for z, accepted in zip(answers, inputs["accepted"], strict=True)
    ]
    return mean(wrong), {"x": jnp.stack(states), "z": jnp.stack(answers)}
