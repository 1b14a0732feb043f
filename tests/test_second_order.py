"""Hessian-vector products, by differentiating twice, against JAX and differences of gradients.

The adjoint of a Program is a Program, so it can be differentiated again; seven specs that use
different parts of the language say whether that is true. JAX differentiates forward over reverse,
which shares no idea with what is tested. Float64, unequal lengths, a random direction over every
parameter and learned initial state.
"""

from __future__ import annotations

import numpy as np
import pytest
from sample import CASES, Arrays, Sample, assert_close, expect_product, sample

STEPS = {
    "pattern-last": (1, 2, 5),
    "bidirectional": (1, 2, 5),
    "rnn-2d": (1, 2),
    "gru": (1, 2, 5),
    # JAX takes half a minute to compile longer ones; two steps include a sequence of one.
    "lstm-peephole": (2,),
    "attention": (2,),
    "recurrent-highway": (2,),
}
DIFFERENCE = 1e-5


def random_direction(drawn: Sample, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(value.shape) for name, value in drawn.params.items()}


def product(drawn: Sample, direction: Arrays, mode: str = "teacher") -> Arrays:
    return drawn.model.hessian_vector(
        drawn.params, drawn.inputs, direction, lengths=drawn.lengths, mode=mode
    )


@pytest.mark.parametrize(("name", "steps"), [(n, t) for n, steps in STEPS.items() for t in steps])
def test_against_jax(name: str, steps: int) -> None:
    drawn = sample(CASES[name], steps, seed=9)
    direction = random_direction(drawn, seed=10)
    found = product(drawn, direction)
    expected = expect_product(drawn, direction)
    for key in drawn.params:
        assert_close(f"product for {key}", found[key], expected[key])


@pytest.mark.parametrize("name", STEPS)
def test_against_differences_of_gradients(name: str) -> None:
    drawn = sample(CASES[name], steps=5, seed=11)
    direction = random_direction(drawn, seed=12)
    found = product(drawn, direction)
    ahead, behind = (
        drawn.value_and_grad({k: v + sign * direction[k] for k, v in drawn.params.items()})[1]
        for sign in (DIFFERENCE, -DIFFERENCE)
    )
    for key in drawn.params:
        numeric = (ahead[key] - behind[key]) / (2 * DIFFERENCE)
        assert_close(f"product for {key}", found[key], numeric, 1e-6)


def test_products_are_symmetric() -> None:
    """<d, H e> = <e, H d> for the free run of the network that feeds its outputs back."""
    drawn = sample(CASES["pattern-output"], steps=5, seed=13)
    d, e = random_direction(drawn, seed=14), random_direction(drawn, seed=15)
    left, right = (
        sum(float(np.sum(a[key] * product(drawn, b, "free")[key])) for key in a)
        for a, b in ((d, e), (e, d))
    )
    assert_close("<d, H e>", left, right)
