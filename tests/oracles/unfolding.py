"""Oracles of what unfolding is: dynamical systems, one or many to one or many, ways to stop.

Every function takes the parameters and ONE sequence's inputs and gives its loss and its main nodes;
see the package's docstring. Equations: the `about` of the spec with this name. The three ways to
stop are run as far as the sequence goes; where a free run stops is `stops_after`.

    stop_end_symbol(p, {"x": 3, "y": [7, 2, 0]}) -> (loss, {"h": [3, hidden], "o": ..., ...})
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from oracles.algebra import cross_entropy, mean_squared_error, nothing, pick, sigmoid

Arrays = dict[str, jax.Array]
Found = tuple[jax.Array, Arrays]
CLASSES = 7
"""How many classes `rnn_digest` has, which no parameter's shape says."""


def dynamical_system(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: the state is a function of the state before, and of nothing else."""
    s = p["s.initial"]
    states, seen = [], []
    for _ in inputs["y"]:
        s = jnp.tanh(p["W"] @ s + p["b"])
        states.append(s)
        seen.append(p["c"] + p["V"] @ s)
    errors = [mean_squared_error(o, y) for o, y in zip(seen, inputs["y"], strict=True)]
    return sum(errors) / len(errors), {"s": jnp.stack(states), "o": jnp.stack(seen)}


def driven_dynamical_system(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: the same with an input at every step."""
    hs = _states(p, inputs["x"], lambda x: p["U"] @ x)
    os = [p["c"] + p["V"] @ h for h in hs]
    errors = [mean_squared_error(o, y) for o, y in zip(os, inputs["y"], strict=True)]
    return sum(errors) / len(errors), {"h": jnp.stack(hs), "o": jnp.stack(os)}


def rnn_digest(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: the last state has to begin with the one-hot code of the class."""
    hs = _states(p, inputs["x"], lambda x: p["U"] @ x)
    wanted = jnp.zeros(CLASSES).at[inputs["y"]].set(1.0)
    return mean_squared_error(hs[-1][:CLASSES], wanted), {"h": jnp.stack(hs)}


def one_to_one(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: no sequence."""
    h = jnp.tanh(p["b"] + p["U"] @ inputs["x"].reshape(-1))
    o = p["c"] + p["V"] @ h
    return cross_entropy(o, inputs["y"]), {"h": h, "o": o}


def one_to_many(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: the input makes the initial state."""
    start = jnp.tanh(p["A"] @ inputs["x"].reshape(-1))
    return _write(p, inputs["y"], free, start=start, mean=True)


def many_to_one(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: one output, of the last state."""
    hs = _states(p, inputs["x"], lambda x: pick(p["U"], x))
    o = p["c"] + p["V"] @ hs[-1]
    return cross_entropy(o, inputs["y"]), {"h": jnp.stack(hs), "o": o}


def many_to_many(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: an output for every input."""
    hs = _states(p, inputs["x"], lambda x: pick(p["U"], x))
    os = [p["c"] + p["V"] @ h for h in hs]
    loss = sum(cross_entropy(o, y) for o, y in zip(os, inputs["y"], strict=True))
    return loss / len(os), {"h": jnp.stack(hs), "o": jnp.stack(os)}


def many_to_many_delayed(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: all is read before anything is written."""
    hs = _states(p, inputs["x"], lambda x: pick(p["U"], x))
    writer = {**p, "W": p["W_d"], "b": p["b_d"]}
    loss, nodes = _write(writer, inputs["y"], free, start=hs[-1], mean=True)
    nodes["d"] = nodes.pop("h")
    return loss, {"h": jnp.stack(hs), **nodes}


def scheduled_sampling(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes of both ends of the schedule: always the teacher, or never."""
    xs = [p["U"] @ x for x in inputs["x"]]
    return _write(p, inputs["y"], free, more=lambda t: xs[t], mean=True)


def vector_to_sequence(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: every step sees the same vector."""
    seen = p["U"] @ inputs["x"].reshape(-1)
    return _write(p, inputs["y"], free, more=lambda t: seen)


def sequence_to_sequence(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: an input per step, and the output before."""
    return _write(p, inputs["y"], free, more=lambda t: pick(p["U"], inputs["x"][t]))


def stop_end_symbol(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: every step sees the same class."""
    seen = pick(p["U"], inputs["x"])
    return _write(p, inputs["y"], free, more=lambda t: seen)


def stop_halt_output(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: a further output says that this is the last step."""
    loss, nodes = stop_end_symbol(p, inputs, free)
    halts = jnp.stack([p["w"] @ h + p["d"] for h in nodes["h"]])
    ends = sigmoid(halts)
    goes_on, ended = -jnp.sum(jnp.log(1 - ends[:-1])), -jnp.log(ends[-1])
    return loss + goes_on + ended, {**nodes, "halt": halts}


def stop_predicted_length(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: every step is told how many remain, truly or as predicted."""
    steps = len(inputs["y"])
    log_tau = p["v"][inputs["x"]] + p["d"]
    tau = jnp.exp(log_tau) if free else jnp.array(float(steps))
    seen = pick(p["U"], inputs["x"])
    loss, nodes = _write(p, inputs["y"], free, more=lambda t: seen + p["q"] * (tau - t))
    error = (log_tau - jnp.log(float(steps))) ** 2
    return loss + error, {**nodes, "log_tau": log_tau, "tau": tau}


def learned_initial_state(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: a matrix of its own for every symbol, a learned state before."""
    h = p["h.initial"]
    hs, os, loss = [], [], jnp.zeros(())
    for x, y in zip(inputs["x"], inputs["y"], strict=True):
        h = sigmoid(p["W"][:, :, x] @ h)
        o = p["c"] + p["V"] @ h
        loss += cross_entropy(o, y)
        hs.append(h)
        os.append(o)
    return loss / len(hs), {"h": jnp.stack(hs), "o": jnp.stack(os)}


def stops_after(name: str, nodes: Arrays, at_most: int, end: int) -> int:
    """Return how many steps a free run of a spec with a stopping rule has.

    Args:
        name: of the spec.
        nodes: of an oracle's free run over `at_most` steps.
        at_most: the bound.
        end: the end symbol, for those that have one.
    """
    if name == "stop-predicted-length":
        return int(min(max(round(float(nodes["tau"])), 1), at_most))
    ends = nodes["halt"] > 0 if name == "stop-halt-output" else nodes["choice"] == end
    return next((t + 1 for t, ended in enumerate(ends) if ended), at_most)


def _states(p: Arrays, xs: jax.Array, product: Callable[[Any], jax.Array]) -> list[jax.Array]:
    """Return tanh(b + W h(t-1) + U x(t)) for every input, from the zero state."""
    h = jnp.zeros(p["W"].shape[0])
    hs = []
    for x in xs:
        h = jnp.tanh(p["b"] + p["W"] @ h + product(x))
        hs.append(h)
    return hs


def _write(
    p: Arrays,
    y: jax.Array,
    free: bool,
    *,
    start: jax.Array | None = None,
    more: Callable[[int], jax.Array] | None = None,
    mean: bool = False,
) -> Found:
    """Return loss and nodes: h(t) = tanh(b + W h(t-1) + more(t) + R y(t-1)), o(t) = c + V h(t)."""
    h = jnp.zeros(p["W"].shape[0]) if start is None else start
    prev = nothing()
    prevs, hs, os, choices, loss = [], [], [], [], jnp.zeros(())
    for t in range(len(y)):
        prevs.append(prev)
        a = p["b"] + p["W"] @ h + pick(p["R"], prev)
        h = jnp.tanh(a if more is None else a + more(t))
        o = p["c"] + p["V"] @ h
        loss += cross_entropy(o, y[t])
        hs.append(h)
        os.append(o)
        choices.append(jnp.argmax(o))
        prev = choices[-1] if free else y[t]
    nodes = {"prev": prevs, "h": hs, "o": os, "choice": choices}
    return loss / len(y) if mean else loss, {n: jnp.stack(v) for n, v in nodes.items()}
