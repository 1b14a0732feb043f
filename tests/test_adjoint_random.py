"""Random small specs: gradients to second order, and padded batches against each sequence alone."""

from __future__ import annotations

import pytest
from gradients import check_each_alone, check_model, sample
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_specs import specs

from unfold.errors import CycleError, SpecError

LENGTHS = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)).map(list)
COMMON = {
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much],
}


def check(text: str, steps: list[int], points: list[int]) -> None:
    lengths = {"t": steps, "s": points}
    extents = {"t": max(steps), "s": max(points)}
    try:
        model, params, inputs, options = sample(text, extents, lengths)
    except CycleError:
        assume(False)
        return
    except SpecError as error:
        assume("any number of steps outside" not in str(error))
        raise
    params = {n: 0.5 * a for n, a in params.items()}
    check_model(model, params, inputs, **options)
    check_each_alone(model, params, inputs, lengths)


@settings(max_examples=6, **COMMON)
@given(text=specs(), steps=LENGTHS, points=LENGTHS)
def test_random_specs(text: str, steps: list[int], points: list[int]) -> None:
    check(text, steps, points)


@pytest.mark.slow
@settings(max_examples=3000, **COMMON)
@given(text=specs(), steps=LENGTHS, points=LENGTHS)
def test_many_random_specs(text: str, steps: list[int], points: list[int]) -> None:
    check(text, steps, points)
