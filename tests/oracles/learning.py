"""Oracles of the specs about learning: networks on the adding and copy problems, cut graphs.

Every function takes the parameters and ONE sequence's inputs and gives its loss and its main nodes;
see the package's docstring. Equations: Elman 1990; Hochreiter & Schmidhuber 1997; Gers, Schmidhuber
& Cummins 2000; Chung et al. 2014; Williams & Peng 1990 for the cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from oracles.algebra import cross_entropy, pick, sigmoid
from oracles.gated import States, gru_cell, lstm_cell, rnn_cell

Arrays = dict[str, jax.Array]
Cell = Callable[[Arrays, Sequence[jax.Array], str], States]
Loss = tuple[jax.Array, Arrays]


def symbols(p: Arrays, inputs: Arrays, free: bool = False, cut: int | None = None) -> Loss:
    """Return loss and nodes of a network that says a class after every symbol.

    Args:
        p, inputs, free: as everywhere.
        cut: steps after which no gradient goes further back.
    """
    x, y = inputs["x"], inputs["y"]
    h = jnp.zeros(p["W"].shape[0])
    hs, os, losses = [], [], []
    for t in range(len(x)):
        if cut is not None and t % cut == 0:
            h = jax.lax.stop_gradient(h)
        h = jnp.tanh(p["b"] + p["W"] @ h + pick(p["U"], x[t]))
        os.append(p["c"] + p["V"] @ h)
        losses.append(cross_entropy(os[-1], y[t]))
        hs.append(h)
    nodes = {"h": jnp.stack(hs), "o": jnp.stack(os), "L": jnp.stack(losses)}
    return sum(losses) / len(x), nodes


def cut_by_hand(p: Arrays, inputs: Arrays, free: bool = False) -> Loss:
    """Return loss and nodes where gradients end at every fifth step."""
    return symbols(p, inputs, cut=5)


def two_units(p: Arrays, inputs: Arrays, free: bool = False) -> Loss:
    """Return loss and nodes without the losses of steps."""
    loss, nodes = symbols(p, inputs)
    return loss, {"h": nodes["h"], "o": nodes["o"]}


def latch(p: Arrays, inputs: Arrays, free: bool = False) -> Loss:
    """Return loss and nodes: the same with one unit, whose weight is called w."""
    return two_units({**p, "W": p["w"]}, inputs)


def adding_by(cell: Cell) -> Callable[..., Loss]:
    """Return the oracle of a cell that is asked for a sum at the end."""

    def adding(p: Arrays, inputs: Arrays, free: bool = False) -> Loss:
        hs, _ = cell(p, list(inputs["x"]), "h.")
        y = jnp.sum(p["v"] * hs[-1]) + p["c"]
        return (y - inputs["target"]) ** 2, {"h": jnp.stack(hs), "y": y}

    return adding


def copy_by(cell: Cell) -> Callable[..., Loss]:
    """Return the oracle of a cell that names a class at every step."""

    def copy(p: Arrays, inputs: Arrays, free: bool = False) -> Loss:
        width = p["h.U"].shape[1] if "h.U" in p else p["h.U_z"].shape[1]
        one_hot = [jnp.where(jnp.arange(width) == k, 1.0, 0.0) for k in inputs["x"]]
        hs, _ = cell(p, one_hot, "h.")
        os = [p["V"] @ h + p["c"] for h in hs]
        loss = sum(cross_entropy(o, y) for o, y in zip(os, inputs["target"], strict=True))
        return loss / len(os), {"h": jnp.stack(hs), "o": jnp.stack(os)}

    return copy


adding_lstm, adding_rnn = adding_by(lstm_cell), adding_by(rnn_cell)
copy_rnn, characters_gru = copy_by(rnn_cell), copy_by(gru_cell)


def copy_lstm(p: Arrays, inputs: Arrays, free: bool = False) -> Loss:
    """Return loss and nodes of an LSTM whose forget gates have weights of their own."""
    n = p["b_f"].shape[0]
    h, s = jnp.zeros(n), jnp.zeros(n)
    hs, ss, ys = [], [], []
    for x in inputs["x"]:
        f = p["W_f"] @ h + pick(p["U_f"], x) + p["b_f"]
        z = p["W"] @ h + pick(p["U"], x) + p["b"]
        s = sigmoid(f) * s + sigmoid(z[:n]) * jnp.tanh(z[2 * n :])
        h = sigmoid(z[n : 2 * n]) * jnp.tanh(s)
        hs.append(h)
        ss.append(s)
        ys.append(p["V"] @ h + p["c"])
    loss = sum(cross_entropy(y, k) for y, k in zip(ys, inputs["target"], strict=True)) / len(ys)
    return loss, {"h": jnp.stack(hs), "s": jnp.stack(ss), "y": jnp.stack(ys)}


def recurrent_sum(p: Arrays, inputs: Arrays, free: bool = False) -> Loss:
    """Return loss and nodes of tanh units, their recurrence scaled by a gain."""
    return _sum(p, inputs, lambda h, x: jnp.tanh(p["b"] + p["gain"] * (p["W"] @ h) + p["U"] @ x))


def rectified_sum(p: Arrays, inputs: Arrays, free: bool = False) -> Loss:
    """Return loss and nodes of rectified linear units."""
    return _sum(p, inputs, lambda h, x: jnp.maximum(p["b"] + p["W"] @ h + p["U"] @ x, 0.0))


def _sum(p: Arrays, inputs: Arrays, step: Callable[[jax.Array, jax.Array], jax.Array]) -> Loss:
    h = jnp.zeros(p["v"].shape[0])
    hs = []
    for x in inputs["x"]:
        h = step(h, x)
        hs.append(h)
    y = jnp.sum(p["v"] * h) + p["c"]
    return (y - inputs["target"]) ** 2, {"h": jnp.stack(hs), "y": y}


def error_carousel(p: Arrays, inputs: Arrays, free: bool = False) -> Loss:
    """Return loss and nodes of the LSTM without forget gates."""
    n = p["v"].shape[0]
    h, s = jnp.zeros(n), jnp.zeros(n)
    hs, ss = [], []
    for x in inputs["x"]:
        z = p["b"] + p["W"] @ h + p["U"] @ x
        s = s + sigmoid(z[:n]) * jnp.tanh(z[2 * n :])
        h = sigmoid(z[n : 2 * n]) * jnp.tanh(s)
        hs.append(h)
        ss.append(s)
    y = jnp.sum(p["v"] * h) + p["c"]
    return (y - inputs["target"]) ** 2, {"h": jnp.stack(hs), "s": jnp.stack(ss), "y": y}
