"""Every spec and every packaged cell against its JAX oracle: nodes, loss, gradients, to 1e-10.

Float64, T = 1, 2 and 5, a batch of three sequences of unequal lengths with garbage in the
padding, no two dimensions equal; teacher mode, and free mode where the spec feeds its output
back.
"""

from __future__ import annotations

import numpy as np
import pytest
from sample import (
    BATCH,
    CASES,
    CELL_CASES,
    EVERY_MODE,
    MODES,
    STEPS,
    Case,
    Sample,
    assert_close,
    expect,
    sample,
)

import unfold

# Of six axes, or of labels fewer than their frames, some have to be equally long.
CROWDED = {"conv-2d", "conv-3d", "ctc-equations"}
CUT, REST = slice(2), slice(2, None)
CARRIED = {
    "char-rnn": ["h", "y"],
    "pattern-output": ["prev", "h", "o"],
    "teacher-forcing": ["h", "o"],
    "lstm-stack": ["l1.s", "l2.s", "o"],
    "gru": ["h", "o"],
    "recurrent-highway": ["s", "o"],
}


def check_values(drawn: Sample, mode: str) -> None:
    run = drawn.model.forward(drawn.params, drawn.inputs, mode=mode, lengths=drawn.lengths)
    for b, nodes in enumerate(expect(drawn, mode).nodes):
        for name, expected in nodes.items():
            # The oracle's array is as long as the sequence is; the engine's continues with padding.
            axes = run[name].ndim - 1
            inside = tuple(slice(n) for n in expected.shape[:axes])
            assert_close(f"{name} of sequence {b}", run[name][b][inside], expected)


def check_gradients(drawn: Sample, mode: str) -> None:
    loss, grads = drawn.value_and_grad(mode=mode)
    expected = expect(drawn, mode)
    assert_close("loss", loss, expected.loss)
    assert set(grads) == set(expected.grads)
    for name, gradient in expected.grads.items():
        assert_close(f"gradient of {name}", grads[name], gradient)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(("name", "mode"), EVERY_MODE)
def test_values(name: str, mode: str, steps: int) -> None:
    check_values(sample(CASES[name], steps), mode)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(("name", "mode"), EVERY_MODE)
def test_gradients(name: str, mode: str, steps: int) -> None:
    check_gradients(sample(CASES[name], steps), mode)


@pytest.mark.parametrize("name", CELL_CASES)
def test_packaged_cells(name: str) -> None:
    drawn = sample(CELL_CASES[name], steps=5)
    check_values(drawn, "teacher")
    check_gradients(drawn, "teacher")


def test_every_spec_has_a_case() -> None:
    assert {path.stem for path in unfold.library()} == set(CASES)


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if "free" in case.modes])
def test_modes_differ(name: str) -> None:
    """The two branches of a feedback are not the same, or the tests above prove little."""
    drawn = sample(CASES[name], steps=5)
    losses = [drawn.value_and_grad(mode=mode)[0] for mode in ("teacher", "free")]
    assert abs(losses[0] - losses[1]) > 1e-6


@pytest.mark.parametrize("name", ["char-rnn", "encoder-decoder", "lstm-stack"])
def test_no_category_is_the_zero_vector(name: str) -> None:
    """An input category of -1 has no column: everything is as if its product were zero."""
    drawn = sample(CASES[name], steps=5)
    drawn.inputs["x"][1, 0] = -1
    drawn.inputs["x"][2, 1] = -1
    check_values(drawn, "teacher")
    check_gradients(drawn, "teacher")


@pytest.mark.parametrize(("name", "mode"), [pair for pair in MODES if pair[0] in CARRIED])
def test_carried_state_continues_the_sequence(name: str, mode: str) -> None:
    """Two chunks, the state carried from one to the next, equal the whole sequence."""
    drawn = sample(CASES[name], steps=5)
    whole = drawn.model.forward(drawn.params, drawn.inputs, mode=mode)
    chunks = [{key: v[:, part] for key, v in drawn.inputs.items()} for part in (CUT, REST)]
    first = drawn.model.forward(drawn.params, chunks[0], mode=mode)
    second = drawn.model.forward(drawn.params, chunks[1], mode=mode, carry=first.carry)
    for node in CARRIED[name]:
        assert_close(node, np.concatenate([first[node], second[node]], axis=1), whole[node])


def test_unshared_weights_sum_to_the_shared_gradient() -> None:
    """With equal matrices at every step, the shared gradient is the sum of the unshared ones."""
    free, tied = sample(CASES["unshared"], steps=5), sample(CASES["shared"], steps=5)
    by_axis: Case = free.case
    params = {
        name: np.stack([tied.params[name]] * 5) if name in by_axis.parameter_axes else value
        for name, value in tied.params.items()
    }
    loss, grads = free.value_and_grad({**params, **tied.inputs})
    expected_loss, expected = tied.value_and_grad()
    assert_close("loss", loss, expected_loss)
    for name in tied.params:
        found = grads[name].sum(axis=0) if name in by_axis.parameter_axes else grads[name]
        assert_close(f"gradient of {name}", found, expected[name])


def test_the_check_notices_a_wrong_gradient() -> None:
    """The comparison itself fails where a gradient is wrong in one entry by 1e-8."""
    drawn = sample(CASES["shared"], steps=2)
    expected = expect(drawn).grads["W"]
    wrong = expected.copy()
    wrong[3, 5] += 1e-8
    with pytest.raises(AssertionError, match="gradient of W"):
        assert_close("gradient of W", wrong, expected)


def test_samples_have_no_equal_dimensions() -> None:
    for case in CASES.values():
        if case.given or case.name in CROWDED:
            continue
        for steps in STEPS[1:]:
            drawn = sample(case, steps)
            extents = [max(found) for found in drawn.lengths.values()]
            every = [BATCH, *extents, *case.fixed.values(), *case.sizes.values()]
            assert len(set(every)) == len(every), f"{case.name} at {steps} steps: {every}"
