"""What several oracles say in the same words: a column pick and the two losses.

For a matrix U: pick(U, 2) is U[:, 2] and pick(U, -1) is zero.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def pick(matrix: jax.Array, category: jax.Array) -> jax.Array:
    """Return the product of a matrix [m, n] and a one-hot vector (category -1: zero)."""
    column = matrix[:, category]
    return jnp.where(category >= 0, column, jnp.zeros_like(column))


def nothing() -> jax.Array:
    """Return the category that stands for no category."""
    return jnp.array(-1)


def cross_entropy(logits: jax.Array, category: jax.Array) -> jax.Array:
    """Return -log softmax(logits) at the category; logits [n]."""
    return jnp.log(jnp.sum(jnp.exp(logits))) - logits[category]


def mean_squared_error(output: jax.Array, target: jax.Array) -> jax.Array:
    """Return the mean of the squared differences of two vectors [n]."""
    return jnp.sum((output - target) ** 2) / output.shape[0]


def sigmoid(a: jax.Array) -> jax.Array:
    """Return 1 / (1 + exp(-a))."""
    return 1 / (1 + jnp.exp(-a))
