"""Fast weights: a `lax.scan` whose state holds all earlier states, which it weights and adds up.

The matrix of `fast-weights` gives the same product; a scan with the matrix took nearly twice as
long, so both cases have this peer.
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
    steps, batch, hidden = own.shape
    numbers = jnp.arange(steps)

    def body(state: State, step: State) -> tuple[State, jax.Array]:
        (h, past), (t, z) = state, step
        z = z + h @ recurrent
        fading = jnp.where(numbers < t, 0.5 * 0.95 ** (t - 1 - numbers), 0)
        weights = fading * jnp.einsum("bsh,bh->bs", past, jnp.tanh(z))
        read = jnp.einsum("bs,bsh->bh", weights, past)
        h = jnp.tanh(p["gain"] * normalised(z + read))
        return (h, jax.lax.dynamic_update_index_in_dim(past, h, t, 1)), h

    start = jnp.zeros((batch, hidden), own.dtype), jnp.zeros((batch, steps, hidden), own.dtype)
    _, states = jax.lax.scan(body, start, (numbers, own))
    return cross_entropy(states @ p["V"].T + p["c"], data["y"])


WRITTEN = Written(fast_weights, arrange=steps_first)
MODELS = {"fast-weights": WRITTEN, "fast-weights-sum": WRITTEN}
