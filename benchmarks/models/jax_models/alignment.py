"""Connectionist temporal classification by a `lax.scan` over the lattice (Graves et al. 2006).

    positions of a lattice   blank, label 0, blank, label 1, ..., blank
    α(t,s) = p(t, class of s) * (α(t-1,s) + α(t-1,s-1) + α(t-1,s-2) where s may skip the blank)

Sums are of logarithms. The gradient is JAX's own; a backward pass over the lattice is not written.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from benchmarks.models.cases import Written
from benchmarks.models.packing import moved

Arrays = dict[str, jax.Array]
NEVER = -1e5  # the logarithm of nothing, as Optax has it: differences of infinities are not numbers


def ctc(p: Arrays, data: Arrays) -> jax.Array:
    """Return the loss; x is [steps, batch, features], labels are [batch, labels]."""
    scores = jax.nn.log_softmax(data["x"] @ p["V"].T + p["c"])
    labels = data["y"]
    batch, count = labels.shape
    blank = scores.shape[-1] - 1
    classes = jnp.full((batch, 2 * count + 1), blank).at[:, 1::2].set(labels)
    skips = (classes[:, 2:] != blank) & (classes[:, 2:] != classes[:, :-2])
    emitted = jnp.take_along_axis(scores, classes[None], -1)  # [steps, batch, positions]

    def shifted(alpha: jax.Array, by: int) -> jax.Array:
        return jnp.pad(alpha[:, :-by], ((0, 0), (by, 0)), constant_values=NEVER)

    allowed = jnp.pad(skips, ((0, 0), (2, 0)))

    def body(alpha: jax.Array, own: jax.Array) -> tuple[jax.Array, None]:
        skipped = jnp.where(allowed, shifted(alpha, 2), NEVER)
        return own + jnp.logaddexp(jnp.logaddexp(alpha, shifted(alpha, 1)), skipped), None

    positions = jnp.arange(2 * count + 1)
    start = jnp.where(positions < 2, emitted[0], NEVER)
    alpha, _ = jax.lax.scan(body, start, emitted[1:])
    return -jnp.logaddexp(alpha[:, -1], alpha[:, -2]).mean()


MODELS = {"ctc": Written(ctc, arrange=moved((1, 0, 2), "x").pack)}
