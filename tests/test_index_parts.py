"""Indices that are divided: l//2 and l%3, and (i-k) % (last+1), around a ring.

Values are compared with NumPy's own floor and modulo, gradients with central differences to second
order, and with JAX for a memory that is turned.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from gradients import check_each_alone, check_model, sample
from naive import unfolded

import unfold
from unfold.core.affine import Affine
from unfold.core.bounds import reach
from unfold.core.dependence import Loop, order
from unfold.errors import CycleError, SpecError, UnsupportedError
from unfold.runs.domain import Domain
from unfold.unfolded.graph import UnfoldedGraph

BACKENDS = ["reference", "numba"]
T, L, K = map(Affine.axis, "tlk")
PARTS = [
    (L % 3, lambda t, a: a % 3, "l%3"),
    ((L * 2 - 5) % 4, lambda t, a: (2 * a - 5) % 4, "(2*l-5)%4"),
    ((T - L).floor(3), lambda t, a: (t - a) // 3, "(-l+t)//3"),
    ((T.floor(2) + 1).floor(3) - L % 2, lambda t, a: (t // 2 + 1) // 3 - a % 2, "-(l%2)+(t+2)//6"),
    (T - T % 3 - 1, lambda t, a: t - t % 3 - 1, "3*(t//3)-1"),
    ((L % 3) * 2 + T, lambda t, a: 2 * (a % 3) + t, "2*(l%3)+t"),
    ((T + L) % (Affine.last("t") + 1), lambda t, a: (t + a) % 8, "(l+t)%(last(t)+1)"),
    ((T * 4 + 2).floor(2), lambda t, a: 2 * t + 1, "2*t+1"),
]


@pytest.mark.parametrize("number", range(len(PARTS)))
def test_evaluate_substitute_rename_and_show(number: int) -> None:
    part, meaning, shown = PARTS[number]
    assert str(part) == shown
    turned = part.substitute({"l": T * 3 - 1})
    renamed = part.rename({"l": "a"})
    for t, a in product(range(8), range(7)):
        assert part.evaluate({"t": t, "l": a}, {"t": 7}) == (meaning(t, a), True)
        assert renamed.evaluate({"t": t, "a": a}, {"t": 7})[0] == meaning(t, a)
        assert turned.evaluate({"t": t}, {"t": 7})[0] == meaning(t, 3 * t - 1)


@pytest.mark.parametrize("number", range(len(PARTS)))
def test_spans_bound_every_point(number: int) -> None:
    part, meaning, _ = PARTS[number]
    low, high = reach(part, "t", {"t": 8, "l": 7})
    reads = [meaning(t, a) - t for t, a in product(range(8), range(7))]
    assert low <= min(reads) and max(reads) <= high


def test_spans_see_that_a_part_moves_with_its_axis() -> None:
    assert reach((T - 1).floor(2), "t", {}).behind
    assert reach(T - T % 3 - 1, "t", {}) == (-3, -1)
    assert reach(L % 3 + T, "t", {}) == (0, 2)
    assert not reach(T % 3, "t", {}).behind


READS = {
    "shared layers": "h[t-1] * W[t % 3] + W[t // 3]",
    "a heap": "tanh(h[(t-1) // 2]) + 0.5 * h[t - t % 3 - 1] * x[t]",
    "a ring": "tanh(x[(t+2) % (last+1)] + x[(2*t) % (last+1)] * x[(last-t) % (last+1)])",
    "floored": "x[(2*t+1) // 3] * x[(t+5) // 2] + x[(3-2*t) // 3 + 4] - x[(t // 2 + t) // 4]",
    "both": "x[t // 2 + t % 2] * x[t // 2 - t % 2] + G[t // 2, t % 2] + G[t % 2, t // 2]",
    "a window": "sum[k](x[(t-k) % 4] * x[(t+k) // 2] + k * x[(t-2*k) % (last+1)])",
}


def by_hand(name: str, x: Any, W: Any, G: Any) -> Any:
    """Compute a node by its formula, one sequence at a time."""
    steps, h = len(x), {}

    def at(array: Any, *index: int) -> Any:
        inside = all(0 <= i < n for i, n in zip(index, array.shape, strict=False))
        return array[index] if inside else np.zeros(2)

    n = steps
    for t in range(steps):
        h[t] = {
            "shared layers": lambda t=t: h.get(t - 1, np.zeros(2)) * at(W, t % 3) + at(W, t // 3),
            "a heap": lambda t=t: (
                np.tanh(h.get((t - 1) // 2, np.zeros(2)))
                + 0.5 * h.get(t - t % 3 - 1, np.zeros(2)) * x[t]
            ),
            "a ring": lambda t=t: np.tanh(x[(t + 2) % n] + x[(2 * t) % n] * x[(n - 1 - t) % n]),
            "floored": lambda t=t: (
                at(x, (2 * t + 1) // 3) * at(x, (t + 5) // 2)
                + at(x, (3 - 2 * t) // 3 + 4)
                - at(x, (t // 2 + t) // 4)
            ),
            "both": lambda t=t: (
                at(x, t // 2 + t % 2) * at(x, t // 2 - t % 2)
                + at(G, t // 2, t % 2)
                + at(G, t % 2, t // 2)
            ),
            "a window": lambda t=t: sum(
                at(x, (t - k) % 4) * at(x, (t + k) // 2) + k * x[(t - 2 * k) % n] for k in range(3)
            ),
        }[name]()
    return np.stack([h[t] for t in range(steps)])


def reads(name: str) -> str:
    return f"""unfold: 1
name: parts
axes: {{t: , k: 3, g: 2}}
inputs: {{x[t]: [2]}}
parameters: {{W[k]: [2], G[k,g]: [2]}}
nodes:
  h[t]: {{is: "{READS[name]}", shape: [2]}}
initial: {{x: 0}}
loss: sum[t](tanh(h[t]) @ h[t]) + 0 * (W[0] @ G[0,0])
"""


@pytest.mark.parametrize("name", READS)
def test_reads_and_their_gradients(name: str) -> None:
    lengths = {"t": [7, 1, 4]}
    model, params, inputs, options = sample(reads(name), {"t": 7}, lengths)
    run = model.forward(params, inputs, **options)
    for found, x, steps in zip(run["h"], inputs["x"], lengths["t"], strict=True):
        expected = by_hand(name, x[:steps], params["W"], params["G"])
        np.testing.assert_allclose(found[:steps], expected, rtol=1e-12, atol=1e-14)
    check_model(model, params, inputs, **options)
    check_each_alone(model, params, inputs, **options)


@pytest.mark.parametrize("name", ["shared layers", "a heap", "a window"])
def test_compiled_reads_are_those_of_the_reference(name: str) -> None:
    model, params, inputs, options = sample(reads(name), {"t": 7}, {"t": [7, 1, 4]})
    wrt = [*params, "x"]
    (value, grads), (loss, expected) = (
        model.value_and_grad(params, inputs, wrt=wrt, backend=b, **options)
        for b in ("numba", "reference")
    )
    assert value == pytest.approx(loss, rel=1e-12)
    for key, found in grads.items():
        np.testing.assert_allclose(found, expected[key], rtol=1e-9, atol=1e-12, err_msg=key)


@pytest.mark.parametrize("name", READS)
def test_the_graph_has_the_edges_of_the_program(name: str) -> None:
    program = unfold.loads(reads(name), axes={"t": 5}).program
    domain = Domain(program, {"t": 5})
    graph, naive = UnfoldedGraph(program, domain), unfolded(program, domain.extents)
    assert graph.number_of_edges() == naive.number_of_edges()
    for node in graph.nodes():
        out = {(e.source, e.target, e.operand) for e in graph.out_edges(node)}
        back = {(e.source, e.target, e.operand) for e in graph.edges() if e.source == node}
        assert out == back, node


# A neural Turing machine whose memory is an axis: the rotation is an index.

NTM = """unfold: 1
name: ntm
axes: {t: 5, i: 6, k: 3}
sizes: {nx: 3, h: 4, M: 2}
inputs:
  x[t]: [nx]
  y[t]: [M]
parameters:
  Wc: [h, nx]
  Rc: [h, M]
  Wk: [M, h]
  Wb: [h]
  Wg: [h]
  Ws[k]: [h]
  Wy: [h]
  We: [M, h]
  Wa: [M, h]
nodes:
  c[t]: tanh(Wc @ x[t] + Rc @ r[t-1])
  key[t]: Wk @ c[t]
  match[t,i]: m[t-1,i] @ key[t] / (norm(m[t-1,i]) * norm(key[t]) + 1e-8)
  content[t,i]: softmax[i](softplus(Wb @ c[t]) * match[t,i])
  g[t]: sigmoid(Wg @ c[t])
  gated[t,i]: g[t] * content[t,i] + (1 - g[t]) * w[t-1,i]
  turn[t,k]: softmax[k](Ws[k] @ c[t])
  shifted[t,i]: sum[k](turn[t,k] * gated[t,(i - k + 1) % (last + 1)])
  sharp[t,i]: shifted[t,i] ** (1 + softplus(Wy @ c[t]))
  w[t,i]: sharp[t,i] / sum[i](sharp[t,i])
  erase[t]: sigmoid(We @ c[t])
  add[t]: tanh(Wa @ c[t])
  m[t,i]: m[t-1,i] * (1 - w[t,i] * erase[t]) + w[t,i] * add[t]
  r[t]: sum[i](w[t,i] * m[t,i])
initial:
  m[t]: 0.1 * (i + 1)
  w[t]: where(i == 0, 1, 0)
loss: mean[t](mse(r[t], y[t]))
"""


def test_ntm() -> None:
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    jax.config.update("jax_enable_x64", True)
    model, params, inputs, _ = sample(NTM, {"t": 5}, batch=2)

    def step(p: Any, state: Any, x: Any) -> Any:
        r, m, w = state
        c = jnp.tanh(p["Wc"] @ x + p["Rc"] @ r)
        key = p["Wk"] @ c
        norms = jnp.linalg.norm(m, axis=1) * jnp.linalg.norm(key)
        content = jax.nn.softmax(jax.nn.softplus(p["Wb"] @ c) * (m @ key) / (norms + 1e-8))
        g = jax.nn.sigmoid(p["Wg"] @ c)
        gated = g * content + (1 - g) * w
        turn = jax.nn.softmax(p["Ws"] @ c)
        shifted = sum(turn[k] * jnp.roll(gated, k - 1) for k in range(3))
        sharp = shifted ** (1 + jax.nn.softplus(p["Wy"] @ c))
        w = sharp / sharp.sum()
        erase, add = jax.nn.sigmoid(p["We"] @ c), jnp.tanh(p["Wa"] @ c)
        m = m * (1 - jnp.outer(w, erase)) + jnp.outer(w, add)
        return w @ m, m, w

    def loss(p: Any) -> Any:
        def sequence(x: Any, y: Any) -> Any:
            def move(state: Any, now: Any) -> Any:
                state = step(p, state, now[0])
                return state, jnp.mean((state[0] - now[1]) ** 2)

            m = 0.1 * jnp.arange(1.0, 7.0)[:, None] * jnp.ones((6, 2))
            state = (jnp.zeros(2), m, jnp.eye(6)[0])
            return jnp.mean(jax.lax.scan(move, state, (x, y))[1])

        return jnp.mean(jax.vmap(sequence)(inputs["x"], inputs["y"]))

    expected, wanted = jax.jit(jax.value_and_grad(loss))(params)
    six = unfold.loads(NTM.replace("% (last + 1)", "% 6"))
    for turned, backend in (*((model, b) for b in BACKENDS), (six, "reference")):
        value, grads = turned.value_and_grad(params, inputs, backend=backend)
        assert value == pytest.approx(float(expected), rel=1e-12)
        for name, found in grads.items():
            np.testing.assert_allclose(found, wanted[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_a_ring_is_carried_by_time() -> None:
    blocks = order(unfold.loads(NTM).program)
    loops = [b for b in blocks if isinstance(b, Loop)]
    assert [(b.axis, b.direction) for b in loops] == [("t", 1)]


def test_a_remainder_alone_carries_no_cycle() -> None:
    text = reads("a ring").replace("x[(t+2) % (last+1)]", "h[t % 4]")
    with pytest.raises(CycleError):
        unfold.loads(text)


def test_a_segment_does_not_know_where_it_is() -> None:
    model = unfold.loads(reads("a heap").replace("h[(t-1) // 2]", "h[t-1]"))
    params, inputs = model.init(), {"x": np.ones((1, 8, 2))}
    with pytest.raises(UnsupportedError, match="which is not a delay"):
        model.step(params, inputs, checkpoint=3, backend="numba")


def test_pictures_show_indices_as_they_are_written() -> None:
    text = reads("shared layers").replace("axes: {t: ,", "axes: {t: 4,")
    figure = unfold.loads(text).draw(steps=9).to_svg()
    assert "W[2]" in figure
    assert unfold.loads(text).draw("folded").to_svg()


MISTAKES = {
    "x[t // 0]": "an index cannot be divided by 0",
    "x[t % 0]": "an index cannot be divided by 0",
    "x[t // -2]": "an index cannot be divided by -2",
    "x[t // (last+1)]": r"an index cannot be divided by \(last\+1\)|by last\+1",
    "x[t % t]": "an index cannot be divided by t",
    "x[t % (last+2)]": "an index cannot be divided by",
    "x[t / 2]": "is not an index",
    "x[t // 2000000000]": "is too large",
}


@pytest.mark.parametrize("read", MISTAKES)
def test_mistakes(read: str) -> None:
    text = reads("a ring").replace(READS["a ring"], f"tanh({read})")
    with pytest.raises(SpecError, match=MISTAKES[read]) as caught:
        unfold.loads(text)
    assert len(caught.value.diagnostics) == 1
