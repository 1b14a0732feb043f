"""Oracles of networks whose labels have no places: all alignments by the forward variables.

The recursion of Graves, Fernandez, Gomez & Schmidhuber 2006 in probabilities, which cannot
underflow in a few frames: l' being the labels with blanks around them,

    alpha(t,s) = (alpha(t-1,s) + alpha(t-1,s-1) [+ alpha(t-1,s-2)]) y(t,l'(s))
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from oracles.gated import lstm_cell

Arrays = dict[str, jax.Array]
Found = tuple[jax.Array, Arrays]


def forward_variables(y: jax.Array, labels: jax.Array, blank: int) -> jax.Array:
    """Return alpha [T, 2 L + 1] of labels [L], y [T, K] being the probabilities of every frame."""
    spaced = [jnp.array(blank)]
    for label in labels:
        spaced += [label, jnp.array(blank)]
    size = len(spaced)
    row = [y[0, k] if s < 2 else jnp.zeros(()) for s, k in enumerate(spaced)]
    rows = [row]
    for frame in y[1:]:
        before, row = row, []
        for s, k in enumerate(spaced):
            total = before[s] + (before[s - 1] if s >= 1 else 0.0)
            if s >= 2:
                skips = (spaced[s] != blank) & (spaced[s] != spaced[s - 2])
                total = total + jnp.where(skips, before[s - 2], 0.0)
            row.append(total * frame[k])
        rows.append(row)
    assert all(len(r) == size for r in rows)
    return jnp.array(rows)


def ctc_loss(os: jax.Array, labels: jax.Array, blank: int) -> jax.Array:
    """Return -log of the probability of labels, given the scores [T, K] of all frames."""
    y = jnp.exp(os) / jnp.sum(jnp.exp(os), axis=1, keepdims=True)
    alpha = forward_variables(y, labels, blank)
    return -jnp.log(alpha[-1, -1] + alpha[-1, -2])


def ctc(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: an LSTM in both directions, and all alignments of its outputs."""
    x = list(inputs["x"])
    forward, _ = lstm_cell(p, x, "forward.")
    backward, _ = lstm_cell(p, x[::-1], "backward.")
    pairs = zip(forward, backward[::-1], strict=True)
    os = jnp.stack([p["V"] @ jnp.concatenate(pair) + p["c"] for pair in pairs])
    found = {"forward": jnp.stack(forward), "o": os, "say": jnp.argmax(os, axis=1)}
    return ctc_loss(os, inputs["y"], os.shape[1] - 1), found


def ctc_equations(p: Arrays, inputs: Arrays, free: bool = False) -> Found:
    """Return loss and nodes: an Elman network and the logs of the forward variables."""
    h, hs = jnp.zeros(p["b"].shape[0]), []
    for x in inputs["x"]:
        h = jnp.tanh(p["W"] @ h + p["U"] @ x + p["b"])
        hs.append(h)
    os = jnp.stack([p["V"] @ h + p["c"] for h in hs])
    logs = os - jnp.log(jnp.sum(jnp.exp(os), axis=1, keepdims=True))
    loss = ctc_loss(os, inputs["y"], os.shape[1] - 1)
    return loss, {"h": jnp.stack(hs), "o": logs}
