"""Fast weights: a `lax.scan` whose state is a matrix.

The sum over earlier states that `fast-weights-sum` writes is the same product, so its peer is the
scan with the matrix.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from benchmarks.models.cases import Written
from benchmarks.models.jax_models.attention import cross_entropy, normalised
from benchmarks.models.packing import steps_first

Arrays = dict[str, jax.Array]
State = tuple[jax.Array, jax.Array]


def fast_weights(p: Arrays, data: Arrays) -> jax.Array:
    """Return the loss; data is [steps, batch]."""
    own = data["x"] @ p["U"].T + p["b"]
    recurrent = p["W"].T

    def body(state: State, z: jax.Array) -> tuple[State, jax.Array]:
        h, memory = state
        memory = 0.95 * memory + 0.5 * h[:, :, None] * h[:, None]
        z = z + h @ recurrent
        read = jnp.einsum("bij,bj->bi", memory, jnp.tanh(z))
        h = jnp.tanh(p["gain"] * normalised(z + read))
        return (h, memory), h

    _, batch, hidden = own.shape
    start = jnp.zeros((batch, hidden), own.dtype), jnp.zeros((batch, hidden, hidden), own.dtype)
    _, states = jax.lax.scan(body, start, own)
    return cross_entropy(states @ p["V"].T + p["c"], data["y"])


WRITTEN = Written(fast_weights, arrange=steps_first)
MODELS = {"fast-weights": WRITTEN, "fast-weights-sum": WRITTEN}
