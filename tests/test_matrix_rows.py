"""Matrices of single numbers are laid out in rows: planning/rows.py.

Scores, a softmax and sums that stop at a bound are compared with the reference, for sequences of
one and of several lengths. Blocks are interpreted, so that every address is checked.
"""

from __future__ import annotations

import numpy as np
import pytest
from differential.interpreted import interpret

import unfold
from unfold.backends.numba.backend import Numba
from unfold.core.plan import Gemm, Nest, Plan
from unfold.passes.lowering import lower, to_backend
from unfold.planning.plan import plan

# Six ways to use the scores: with a bound, with an index, transposed, moved, as a sum, in a loop.
SPEC = """
unfold: 1
name: rows
axes: {t: 7, s: t}
inputs:
  x[t]: [5]
parameters:
  Q: [4, 5]
  K: [4, 5]
  V: [3, 5]
nodes:
  q[t]: Q @ x[t]
  k[s]: K @ x[s]
  v[s]: V @ x[s]
  e[t,s]: q[t] @ k[s] + 0.1 * (t - s)
  m[t]: max[s <= t](e[t,s])
  w[t,s]: exp(e[t,s] - m[t])
  c[t]: sum[s <= t](w[t,s] / sum[s <= t](w[t,s]) * v[s])
  d[t]: sum[s < t](e[t,s] * s) + sum[s](e[t,s-1])
  u[s]: sum[t](e[t,s] * q[t])
  h[t]: tanh(0.5 * h[t-1] + d[t] + c[t] @ c[t])
  y[t]: sum[s](softmax[s](e[t,s]) * u[s]) * h[t]
loss: mean[t](mse(y[t], 0)) + 0.1 * mean[t](mse(c[t], 1))
"""


@pytest.fixture(scope="module")
def made() -> Plan:
    model = unfold.loads(SPEC)
    wrt = [v.name for v in model.program.parameters]
    program = model.pipeline.adjoint(wrt, mode="teacher", state=True)
    return plan(lower(program, to_backend()), Numba.target)


def test_scores_lie_in_rows(made: Plan) -> None:
    axes = {n: [s.axis for s in b.axes] for n, b in made.buffers.items()}
    assert axes["e"] == axes["∂e"] == ["t", "batch", "s"]
    assert axes["q"] == ["t", "batch"]


def test_scores_and_their_gradients_are_products(made: Plan) -> None:
    assert all("s" not in made.program[n].axes for n in made.slow), "only c[t] @ c[t]"
    products = {s.value for s in made.walk() if isinstance(s, Gemm)}
    assert {"c", "∂k"} <= products


def test_kernels_run_along_rows(made: Plan) -> None:
    along = {
        store.access.buffer: kernel.vector.name
        for nest in made.walk()
        if isinstance(nest, Nest)
        for kernel in nest.kernels
        for _, store in kernel.stores
        if kernel.vector
    }
    assert {along[n] for n in ("e", "∂e", "m", "w") if n in along} == {"s"}


@pytest.mark.parametrize("lengths", [None, (7, 4, 1), (3, 6, 2)])
def test_values_and_gradients(lengths: tuple[int, ...] | None) -> None:
    model = unfold.loads(SPEC)
    interpret(model)
    params = model.init(seed=1)
    x = np.random.default_rng(2).normal(size=(3, 7, 5))
    own = None if lengths is None else {"t": np.array(lengths)}
    runs = [model.step(params, {"x": x}, lengths=own, backend=b) for b in ("reference", "numba")]
    np.testing.assert_allclose(runs[1].loss, runs[0].loss, rtol=1e-12)
    for name, wanted in runs[0].grads.items():
        np.testing.assert_allclose(runs[1].grads[name], wanted, rtol=1e-9, atol=1e-13)


def test_parameters_are_read_as_the_user_has_them() -> None:
    """Whatever the lengths of their axes are."""
    model = unfold.loads(
        "unfold: 1\nname: kernels\naxes: {t: 6, i: 5, k: 4, l: 2}\ninputs:\n  x[t,i]: []\n"
        "parameters:\n  K[k,l]: [3]\n"
        "nodes:\n  y[t,i]: tanh(sum[k,l](K[k,l] * x[t+k-1,i+l-1]))\n"
        "loss: mean[t,i](mse(y[t,i], 0))\n"
    )
    interpret(model)
    rng = np.random.default_rng(4)
    params, x = {"K": rng.normal(size=(4, 2, 3))}, rng.normal(size=(3, 6, 5))
    runs = [model.step(params, {"x": x}, backend=b) for b in ("reference", "numba")]
    assert runs[0].loss > 0.1
    np.testing.assert_allclose(runs[1].loss, runs[0].loss, rtol=1e-12)
    for name, wanted in runs[0].grads.items():
        np.testing.assert_allclose(runs[1].grads[name], wanted, rtol=1e-10)
