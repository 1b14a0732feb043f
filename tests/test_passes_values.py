"""Passes change how a Program is written, not what it computes.

Every recurrence of `recurrences`, run before and after each pass: the named equations that both
have hold the same numbers, in every mode, with unequal lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gradients import sample
from recurrences import MEANINGS, extents, lengths, text

import unfold
from unfold.core.program import Program
from unfold.core.verify import verify
from unfold.errors import UnsupportedError
from unfold.passes.boundaries import lower_boundaries
from unfold.passes.carry import carry_state, delays, hand_over
from unfold.passes.differentiate import differentiate
from unfold.passes.modes import resolve_modes
from unfold.passes.products import join_products
from unfold.passes.simplify import drop_dead, merge_copies
from unfold.runs.domain import Domain
from unfold.unfolded.reference import Walk


def run(program: Program, feeds: Mapping[str, Any], own: Mapping[str, list[int]]) -> Any:
    return Walk(program, Domain(program, extents(own), own, 3)).run(feeds)


def with_gradients(program: Program) -> Program:
    return differentiate(program, [v.name for v in program.parameters])


def merged(program: Program) -> Program:
    return merge_copies(lower_boundaries(program))


PASSES: dict[str, Callable[[Program], Program]] = {
    "lower_boundaries": lower_boundaries,
    "drop_dead": drop_dead,
    "merge_copies": merged,
    "differentiate": lambda p: with_gradients(lower_boundaries(p)),
    "join_products": lambda p: join_products(with_gradients(lower_boundaries(p))),
    "hand_over": lambda p: hand_over(p, "t", delays(p, "t")) if "t" in p.axes else p,
}


@pytest.mark.parametrize("transform", PASSES)
@pytest.mark.parametrize("name", MEANINGS)
def test_values_stay(name: str, transform: str) -> None:
    own = lengths(name, 5)
    model, params, inputs, _ = sample(text(name), extents(own), own, seed=1)
    named = tuple(v.name for v in model.program if v.is_named and v.operands)
    before = verify(replace(model.program, outputs=named))
    after = verify(PASSES[transform](before))
    feeds = {**params, **inputs}
    first, second = run(before, feeds, own), run(after, feeds, own)
    for value in named:
        np.testing.assert_allclose(second[value], first[value], rtol=1e-14, err_msg=value)


def test_lowering_leaves_no_boundary() -> None:
    for name in MEANINGS:
        program = lower_boundaries(unfold.loads(text(name)).program)
        assert not any(v.boundary for v in program), name


def test_the_first_axis_that_is_left_decides() -> None:
    """Before and after boundaries are lowered; a boundary of zero decides too."""
    for first, corner in (("7", 7.0), ("", 0.0)):
        entry = f"h[i]: {first}, " if first else ""
        spec = f"""
unfold: 1
name: corner
axes: {{i: 2, j: 3}}
inputs: {{x[i,j]: []}}
nodes:
  h[i,j]: x[i,j] * 1
  y[i,j]: h[i-1,j-1]
initial: {{{entry}h[j]: 5}}
outputs: [y]
"""
        model = unfold.loads(spec)
        for program in (model.program, lower_boundaries(model.program)):
            walk = Walk(program, Domain(program, {"i": 2, "j": 3}))
            y = walk.run({"x": np.ones((1, 2, 3))})["y"][0]
            assert y.tolist() == [[corner, corner, corner], [5.0, 1.0, 1.0]]


# Modes

FEEDBACK = """
unfold: 1
name: feedback
axes: {t: 5}
inputs: {x[t]: [2], y[t]: [2]}
parameters: {R: [2,2], a: [2]}
nodes:
  prev[t]: feedback(teacher=y[t-1], free=o[t-1])
  o[t]: tanh(R @ prev[t] + dropout(x[t], rate=0.5))
initial: {y: tanh(a)}
loss: mean[t](mse(o[t], y[t]))
"""


def test_modes_agree_at_their_first_step() -> None:
    model, params, inputs, _ = sample(FEEDBACK, {"t": 5})
    taught, free = (model.forward(params, inputs, mode=m) for m in ("teacher", "free"))
    mixed = model.forward(params, inputs, mode=("scheduled", 0.5))
    start = np.broadcast_to(np.tanh(params["a"]), (3, 2))
    for found in (taught, free, mixed):
        np.testing.assert_allclose(found["prev"][:, 0], start)
        np.testing.assert_allclose(found["o"][:, 0], taught["o"][:, 0])
    np.testing.assert_array_equal(taught["prev"][:, 1:], inputs["y"][:, :-1])
    np.testing.assert_array_equal(free["prev"][:, 1:], free["o"][:, :-1])


def test_scheduled_with_certainty() -> None:
    model, params, inputs, _ = sample(FEEDBACK, {"t": 5})
    for probability, mode in ((1.0, "teacher"), (0.0, "free")):
        mixed = model.forward(params, inputs, mode=("scheduled", probability))
        np.testing.assert_array_equal(mixed["o"], model.forward(params, inputs, mode=mode)["o"])


@pytest.mark.parametrize(
    "mode", ["guided", "scheduled", ("scheduled", 1.5), ("free", 0.5), ("scheduled", -0.1)]
)
def test_unknown_modes(mode: Any) -> None:
    program = unfold.loads(FEEDBACK).program
    if mode == ("free", 0.5):
        assert (
            resolve_modes(program, mode=mode).values == resolve_modes(program, mode="free").values
        )
        return
    with pytest.raises(UnsupportedError, match="unknown mode"):
        resolve_modes(program, mode=mode)


# Simplification


def test_dead_values_go_and_sources_stay() -> None:
    program = unfold.loads(FEEDBACK).program
    found = drop_dead(replace(program, outputs=("prev",), loss=None))
    assert {"R", "a", "x", "y", "prev"} <= set(found.values) and "loss" not in found.values


def test_carried_programs_compute_the_same_after_zero_state() -> None:
    """A state that holds the initial values changes nothing."""
    own = {"t": [5, 2, 1]}
    model, params, inputs, _ = sample(text("delays"), {"t": 5}, own)
    program = verify(carry_state(model.program, "t"))
    start = np.broadcast_to(params["h.initial"], (3, 3, 2))
    feeds = {**params, **inputs, "carry.h": start}
    found = run(program, feeds, own)
    expected = run(model.program, {**params, **inputs}, own)
    np.testing.assert_allclose(found["h"], expected["h"], rtol=1e-14)


def test_a_boundary_goes_with_the_input_that_it_needs() -> None:
    model = unfold.loads(
        """
unfold: 1
name: without
axes: {t: 4}
inputs: {x[t]: [2], y[t]: [2]}
nodes:
  h[t]: tanh(y[t])
  late[t]: h[t-1]
initial:
  h: x[last]
outputs: [h]
""".lstrip()
    )
    y = np.ones((1, 4, 2))
    run = model.forward({}, {"y": y}, backend="reference")
    assert "late" not in run
    np.testing.assert_array_equal(run["h"], np.tanh(y))
