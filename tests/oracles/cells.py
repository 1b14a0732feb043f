"""Oracles of the cells: Elman, Jordan, LSTM, GRU of Cho et al., MUT1-3, NAS, second order.

The cells are functions from a sequence of vectors to the outputs of every step, as in `gated`.
Equations: Elman 1990; Jordan 1986; Hochreiter & Schmidhuber 1997; Cho et al. 2014; Jozefowicz,
Zaremba & Sutskever 2015; Zoph & Le 2017; Giles et al. 1992; Pollack 1991.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from oracles.algebra import cross_entropy, pick, sigmoid

Arrays = dict[str, jax.Array]
Found = tuple[jax.Array, Arrays]
Cell = Callable[[Arrays, Sequence[jax.Array], str], list[jax.Array]]


def mean(losses: Sequence[jax.Array]) -> jax.Array:
    """Return the mean over the steps."""
    return jnp.asarray(sum(losses)) / len(losses)


def bce(logit: jax.Array, target: jax.Array) -> jax.Array:
    """Return the cross-entropy of a logit and a share, numbers."""
    p = sigmoid(logit)
    return -target * jnp.log(p) - (1 - target) * jnp.log(1 - p)


def elman_srn(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: a context layer that starts at 0.5."""
    h = jnp.full(p["b"].shape, 0.5)
    contexts, hs, ys, losses = [], [], [], []
    for x, following in zip(inputs["x"], inputs["next"], strict=True):
        contexts.append(h)
        h = sigmoid(p["W"] @ h + pick(p["U"], x) + p["b"])
        y = p["V"] @ h + p["c"]
        losses.append(cross_entropy(y, following))
        hs.append(h)
        ys.append(y)
    nodes = {"context": contexts, "h": hs, "y": ys}
    return mean(losses), {name: jnp.stack(values) for name, values in nodes.items()}


def jordan(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: the probabilities before are fed back, equal ones at first."""
    o = jnp.zeros(p["c"].shape)
    states, hs, os, losses = [], [], [], []
    for x, following in zip(inputs["x"], inputs["next"], strict=True):
        state = jnp.exp(o) / jnp.sum(jnp.exp(o))
        h = jnp.tanh(p["b"] + p["R"] @ state + pick(p["U"], x))
        o = p["c"] + p["V"] @ h
        losses.append(cross_entropy(o, following))
        states.append(state)
        hs.append(h)
        os.append(o)
    nodes = {"state": states, "h": hs, "o": os}
    return mean(losses), {name: jnp.stack(values) for name, values in nodes.items()}


def elman_shortcut(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: the input reaches the output by a matrix D as well."""
    h = jnp.zeros(p["b"].shape)
    hs, os, losses = [], [], []
    for x, following in zip(inputs["x"], inputs["next"], strict=True):
        h = jnp.tanh(p["b"] + p["W"] @ h + pick(p["U"], x))
        o = p["c"] + p["V"] @ h + pick(p["D"], x)
        losses.append(cross_entropy(o, following))
        hs.append(h)
        os.append(o)
    return mean(losses), {"h": jnp.stack(hs), "o": jnp.stack(os)}


def lstm(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: one matrix of [h; x], rows in the order i, f, o, g."""
    n = p["V"].shape[1]
    h = c = jnp.zeros(n)
    found: dict[str, list[jax.Array]] = {name: [] for name in ("i", "f", "o", "g", "c", "h")}
    for x in inputs["x"]:
        rows = [
            p["W"][k * n : k * n + n, :n] @ h
            + p["W"][k * n : k * n + n, n:] @ x
            + p["b"][k * n : k * n + n]
            for k in range(4)
        ]
        i, f, o, g = sigmoid(rows[0]), sigmoid(rows[1]), sigmoid(rows[2]), jnp.tanh(rows[3])
        c = f * c + i * g
        h = o * jnp.tanh(c)
        for name, value in {"i": i, "f": f, "o": o, "g": g, "c": c, "h": h}.items():
            found[name].append(value)
    y = p["V"] @ h + p["d"]
    nodes = {name: jnp.stack(values) for name, values in found.items()}
    return cross_entropy(y, inputs["digit"]), {**nodes, "y": y}


def gru_cho(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes of the character model: z keeps, W reads x, U reads h."""
    h = jnp.zeros(p["b"].shape)
    found: dict[str, list[jax.Array]] = {name: [] for name in ("z", "r", "g", "h", "o")}
    losses = []
    for x, target in zip(inputs["x"], inputs["target"], strict=True):
        z = sigmoid(pick(p["W_z"], x) + p["U_z"] @ h + p["b_z"])
        r = sigmoid(pick(p["W_r"], x) + p["U_r"] @ h + p["b_r"])
        g = jnp.tanh(pick(p["W"], x) + p["U"] @ (r * h) + p["b"])
        h = z * h + (1 - z) * g
        o = p["V"] @ h + p["c"]
        losses.append(cross_entropy(o, target))
        for name, value in {"z": z, "r": r, "g": g, "h": h, "o": o}.items():
            found[name].append(value)
    return mean(losses), {name: jnp.stack(values) for name, values in found.items()}


def mut1_cell(p: Arrays, x: Sequence[jax.Array], prefix: str = "") -> list[jax.Array]:
    """Return h of every step; x as wide as h."""
    h = jnp.zeros(p[prefix + "b_h"].shape)
    hs = []
    for x_t in x:
        z = sigmoid(p[prefix + "W_xz"] @ x_t + p[prefix + "b_z"])
        r = sigmoid(p[prefix + "W_xr"] @ x_t + p[prefix + "W_hr"] @ h + p[prefix + "b_r"])
        g = jnp.tanh(p[prefix + "W_hh"] @ (r * h) + jnp.tanh(x_t) + p[prefix + "b_h"])
        h = g * z + h * (1 - z)
        hs.append(h)
    return hs


def mut2_cell(p: Arrays, x: Sequence[jax.Array], prefix: str = "") -> list[jax.Array]:
    """Return h of every step; x as wide as h."""
    h = jnp.zeros(p[prefix + "b_h"].shape)
    hs = []
    for x_t in x:
        z = sigmoid(p[prefix + "W_xz"] @ x_t + p[prefix + "W_hz"] @ h + p[prefix + "b_z"])
        r = sigmoid(x_t + p[prefix + "W_hr"] @ h + p[prefix + "b_r"])
        inside = p[prefix + "W_hh"] @ (r * h) + p[prefix + "W_xh"] @ x_t + p[prefix + "b_h"]
        h = jnp.tanh(inside) * z + h * (1 - z)
        hs.append(h)
    return hs


def mut3_cell(p: Arrays, x: Sequence[jax.Array], prefix: str = "") -> list[jax.Array]:
    """Return h of every step."""
    h = jnp.zeros(p[prefix + "b_h"].shape)
    hs = []
    for x_t in x:
        above = p[prefix + "W_hz"] @ jnp.tanh(h)
        z = sigmoid(p[prefix + "W_xz"] @ x_t + above + p[prefix + "b_z"])
        r = sigmoid(p[prefix + "W_xr"] @ x_t + p[prefix + "W_hr"] @ h + p[prefix + "b_r"])
        inside = p[prefix + "W_hh"] @ (r * h) + p[prefix + "W_xh"] @ x_t + p[prefix + "b_h"]
        h = jnp.tanh(inside) * z + h * (1 - z)
        hs.append(h)
    return hs


def nas_cell(p: Arrays, x: Sequence[jax.Array], prefix: str = "") -> list[jax.Array]:
    """Return h of every step: leaves 0-7, of which leaf 3 is a product, then the tree."""
    W, U = p[prefix + "W"], p[prefix + "U"]
    n = W.shape[1]
    m = c = jnp.zeros(n)
    ms = []
    for x_t in x:
        a = [U[k * n : k * n + n] @ x_t for k in range(8)]
        b = [W[k * n : k * n + n] @ m for k in range(8)]
        first = jnp.tanh(sigmoid(a[0] + b[0]) * jnp.maximum(a[1] + b[1], 0))
        second = jnp.tanh(sigmoid(a[2] + b[2]) + jnp.maximum(a[3] * b[3], 0))
        third = jnp.tanh(jnp.tanh(a[4] + b[4]) * sigmoid(a[5] + b[5]))
        fourth = sigmoid(jnp.tanh(a[6] + b[6]) + sigmoid(a[7] + b[7]))
        c = jnp.tanh(first + c) * second
        m = jnp.tanh(c * jnp.tanh(third + fourth))
        ms.append(m)
    return ms


def embedded(cell: Cell) -> Callable[..., Found]:
    """Return the oracle of a character model with embedded characters and a MUT cell h."""

    def oracle(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
        xs = [pick(p["E"], character) for character in inputs["character"]]
        hs = cell(p, xs, "h.")
        os = [p["V"] @ h + p["c"] for h in hs]
        losses = [cross_entropy(o, y) for o, y in zip(os, inputs["target"], strict=True)]
        return mean(losses), {"x": jnp.stack(xs), "h": jnp.stack(hs), "o": jnp.stack(os)}

    return oracle


def nas(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes of the character model with the cell y."""
    vocab = p["d"].shape[0]
    one_hot = [jnp.where(jnp.arange(vocab) == k, 1.0, 0.0) for k in inputs["x"]]
    ys = nas_cell(p, one_hot, "y.")
    os = [p["V"] @ y + p["d"] for y in ys]
    losses = [cross_entropy(o, t) for o, t in zip(os, inputs["target"], strict=True)]
    return mean(losses), {"y": jnp.stack(ys), "o": jnp.stack(os)}


def second_order(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: the symbol picks the matrix W[:, :, k]; unit 0 answers."""
    s = p["s.initial"]
    states, answers, losses = [], [], []
    for x, accepted in zip(inputs["x"], inputs["accepted"], strict=True):
        s = sigmoid(p["W"][:, :, x] @ s + p["b"])
        states.append(s)
        answers.append(s[0])
        losses.append((s[0] - accepted) ** 2)
    return mean(losses), {"s": jnp.stack(states), "answer": jnp.stack(answers)}


def recognize(p: Arrays, symbols: jax.Array) -> tuple[list[jax.Array], list[jax.Array]]:
    """Return the states of Pollack's network, and z after every symbol."""
    x = jnp.zeros(p["W"].shape[1])
    states, answers = [], []
    for symbol in symbols:
        x = jnp.tanh(p["W"][symbol, :, 0] + p["W"][symbol, :, 1:] @ x)
        states.append(x)
        answers.append(jnp.tanh(p["P"][0] + p["P"][1:] @ x))
    return states, answers


def dynamical_recognizer(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: the answer after the last symbol, against 1 or -1."""
    states, answers = recognize(p, inputs["symbol"])
    loss = (answers[-1] + 1 - 2 * inputs["accepted"]) ** 2
    return loss, {"x": jnp.stack(states), "z": answers[-1]}
