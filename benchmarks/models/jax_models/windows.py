"""Convolutions by `lax.conv_general_dilated`.

Channels come last; with channels first, images took a third longer.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from benchmarks.models.cases import Written
from benchmarks.models.packing import moved

Arrays = dict[str, jax.Array]


def _convolved(x: jax.Array, kernel: jax.Array, layout: tuple[str, str, str]) -> jax.Array:
    ones = (1,) * (kernel.ndim - 2)
    return jax.lax.conv_general_dilated(x, kernel, ones, "SAME", dimension_numbers=layout)


def conv_1d(p: Arrays, data: Arrays) -> jax.Array:
    """Return the loss; filters are [window, out, in]."""
    layout = ("NHC", "HOI", "NHC")
    y = jax.nn.relu(_convolved(data["x"], p["K"], layout))
    return jnp.square(_convolved(y, p["M"], layout)).mean()


def conv_2d(p: Arrays, data: Arrays) -> jax.Array:
    """Return the loss; the maximum of 2 x 2 is taken of slices, quicker than `reduce_window`."""
    layout = ("NHWC", "OIHW", "NHWC")
    y = jax.nn.relu(_convolved(data["x"], p["K"], layout))
    rows = jnp.maximum(y[:, ::2], y[:, 1::2])
    y = jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2])
    return jnp.square(_convolved(y, p["M"], layout)).mean()


MODELS = {
    "conv-1d": Written(conv_1d),
    "conv-2d": Written(conv_2d, arrange=moved((0, 2, 3, 1), "x").pack),
}
