"""Oracles of networks that read images: four directions, captions, attention to regions, glimpses.

Every function takes the parameters and ONE image's inputs and gives its loss and its main nodes;
see the package's docstring. Equations: Graves, Fernandez & Schmidhuber 2007; Karpathy & Fei-Fei
2015; Xu et al. 2015; Gregor et al. 2015.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from oracles.algebra import cross_entropy, nothing, pick
from oracles.frames import softmax
from oracles.gated import gru_cell

Arrays = dict[str, jax.Array]
Found = tuple[jax.Array, Arrays]


def rnn_2d_four(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: one sweep from the upper left, done for the image turned four ways."""
    x = inputs["x"]
    turns = {"nw": (1, 1), "ne": (1, -1), "sw": (-1, 1), "se": (-1, -1)}
    found = {}
    for name, (down, right) in turns.items():
        own = {key: p[f"{key}_{name}"] for key in ("W", "Q", "U", "b")}
        found[name] = sweep(own, x[::down, ::right])[::down, ::right]
    ends = {"nw": (-1, -1), "ne": (-1, 0), "sw": (0, -1), "se": (0, 0)}
    h = jnp.concatenate([found[name][end] for name, end in ends.items()])
    o = p["c"] + p["V"] @ h
    return cross_entropy(o, inputs["y"]), {**found, "h": h, "o": o}


def sweep(p: Arrays, x: jax.Array) -> jax.Array:
    """Return the states [I, J, hidden] of points that see those above and to the left."""
    states: dict[tuple[int, int], jax.Array] = {}
    zero = jnp.zeros(p["b"].shape[0])
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            above, left = states.get((i - 1, j), zero), states.get((i, j - 1), zero)
            a = p["b"] + p["W"] @ above + p["Q"] @ left + p["U"] @ x[i, j]
            states[i, j] = jnp.tanh(a)
    return jnp.stack(list(states.values())).reshape(*x.shape[:2], -1)


def caption(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: the image's vector at every step, beside the letter before."""
    y = inputs["y"]
    v = jax.nn.relu(p["W_v"] @ inputs["image"].reshape(-1) + p["b_v"])
    h, before = jnp.zeros(p["b_h"].shape[0]), nothing()
    hs, scores = [], []
    for letter in y:
        h = jnp.tanh(p["W_hh"] @ h + pick(p["W_xh"], before) + p["W_ih"] @ v + p["b_h"])
        hs.append(h)
        scores.append(p["W_hy"] @ h + p["b_y"])
        before = letter
    loss = sum(cross_entropy(s, k) for s, k in zip(scores, y, strict=True)) / len(y)
    return jnp.asarray(loss), {"v": v, "h": jnp.stack(hs), "s": jnp.stack(scores)}


def caption_attention(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: weights alpha [T, R] over regions, and what they let through, z."""
    regions, y = inputs["image"], inputs["y"]
    a = jnp.stack([jax.nn.relu(p["K"] @ x + p["P"][r]) for r, x in enumerate(regions)])
    h, before = jnp.tanh(p["M"] @ a.mean(0)), nothing()
    found: dict[str, list[jax.Array]] = {name: [] for name in ("alpha", "z", "h", "s")}
    loss = jnp.zeros(())
    for letter in y:
        alpha = softmax(jnp.stack([p["w"] @ jnp.tanh(p["A"] @ h + p["B"] @ row) for row in a]))
        z = alpha @ a
        read = jnp.concatenate([pick(p["E"], before), z])
        ((h,), _) = gru_cell({**p, "h.h.initial": h}, [read], "h.")
        s = p["c"] + p["V"] @ h + p["Z"] @ z
        loss += cross_entropy(s, letter)
        for name, value in {"alpha": alpha, "z": z, "h": h, "s": s}.items():
            found[name].append(value)
        before = letter
    return loss / len(y), {"a": a, **{name: jnp.stack(rows) for name, rows in found.items()}}


def glimpses(p: Arrays, inputs: Arrays, looks: int, free: bool = False) -> Found:
    """Return loss and nodes: `looks` looks through Gaussian filters at an image [I, J]."""
    x = inputs["x"]
    h = jnp.zeros(p["b"].shape[0])
    found: dict[str, list[jax.Array]] = {name: [] for name in ("place", "look", "h")}
    for _ in range(looks):
        place = p["P"] @ h + p["b_p"]
        apart, variance = 1.5 * jnp.exp(place[2]), 0.5 * jnp.exp(place[3])
        rows = filters(place[0], apart, variance, p["U"].shape[0], x.shape[0])
        columns = filters(place[1], apart, variance, p["U"].shape[1], x.shape[1])
        look = rows @ x @ columns.T
        seen = jnp.tensordot(look, p["U"], 2)
        h = jnp.tanh(p["b"] + p["W"] @ h + seen + p["L"] @ place)
        for name, value in {"place": place, "look": look, "h": h}.items():
            found[name].append(value)
    o = p["c"] + p["V"] @ h
    nodes = {name: jnp.stack(values) for name, values in found.items()}
    return cross_entropy(o, inputs["y"]), {**nodes, "o": o}


def filters(
    centre: jax.Array, apart: jax.Array, variance: jax.Array, count: int, pixels: int
) -> jax.Array:
    """Return `count` Gaussians over pixels [count, pixels], each of sum 1; centre 0 is 3.5."""
    means = 3.5 + 3.5 * centre + (jnp.arange(count) - 1) * apart
    exponents = -((jnp.arange(pixels) - means[:, None]) ** 2) / (2 * variance)
    weights = jnp.exp(exponents - exponents.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)
