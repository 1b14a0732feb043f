"""Oracles of networks for a task: digits read in turn, letters to sounds, number words, sunspots.

Every function takes the parameters and ONE sequence's inputs and gives its loss and its main nodes;
see the package's docstring. Equations: Elman 1990; Hochreiter & Schmidhuber 1997; Cho et al. 2014;
Chung et al. 2014; Bahdanau et al. 2015; Graves et al. 2007; Sejnowski & Rosenberg 1987; Schuster &
Paliwal 1997.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from oracles.algebra import cross_entropy, nothing, pick, sigmoid
from oracles.gated import gru_cell, lstm_cell, rnn_cell

Arrays = dict[str, jax.Array]
Found = tuple[jax.Array, Arrays]


def classify(cell: Callable[..., Any]) -> Callable[..., Found]:
    """Return the oracle of a cell that reads an image and says its class after the last step."""

    def oracle(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
        steps = [jnp.atleast_1d(x) for x in inputs["x"]]
        hs, _ = cell(p, steps, "h.")
        o = p["V"] @ hs[-1] + p["c"]
        return cross_entropy(o, inputs["y"]), {"h": jnp.stack(hs), "o": o}

    return oracle


digits_rnn = classify(rnn_cell)
digits_lstm = classify(lstm_cell)
digits_gru = classify(gru_cell)


def digits_2d(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes h [I, J, hidden] and o of a grid of numbers x [I, J]."""
    x = inputs["x"]
    zero = jnp.zeros(p["b"].shape[0])
    above = [zero] * x.shape[1]
    rows = []
    for line in x:
        left, row = zero, []
        for j, pixel in enumerate(line):
            left = jnp.tanh(p["b"] + p["W"] @ above[j] + p["Q"] @ left + p["u"] * pixel)
            row.append(left)
        above = row
        rows.append(jnp.stack(row))
    o = p["c"] + p["V"] @ rows[-1][-1]
    return cross_entropy(o, inputs["y"]), {"h": jnp.stack(rows), "o": o}


def nettalk(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes of a window over letters x [T], with the sounds y [T]."""
    x, y = inputs["x"], inputs["y"]
    width = p["U"].shape[0]
    hs, os, loss = [], [], jnp.zeros(())
    for t in range(len(x)):
        a = p["b"]
        for k in range(width):
            if 0 <= t + k - 3 < len(x):
                a = a + pick(p["U"][k], x[t + k - 3])
        hs.append(sigmoid(a))
        os.append(p["c"] + p["V"] @ hs[-1])
        loss += cross_entropy(os[-1], y[t])
    return loss / len(x), {"h": jnp.stack(hs), "o": jnp.stack(os)}


def nettalk_birnn(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: h from the left, g from the right, and what both say."""
    x, y = inputs["x"], inputs["y"]
    h, g = jnp.zeros(p["b"].shape[0]), jnp.zeros(p["d"].shape[0])
    hs, gs = [], []
    for letter in x:
        h = jnp.tanh(p["b"] + p["W"] @ h + pick(p["U"], letter))
        hs.append(h)
    for letter in x[::-1]:
        g = jnp.tanh(p["d"] + p["Q"] @ g + pick(p["P"], letter))
        gs.insert(0, g)
    os = [p["c"] + p["V"] @ h + p["Z"] @ g for h, g in zip(hs, gs, strict=True)]
    loss = sum(cross_entropy(o, sound) for o, sound in zip(os, y, strict=True)) / len(os)
    return jnp.asarray(loss), {"h": jnp.stack(hs), "g": jnp.stack(gs), "o": jnp.stack(os)}


def gru_step(p: Arrays, prefix: str, h: jax.Array, x: jax.Array) -> jax.Array:
    """Return the next state of a gated unit, in the convention of Chung et al."""
    z, r = (
        sigmoid(p[f"{prefix}W_{n}"] @ h + p[f"{prefix}U_{n}"] @ x + p[f"{prefix}b_{n}"])
        for n in "zr"
    )
    g = jnp.tanh(p[prefix + "W_g"] @ (r * h) + p[prefix + "U_g"] @ x + p[prefix + "b_g"])
    return (1 - z) * h + z * g


def one_hots(digits: jax.Array, count: int) -> list[jax.Array]:
    """Return digits as vectors."""
    return [jnp.where(jnp.arange(count) == d, 1.0, 0.0) for d in digits]


def number_words(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: the context C is all the decoder knows of the digits."""
    y = inputs["y"]
    es, _ = gru_cell(p, one_hots(inputs["x"], p["e.U_z"].shape[1]), "e.")
    context = es[-1]
    d, prev, loss = jnp.tanh(p["M"] @ context), nothing(), jnp.zeros(())
    ds, os, choices = [], [], []
    for word in y:
        d = gru_step(p, "d.", d, jnp.concatenate([pick(p["R"], prev), context]))
        o = p["V"] @ d + p["c"]
        ds.append(d)
        os.append(o)
        choices.append(jnp.argmax(o))
        loss += cross_entropy(o, word)
        prev = choices[-1] if free else word
    nodes = {"e": es, "d": ds, "o": os, "choice": choices}
    return loss / len(y), {"C": context, **{n: jnp.stack(values) for n, values in nodes.items()}}


def number_words_attention(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: scores e, weights a [T, S] and contexts C [T, 2 encoder]."""
    y = inputs["y"]
    digits = one_hots(inputs["x"], p["h.U_z"].shape[1])
    hs, _ = gru_cell(p, digits, "h.")
    gs, _ = gru_cell(p, digits[::-1], "g.")
    z = jnp.stack([jnp.concatenate(pair) for pair in zip(hs, gs[::-1], strict=True)])
    d, prev, loss = jnp.zeros(p["d.b_z"].shape[0]), nothing(), jnp.zeros(())
    found: dict[str, list[jax.Array]] = {name: [] for name in ("e", "a", "C", "d", "o", "choice")}
    for word in y:
        e = jnp.stack([p["v"] @ jnp.tanh(p["A"] @ d + p["B"] @ seen) for seen in z])
        a = jnp.exp(e) / jnp.sum(jnp.exp(e))
        context = a @ z
        d = gru_step(p, "d.", d, jnp.concatenate([pick(p["R"], prev), context]))
        o = p["V"] @ d + p["c"]
        choice = jnp.argmax(o)
        for name, value in zip(found, (e, a, context, d, o, choice), strict=True):
            found[name].append(value)
        loss += cross_entropy(o, word)
        prev = choice if free else word
    return loss / len(y), {"z": z, **{n: jnp.stack(values) for n, values in found.items()}}


def sunspots(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: the forecast is the last number and what is learnt of its change."""
    x = inputs["x"]
    hs, _ = gru_cell(p, [number[None] for number in x], "h.")
    ys = jnp.stack([x_t + p["v"] @ h + p["c"] for x_t, h in zip(x, hs, strict=True)])
    return jnp.mean((ys - inputs["target"]) ** 2), {"h": jnp.stack(hs), "y": ys}
