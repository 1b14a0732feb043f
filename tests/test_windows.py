"""Convolutions and pooling against JAX and PyTorch, and windows against NumPy's.

Values and gradients agree to 1e-10 in float64, whatever the stride, the padding and the dilation,
on the reference and in compiled code. Derivatives of the two rows below them, to second order, are
tested with all others in `tests/test_ops.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unfold
from tests.differential.interpreted import interpret
from unfold.errors import SpecError

jax.config.update("jax_enable_x64", True)
BATCHES, STEPS, CHANNELS, FILTERS = 3, 2, 3, 4
LAYOUTS = {
    1: ("NCH", "OIH", "NCH"),
    2: ("NCHW", "OIHW", "NCHW"),
    3: ("NCDHW", "OIDHW", "NCDHW"),
}


@dataclass(frozen=True)
class Layer:
    """A convolution: of what shape, with which options."""

    shape: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] | str = ()
    dilation: tuple[int, ...] = ()

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def options(self) -> str:
        """The options as a spec writes them."""
        given = {n: getattr(self, n) for n in ("stride", "padding", "dilation")}
        return "".join(f", {n}={v if v == 'same' else list(v)}" for n, v in given.items() if v)

    def jax(self, x: Any, kernel: Any) -> Any:
        ones = (1,) * self.rank
        padding = [(p, p) for p in self.padding or (0,) * self.rank if not isinstance(p, str)]
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            self.stride or ones,
            "SAME" if self.padding == "same" else padding,
            rhs_dilation=self.dilation or ones,
            dimension_numbers=LAYOUTS[self.rank],
        )


LAYERS = {
    "plain": Layer((7, 9), (3, 2)),
    "same": Layer((7, 9), (3, 3), padding="same"),
    "same, even": Layer((6, 9), (2, 4), padding="same", dilation=(1, 2)),
    "all options": Layer((8, 9), (3, 2), stride=(2, 1), padding=(0, 2), dilation=(1, 3)),
    "whole image": Layer((3, 2), (3, 2)),
    "one element": Layer((1, 1), (3, 3), padding=(1, 1)),
    "gaps": Layer((8, 9), (1, 2), stride=(3, 3)),
    "one dimension": Layer((9,), (4,), stride=(3,), padding=(2,)),
    "three dimensions": Layer((4, 5, 6), (2, 3, 2), padding=(1, 1, 1)),
}
RUNS = [(name, run) for name in LAYERS for run in ("reference", "interpreted")]


def run_with(model: unfold.Model, run: str) -> str:
    """Return the backend of a run; "interpreted" is the text of compiled code, run by NumPy."""
    if run == "interpreted":
        interpret(model)
    return "numba" if run == "interpreted" else run


def spec(body: str, shape: Sequence[int], more: str = "") -> unfold.Model:
    """Return a model of an image x[t] and a result y[t], with a loss that is not linear in it."""
    return unfold.loads(
        f"""
unfold: 1
name: windows
axes: {{t: {STEPS}}}
inputs:
  x[t]: {list(shape)}
{more}
nodes:
  y[t]: {body}
  z[t]: flatten(y[t])
loss: mean[t](sum(tanh(z[t]) * sin(1.7*z[t])))
"""
    )


def score(y: Any) -> Any:
    """Return the loss of `spec`."""
    return jnp.sum(jnp.tanh(y) * jnp.sin(1.7 * y)) / (BATCHES * STEPS)


@cache
def answer(name: str) -> tuple[dict[str, Any], Any, Any]:
    """Return parameters and an image, and JAX's loss and gradients."""
    own, rng = LAYERS[name], np.random.default_rng(0)
    kernel = [FILTERS, CHANNELS, *own.kernel]
    params = {"K": rng.normal(size=kernel), "b": rng.normal(size=FILTERS)}
    x = rng.normal(size=(BATCHES, STEPS, CHANNELS, *own.shape))

    def loss(params: Any, x: Any) -> Any:
        y = own.jax(x.reshape(-1, *x.shape[2:]), params["K"])
        return score(y + params["b"].reshape(FILTERS, *[1] * own.rank))

    return params, x, jax.value_and_grad(loss, argnums=(0, 1))(params, x)


@pytest.mark.parametrize(("name", "run"), [*RUNS, ("same, even", "numba")])
def test_convolution(name: str, run: str) -> None:
    own, (params, x, (expected, (by_params, by_x))) = LAYERS[name], answer(name)
    weights = "\n".join(["parameters:", *(f"  {n}: {list(a.shape)}" for n, a in params.items())])
    model = spec(f"conv{own.rank}d(x[t], K, b{own.options})", x.shape[2:], weights)
    backend = run_with(model, run)
    found, grads = model.value_and_grad(params, {"x": x}, backend=backend, wrt=["K", "b", "x"])
    assert abs(found - expected) < 1e-10
    for parameter in params:
        assert np.abs(grads[parameter] - by_params[parameter]).max() < 1e-10, parameter
    assert np.abs(grads["x"] - by_x).max() < 1e-10


POOLS = {
    "max, halves": ("max_pool2d(x[t], size=2)", "max_pool2d", {"kernel_size": 2}),
    "max, overlapping": (
        "max_pool2d(x[t], size=[3, 2], stride=[2, 1], padding=1)",
        "max_pool2d",
        {"kernel_size": (3, 2), "stride": (2, 1), "padding": 1},
    ),
    "mean, overlapping": (
        "mean_pool2d(x[t], size=3, stride=2, padding=1)",
        "avg_pool2d",
        {"kernel_size": 3, "stride": 2, "padding": 1},
    ),
}


POOLED = [(name, run) for name in POOLS for run in ("reference", "interpreted")]


@pytest.mark.parametrize(("name", "run"), [*POOLED, ("max, overlapping", "numba")])
def test_pooling(name: str, run: str) -> None:
    torch = pytest.importorskip("torch")
    written, function, options = POOLS[name]
    shape, rng = (CHANNELS, 6, 9), np.random.default_rng(1)
    model = spec(written, shape)
    x = rng.normal(size=(BATCHES, STEPS, *shape)) - 3  # a maximum that sees padding would be 0
    given = torch.tensor(x, requires_grad=True)
    y = getattr(torch.nn.functional, function)(given.reshape(-1, *shape), **options)
    total = (torch.tanh(y) * torch.sin(1.7 * y)).sum() / (BATCHES * STEPS)
    total.backward()
    backend = run_with(model, run)
    found, grads = model.value_and_grad({}, {"x": x}, backend=backend, wrt=["x"])
    assert abs(found - total.item()) < 1e-10
    assert np.abs(grads["x"] - given.grad.numpy()).max() < 1e-10


@pytest.mark.parametrize("run", ["reference", "interpreted"])
def test_equal_elements_share_the_gradient_of_a_maximum(run: str) -> None:
    model = unfold.loads(
        """
unfold: 1
name: ties
inputs:
  x: [1, 2, 6]
nodes:
  y: max_pool2d(x, size=2)
loss: sum(flatten(y))
"""
    )
    x = np.array([[[[1.0, 2, 5, 5, 7, 7], [2, 0, 5, 5, 7, 6]]]])
    _, grads = model.value_and_grad({}, {"x": x}, backend=run_with(model, run), wrt=["x"])
    third = 1 / 3
    expected = [[0, 0.5, 0.25, 0.25, third, third], [0.5, 0, 0.25, 0.25, third, 0]]
    assert np.allclose(grads["x"], expected, rtol=0, atol=1e-15)


def test_windows_are_those_of_numpy() -> None:
    model = unfold.loads(
        """
unfold: 1
name: windows
inputs:
  x: [3, 7, 6]
nodes:
  y: windows(x, size=[3, 2], stride=[2, 1])
"""
    )
    x = np.random.default_rng(2).normal(size=(2, 3, 7, 6))
    found = model.forward({}, {"x": x}, backend="reference")["y"]
    expected = np.lib.stride_tricks.sliding_window_view(x, (3, 2), axis=(2, 3))[:, :, ::2]
    assert np.array_equal(found, expected.transpose(0, 1, 4, 5, 2, 3))


def test_a_convolution_over_index_axes_is_the_operator() -> None:
    """x[i+a-1,j+b-1] reads what conv2d reads with padding 1."""
    model = unfold.loads(
        """
unfold: 1
name: both
axes: {i: 5, j: 6, a: 3, b: 3}
inputs:
  x[i,j]: [2]
  image: [2, 5, 6]
parameters:
  K[a,b]: [4, 2]
  M: [4, 2, 3, 3]
nodes:
  y[i,j]: sum[a,b](K[a,b] @ x[i+a-1,j+b-1])
  z: conv2d(image, M, padding=same)
"""
    )
    rng = np.random.default_rng(3)
    x, kernel = rng.normal(size=(2, 5, 6, 2)), rng.normal(size=(3, 3, 4, 2))
    params = {"K": kernel, "M": kernel.transpose(2, 3, 0, 1)}
    inputs = {"x": x, "image": x.transpose(0, 3, 1, 2)}
    for run in ("reference", "interpreted"):
        found = model.forward(params, inputs, backend=run_with(model, run))
        assert np.allclose(found["y"].transpose(0, 3, 1, 2), found["z"], rtol=0, atol=1e-12)


def test_a_bigger_window_than_the_image_is_refused() -> None:
    with pytest.raises(SpecError, match="a window of 7 does not fit into 6"):
        spec("max_pool2d(x[t], size=7)", (1, 6, 6))
