"""Lengths within lengths: characters in words in sentences, as docs/language.md says to write them.

The oracle is JAX over lists: one loop over the words of a sentence, one over the characters of each
word, no padding and no masks.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gradients import draw
from oracles.applied import gru_step

import unfold
from unfold.errors import DataError

DOCS = Path(__file__).parents[1] / "docs" / "language.md"


def spec() -> unfold.Model:
    """Load the example of the docs."""
    _, _, section = DOCS.read_text().partition("### Lengths within lengths\n")
    example = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)[0]
    return unfold.loads(example)


# Two sentences of 4 and 2 words; a word may have no character, and one fills the whole axis.
WORDS = [4, 2]
LENGTHS = np.array([[3.0, 0.0, 6.0, 1.0], [0.0, 2.0, 5.0, 5.0]])


def test_nested_lengths() -> None:
    model = spec()
    params = draw({n: a.shape for n, a in model.init().items()}, 0)
    letters = np.random.default_rng(1).integers(0, 10, (2, 4, 6))

    def word(p: Any, characters: Any) -> Any:
        x = [p["E"][:, c] for c in characters]
        kept, back = jnp.zeros(3), jnp.zeros(5)
        for a in x:
            kept = gru_step(p, "step.", kept, a)
        for a in reversed(x):
            back = jnp.tanh(a + 0.5 * back)
        if not x:
            return jnp.concatenate([kept, back, jnp.zeros(5)])
        every = jnp.stack(x)
        return jnp.concatenate([kept, back, jax.nn.softmax(every @ p["V"]) @ every])

    def loss(p: Any) -> Any:
        total = 0.0
        for sentence, lengths, words in zip(letters, LENGTHS, WORDS, strict=True):
            state = jnp.zeros(3)
            for own, n in list(zip(sentence, lengths, strict=True))[:words]:
                state = gru_step(p, "sentence.", state, word(p, own[: int(n)]))
            total += state.sum() / 2
        return total

    inputs = {"ch": letters, "length": LENGTHS}
    expected, wanted = jax.value_and_grad(loss)(params)
    padding = np.arange(6) >= LENGTHS[..., None]
    other = {**inputs, "ch": np.where(padding, 9 - letters, letters)}
    for backend in ("reference", "numba"):
        how: dict[str, Any] = {"lengths": {"w": WORDS}, "backend": backend}
        value, grads = model.value_and_grad(params, inputs, **how)
        assert value == pytest.approx(float(expected), rel=1e-12)
        for name, found in grads.items():
            np.testing.assert_allclose(found, wanted[name], rtol=1e-9, atol=1e-12, err_msg=name)
        # What stands in the padding changes nothing.
        assert model.forward(params, other, **how).loss == value


def test_lengths_of_two_axes_are_told_how_to_be_written() -> None:
    inputs = {"ch": np.zeros((2, 4, 6), int), "length": LENGTHS}
    with pytest.raises(DataError, match=r"where\(c < n\[w\], …\): see 'Lengths within lengths'"):
        spec().forward({}, inputs, lengths={"c": LENGTHS})
