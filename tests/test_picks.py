"""Products with categories of more than two operands: picks of matrices, and gradients scattered.

    einsum("sjk,s,k->j", W, symbol[t], h[t-1]): the matrix W[symbol] times h, read where it lies

Values and gradients of the planned program (its blocks interpreted) against the reference, for the
ways in which categories, matrices that all points share, and vectors of one point can meet; classes
of -1 and unequal lengths included. The plan is asked whether anything dense was left.
"""

from __future__ import annotations

import numpy as np
import pytest
from sample import assert_close

import unfold
from tests.differential.interpreted import interpret
from unfold.terminal.plan_text import fate_lines

SPEC = """
unfold: 1
name: picks
axes: {{t: 5}}
sizes: {{s: 11, u: 2, j: 4, k: 7}}
inputs:
  a[t]: {{category: s}}
  b[t]: {{category: u}}
  x[t]: [k]
  v[t]: [j]
parameters:
  W: [s, j, k]
  N: [s, u, k]
  Q: [k, j]
  T: [j, s, u, k]
nodes:
  y[t]: {expression}
loss: sum[t](sum({squares}))
"""
BATCH = 3
NUMBER = 'einsum("sjk,s,k,j->", W, a[t], x[t], v[t])'
SECOND_ORDER = 'tanh(einsum("sjk,s,k->j", W, a[t], tanh(x[t]) + Q @ y[t-1]))'
EXPRESSIONS = (
    'einsum("sjk,s,k->j", W, a[t], x[t])',
    'einsum("jsuk,s,u,k->j", T, a[t], b[t], x[t])',
    'einsum("sjk,s,kl->jl", W, a[t], Q)',
    'einsum("kj,suk,s,u->j", Q, N, a[t], b[t])',
    'einsum("suk,s,kj->uj", N, a[t], Q)',
    'einsum("sjk,suk,s,k,j->u", W, N, a[t], x[t], v[t])',
    'einsum("sjk,s,k->sj", W, a[t], x[t])',
    'einsum("j,s,k->sjk", v[t], a[t], x[t])',
    'einsum("sjk,s,s->jk", W, a[t], a[t-1])',
    'einsum("s,s,j->j", a[t], a[t-1], v[t])',
    NUMBER,
    SECOND_ORDER,
)


def load(expression: str, **sizes: int) -> unfold.Model:
    squares = "flatten(y[t] * y[t])" if expression != NUMBER else "concat(y[t] * y[t])"
    return unfold.loads(SPEC.format(expression=expression, squares=squares), sizes=sizes)


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("lengths", [None, {"t": [5, 2, 3]}], ids=["equal", "unequal"])
def test_values_and_gradients(expression: str, lengths: dict[str, list[int]] | None) -> None:
    model, rng = load(expression), np.random.default_rng(5)
    params = model.init(seed=0, dtype="float64")
    inputs = {
        "a": rng.integers(-1, 11, (BATCH, 5)),
        "b": rng.integers(-1, 2, (BATCH, 5)),
        "x": rng.standard_normal((BATCH, 5, 7)),
        "v": rng.standard_normal((BATCH, 5, 4)),
    }
    wrt = [*params, "x", "v"]
    asked = {"wrt": wrt, "lengths": lengths}
    loss, grads = model.value_and_grad(params, inputs, backend="reference", **asked)
    interpret(model)
    found_loss, found = model.value_and_grad(params, inputs, backend="numba", **asked)
    assert_close("loss", found_loss, loss)
    for name in wrt:
        assert_close(f"gradient of {name}", found[name], grads[name])


@pytest.mark.usefixtures("compiled")
def test_a_matrix_is_picked_where_it_lies() -> None:
    """A step of a second-order network costs one matrix, however many symbols there are."""
    few, many = (load(SECOND_ORDER, s=symbols).plan() for symbols in (2, 50))
    assert few.flops == many.flops
    fates = [" ".join(str(line).split()) for line in fate_lines(many.fates, 100)]
    assert "W rows gathered by a[t]" in fates
    assert "∂W scattered by a[t] in the loop over t" in fates


@pytest.mark.usefixtures("compiled")
def test_what_is_picked_meets_a_shared_matrix_as_a_product() -> None:
    plan = load('einsum("kj,suk,s,u->j", Q, N, a[t], b[t])').plan()
    fates = "\n".join(map(str, fate_lines(plan.fates, 100)))
    assert "a product, all t at once" in fates
