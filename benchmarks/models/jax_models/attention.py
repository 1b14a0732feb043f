"""Attention: products and a softmax, and a decoder that attends in a `lax.scan`."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from benchmarks.models.cases import Written
from benchmarks.models.packing import both, joined, moved, steps_first

Arrays = dict[str, jax.Array]


def self_attention(p: Arrays, data: Arrays) -> jax.Array:
    """Return the loss; one product makes queries, keys and values."""
    return jnp.square(_attended(data["x"] @ p["QKV"].T)).mean()


def _attended(joint: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """Attend with one head.

    Args:
        joint: queries, keys and values side by side, [batch, steps, 3 * width].
        mask: [steps, steps]; None: every step reads all.
    """
    q, k, v = jnp.split(joint, 3, -1)
    scores = jnp.einsum("btd,bsd->bts", q, k) / q.shape[-1] ** 0.5
    if mask is not None:
        scores = jnp.where(mask, scores, -1e9)
    return jax.nn.softmax(scores) @ v


def normalised(x: jax.Array) -> jax.Array:
    """Normalise the last dimension."""
    centred = x - x.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-5)


def cross_entropy(logits: jax.Array, classes: jax.Array) -> jax.Array:
    """Return the mean over all but the last dimension."""
    scores = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(scores, classes[..., None], -1).mean()


def looped_transformer(p: Arrays, data: Arrays) -> jax.Array:
    """Return the loss; `E` is [vocab, width], and matrices of layers are [in, out].

    Rows are [batch * steps, width] but in attention: products of three dimensions, and matrices
    the other way round, took 40 % longer.
    """
    batch, steps = data["x"].shape
    width = p["E"].shape[-1]
    u = (p["E"][data["x"]] + p["P"]).reshape(batch * steps, width)
    mask = jnp.tril(jnp.ones((steps, steps), bool))
    for r in range(len(p["L"])):
        u = u + p["L"][r]
        for k in range(len(p["QKV"])):
            joint = (normalised(u) @ p["QKV"][k]).reshape(batch, steps, 3 * width)
            u = u + _attended(joint, mask).reshape(batch * steps, width) @ p["O"][k]
            u = u + jax.nn.gelu(normalised(u) @ p["A"][k], approximate=False) @ p["B"][k]
    return cross_entropy(u @ p["E"].T, data["y"].flatten())


def encoder_decoder(p: Arrays, data: Arrays) -> jax.Array:
    """Return the loss; data is [steps, batch]. The decoder starts with no symbol."""
    recurrent = p["W"].T

    def read(h: jax.Array, own: jax.Array) -> tuple[jax.Array, jax.Array]:
        h = jnp.tanh(own + h @ recurrent)
        return h, h

    words = p["U"][data["x"]] + p["b"]
    _, states = jax.lax.scan(read, jnp.zeros_like(words[0]), words)
    states = states.swapaxes(0, 1)  # [batch, source, encoder]
    keys = states @ p["B"].T
    step, query = jnp.concatenate([p["W_d"], p["K"]], -1).T, p["A"].T

    def write(d: jax.Array, own: jax.Array) -> tuple[jax.Array, jax.Array]:
        scores = jnp.tanh((d @ query)[:, None] + keys) @ p["v"]
        context = jnp.einsum("bs,bsh->bh", jax.nn.softmax(scores), states)
        d = jnp.tanh(own + jnp.concatenate([d, context], -1) @ step)
        return d, d

    embedded = p["R"][data["y"][:-1]]
    previous = jnp.concatenate([jnp.zeros_like(embedded[:1]), embedded]) + p["b_d"]
    _, found = jax.lax.scan(write, jnp.zeros_like(previous[0]), previous)
    return cross_entropy(found @ p["V"].T + p["b_o"], data["y"])


PROJECTIONS = joined("QKV", "Q", "K", "V")
LOOPED = both(PROJECTIONS, moved((1, 0), "E"), moved((0, 2, 1), "QKV", "O", "A", "B"))
DECODER = moved((1, 0), "U", "R")
MODELS = {
    "self-attention": Written(self_attention, PROJECTIONS.pack, PROJECTIONS.unpack),
    "looped-transformer": Written(looped_transformer, LOOPED.pack, LOOPED.unpack),
    "encoder-decoder": Written(encoder_decoder, DECODER.pack, DECODER.unpack, steps_first),
}
