"""The adjoint of a Program, for every kind of index: against differences, and sequence by sequence.

Each recurrence of `recurrences` is checked by all parameters and real inputs, to second order, with
unequal lengths, at T = 1, 2 and 5; and its padded batch against each sequence alone.
"""

from __future__ import annotations

import numpy as np
import pytest
from gradients import check_each_alone, check_gradient, check_model, sample
from recurrences import MEANINGS, OVER_THE_BATCH, extents, lengths, parameter_axes, text

import unfold
from unfold.core.build import Term
from unfold.core.program import Ref, Value
from unfold.passes import differentiate
from unfold.passes.differentiate import adjoint_name

STEPS = (1, 5)
# stop_gradient makes the gradient another one than that of the loss; it has a test of its own.
DIFFERENTIABLE = [n for n in MEANINGS if n != "stopped"]


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_against_central_differences(name: str, steps: int) -> None:
    own = lengths(name, steps)
    model, params, inputs, options = sample(text(name), extents(own), own, seed=steps)
    check_model(model, params, inputs, seed=steps, **options)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("name", [n for n in MEANINGS if n not in OVER_THE_BATCH])
def test_each_sequence_alone(name: str, steps: int) -> None:
    own = lengths(name, steps)
    model, params, inputs, _ = sample(text(name), extents(own), own, seed=steps)
    check_each_alone(model, params, inputs, own)


@pytest.mark.parametrize("name", [n for n in DIFFERENTIABLE if not parameter_axes(n)])
def test_no_sequence_fills_the_arrays(name: str) -> None:
    """Arrays may be longer than all their sequences; nothing comes from beyond.

    A parameter with an axis has one entry for each step of the arrays, so it is another one then.
    """
    own = lengths(name, 2)
    model, params, inputs, options = sample(text(name), extents(own), own, seed=3)
    before = model.value_and_grad(params, inputs, wrt=tuple(params), **options)
    longer = {}
    for key, array in inputs.items():
        axes = model.program[key].axes
        widths = [(0, 2 if a in own else 0) for a in axes] + [(0, 0)] * (array.ndim - len(axes))
        longer[key] = np.pad(array, widths, constant_values=1)
    after = model.value_and_grad(params, longer, wrt=tuple(params), **options)
    np.testing.assert_allclose(after[0], before[0], rtol=1e-13)
    for key in params:
        np.testing.assert_allclose(after[1][key], before[1][key], rtol=1e-12, atol=1e-14)


def test_stopped_gradients() -> None:
    """Through W @ h[t-1] nothing comes back, through h[t-2] everything."""
    own = lengths("stopped", 5)
    model, params, inputs, options = sample(text("stopped"), extents(own), own, seed=4)
    _, grads = model.value_and_grad(params, inputs, wrt=("V", "W", "x"), **options)
    assert not grads["W"].any()
    held = model.forward(params, inputs, **options)
    stopped = np.einsum("ij,btj->bti", params["W"], np.pad(held["h"], ((0, 0), (1, 0), (0, 0))))
    replaced = text("stopped").replace("stop_gradient(W @ h[t-1])", "q[t]")
    replaced = replaced.replace("{x[t]: [2]}", "{x[t]: [2], q[t]: [2]}")
    other = unfold.loads(replaced, axes=extents(own))
    given = {**inputs, "q": stopped[:, :-1]}
    _, expected = other.value_and_grad(params, given, wrt=("V", "x"), **options)
    for key in ("V", "x"):
        np.testing.assert_allclose(grads[key], expected[key], rtol=1e-12, atol=1e-14)


def test_inactive_values_have_no_adjoint() -> None:
    """Only what lies between the parameters asked for and the loss is differentiated."""
    model, *_ = sample(text("two boundaries"), {})
    program = model.pipeline.adjoint(("b",), training=False)
    adjoints = {n for n in program.values if n.startswith("∂") and program[n].is_named}
    assert adjoint_name("b") in adjoints and adjoint_name("W") not in adjoints
    assert adjoint_name("x") not in adjoints


def test_gradient_of_what_the_loss_does_not_need_is_zero() -> None:
    spec = """
unfold: 1
name: idle
axes: {t: 3}
inputs: {x[t]: [2], z[t]: [2]}
parameters: {w: [2], v: [3]}
nodes:
  y[t]: x[t] * w
  q[t]: z[t] @ z[t]
loss: sum[t](sum(y[t]))
"""
    model, params, inputs, _ = sample(spec, {"t": 3})
    _, grads = model.value_and_grad(params, inputs, wrt=("w", "v", "z"))
    assert grads["v"].shape == (3,) and not grads["v"].any()
    assert grads["z"].shape == inputs["z"].shape and not grads["z"].any()
    check_gradient(
        lambda at: model.forward(at, inputs).loss or 0.0,
        lambda at: model.value_and_grad(at, inputs)[1],
        params,
    )


def test_a_wrong_transpose_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that sends a cotangent to the wrong step fails the checks above."""
    right = differentiate.transpose

    def wrong(cotangent: Term, ref: Ref, reader: Value, read: Value) -> Term:
        late = tuple(i + 1 if i.offset_from("t") == -3 else i for i in ref.index)
        return right(cotangent, Ref(ref.value, late), reader, read)

    monkeypatch.setattr(differentiate, "transpose", wrong)
    own = lengths("delays", 5)
    model, params, inputs, options = sample(text("delays"), extents(own), own)
    with pytest.raises(AssertionError, match="central difference"):
        check_model(model, params, inputs, order=1, **options)
