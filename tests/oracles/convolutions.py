"""Oracles of convolutional networks: over one, two and three axes, over images, films and lines.

A convolution is written out as a sum over the offsets of its window, one slice of a padded array
each, and a maximum over squares as a maximum over two new axes. Equations: LeCun et al. 1998;
Bashivan et al. 2016; Shi et al. 2017; Amodei et al. 2016; Sak et al. 2014.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp

from oracles.algebra import cross_entropy, pick
from oracles.alignments import ctc_loss
from oracles.gated import gru_cell, lstm_cell

Arrays = dict[str, jax.Array]
Found = tuple[jax.Array, Arrays]


def along_axes(weights: jax.Array, x: jax.Array, axes: int, centre: int = 1) -> jax.Array:
    """Return the sum over offsets of weights[offsets] times x that much further on, less `centre`.

    Beyond its ends x is zero. weights [*window, m, n] are matrices where x has features
    [*axes, n], and vectors [*window, m] where it has none.
    """
    window = weights.shape[:axes]
    margins = [(centre, max(k - 1 - centre, 0)) for k in window]
    padded = jnp.pad(x, margins + [(0, 0)] * (x.ndim - axes))
    total: Any = 0.0
    for place in product(*map(range, window)):
        read = padded[tuple(slice(p, p + n) for p, n in zip(place, x.shape, strict=False))]
        w = weights[place]
        total = total + (read @ w.T if w.ndim == 2 else read[..., None] * w)
    return total


def relu(a: jax.Array) -> jax.Array:
    """Return the larger of a and 0."""
    return jnp.where(a > 0, a, 0.0)


def conv_1d(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes of two convolutions over frames x [T, bands]."""
    y = relu(p["b"] + along_axes(p["K"], inputs["x"], 1, 2))
    z = relu(p["d"] + along_axes(p["M"], y, 1, 2))
    o = z @ p["V"].T + p["c"]
    losses = [cross_entropy(s, k) for s, k in zip(o, inputs["label"], strict=True)]
    return sum(losses) / len(losses), {"y": y, "z": z, "o": o}


def conv_2d(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes of two convolutions over a grid of numbers x [I, J]."""
    y = relu(p["b"] + along_axes(p["K"], inputs["x"], 2))
    z = relu(p["d"] + along_axes(p["M"], y, 2))
    o = p["c"] + p["V"] @ largest(z.reshape(-1, z.shape[-1]))
    return cross_entropy(o, inputs["label"]), {"y": y, "z": z, "o": o}


def conv_3d(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes of a convolution over a film x [T, I, J]."""
    y = relu(p["b"] + along_axes(p["K"], inputs["x"], 3))
    o = p["c"] + p["V"] @ jnp.mean(y, axis=(0, 1, 2))
    return cross_entropy(o, inputs["label"]), {"y": y, "o": o}


def same(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """Return the convolution of an image [C, H, W] with kernels [O, C, 3, 3], as large as it."""
    image = jnp.moveaxis(x, 0, -1)  # channels are the features of a grid
    weights = jnp.transpose(kernel, (2, 3, 0, 1))
    return jnp.moveaxis(along_axes(weights, image, 2) + bias, -1, 0)


def largest(parts: Iterable[jax.Array]) -> jax.Array:
    """Return the largest of some arrays, element by element.

    Not jnp.max, whose compiled gradient may find that nothing equals the maximum, and divide by 0.
    """
    return reduce(jnp.maximum, parts)


def halved(x: jax.Array) -> jax.Array:
    """Return the largest of every 2 by 2 elements of an image [C, H, W]."""
    h, w = (n // 2 * 2 for n in x.shape[1:])
    return largest(x[:, i:h:2, j:w:2] for i in (0, 1) for j in (0, 1))


def lenet(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes of two convolutions of an image x [8, 8] and two dense layers."""
    h1 = jnp.tanh(same(inputs["x"][None], p["K1"], p["b1"]))
    h2 = jnp.tanh(same(halved(h1), p["K2"], p["b2"]))
    p2 = halved(h2)
    f = jnp.tanh(p["U"] @ p2.reshape(-1) + p["d"])
    o = p["V"] @ f + p["c"]
    return cross_entropy(o, inputs["label"]), {"h1": h1, "h2": h2, "p2": p2, "o": o}


def symbols(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes of an Elman network whose symbols pick columns of E."""
    h, vs, hs, loss = jnp.zeros(p["b"].shape[0]), [], [], jnp.zeros(())
    for symbol, follows in zip(inputs["x"], inputs["y"], strict=True):
        vs.append(pick(p["E"], symbol))
        h = jnp.tanh(p["W"] @ h + vs[-1] + p["b"])
        hs.append(h)
        loss += cross_entropy(p["V"] @ h + p["c"], follows)
    return loss / len(hs), {"v": jnp.stack(vs), "h": jnp.stack(hs)}


def trunk(p: Arrays, frames: jax.Array) -> jax.Array:
    """Return the features [T, n] of frames [T, side, side]."""

    def features(frame: jax.Array) -> jax.Array:
        h1 = relu(same(frame[None], p["K1"], p["b1"]))
        h2 = relu(same(halved(h1), p["K2"], p["b2"]))
        return halved(h2).reshape(-1)

    return jax.vmap(features)(frames)


def over_time(head: Callable[[Arrays, jax.Array], jax.Array]) -> Callable[..., Found]:
    """Return the oracle of a head on the trunk."""

    def oracle(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
        f = trunk(p, inputs["x"])
        o = head(p, f)
        return cross_entropy(o, inputs["label"]), {"f": f, "o": o}

    return oracle


def _temporal(p: Arrays, f: jax.Array) -> jax.Array:
    return largest(relu(p["d"] + along_axes(p["U"], f, 1)))


def _last(p: Arrays, f: jax.Array) -> jax.Array:
    return lstm_cell(p, list(f), "h.")[0][-1]


frames_max_pool = over_time(lambda p, f: p["V"] @ jnp.tanh(p["U"] @ largest(f) + p["d"]) + p["c"])
frames_temporal_conv = over_time(lambda p, f: p["V"] @ _temporal(p, f) + p["c"])
frames_lstm = over_time(lambda p, f: p["V"] @ _last(p, f) + p["c"])
frames_lstm_conv = over_time(
    lambda p, f: p["V"] @ jnp.concatenate([_last(p, f), _temporal(p, f)]) + p["c"]
)


def columns(p: Arrays, x: jax.Array) -> jax.Array:
    """Return relu(K * x + b), [T, filters, rows], of columns x [T, rows], windows 3 by 3."""
    weights = jnp.transpose(p["K"], (0, 3, 1, 2))
    return jnp.swapaxes(relu(along_axes(weights, x[:, :, None], 2) + p["b"]), 1, 2)


def line_recogniser(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: convolutions over a line x [T, rows], two LSTMs, all alignments."""
    e = columns(p, inputs["x"])
    rows = e.shape[2]
    f = largest(e[:, :, i : rows // 2 * 2 : 2] for i in (0, 1)).reshape(len(e), -1)
    forward, _ = lstm_cell(p, list(f), "forward.")
    backward, _ = lstm_cell(p, list(f)[::-1], "backward.")
    both = zip(forward, backward[::-1], strict=True)
    o = jnp.stack([p["V"] @ jnp.concatenate(pair) + p["c"] for pair in both])
    return ctc_loss(o, inputs["y"], o.shape[1] - 1), {"e": e, "f": f, "o": o}


def deep_speech(
    p: Arrays, sequences: Sequence[Arrays], free: bool = False
) -> tuple[jax.Array, list[Arrays]]:
    """Return the mean loss and the nodes of each sequence: statistics are those of all of them."""
    layers = [columns(p, s["x"]) for s in sequences]
    raw = [e.reshape(len(e), -1) @ p["U"].T for e in layers]
    steps = sum(len(a) for a in raw)
    m = sum(jnp.sum(a, axis=0) for a in raw) / steps
    s = sum(jnp.sum((a - m) ** 2, axis=0) for a in raw) / steps
    losses, found = [], []
    for inputs, e, a in zip(sequences, layers, raw, strict=True):
        n = p["g"] * (a - m) / jnp.sqrt(s + 0.001) + p["d"]
        forward, _ = gru_cell(p, list(n), "forward.")
        backward, _ = gru_cell(p, list(n)[::-1], "backward.")
        both = zip(forward, backward[::-1], strict=True)
        h = jnp.stack([jnp.concatenate(pair) for pair in both])
        o = relu(h @ p["D"].T + p["q"]) @ p["V"].T + p["c"]
        losses.append(ctc_loss(o, inputs["y"], o.shape[1] - 1))
        found.append({"e": e, "n": n, "o": o})
    return sum(losses) / len(losses), found


def acoustic_lstm(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes of two LSTMs over windows of frames x [T, bands]."""
    x = inputs["x"]
    padded = jnp.pad(x, [(2, 2), (0, 0)])
    w = jnp.concatenate([padded[k : k + len(x)] for k in range(5)], axis=1)
    below, _ = lstm_cell(p, list(w), "h.layer1.")
    above, _ = lstm_cell(p, below, "h.layer2.")
    o = jnp.stack([p["V"] @ h + p["c"] for h in above])
    losses = [cross_entropy(s, k) for s, k in zip(o, inputs["label"], strict=True)]
    return sum(losses) / len(losses), {"w": w, "h": jnp.stack(above), "o": o}
