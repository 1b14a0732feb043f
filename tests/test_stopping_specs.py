"""Specs that stop by themselves: a free run ends where the oracle's does, and never past the bound.

Random weights, so that sequences end at many different steps: `model.forward` in free mode and
`model.generate` against the oracle's free run, cut where its own outputs say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES
from oracles.unfolding import stops_after
from sample import assert_close, sample

import unfold

NAMES = (
    "one-to-many",
    "vector-to-sequence",
    "many-to-many-delayed",
    "stop-end-symbol",
    "stop-halt-output",
    "stop-predicted-length",
)
SEEDS = range(8)
every_stop = pytest.mark.parametrize("name", NAMES)


def bound(model: unfold.Model) -> int:
    assert model.elaborated.stop is not None
    assert model.elaborated.stop.at_most is not None
    return model.elaborated.stop.at_most


def free_runs(name: str, model: unfold.Model) -> Iterator[tuple[dict[str, Any], ...]]:
    """Yield parameters, inputs, and for each sequence what the oracle finds up to the bound."""
    case = CASES[name]
    most = bound(model)
    for seed in SEEDS:
        drawn = sample(case, 5, seed=seed, lengths={axis: [5, 5, 5] for axis in case.varying})
        inputs = {n: a for n, a in drawn.inputs.items() if n != "y"}
        if "s" in case.varying:
            inputs["x"] = inputs["x"][:, :5]
        found = []
        for number in range(3):
            one = {n: jnp.asarray(a[number]) for n, a in inputs.items()}
            y = jnp.zeros(most, int)  # only its length is read
            found.append(case.oracle(drawn.params, {**drawn.params, **one, "y": y}, free=True)[1])
        yield drawn.params, inputs, *found


@every_stop
def test_a_free_run_ends_where_it_says(name: str) -> None:
    model = unfold.load(name, sizes=dict(CASES[name].sizes))
    most, seen = bound(model), list[int]()
    end = CASES[name].sizes.get("symbols", 0)
    for params, inputs, *expected in free_runs(name, model):
        run = model.forward(params, inputs, mode="free")
        written = model.generate(params, inputs)
        for number, nodes in enumerate(expected):
            steps = stops_after(name, nodes, most, end)
            seen.append(steps)
            assert run.lengths["t"][number] == steps == written.lengths[number]
            for node in ("o", "choice"):
                assert_close(node, run[node][number, :steps], nodes[node][:steps])
            np.testing.assert_array_equal(written[number], nodes["choice"][:steps])
    assert max(seen) <= most
    assert len(set(seen)) > 2, f"all stop after {set(seen)} steps, so little is tested"


def test_a_length_that_only_training_knows_is_predicted_while_a_prompt_is_read() -> None:
    """The steps of a prompt are part of the length, and are told what is left of it."""
    name = "stop-predicted-length"
    model = unfold.load(name, sizes=dict(CASES[name].sizes))
    drawn = sample(CASES[name], 5, seed=3)
    x = drawn.inputs["x"]
    whole = model.generate(drawn.params, {"x": x})
    assert sorted(whole.lengths)[-2] > 3
    for number in np.flatnonzero(whole.lengths > 3):
        rest = whole[number][2:]
        begun = model.generate(drawn.params, {"x": x[[number]]}, prompt=whole[number][:2])
        np.testing.assert_array_equal(begun[0], rest)
