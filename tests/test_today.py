"""Models of today, written as a user would: values and gradients are those of JAX.

Each spec of `tests/today` has its recurrence here once more, for one sequence. All parameters are
random; the batch has three sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from differential.interpreted import interpret
from jax.nn import log_softmax, sigmoid, softplus
from jax.scipy.special import logsumexp

import unfold

FOLDER = Path(__file__).parent / "today"
STEPS, BATCH = 4, 3
Arrays = Mapping[str, Any]


def convlstm(p: Arrays, d: Arrays) -> Any:
    """Shi et al. 2015, without peepholes."""

    def conv(image: Any, kernels: Any) -> Any:
        return jax.lax.conv(image[None], kernels, (1, 1), "SAME")[0]

    h = s = jnp.zeros((4, *d["y"].shape[1:]))
    for x in d["x"]:
        i, f, o, g = jnp.split(conv(x, p["Wx"]) + conv(h, p["Wh"]) + p["b"], 4)
        s = sigmoid(f) * s + sigmoid(i) * jnp.tanh(g)
        h = sigmoid(o) * jnp.tanh(s)
    return jnp.mean((conv(h, p["V"]) - d["y"]) ** 2)


def deltanet(p: Arrays, d: Arrays) -> Any:
    """Schlag, Irie & Schmidhuber 2021: a fast weight matrix with a delta rule."""
    s, losses = jnp.zeros((4, 5)), []
    for x, y in zip(d["x"], d["y"], strict=True):
        key = p["K"] @ x
        key = key / (jnp.sqrt(key @ key) + 1e-6)
        s = s + sigmoid(p["b"] @ x) * jnp.outer(p["V"] @ x - s @ key, key)
        losses.append(jnp.mean((s @ (p["Q"] @ x) - y) ** 2))
    return jnp.mean(jnp.stack(losses))


def hmm(p: Arrays, d: Arrays) -> Any:
    """Rabiner 1989: the forward algorithm, in logarithms."""
    emitted = log_softmax(p["B"].T, axis=-1)
    moved, a = log_softmax(p["A"], axis=-1), log_softmax(p["pi"])
    for x in d["x"]:
        a = logsumexp(moved + a[:, None], axis=1) + emitted[:, x]
    return -logsumexp(a)


def kalman(p: Arrays, d: Arrays) -> Any:
    """Kalman 1960: the negative log-likelihood by innovations."""
    m, cov, total = jnp.zeros(2), jnp.zeros((2, 2)), 0.0
    for z in d["z"]:
        m = p["A"] @ m
        cov = p["A"] @ cov @ p["A"].T + jnp.exp(p["logq"])[:, None] * p["I"]
        spread = p["H"] @ cov @ p["H"] + jnp.exp(p["logr"])
        gain, error = cov @ p["H"] / spread, z - p["H"] @ m
        m, cov = m + gain * error, cov - jnp.outer(gain, cov @ p["H"])
        total += 0.5 * (jnp.log(6.2831853 * spread) + error**2 / spread)
    return total


def lru(p: Arrays, d: Arrays) -> Any:
    """Orvieto et al. 2023: a complex diagonal recurrence, here in complex numbers."""
    turn = jnp.exp(-jnp.exp(p["nu"]) + 1j * p["theta"])
    state, losses = jnp.zeros(8, complex), []
    for x, y in zip(d["x"], d["y"], strict=True):
        state = turn * state + (p["Br"] + 1j * p["Bi"]) @ x
        output = jnp.real((p["Cr"] + 1j * p["Ci"]) @ state)
        losses.append(jnp.mean((output - y) ** 2))
    return jnp.mean(jnp.stack(losses))


def mamba(p: Arrays, d: Arrays) -> Any:
    """Gu & Dao 2023: a selective state space, one step after the other."""
    s, losses = jnp.zeros((6, 4)), []
    for x, y in zip(d["x"], d["y"], strict=True):
        dt = softplus(p["Wd"] @ x + p["bd"])[:, None]
        s = jnp.exp(-dt * jnp.exp(p["logA"])) * s + dt * (p["WB"] @ x)[None] * x[:, None]
        losses.append(jnp.mean((s @ (p["WC"] @ x) + p["D"] * x - y) ** 2))
    return jnp.mean(jnp.stack(losses))


def mdn(p: Arrays, d: Arrays) -> Any:
    """Graves 2013: a mixture of Gaussians over the next point, without its constant."""
    s, losses = jnp.zeros(16), []
    for x, y in zip(d["x"], d["y"], strict=True):
        s = jnp.tanh(p["W"] @ s + p["U"] @ x)
        mean, log_scale = ((p[n] @ s).reshape(3, 2) for n in ("Vm", "Vs"))
        distance = (y - mean) * jnp.exp(-log_scale)
        logs = -0.5 * jnp.sum(distance**2, 1) - jnp.sum(log_scale, 1)
        losses.append(-logsumexp(log_softmax(p["Vp"] @ s) + logs))
    return jnp.mean(jnp.stack(losses))


MODELS: dict[str, Callable[[Arrays, Arrays], Any]] = {
    f.__name__: f for f in (convlstm, deltanet, hmm, kalman, lru, mamba, mdn)
}


def drawn(model: unfold.Model) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return random parameters and inputs."""
    random, program = np.random.default_rng(0), model.program
    params = {n: a + 0.4 * random.standard_normal(a.shape) for n, a in model.init().items()}
    inputs: dict[str, Any] = {}
    for value in program.inputs:
        shape = (BATCH, *([STEPS] if "t" in value.axes else []))
        if value.type.kind == "category":
            inputs[value.name] = random.integers(0, value.type.shape[0], shape)
        else:
            inputs[value.name] = random.standard_normal((*shape, *value.type.shape))
    return params, inputs


@cache
def computed(name: str) -> tuple[float, dict[str, Any]]:
    """Return JAX's loss and gradients for what is drawn."""
    params, inputs = drawn(unfold.load(FOLDER / f"{name}.yaml", axes={"t": STEPS}))

    def loss(given: Arrays) -> Any:
        return jnp.mean(jax.vmap(lambda d: MODELS[name](given, d))(inputs))

    with jax.enable_x64(True):
        expected, wanted = jax.jit(jax.value_and_grad(loss))(params)
        return float(expected), jax.tree.map(np.asarray, wanted)


@pytest.mark.parametrize("backend", ["reference", "interpreted"])
@pytest.mark.parametrize("name", MODELS)
def test_today(name: str, backend: str) -> None:
    model = unfold.load(FOLDER / f"{name}.yaml", axes={"t": STEPS})
    if backend == "interpreted":
        interpret(model)
        backend = "numba"
    params, inputs = drawn(model)
    expected, wanted = computed(name)
    found = model.step(params, inputs, wrt=list(params), backend=backend)
    assert found.loss == pytest.approx(expected, rel=1e-12)
    for parameter, gradient in wanted.items():
        scale = max(1.0, float(np.abs(gradient).max()))
        np.testing.assert_allclose(
            found.grads[parameter], gradient, rtol=0, atol=1e-12 * scale, err_msg=parameter
        )
