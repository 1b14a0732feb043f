"""Rows of the op table against JAX, where JAX has them: values and gradients, extreme ones too.

The test Program is that of `test_ops`: loss = sum over points of sum(w * (y + y * y)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import oracles  # noqa: F401  (switches JAX to float64)
import pytest
from test_ops import CATEGORY, VECTOR, build, walk

from unfold.core.op import OPS
from unfold.core.program import BATCH
from unfold.core.types import Type
from unfold.core.verify import verify
from unfold.passes.differentiate import adjoint_name, differentiate


def standardized(x: Any) -> Any:
    centred = x - jnp.mean(x)
    return centred / jnp.sqrt(jnp.mean(centred**2) + 1e-5)


def cross_entropy(x: Any, target: Any) -> Any:
    return -jnp.sum(jax.nn.one_hot(target, x.shape[0]) * jax.nn.log_softmax(x))


def bce(x: Any, target: Any) -> Any:
    return -jnp.mean(target * jax.nn.log_sigmoid(x) + (1 - target) * jax.nn.log_sigmoid(-x))


JAX = {
    "softmax": (jax.nn.softmax, [VECTOR]),
    "log_softmax": (jax.nn.log_softmax, [VECTOR]),
    "logsumexp": (jax.nn.logsumexp, [VECTOR]),
    "mean": (jnp.mean, [VECTOR]),
    "norm": (jnp.linalg.norm, [VECTOR]),
    "layer_norm": (standardized, [VECTOR]),
    "cross_entropy": (cross_entropy, [VECTOR, CATEGORY]),
    "mse": (lambda x, y: jnp.mean((x - y) ** 2), [VECTOR, VECTOR]),
    "bce": (bce, [VECTOR, VECTOR]),
    "clip": (jnp.clip, [VECTOR, Type(), Type()]),
    "leaky_relu": (jax.nn.leaky_relu, [VECTOR]),
    "flatten": (jnp.ravel, [Type((3, 2))]),
    "relu": (jax.nn.relu, [VECTOR]),
    "sigmoid": (jax.nn.sigmoid, [VECTOR]),
    "silu": (jax.nn.silu, [VECTOR]),
    "gelu": (lambda x: jax.nn.gelu(x, approximate=False), [VECTOR]),
    "softplus": (jax.nn.softplus, [VECTOR]),
    "erf": (jax.scipy.special.erf, [VECTOR]),
    "abs": (jnp.abs, [VECTOR]),
    "sqrt": (jnp.sqrt, [VECTOR]),
    "exp": (jnp.exp, [VECTOR]),
    "feature_max": (jnp.max, [VECTOR]),
    "minimum": (jnp.minimum, [VECTOR, VECTOR]),
    "maximum": (jnp.maximum, [VECTOR, VECTOR]),
    "pow": (jnp.power, [VECTOR, VECTOR]),
    "mod": (jnp.mod, [VECTOR, VECTOR]),
}
FIRST = {"pow": (0.2, 2.0), "sqrt": (0.2, 2.0), "mod": (0.2, 3.0)}


def against_jax(name: str, operands: Sequence[Any], tolerance: float = 1e-12) -> None:
    """Compare a row's value and gradients with JAX's; operands [points, *stored shape]."""
    function, types = JAX[name]
    real = [i for i, t in enumerate(types) if t.kind == "real"]
    names = ["abc"[i] for i in real]
    whole = build(OPS[name], types, {}, axes=[(BATCH, "t")])
    whole = verify(differentiate(whole, names))
    points, shape = len(operands[0]), whole["w"].type.shape
    weight = np.linspace(0.5, 1.5, points * math.prod(shape)).reshape(points, *shape)
    feeds = {"abc"[i]: x[None] for i, x in enumerate(operands)}
    found = walk(whole, batch=1, steps=points).run({**feeds, "w": weight[None]})

    def loss(xs: list[Any]) -> Any:
        given = dict(zip(real, xs, strict=True))
        y = jax.vmap(function)(*(given.get(i, x) for i, x in enumerate(operands)))
        return jnp.sum(weight * (y + y * y)), y

    (_, y), grads = jax.value_and_grad(loss, has_aux=True)([operands[i] for i in real])
    np.testing.assert_allclose(found["result"][0], y, rtol=tolerance, atol=tolerance)
    for n, expected in zip(names, grads, strict=True):
        gradient = found[adjoint_name(n)][0]
        error = f"gradient of operand {n} of {name}"
        np.testing.assert_allclose(
            gradient, expected, rtol=tolerance, atol=tolerance, err_msg=error
        )


@pytest.mark.parametrize("name", JAX)
def test_against_jax(name: str) -> None:
    _, types = JAX[name]
    low, high = FIRST.get(name, (-3.0, 3.0))
    rng = np.random.default_rng(9)
    operands = []
    for type in types:
        if type.kind == "category":
            operands.append(rng.integers(-1, 4, 6))
        else:
            operands.append(rng.uniform(low, high, (6, *type.shape)))
    if name == "bce":
        operands[1] = rng.random(operands[1].shape)
    if name == "clip":
        operands[1], operands[2] = np.full(6, -1.0), np.full(6, 1.5)
    against_jax(name, operands)


LOGITS = np.array(
    [
        [1e3, 0.0, -1e3, 1.0],
        [-1e3, -1e3, -1e3, -1e3 + 1],
        [1e3, 1e3, 1e3, 1e3],
        [-745.0, 710.0, 0.0, 30.0],
        [0.0, 0.0, 0.0, 0.0],
        [-40.0, 40.0, -20.0, 20.0],
    ]
)


@pytest.mark.parametrize(
    "name",
    ["softmax", "log_softmax", "logsumexp", "sigmoid", "silu", "gelu", "softplus", "erf", "relu",
     "leaky_relu", "layer_norm", "mean", "feature_max"],
)  # fmt: skip
def test_against_jax_at_extreme_values(name: str) -> None:
    """No overflow to infinity or NaN where the result is a number, and no loss of digits.

    A row of equal numbers is a tie for a maximum: its gradient is shared, as in JAX.
    """
    against_jax(name, [LOGITS])


@pytest.mark.parametrize("name", ["cross_entropy", "bce"])
def test_losses_against_jax_at_extreme_values(name: str) -> None:
    target = {"cross_entropy": np.array([2, 0, 3, 1, -1, 0]), "bce": np.ones((6, 4)) * 0.25}
    target["bce"][1] = 1.0
    target["bce"][2] = 0.0
    against_jax(name, [LOGITS, target[name]])


def test_small_probabilities_keep_their_digits() -> None:
    """1 + tanh would round them to zero, and their logarithm to minus infinity."""
    sigmoid = OPS["sigmoid"].evaluate
    assert sigmoid is not None
    x = np.array([-700.0, -40.0, -1.0, 0.0, 40.0])
    found = np.log(sigmoid(x))
    np.testing.assert_allclose(found, -np.logaddexp(0, -x), rtol=1e-14, atol=1e-16)
