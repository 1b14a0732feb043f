"""Padding is invisible: a padded batch of unequal lengths equals each of its sequences run alone.

Nodes, loss (the batch's is the mean of the sequences'), gradients of parameters and learned
initial states (the mean, too), and gradients of inputs (a sequence's own, divided by the batch).
Lengths include 1 for every axis, and batches in which no sequence is as long as the arrays.
Nothing depends on what stands in the padding, and no gradient reaches it.
"""

from __future__ import annotations

import numpy as np
import pytest
from sample import BATCH, CASES, EVERY_MODE, EVERY_NAME, Arrays, Sample, assert_close, sample


def alone(drawn: Sample, number: int, mode: str) -> tuple[dict[str, np.ndarray], float, Arrays]:
    """Run one sequence by itself, in arrays that are exactly as long as it is.

    Returns:
        its nodes, its loss, and its gradients (a parameter's are zero for steps it lacks).
    """
    case = drawn.case
    own = {axis: drawn.lengths[axis][number] for axis in case.varying}
    model = case.load(own)
    params = {
        name: value[: own[case.parameter_axes[name]]] if name in case.parameter_axes else value
        for name, value in drawn.params.items()
    }
    inputs = {name: value[None] for name, value in drawn.sequence(number).items()}
    run = model.forward(params, inputs, mode=mode)
    nodes = {name: run[name][0] for name in model.pipeline.nodes if name != "loss"}
    loss, grads = model.value_and_grad(params, inputs, wrt=drawn.names, mode=mode)
    for name in case.parameter_axes:
        padded = np.zeros_like(drawn.params[name])
        padded[: len(grads[name])] = grads[name]
        grads[name] = padded
    return nodes, loss, grads


def check(drawn: Sample, mode: str) -> None:
    run = drawn.model.forward(drawn.params, drawn.inputs, mode=mode, lengths=drawn.lengths)
    loss, grads = drawn.value_and_grad(mode=mode)
    found = [alone(drawn, number, mode) for number in range(BATCH)]
    assert_close("loss", loss, np.mean([one[1] for one in found]), 1e-12)
    for name in drawn.params:
        expected = np.mean([one[2][name] for one in found], axis=0)
        assert_close(f"gradient of {name}", grads[name], expected, 1e-12)
    for number, (nodes, _, own) in enumerate(found):
        for name, expected in nodes.items():
            axes = sum(axis != "batch" for axis in drawn.model.program[name].axes)
            inside = tuple(slice(n) for n in expected.shape[:axes])
            what = f"{name} of sequence {number}"
            assert_close(what, run[name][number][inside], expected, 1e-12)
        for name in drawn.case.real_inputs:
            expected = np.zeros_like(grads[name][number])
            expected[tuple(slice(n) for n in own[name][0].shape)] = own[name][0] / BATCH
            assert_close(f"gradient of {name} of {number}", grads[name][number], expected, 1e-12)


@pytest.mark.parametrize(("name", "mode"), EVERY_MODE)
def test_batch_equals_each_alone(name: str, mode: str) -> None:
    check(sample(CASES[name], steps=5, seed=4), mode)


@pytest.mark.parametrize(
    "name", ["bidirectional", "attention", "rnn-2d", "recurrent-highway", "tdnn"]
)
def test_no_sequence_fills_the_arrays(name: str) -> None:
    case = CASES[name]
    lengths = dict(zip(case.varying, ([2, 1, 4], [1, 3, 2]), strict=False))
    check(sample(case, steps=5, seed=5, lengths=lengths), "teacher")


@pytest.mark.parametrize(
    "name", ["bidirectional", "attention", "rnn-2d", "recurrent-highway", "tdnn"]
)
def test_every_sequence_has_length_one(name: str) -> None:
    case = CASES[name]
    lengths = {axis: [1] * BATCH for axis in case.varying}
    check(sample(case, steps=5, seed=6, lengths=lengths), "teacher")


@pytest.mark.parametrize("name", EVERY_NAME)
def test_what_stands_in_the_padding_changes_nothing(name: str) -> None:
    drawn = sample(CASES[name], steps=5, seed=7)
    loss, grads = drawn.value_and_grad()
    garbage = {}
    for key, declared in drawn.case.inputs.items():
        if not declared.axes:
            continue
        value = drawn.inputs[key]
        inside = np.zeros(value.shape, bool)
        for b in range(BATCH):
            inside[drawn.inside(key, b)] = True
        other = -1 if declared.category else 1e6
        garbage[key] = np.where(inside, value, other)
    changed_loss, changed = drawn.value_and_grad(garbage)
    assert changed_loss == loss
    for key in grads:
        assert np.array_equal(changed[key], grads[key]), f"gradient of {key}"


def test_lengths_matter() -> None:
    """Without lengths the same arrays mean something else, so the tests above say something."""
    drawn = sample(CASES["bidirectional"], steps=5, seed=8)
    with_lengths, _ = drawn.value_and_grad()
    without = drawn.model.forward(drawn.params, drawn.inputs).loss
    assert without is not None
    assert abs(with_lengths - without) > 1e-6


def test_steps_a_run_lacks_get_no_gradient() -> None:
    """Arrays shorter than a parameter's own axis use its first entries; the gradient is whole."""
    drawn = sample(CASES["unshared"], steps=5, seed=9)
    short = {"x": drawn.inputs["x"][:, :2], "y": drawn.inputs["y"]}
    _, grads = drawn.model.value_and_grad(drawn.params, short)
    lengths = {"t": [2] * BATCH}
    _, expected = drawn.model.value_and_grad(drawn.params, drawn.inputs, lengths=lengths)
    for name in drawn.params:
        assert_close(f"gradient of {name}", grads[name], expected[name], 1e-12)
