"""Oracles of the plain recurrent networks: design patterns, character models, both directions.

Every function takes the parameters and ONE sequence's inputs (x [T, features] or categories [T])
and gives its loss and its main nodes; see the package's docstring. Equations: the `about` of the
spec with this name.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from oracles.algebra import cross_entropy, mean_squared_error, nothing, pick

Arrays = dict[str, jax.Array]


def character_model(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes of hello and char-rnn (free running is not part of these specs)."""
    x, target = inputs["x"], inputs["target"]
    h = jnp.zeros(p["W_hh"].shape[0])
    hs, ys, loss = [], [], jnp.zeros(())
    for t in range(len(x)):
        h = jnp.tanh(p["W_hh"] @ h + pick(p["W_xh"], x[t]) + p["b_h"])
        y = p["W_hy"] @ h + p["b_y"]
        loss += cross_entropy(y, target[t])
        hs.append(h)
        ys.append(y)
    return loss / len(x), {"h": jnp.stack(hs), "y": jnp.stack(ys)}


def min_char_rnn(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes: char-rnn, whose loss is summed over the characters."""
    loss, nodes = character_model(p, inputs)
    return loss * len(inputs["x"]), nodes


def pattern_hidden(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes: an output at each step, recurrence between hidden units."""
    x, y = inputs["x"], inputs["y"]
    h = jnp.zeros(p["W"].shape[0])
    activations, hs, os, loss = [], [], [], jnp.zeros(())
    for t in range(len(x)):
        a = p["b"] + p["W"] @ h + p["U"] @ x[t]
        h = jnp.tanh(a)
        o = p["c"] + p["V"] @ h
        loss += cross_entropy(o, y[t])
        activations.append(a)
        hs.append(h)
        os.append(o)
    return loss, {"a": jnp.stack(activations), "h": jnp.stack(hs), "o": jnp.stack(os)}


def pattern_output(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes: recurrence from the output (free) or its target (teacher) only."""
    x, y = inputs["x"], inputs["y"]
    prev = jnp.zeros(p["V"].shape[0])
    prevs, hs, os, loss = [], [], [], jnp.zeros(())
    for t in range(len(x)):
        prevs.append(prev)
        h = jnp.tanh(p["b"] + p["R"] @ prev + p["U"] @ x[t])
        o = p["c"] + p["V"] @ h
        loss += mean_squared_error(o, y[t])
        hs.append(h)
        os.append(o)
        prev = o if free else y[t]
    return loss / len(x), {"prev": jnp.stack(prevs), "h": jnp.stack(hs), "o": jnp.stack(os)}


def pattern_last(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes: one output at the end, the initial state learned."""
    h = p["h.initial"]
    hs = []
    for x in inputs["x"]:
        h = jnp.tanh(p["b"] + p["W"] @ h + p["U"] @ x)
        hs.append(h)
    o = p["c"] + p["V"] @ h
    return cross_entropy(o, inputs["y"]), {"h": jnp.stack(hs), "o": o}


def teacher_forcing(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes: hidden recurrence, and the symbol before fed back."""
    x, y = inputs["x"], inputs["y"]
    h = jnp.zeros(p["W"].shape[0])
    prev = nothing()
    prevs, hs, os, choices, loss = [], [], [], [], jnp.zeros(())
    for t in range(len(x)):
        prevs.append(prev)
        h = jnp.tanh(p["b"] + p["W"] @ h + p["U"] @ x[t] + pick(p["R"], prev))
        o = p["c"] + p["V"] @ h
        choice = jnp.argmax(o)
        loss += cross_entropy(o, y[t])
        hs.append(h)
        os.append(o)
        choices.append(choice)
        prev = choice if free else y[t]
    return loss, {
        "prev": jnp.stack(prevs),
        "h": jnp.stack(hs),
        "o": jnp.stack(os),
        "choice": jnp.stack(choices),
    }


def bidirectional(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes: h forward from zero, g backward from a learned state."""
    x, y = inputs["x"], inputs["y"]
    h, g = jnp.zeros(p["W"].shape[0]), p["g.initial"]
    hs, gs = [], []
    for t in range(len(x)):
        h = jnp.tanh(p["b"] + p["W"] @ h + p["U"] @ x[t])
        hs.append(h)
    for t in reversed(range(len(x))):
        g = jnp.tanh(p["d"] + p["Q"] @ g + p["P"] @ x[t])
        gs.insert(0, g)
    os = [p["c"] + p["V"] @ h + p["Z"] @ g for h, g in zip(hs, gs, strict=True)]
    loss = sum(cross_entropy(o, y[t]) for t, o in enumerate(os)) / len(x)
    return jnp.asarray(loss), {"h": jnp.stack(hs), "g": jnp.stack(gs), "o": jnp.stack(os)}


def unshared(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes: W [T, hidden, hidden], U and b belong to one step each."""
    h = jnp.zeros(p["V"].shape[1])
    hs = []
    for t, x in enumerate(inputs["x"]):
        h = jnp.tanh(p["b"][t] + p["W"][t] @ h + p["U"][t] @ x)
        hs.append(h)
    o = p["c"] + p["V"] @ h
    return cross_entropy(o, inputs["y"]), {"h": jnp.stack(hs), "o": o}


def shared(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes: the twin of `unshared` with one W, U and b."""
    steps = len(inputs["x"])
    tied = {name: jnp.stack([p[name]] * steps) for name in ("W", "U", "b")}
    return unshared({**p, **tied}, inputs)
