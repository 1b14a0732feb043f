"""Sums over long axes in float32 are as exact as the numbers allow, however they come about.

A sum of n equal numbers, one after the other, drifts: all roundings go the same way. Each way that
a sum arises is held to 4 ulp · log₂(n) of what `math.fsum` says.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from numba import njit

import unfold
from tests.differential.case import Run, Sample
from tests.differential.compare import check
from tests.differential.interpreted import interpret
from tests.differential.sections import LONG
from tests.test_numba_gemm import call, library
from unfold.backends.native.engine import Engine
from unfold.backends.numba import gemm
from unfold.backends.numba.machine import Compiled
from unfold.backends.numba.vector import vector_kernel
from unfold.core.plan import Nest

TENTH = np.float32(0.1)


def ulps(found: Any, wanted: float, n: int) -> float:
    """Return the largest error, in ulp · log₂(n) of the float32 that is wanted."""
    error = np.abs(np.asarray(found, np.float64) - wanted).max()
    return float(error / np.spacing(np.float32(abs(wanted))) / math.log2(n))


def times(n: int) -> float:
    """Return the sum of n tenths, as float32 has them."""
    return math.fsum([float(TENTH)] * n)


# Kernels


@cache
def accumulate() -> Any:
    """Return what runs a kernel over n elements, again and again."""
    stores = ("sum", "add_compensated", "strided_add_compensated", "sum_compensated")
    kernel = vector_kernel("float32", loads="v", stores=stores)(lambda x: (x, x, x, x))

    @njit
    def run(rounds, n, x, whole, a, a_rest, b, b_rest, c, c_rest):  # type: ignore[no-untyped-def]
        for _ in range(rounds):
            kernel(n, x, whole, a, a_rest, b, 8, b_rest, 8, c, c_rest)

    def apply(rounds: int, x: Any) -> list[Any]:
        n = len(x)
        made = [np.zeros(k, np.float32) for k in (1, n, n, 2 * n, 2 * n, 1, 1)]
        run(rounds, n, *(v.ctypes.data for v in (x, *made)))
        return [made[0], made[1], made[3][::2], made[5]]

    return apply


def test_a_kernel_sums_long_vectors_in_runs() -> None:
    n = 100_003
    whole, *_ = accumulate()(1, np.full(n, TENTH))
    assert ulps(whole, times(n), n) < 4


def test_kernels_add_many_times_to_one_place() -> None:
    rounds, n = 50_000, 3
    _, side_by_side, apart, one = accumulate()(rounds, np.full(n, TENTH))
    assert ulps(side_by_side, times(rounds), rounds) < 0.1
    assert ulps(apart, times(rounds), rounds) < 0.1
    assert ulps(one, times(n * rounds), n * rounds) < 0.1


def test_infinity_and_nan_pass_through_compensated_sums() -> None:
    for strange in (math.inf, -math.inf, math.nan):
        x = np.array([1.0, strange], np.float32)
        for found in accumulate()(3, x):
            np.testing.assert_array_equal(found[-1], np.float32(strange))
    _, both, _, one = accumulate()(2, np.array([math.inf, -math.inf], np.float32))
    np.testing.assert_array_equal(both, [math.inf, -math.inf])
    assert np.isnan(one[0])


# Products


def product(k: int, count: int = 1) -> Any:
    """Return C[9, 5] = sum over `count` products of 0.1 · 1 over K."""
    own, (m, n) = library("float32"), (9, 5)
    a, b = np.full((m, k), TENTH), np.ones((k, n), np.float32)
    c = np.full((m, n), np.nan, np.float32)
    scratch = np.full(own.scratch_bytes(m, n, k, count), 255, np.uint8)
    left = (a.ctypes.data, *a.strides, b.ctypes.data, *b.strides, c.ctypes.data, c.strides[0])
    for number in range(count):
        call(own.matmul, *left, m, n, k, number, count, scratch.ctypes.data)
    return c


@pytest.mark.parametrize(
    ("k", "count"),
    [(100_001, 1), (gemm.RUN * gemm.KC + 1, 1), (1, 20_001), (130, 301), (5000, 7), (1, gemm.RUN)],
)
def test_products_over_long_dimensions(k: int, count: int) -> None:
    assert ulps(product(k, count), times(k * count), k * count) < 4


# Whole models


PLAIN = """unfold: 1
name: plain
axes: {t: 2}
inputs: {x[t]: []}
parameters: {w: []}
nodes:
  y[t]: w * x[t]
loss: sum[t](y[t])
"""
EVERY_WAY = """unfold: 1
name: sums
axes: {t: 50, s: t // 2}
inputs:
  x[t]: []
  c[t]: {category: 3}
parameters:
  b: {shape: [], init: ones}
  E: {shape: [2, 3], init: {constant: 0.1}}
  W: {shape: [2, 2], init: {constant: 0.5}}
  V: {shape: [2, 1], init: {constant: 0.1}}
nodes:
  y[t]: b * x[t]
  h[t]: 0.5 * h[t-1] + W @ (E @ c[t])
  z[s]: V @ concat(x[2*s])
loss: mean[t](y[t]) + mean[t](sum(h[t])) + mean[s](sum(z[s]))
"""


def step(model: unfold.Model, dtype: str, batch: int, steps: int) -> Any:
    """Return the loss and all gradients, of inputs that are 0.1 everywhere."""
    inputs = {
        "x": np.full((batch, steps), TENTH, dtype),
        "c": np.zeros((batch, steps), np.int64),
    }
    return model.step(model.init(dtype=dtype), inputs, backend="numba")


@pytest.mark.parametrize(("batch", "threads"), [(1, 1), (3, 1), (3, 2)])
def test_float32_sums_are_sequential(batch: int, threads: int) -> None:
    """They no longer are: loss, numbers, biases, embeddings, matrices, products of windows."""
    steps = 20_000
    model = unfold.loads(EVERY_WAY)
    compiled: Any = model.backend("numba")
    compiled.engine = Engine(Compiled(), threads)
    found, wanted = (step(model, dtype, batch, steps) for dtype in ("float32", "float64"))
    assert ulps(found.loss, wanted.loss, steps) < 4
    for name, gradient in wanted.grads.items():
        size = float(np.abs(gradient).max())
        error = np.abs(found.grads[name] - gradient).max() / np.spacing(np.float32(size))
        assert error < 4 * math.log2(steps), (name, error)
    again = step(model, "float32", batch, steps)
    assert all(np.array_equal(again.grads[n], g) for n, g in found.grads.items())


def test_recomputed_segments_add_up_in_double_precision() -> None:
    text = EVERY_WAY.replace(", s: t // 2", "").replace("  z[s]: V @ concat(x[2*s])\n", "")
    text = text.replace(" + mean[s](sum(z[s]))", "").replace("  V: {shape: [2, 1]", "  #")
    model, steps = unfold.loads(text), 1200
    interpret(model)
    inputs = {"x": np.full((1, steps), TENTH), "c": np.zeros((1, steps), np.int64)}
    parts = model.step(model.init(dtype="float32"), inputs, backend="numba", checkpoint=3)
    assert {g.dtype for g in parts.grads.values()} == {np.dtype("float32")}
    assert ulps(parts.grads["b"], float(TENTH), steps) < 0.2


def test_plans_compensate_what_adds_up_over_axes_and_nothing_else() -> None:
    model = unfold.loads(EVERY_WAY)
    engine = interpret(model)
    step(model, "float64", 1, 4)
    ((plan, _),) = engine._written
    beside = {n for n, b in plan.buffers.items() if b.errors}
    assert {"∂b", "∂E.1"} <= beside, beside
    stores = [
        (s.access.buffer, s.mode)
        for nest in plan.walk()
        if isinstance(nest, Nest)
        for kernel in nest.kernels
        for _, s in kernel.stores
    ]
    assert all(mode in ("add", "sum") for name, mode in stores if name in beside)


def test_threads_are_added_up_in_a_tree() -> None:
    model, batch = unfold.loads(PLAIN), 96
    engine = interpret(model)
    engine.threads = batch
    inputs = {"x": np.full((batch, 2), TENTH)}
    found = model.step({"w": np.float32(1.0)}, inputs, backend="numba")
    assert ulps(found.grads["w"], times(2 * batch) / batch, batch) < 1


def test_long_axes_are_compared_in_differential_tests() -> None:
    run = Run(batch=1, extents={"t": LONG}, alike=True)
    outcome = check(Sample(PLAIN, run), "interpreted", ("gradients", "float32"))
    assert outcome.kind == "agrees", outcome.message


def test_memory_of_sums_is_counted() -> None:
    """What lies beside sums is part of the arena of float32 runs, and of those alone."""
    model = unfold.loads(EVERY_WAY)
    engine = interpret(model)
    for dtype in ("float32", "float64"):
        step(model, dtype, 1, 8)
    single, double = (s[0].bound for s in engine._bound.values())
    assert any(name.startswith("~") for name in single.views)
    assert not any(name.startswith("~") for name in double.views)
