"""A training step of char-rnn under one `jit`: gradients, clipping and Adam by hand.

The state is carried from chunk to chunk, without its gradient, and begins anew with the text. The
buffers of parameters and moments are given to the step, which writes the new ones there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.models.cases import CHUNKS, START, Arrays, Model, stepped
from benchmarks.models.jax_models.attention import cross_entropy
from benchmarks.peers.peer import Numbers, Prepared

Leaves = dict[str, jax.Array]


def loss_of(p: Leaves, h: jax.Array, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the loss and the last state; data is [steps, batch]."""
    recurrent = p["W_hh"].T

    def body(h: jax.Array, own: jax.Array) -> tuple[jax.Array, jax.Array]:
        h = jnp.tanh(own + h @ recurrent)
        return h, h

    last, states = jax.lax.scan(body, h, p["W_xh"].T[x] + p["b_h"])
    return cross_entropy(states @ p["W_hy"].T + p["b_y"], y), last


def make_step(settings: Any) -> Callable[..., tuple[jax.Array, ...]]:
    """Return a training step with the constants of the settings."""
    adam, limit = settings.optimizer, settings.clip.norm

    @partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(p: Leaves, mean: Leaves, square: Leaves, n: Any, h: Any, x: Any, y: Any) -> Any:
        (loss, h), g = jax.value_and_grad(loss_of, has_aux=True)(p, h, x, y)
        norm = jnp.sqrt(sum(jnp.square(a).sum() for a in g.values()))
        scale = jnp.minimum(1.0, limit / norm)
        g = {k: scale * a for k, a in g.items()}
        mean = {k: adam.beta1 * m + (1 - adam.beta1) * g[k] for k, m in mean.items()}
        square = {k: adam.beta2 * v + (1 - adam.beta2) * g[k] ** 2 for k, v in square.items()}
        rate, root = adam.rate / (1 - adam.beta1**n), 1 / jnp.sqrt(1 - adam.beta2**n)
        p = {
            k: a - rate * mean[k] / (root * jnp.sqrt(square[k]) + adam.epsilon)
            for k, a in p.items()
        }
        return loss, p, mean, square, h

    return step


class Training:
    """The arrays of a run and its position in the text.

    Args:
        step: from `make_step`.
        arrays: of the first step.
    """

    def __init__(self, step: Callable[..., tuple[jax.Array, ...]], arrays: Arrays) -> None:
        self._step, self.taken = step, START
        given = (arrays.parameters, arrays.moments["mean"], arrays.moments["square"])
        self.leaves = [{n: jnp.array(a) for n, a in part.items()} for part in given]
        texts = [jnp.asarray(arrays.inputs[n].T.astype(np.int32)) for n in ("x", "target")]
        self.chunks = list(zip(*(jnp.split(text, CHUNKS) for text in texts), strict=True))
        self.zeros = jnp.zeros((texts[0].shape[1], len(self.leaves[0]["W_hh"])))
        self.state = self.zeros

    def step(self) -> jax.Array:
        """Take a step; return the loss before it."""
        chunk = self.taken % CHUNKS
        state = self.state if chunk else self.zeros
        self.taken += 1
        x, y = self.chunks[chunk]
        loss, *self.leaves, self.state = self._step(*self.leaves, self.taken, state, x, y)
        return jax.block_until_ready(loss)

    def numbers(self) -> Numbers:
        """Take a step and return the numbers of it."""
        loss = float(self.step())
        leaves: Any = self.leaves
        parameters, mean, square = leaves
        return stepped(loss, parameters, {"mean": mean, "square": square})


def prepare(case: Model, arrays: Arrays) -> Prepared:
    """Return a step, and the numbers of the first one."""
    step = make_step(case.settings())
    return Prepared(Training(step, arrays).step, lambda _: Training(step, arrays).numbers())
