"""Independent dimensions of nests, and Plans for a Target that is unlike the CPU.

That a dimension is independent is proved by force: its points run backwards, in lockstep and in
random turns (`differential.parallel`), and every bit of every buffer is the same as in order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sample import CASES, Sample, sample
from test_numba_specs import agree

from tests.differential.interpreted import interpret
from tests.differential.parallel import (
    PARALLEL,
    Order,
    Parallel,
    backwards,
    lockstep,
    shuffled,
)
from unfold.backends.numba.backend import Numba
from unfold.core.plan import Nest, Plan
from unfold.planning import independence

SPECS = ("attention", "char-rnn", "ctc", "lenet", "lstm-stack", "rnn-2d", "stop-halt-output")
TARGETS = {"cpu": Numba.target, "parallel": PARALLEL}
ORDERS: dict[str, Callable[[], Order]] = {
    "backwards": lambda: backwards,
    "lockstep": lambda: lockstep,
    "shuffled": lambda: shuffled(1),
}


def computed(drawn: Sample, **options: Any) -> tuple[dict[str, Any], set[Plan]]:
    """Return what is in every buffer after a step, and the Plans that ran."""
    engine = interpret(drawn.model, **options)
    drawn.model.step(
        drawn.params, drawn.inputs, wrt=drawn.names, lengths=drawn.lengths, backend="numba"
    )
    shares = [s for shares in engine._bound.values() for s in shares]
    views = {(i, n): v for i, s in enumerate(shares) for n, v in s.bound.views.items()}
    return {str(k): np.array(v) for k, v in views.items()}, {p for p, _ in engine._written}


def nests(plans: set[Plan]) -> list[Nest]:
    """Return the nests of Plans that have dimensions."""
    return [s for p in plans for s in p.walk() if isinstance(s, Nest) and s.dims]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", SPECS)
def test_points_of_independent_dimensions_run_in_any_order(name: str, target: str) -> None:
    drawn = sample(CASES[name], steps=5, seed=1)
    expected, plans = computed(drawn, target=TARGETS[target])
    assert any(n.independent for n in nests(plans))
    for order in ORDERS.values():
        found, _ = computed(drawn, machine=Parallel(order()), target=TARGETS[target])
        assert found.keys() == expected.keys()
        for buffer, array in expected.items():
            np.testing.assert_array_equal(found[buffer], array, err_msg=buffer)


@pytest.mark.parametrize("order", ["lockstep", "shuffled"])
def test_a_dimension_that_shares_a_row_is_found_out(
    order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(independence, "_independent", lambda n, _: tuple(d.name for d in n.dims))
    drawn = sample(CASES["char-rnn"], steps=5, seed=1)
    step = {"lengths": drawn.lengths, "backend": "numba"}
    interpret(drawn.model)
    expected = drawn.model.step(drawn.params, drawn.inputs, **step)
    interpret(drawn.model, machine=Parallel(ORDERS[order]()))
    found = drawn.model.step(drawn.params, drawn.inputs, **step)
    assert not np.allclose(found.grads["W_hy"], expected.grads["W_hy"])


def mixed(nest: Nest) -> bool:
    """Whether points depend on each other although not everything in the nest is one sum."""
    stores = [s.access for k in nest.kernels for _, s in k.stores]
    left = [d.name for d in nest.dims if d.name not in nest.independent]
    return any(a.moves(name) for a in stores for name in left)


@pytest.mark.parametrize("name", SPECS)
def test_nests_are_parallel_or_sums_if_the_target_says_so(name: str) -> None:
    drawn = sample(CASES[name], steps=5, seed=1)
    assert not any(map(mixed, nests(computed(drawn, target=PARALLEL)[1])))
    assert any(map(mixed, nests(computed(drawn, target=Numba.target)[1])))


@pytest.mark.parametrize("name", SPECS)
def test_another_target_computes_the_same(name: str) -> None:
    drawn = sample(CASES[name], steps=5, seed=1)
    for mode in drawn.case.modes:
        interpret(drawn.model, machine=Parallel(shuffled(2)), target=PARALLEL)
        for lengths in (drawn.lengths, None):
            agree(drawn, mode, lengths, "float64")
