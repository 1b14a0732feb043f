"""Gradients of recomputed segments are those of the whole run: all modes, lengths, random specs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unfold
from tests.differential.compare import draw
from tests.differential.generate import generate
from tests.differential.interpreted import interpret
from unfold.errors import DataError, SpecError, UnsupportedError
from unfold.runs.domain import Domain

T, BATCH = 7, 3
SPECS = {
    "char-rnn": "t",
    "lstm-stack": "t",
    "lstm-peephole": "t",
    "gru": "t",
    "recurrent-highway": "t",
    "encoder-decoder": "s",
    "attention": "t",
    "pattern-output": "t",
    "pattern-last": "t",
    "unshared": "t",
}
EVERYTHING = """unfold: 1
name: everything
axes: {t: 7}
inputs: {x[t]: [3], context: [2]}
parameters: {W: [4, 3], R: [4, 4], C: [4, 2], U[t]: [4], v: [4]}
nodes:
  base: tanh(C @ context)
  near[t]: base * sin(0.3 * t) + U[t] * (v @ (W @ x[t-2]))
  h[t]: tanh(W @ dropout(x[t], rate=0.4) + R @ h[t-1] + near[t])
  late: h[last] + h[last-2]
initial:
  h: learned
  x: ones
loss: log(mean[t](h[t] @ h[t]) + 1) + (late @ v) ** 2 + 0.1 * sum(v * v)
"""


def inputs_of(model: unfold.Model, extents: dict[str, int]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    domain = Domain(model.program, extents, None, BATCH)
    found: dict[str, Any] = {}
    for value in model.program.inputs:
        shape = domain.shape(value.axes) + tuple(map(int, value.type.stored))
        category = value.type.kind == "category"
        found[value.name] = (
            rng.integers(0, int(value.type.shape[0]), shape)
            if category
            else rng.standard_normal(shape)
        )
    return found


def agree(model: unfold.Model, whole: Any, parts: Any) -> None:
    assert parts.loss == pytest.approx(whole.loss, rel=1e-12, abs=1e-13)
    assert parts.grads.keys() == whole.grads.keys()
    for name, gradient in whole.grads.items():
        scale = max(1.0, float(abs(gradient).max()))
        np.testing.assert_allclose(parts.grads[name] / scale, gradient / scale, atol=1e-11)
    for name, state in parts.carry.items():
        np.testing.assert_allclose(state, whole.carry[name], atol=1e-12)


@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("name", SPECS)
def test_specs_have_the_gradients_of_the_whole_run(name: str, length: int) -> None:
    axis = SPECS[name]
    model = unfold.load(name, axes={axis: T})
    interpret(model)
    params, inputs = model.init(seed=1), inputs_of(model, {axis: T})
    for mode in ("teacher", "free") if model.program.of("feedback") else ("teacher",):
        for lengths in (None, {axis: [T, 2, 5]}) if length == 3 else ({axis: [T, 2, 5]},):
            options: dict[str, Any] = {"mode": mode, "lengths": lengths}
            whole = model.step(params, inputs, backend="reference", **options)
            parts = model.step(
                params, inputs, backend="numba", checkpoint={axis: length}, **options
            )
            agree(model, whole, parts)


@pytest.mark.parametrize("lengths", [None, {"t": [7, 1, 4]}])
@pytest.mark.parametrize("length", [1, 3, 10])
def test_everything_that_can_be_cut(length: int, lengths: Any) -> None:
    model = unfold.loads(EVERYTHING)
    interpret(model)
    params, inputs = model.init(seed=1), inputs_of(model, {"t": T})
    for carry in (None, model.step(params, inputs, backend="reference").carry):
        options: dict[str, Any] = {"lengths": lengths, "seed": 5, "carry": carry}
        whole = model.step(params, inputs, backend="reference", **options)
        parts = model.step(params, inputs, backend="numba", checkpoint=length, **options)
        agree(model, whole, parts)


def test_random_specs_have_the_gradients_of_the_whole_run() -> None:
    agreed = 0
    for number in range(46, 69):  # few random specs have segments: of the first 90, three of these
        sample = generate(32, number).sample
        run = sample.run
        try:
            model = unfold.loads(sample.text)
            params, inputs, lengths = draw(model, run)
            interpret(model)
            options: dict[str, Any] = {"mode": run.mode, "lengths": lengths, "seed": run.seed}
            if model.program.loss is None:
                continue
            parts = model.step(params, inputs, backend="numba", checkpoint=2, **options)
        except (SpecError, DataError, UnsupportedError):
            continue
        if np.isfinite(parts.loss):
            agree(model, model.step(params, inputs, backend="reference", **options), parts)
            agreed += 1
    assert agreed >= 3


@pytest.mark.parametrize(
    ("nodes", "loss", "message"),
    [
        ("h[t]: tanh(x[t] + W @ h[t+1] + g[t])", "mean[t](sum(h[t]))", r"reads h at t\+1"),
        (
            "h[t]: tanh(x[t] + W @ h[t-1]) + g[t] + m\n  m: mean[t](x[t])",
            "sum(h[last])",
            "whole of t",
        ),
        ("h[t]: tanh(x[t] + W @ h[t-1]) + g[t]", "max[t](sum(h[t]))", "takes a max over it"),
        ("h[t]: tanh(x[t] + W @ h[t-1]) + g[t]", "sum(h[2])", r"reads h\[2\]"),
    ],
)
def test_what_cannot_be_cut_says_why(nodes: str, loss: str, message: str) -> None:
    model = unfold.loads(
        "unfold: 1\nname: bad\naxes: {t: 7}\ninputs: {x[t]: [2]}\nparameters: {W: [2, 2]}\n"
        f"nodes:\n  g[t]: tanh(x[t] + W @ g[t-1])\n  {nodes}\nloss: {loss}\n"
    )
    inputs = inputs_of(model, {"t": T})
    with pytest.raises(UnsupportedError, match=message):
        model.step(model.init(), inputs, backend="numba", checkpoint=2)


def test_segments_that_make_no_sense_are_refused() -> None:
    model = unfold.load("char-rnn", axes={"t": T})
    params, inputs = model.init(seed=1), inputs_of(model, {"t": T})
    for checkpoint in (0, {"s": 3}, {"t": 2, "s": 2}):
        with pytest.raises(UnsupportedError, match="checkpoint"):
            model.step(params, inputs, backend="numba", checkpoint=checkpoint)
