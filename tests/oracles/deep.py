"""Oracles of the networks that are deep: in layers, within a step, across steps, and by clocks.

A character network is given by its step, `(p, x, before) -> nodes`: x is the class of the step and
`before("h")` is h of the step before, zero at first. `characters` makes an oracle of it. Equations:
Pascanu et al. 2014; Srivastava et al. 2015; Zhang et al. 2016; Zilly et al. 2017; Koutník et al.
2014; Vaswani et al. 2017, Dehghani et al. 2019, Giannou et al. 2023 (looped).
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from oracles.algebra import cross_entropy, mean_squared_error, pick, sigmoid
from oracles.frames import normalise

Arrays = dict[str, jax.Array]
Before = Callable[[str], jax.Array]
Step = Callable[[Arrays, jax.Array, Before], Arrays]
Oracle = Callable[..., tuple[jax.Array, Arrays]]
CLOCKS = (8, 4, 2, 1)


def characters(step: Step) -> Oracle:
    """Return the oracle of a network that reads classes x and predicts classes y by its o."""

    def oracle(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
        steps: list[Arrays] = []
        loss = jnp.zeros(())
        for x, y in zip(inputs["x"], inputs["y"], strict=True):
            past = steps[-1] if steps else {}
            nodes = step(p, x, lambda name, past=past: past.get(name, jnp.zeros(p["V"].shape[1])))
            loss += cross_entropy(nodes["o"], y)
            steps.append(nodes)
        return loss / len(steps), {name: jnp.stack([s[name] for s in steps]) for name in steps[0]}

    return oracle


def stacked_rnn(p: Arrays, x: jax.Array, before: Before) -> Arrays:
    """Layers in a row; the state is [layers, hidden]."""
    past = before("h")
    layers: list[jax.Array] = []
    for depth in range(p["W"].shape[0]):
        state = past[depth] if past.ndim == 2 else past
        below = p["D"][depth] @ layers[-1] if layers else pick(p["U"], x)
        layers.append(jnp.tanh(p["b"][depth] + p["W"][depth] @ state + below))
    return {"h": jnp.stack(layers), "o": p["c"] + p["V"] @ layers[-1]}


def deep_input_rnn(p: Arrays, x: jax.Array, before: Before) -> Arrays:
    e = jnp.tanh(p["a"] + pick(p["E"], x))
    h = jnp.tanh(p["b"] + p["W"] @ before("h") + p["U"] @ e)
    return {"e": e, "h": h, "o": p["c"] + p["V"] @ h}


def _transition(p: Arrays, x: jax.Array, h: jax.Array, shortcut: bool) -> Arrays:
    """Return the layer in between and the new state of a deep transition from h."""
    z = jnp.tanh(p["a"] + p["W"] @ h + pick(p["U"], x))
    return {"z": z, "h": jnp.tanh(p["b"] + p["Q"] @ z + (p["S"] @ h if shortcut else 0))}


def _read(p: Arrays, nodes: Arrays, deep: bool) -> Arrays:
    """Add the output, read from the state through one more layer or directly."""
    if deep:
        nodes["u"] = jnp.tanh(p["d"] + p["P"] @ nodes["h"])
    return {**nodes, "o": p["c"] + p["V"] @ nodes["u" if deep else "h"]}


def dt_rnn(p: Arrays, x: jax.Array, before: Before) -> Arrays:
    return _read(p, _transition(p, x, before("h"), shortcut=False), deep=False)


def dts_rnn(p: Arrays, x: jax.Array, before: Before) -> Arrays:
    return _read(p, _transition(p, x, before("h"), shortcut=True), deep=False)


def dot_rnn(p: Arrays, x: jax.Array, before: Before) -> Arrays:
    return _read(p, _transition(p, x, before("h"), shortcut=False), deep=True)


def dots_rnn(p: Arrays, x: jax.Array, before: Before) -> Arrays:
    return _read(p, _transition(p, x, before("h"), shortcut=True), deep=True)


def zhang_sh(p: Arrays, x: jax.Array, before: Before) -> Arrays:
    h = jnp.tanh(p["b"] + p["W"] @ before("h") + pick(p["U"], x))
    return {"h": h, "o": p["c"] + p["V"] @ h}


def zhang(p: Arrays, x: jax.Array, before: Before) -> Arrays:
    """Two layers; with B there is a bottom-up delay, with D a top-down one."""
    first, second = before("h1"), before("h2")
    down = p["D"] @ second if "D" in p else 0
    up = p["B"] @ first if "B" in p else 0
    h1 = jnp.tanh(p["b_1"] + p["W_1"] @ first + pick(p["U_1"], x) + down)
    h2 = jnp.tanh(p["b_2"] + p["W_2"] @ second + p["U_2"] @ h1 + up)
    return {"h1": h1, "h2": h2, "o": p["c"] + p["V"] @ h2}


def recurrent_depth_3(p: Arrays, x: jax.Array, before: Before) -> Arrays:
    first = jnp.tanh(p["b_p"] + p["A"] @ before("h") + pick(p["U"], x))
    second = jnp.tanh(p["b_q"] + p["B"] @ first)
    h = jnp.tanh(p["b"] + p["Q"] @ second + p["W"] @ before("h"))
    return {"p": first, "q": second, "h": h, "o": p["c"] + p["V"] @ h}


def stack_feedback(p: Arrays, x: jax.Array, before: Before) -> Arrays:
    down = p["D"] @ before("h3")
    h1 = jnp.tanh(p["b_1"] + p["W_1"] @ before("h1") + pick(p["U_1"], x) + down)
    h2 = jnp.tanh(p["b_2"] + p["W_2"] @ before("h2") + p["U_2"] @ h1)
    h3 = jnp.tanh(p["b_3"] + p["W_3"] @ before("h3") + p["U_3"] @ h2)
    return {"h1": h1, "h2": h2, "h3": h3, "o": p["c"] + p["V"] @ h3}


def _micro_steps(p: Arrays, x: jax.Array, s: jax.Array) -> Arrays:
    """Return s of every micro-step [depth, hidden] and the output; the first one starts from s."""
    column: list[jax.Array] = []
    for depth in range(p["R_H"].shape[0]):
        u = p["R_H"][depth] @ s + p["b_H"][depth]
        g = p["R_T"][depth] @ s + p["b_T"][depth]
        if depth == 0:
            u, g = u + pick(p["W_H"], x), g + pick(p["W_T"], x)
        s = jnp.tanh(u) * sigmoid(g) + s * (1 - sigmoid(g))
        column.append(s)
    return {"s": jnp.stack(column), "o": p["V"] @ s + p["c"]}


def recurrent_highway(p: Arrays, x: jax.Array, before: Before) -> Arrays:
    return _micro_steps(p, x, jnp.atleast_2d(before("s"))[-1])


def deep_output_highway(p: Arrays, x: jax.Array, before: Before) -> Arrays:
    return _micro_steps(p, x, jnp.atleast_2d(before("s"))[0])


def highway_network(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes of a feedforward highway network; y [depth, hidden]."""
    y = p["a"] + p["A"] @ inputs["x"].reshape(-1)
    layers: list[jax.Array] = []
    for depth in range(p["W_H"].shape[0]):
        gate = sigmoid(p["b_T"][depth] + p["W_T"][depth] @ y)
        y = gate * jnp.tanh(p["b_H"][depth] + p["W_H"][depth] @ y) + (1 - gate) * y
        layers.append(y)
    o = p["c"] + p["V"] @ y
    return cross_entropy(o, inputs["label"]), {"y": jnp.stack(layers), "o": o}


def skip_in_time(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes of the network that reads its state one and three steps before."""
    hs = [jnp.zeros(p["b"].shape[0])] * 3
    for x in inputs["x"]:
        hs.append(jnp.tanh(p["b"] + p["W"] @ hs[-1] + p["S"] @ hs[-3] + p["U"] @ x))
    y = p["c"] + p["v"] @ hs[-1]
    return (y - inputs["sum"]) ** 2, {"h": jnp.stack(hs[3:]), "y": y}


def clockwork_rnn(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes of modules with clocks, slowest first; only slow ones are read."""
    states = {clock: jnp.zeros(p["b_8"].shape[0]) for clock in CLOCKS}
    found: dict[str, list[jax.Array]] = {f"h{clock}": [] for clock in CLOCKS}
    os: list[jax.Array] = []
    loss = jnp.zeros(())
    for t, y in enumerate(inputs["y"]):
        before = dict(states)
        for clock in CLOCKS:
            if t % clock == 0:
                seen = [before[c] for c in sorted(CLOCKS) if c >= clock]
                weights, bias = p[f"W_{clock}"], p[f"b_{clock}"]
                states[clock] = jnp.tanh(bias + weights @ jnp.concatenate(seen))
            found[f"h{clock}"].append(states[clock])
        os.append(p["c"] + p["V"] @ jnp.concatenate([states[c] for c in sorted(CLOCKS)]))
        loss += mean_squared_error(os[-1], y)
    nodes = {**found, "o": os}
    return loss / len(os), {name: jnp.stack(values) for name, values in nodes.items()}


def causal_attention(q: jax.Array, keys: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return weights p [T, T] and read values [T, d]: row t asks the rows up to t, no others."""
    weights, read = [], []
    for t, query in enumerate(q):
        e = jnp.exp(keys[: t + 1] @ query / jnp.sqrt(query.shape[0]))
        p = e / jnp.sum(e)
        weights.append(jnp.concatenate([p, jnp.zeros(len(q) - t - 1)]))
        read.append(p @ v[: t + 1])
    return jnp.stack(weights), jnp.stack(read)


def looped_transformer(p: Arrays, inputs: Arrays, free: bool = False) -> tuple[jax.Array, Arrays]:
    """Return loss and nodes: rows are steps; p [T, S, rounds, layers], u [T, rounds, layers, d]."""

    def layer(u: jax.Array, w: Arrays) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        n = normalise(u)
        weights, read = causal_attention(*(n @ w[name].T for name in "QKV"))
        a = u + read @ w["O"].T
        m = normalise(a) @ w["A"].T
        u = a + (m * jax.scipy.stats.norm.cdf(m)) @ w["B"].T
        return u, (u, weights)

    e = jnp.stack([pick(p["E"], x) + p["P"][t] for t, x in enumerate(inputs["x"])])
    u, us, ps = e, [], []
    for start in p["L"]:
        u, (states, weights) = jax.lax.scan(layer, u + start, {name: p[name] for name in "QKVOAB"})
        us.append(states)
        ps.append(weights)
    o = normalise(u) @ p["E"]
    losses = [cross_entropy(said, y) for said, y in zip(o, inputs["y"], strict=True)]
    nodes = {"u": jnp.stack(us).transpose(2, 0, 1, 3), "p": jnp.stack(ps).transpose(2, 3, 0, 1)}
    return jnp.mean(jnp.stack(losses)), {"e": e, **nodes, "o": o}
