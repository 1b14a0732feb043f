"""Costs of a run against the same numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from programs import Net, T, highway, last

import unfold
from unfold.core.program import BATCH
from unfold.core.types import Type
from unfold.errors import DataError
from unfold.passes.boundaries import lower_boundaries
from unfold.passes.differentiate import differentiate
from unfold.runs.domain import Domain
from unfold.unfolded.cost import cost

SPEC = """
unfold: 1
name: elman
axes: {t: 4}
sizes: {n: 5, m: 3, k: 2}
inputs:
  x[t]: [m]
  y[t]: {category: k}
parameters:
  W: [n, n]
  U: [n, m]
  b: [n]
  V: [k, n]
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t] + b)
  o[t]: V @ h[t]
initial:
  h: learned
outputs: [o]
"""
N, M, K, STEPS = 5, 3, 2, 4


def elman(text: str = SPEC) -> Any:
    """Return the Program of an Elman network with n = 5, m = 3, k = 2."""
    return unfold.loads(text).program


def test_an_elman_network_by_hand() -> None:
    program = elman()
    found = cost(program, Domain(program, batch=7))
    # Two products, two additions and tanh make h; o is one product.
    step = 2 * N * N + 2 * N * M + 3 * N + 2 * K * N
    assert found.flops == 7 * STEPS * step
    assert found.parameters == N * N + N * M + N + K * N + N
    assert found.state == N
    assert found.work == STEPS * 6
    # A chain of W @ h, +, +, tanh per step, and V @ h.
    assert found.span == STEPS * 4 + 1
    assert found.parallelism == pytest.approx(24 / 17)
    arrays = 7 * STEPS * N
    reads = (N * N + arrays) + (N * M + 7 * STEPS * M) + 2 * arrays + (arrays + N) + arrays
    reads += K * N + arrays
    assert found.bytes == 4 * (reads + 5 * arrays + 7 * STEPS * K)
    assert found.backward_flops is None


def test_sequences_cost_their_own_length() -> None:
    program = elman()
    whole = cost(program, Domain(program, batch=2))
    half = cost(program, Domain(program, {"t": 4}, {"t": [4, 2]}, batch=2))
    assert half.flops * 8 == whole.flops * 6
    assert cost(program, Domain(program, batch=2), itemsize=8).bytes == 2 * whole.bytes


def test_a_category_is_a_pick() -> None:
    picked = elman(SPEC.replace("x[t]: [m]", "x[t]: {category: m}"))
    dense = cost(elman(), Domain(elman()))
    assert dense.flops - cost(picked, Domain(picked)).flops == STEPS * 2 * N * M


def test_the_backward_pass_of_a_product_costs_two() -> None:
    """y = sum over t of v . W x[t]: ∂W is one product; ∂x another one."""
    net = Net(t=6)
    net.input("x", "t", Type((3,)))
    net.parameter("W", type=Type((5, 3)))
    net.parameter("v", type=Type((5,)))
    builder = net.builder
    h = builder.emit("einsum", (builder.term("W"), net.read("x", T)), {"equation": "ij,j->i"})
    net.node("h", "t", h)
    dot = builder.emit("einsum", (builder.term("v"), net.read("h", T)), {"equation": "i,i->"})
    net.node("loss", "", builder.emit("sum", (dot,), reduced=(BATCH, "t")))
    program = net.program("h", loss="loss")
    adjoint = differentiate(lower_boundaries(program), ["W"])
    found = cost(program, Domain(program, batch=2), adjoint=adjoint)
    assert found.flops == 12 * (2 * 5 * 3 + 2 * 5 + 1)
    # ∂W = sum of ∂h[t] x[t]^T over batch and t is 2 * 5 * 3 per point; the rest is linear in 5.
    assert found.backward_flops is not None and found.backward_bytes is not None
    assert 12 * 2 * 5 * 3 <= found.backward_flops <= 12 * (2 * 5 * 3 + 6 * 5)
    assert found.training_bytes == 4 * (2 * 3 * 6 + 2 * (15 + 5))


def test_training_keeps_what_the_adjoint_reads() -> None:
    text = SPEC.replace("outputs: [o]", "loss: mean[t](cross_entropy(o[t], y[t]))")
    program = elman(text)
    adjoint = differentiate(lower_boundaries(program), [v.name for v in program.parameters])
    short = cost(program, Domain(program, {"t": 10}), adjoint=adjoint)
    long = cost(program, Domain(program, {"t": 20}), adjoint=adjoint)
    assert short.training_bytes is not None and long.training_bytes is not None
    per_step = (long.training_bytes - short.training_bytes) // 10
    # h, x and the category y at least, once each; no more than all values of the forward pass.
    assert 4 * (N + M) + 8 <= per_step <= 4 * (6 * N + M + 9 * K) + 8
    assert short.backward_flops is not None
    assert 1.2 * short.flops < short.backward_flops < 3 * short.flops


def test_state_is_what_later_steps_read() -> None:
    net = Net(t=9)
    net.input("x", "t")
    net.node(
        "h", "t", net.layer(net.read("h", T - 1)) + net.read("h", T - 3) + net.read("x", T - 2)
    )
    net.node("y", "", net.read("h", last("t")) + net.read("h", 0))
    program = net.program("y")
    assert cost(program, Domain(program)).state == 3 * 2
    micro = highway(5, 4)
    assert cost(micro, Domain(micro)).state == 2
    assert cost(micro, Domain(micro), axis="l").state == 5 * 2


def test_an_unknown_axis_is_refused() -> None:
    with pytest.raises(DataError, match="elman has no axis s; its axes are t"):
        cost(elman(), Domain(elman()), axis="s")
