"""Bounded reductions: `sum[s <= t](…)` reads the past alone, and everything follows from that.

`attend` is the spec `past` of `recurrences.py` in plain NumPy; the transformer writes what the
reference, asked again after each symbol, would say next.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from gradients import check_model
from recurrences import text

import unfold
from unfold.backends.numba.backend import Numba
from unfold.core.dependence import Loop, Single, order
from unfold.core.plan import Dim, Gemm, Nest, Statement
from unfold.core.plan import Loop as Recurrence
from unfold.core.printing import show_program
from unfold.errors import CycleError, DataError, UnsupportedError
from unfold.passes.boundaries import lower_boundaries
from unfold.passes.decoding import close, separate
from unfold.passes.modes import resolve_modes
from unfold.passes.products import join_products
from unfold.planning.plan import plan

HEAD = (
    "unfold: 1\nname: bounded\naxes: {t: 4, s: t}\nsizes: {n: 3}\ninputs: {x[t]: [], z[t]: [n]}\n"
)
# The case `looped`: unique layers applied again and again, with what it reads bounded.
LOOPED = """\
unfold: 1
name: looped
axes: {t: 8, s: t, r: 2, k: 2}
sizes: {vocab: 7, d: 4, ff: 5}
inputs: {x[t]: {category: vocab}, y[t]: {category: vocab}}
parameters:
  E: {shape: [d, vocab], init: {normal: 1}}
  P[t]: {shape: [d], init: {normal: 1}}
  Q[k]: [d, d]
  K[k]: [d, d]
  V[k]: [d, d]
  O[k]: [d, d]
  A[k]: [ff, d]
  B[k]: [d, ff]
  L[r]: {shape: [d], init: {normal: 0.1}}
nodes:
  e[t]: E @ x[t] + P[t]
  n[t,r,k]: layer_norm(u[t,r,k-1])
  q[t,r,k]: Q[k] @ n[t,r,k]
  key[t,r,k]: K[k] @ n[t,r,k]
  v[t,r,k]: V[k] @ n[t,r,k]
  score[t,s,r,k]: q[t,r,k] @ key[s,r,k] / 2
  a[t,r,k]: u[t,r,k-1] + O[k] @ sum[s](softmax[s <= t](score[t,s,r,k]) * v[s,r,k])
  u[t,r,k]: a[t,r,k] + B[k] @ gelu(A[k] @ layer_norm(a[t,r,k]))
  o[t]: einsum("dv,d->v", E, u[t,last,last])
initial:
  u[k]: u[t,r-1,last] + L[r]
  u[r]: e[t]
loss: mean[t](cross_entropy(o[t], y[t]))
generate: {feed: {x: o}}
"""
MASKED = LOOPED.replace("q[t,r,k] @ key[s,r,k] / 2", "where(s <= t, q[t,r,k] @ key[s,r,k], -1e9)")
MASKED = MASKED.replace("softmax[s <= t]", "softmax[s]")


def attend(params: dict[str, Any], x: Any) -> Any:
    """Return the states of one sequence, [steps, 3]."""
    h = np.zeros((len(x), 3))
    for t in range(len(x)):
        e = h[:t] @ params["K"].T @ (params["Q"] @ x[t])
        p = np.exp(e - e.max(initial=0.0))
        c = p / p.sum() @ h[:t] if t else np.zeros(3)
        h[t] = np.tanh(params["W"] @ (x[t] + params["R"] @ c))
    return h


def run(equations: str, x: Any, **given: Any) -> Any:
    model = unfold.loads(f"{HEAD}nodes:\n{equations}")
    return model.forward({}, {"x": x, "z": np.ones((*np.shape(x), 3))}, **given)


def nests(statements: list[Statement], axes: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
    """Return (loops around, statement) of all nests and products."""
    found: list[tuple[Any, ...]] = []
    for statement in statements:
        if isinstance(statement, Recurrence):
            found += nests(statement.body, (*axes, statement.axis))
        elif isinstance(statement, Nest | Gemm):
            found.append((axes, statement))
    return found


def free(spec: str) -> Any:
    """Return the Program that writes."""
    model = unfold.loads(spec)
    closed, _ = separate(close(model.program, "x", "o"))
    return lower_boundaries(resolve_modes(closed, mode="free"))


# Meaning


def test_a_recurrent_attention_is_the_program_written_down() -> None:
    model = unfold.loads(text("past"))
    params, x = model.init(1), np.random.default_rng(2).standard_normal((2, 5, 2))
    found = model.forward(params, {"x": x}, lengths={"t": [5, 3]}, backend="reference")["h"]
    np.testing.assert_allclose(found[0], attend(params, x[0]), atol=1e-14)
    np.testing.assert_allclose(found[1, :3], attend(params, x[1, :3]), atol=1e-14)
    assert not found[1, 3:].any()


def test_of_no_points_a_sum_is_0_and_a_maximum_minus_infinity() -> None:
    names = ("sum", "mean", "max", "min", "logsumexp", "softmax", "log_softmax")
    kept = {n: "t,s" if "softmax" in n else "t" for n in names}
    lines = [f"  {n}_[{kept[n]}]: {n}[s < t](x[s])\n" for n in names]
    found = run("".join(lines), np.array([[1.0, 3.0, 2.0, 5.0]]), backend="reference")
    inf = np.inf
    np.testing.assert_equal(found["sum_"], [[0, 1, 4, 6]])
    np.testing.assert_equal(found["mean_"], [[0, 1, 2, 2]])
    np.testing.assert_equal(found["max_"], [[-inf, 1, 3, 3]])
    np.testing.assert_equal(found["min_"], [[inf, 1, 1, 1]])
    np.testing.assert_allclose(found["logsumexp_"][0, :2], [-inf, 1])
    assert not np.triu(found["softmax_"][0]).any() and not found["softmax_"][0, 0].any()
    np.testing.assert_allclose(found["softmax_"][0].sum(axis=1), [0, 1, 1, 1])
    below = np.tril(np.ones((4, 4), bool), -1)
    np.testing.assert_allclose(found["log_softmax_"][0][below], np.log(found["softmax_"][0][below]))
    assert (found["log_softmax_"][0][~below] == -inf).all()


@pytest.mark.parametrize(
    ("bound", "points"),
    [
        ("s <= t", "s <= t"),
        ("s >= t - 1", "s >= t - 1"),
        ("t - 2 < s <= t", "t - 2 < s <= t"),
        ("s <= 2*t + 1", "s <= 2 * t + 1"),
        ("2 <= s", "2 <= s"),
        ("s > last - t", "s > n - 1 - t"),
        ("s < last", "s < n - 1"),
    ],
)
def test_a_bound_counts_the_points_that_it_says(bound: str, points: str) -> None:
    x = np.arange(1.0, 9.0).reshape(2, 4) ** 2
    found = run(f"  y[t]: sum[{bound}](x[s])\n", x, lengths={"t": [4, 3]}, backend="reference")["y"]
    for row, n in enumerate((4, 3)):
        for t in range(n):
            some = [s for s in range(n) if eval(points, {"s": s, "t": t, "n": n})]
            assert found[row, t] == x[row, some].sum(), (row, t)


def test_nan_that_does_not_count_is_not_seen() -> None:
    x = np.array([[1.0, 2.0, np.nan, 4.0]])
    equations = "  y[t]: sum[s <= t](x[s])\n  w[t]: sum[s](softmax[s <= t](x[s]) * z[s])\n"
    found = run(equations, x, backend="reference")
    np.testing.assert_equal(found["y"][0, :2], [1, 3])
    np.testing.assert_allclose(found["w"][0, :2], 1.0)


def test_a_named_node_exists_where_it_is_read_and_holds_zero_elsewhere() -> None:
    found = run(
        "  e[t,s]: x[t] + x[s]\n  y[t]: sum[s <= t](e[t,s])\n", np.ones((1, 4)), backend="reference"
    )
    np.testing.assert_equal(found["e"][0], np.tril(np.full((4, 4), 2.0)))
    whole = run(
        "  e[t,s]: x[t] + x[s]\n  y[t]: sum[s <= t](e[t,s])\n  w[t]: e[t,last]\n",
        np.ones((1, 4)),
        backend="reference",
    )
    np.testing.assert_equal(whole["e"][0], np.full((4, 4), 2.0))


def test_a_product_with_a_bounded_softmax_reads_the_past_alone() -> None:
    model = unfold.loads(text("past"))
    shown = show_program(model.program)
    assert "sum[s < t](c.7[t,s])" in shown and "c.7[t,s] = c.6[t,s] * h[s]  | for s < t" in shown


# Gradients


@pytest.mark.parametrize("name", ["past", "bounds"])
def test_gradients_of_bounded_reductions(name: str) -> None:
    model = unfold.loads(text(name))
    x = np.random.default_rng(0).standard_normal((3, 5, 2))
    check_model(
        model, model.init(0), {"x": x}, lengths={"t": [5, 2, 1]}, seed=0, backend="reference"
    )


def test_gradients_of_nothing_are_zero() -> None:
    equations = "  m[t]: max[s < t](x[s])\n  l[t]: logsumexp[s < t](x[s])\n"
    equations += "  y[t]: mean[s < t](x[s]) + where(t > 0, m[t] + l[t], 0)\n"
    text = f"{HEAD.replace(', z[t]: [n]', '')}nodes:\n{equations}loss: sum[t](y[t])\n"
    model = unfold.loads(text)
    x = np.array([[3.0, 1.0, 2.0, 4.0]])
    _, found = model.value_and_grad({}, {"x": x}, wrt=["x"], backend="reference")
    assert np.isfinite(found["x"]).all() and found["x"][0, 3] == 0


# Order


def test_a_transformer_runs_all_steps_at_once_but_writes_step_by_step() -> None:
    loops = [b for b in order(unfold.loads(LOOPED).program) if isinstance(b, Loop)]
    assert [b.axis for b in loops] == ["r"]
    (written,) = [b for b in order(free(LOOPED)) if isinstance(b, Loop)]
    assert written.axis == "t" and {b.axis for b in written.body if isinstance(b, Loop)} == {"r"}


def test_layers_that_read_strictly_earlier_steps_are_no_loop_over_steps() -> None:
    loops = [b for b in order(unfold.loads(LOOPED.replace("s <= t", "s < t")).program)]
    assert [b.axis for b in loops if isinstance(b, Loop)] == ["r"]


def test_an_equation_over_the_other_axis_joins_the_cycle() -> None:
    inner = LOOPED.replace("@ key[s,r,k]", "@ (K[k] @ n[s,r,k])")
    assert any(isinstance(b, Loop) and b.axis == "t" for b in order(free(inner)))


def test_a_bound_that_reads_the_present_is_no_order() -> None:
    with pytest.raises(CycleError):
        unfold.loads(text("past").replace("s < t", "s <= t"))


def test_looped_with_a_mask_is_told_how_to_bound() -> None:
    with pytest.raises(CycleError, match=r"where\(s <= t, …\).*softmax\[s <= t\]"):
        unfold.loads(MASKED).generate(unfold.loads(MASKED).init(), prompt=[1, 2], length=3)


# The engine


def around(nest: Nest) -> set[str]:
    """Return the dimensions of a nest and those that its kernels run over."""
    return {d.name for d in (*nest.dims, *(k.vector for k in nest.kernels if k.vector))}


def test_products_stay_products_and_loops_stop_at_the_bound() -> None:
    model = unfold.loads(LOOPED)
    program = join_products(model.pipeline.adjoint(model.pipeline.trained))
    found = nests(plan(program, Numba.target).statements)
    assert not any("t" in axes for axes, _ in found)
    products = [s for _, s in found if isinstance(s, Gemm)]
    assert sum(Dim("s") in s.k or Dim("s") in s.m for s in products) >= 2
    over = [s for _, s in found if isinstance(s, Nest) and {"t", "s"} <= around(s)]
    assert over and all(s.within for s in over)


def test_a_step_of_writing_costs_what_its_past_is_long() -> None:
    found = [
        (a, s)
        for a, s in nests(plan(join_products(free(LOOPED)), Numba.target).statements)
        if "t" in a
    ]
    over = [s for _, s in found if isinstance(s, Nest) and any(d.name == "s" for d in s.dims)]
    assert over and all(any("t" in f.axes for f in s.within) for s in over)
    assert not any("s" in s.value for _, s in found if isinstance(s, Gemm) and Dim("s") in s.k)


# Writing


def again(model: Any, params: Any, prompt: list[int], length: int) -> list[int]:
    """Return the greedy text by asking for all scores anew after each symbol."""
    text = list(prompt)
    for _ in range(length):
        x = np.array([text + [0] * (8 - len(text))])
        scores = model.forward(params, {"x": x}, backend="reference")["o"][0, len(text) - 1]
        text.append(int(scores.argmax()))
    return text[len(prompt) :]


def test_looped_writes_what_it_would_say_if_asked_again() -> None:
    model = unfold.loads(LOOPED)
    params = model.init(3)
    for prompt in ([1], [4, 2, 6]):
        found = model.generate(params, prompt=prompt, length=5, backend="reference")
        assert list(found[0]) == again(model, params, prompt, 5)
    assert len(set(again(model, params, [1], 7))) > 2  # no constant


def test_looped_draws_the_same_however_it_is_cut() -> None:
    model = unfold.loads(LOOPED)
    params, machine = model.init(3), model.writer.machine()
    rng = np.random.default_rng(0)
    noise = rng.gumbel(size=(2, 4, 7))
    given = unfold.generation.machine.Given(params, {}, {}, 2, "reference")
    state = machine.read(given, np.array([[1, 2], [3, 0]]))
    whole = machine.write(given, noise, 4, state)
    pieces, now = [], state
    for a, b in pairwise((0, 1, 3, 4)):
        piece = machine.write(given, noise[:, a:b], b - a, now)
        pieces.append(piece.said)
        now = piece.state
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole.said)
    np.testing.assert_array_equal(now.past[:, 2:], whole.said)


def test_looped_is_searched_by_beams() -> None:
    model = unfold.loads(LOOPED)
    params = model.init(3)
    found = model.generate(params, prompt=[1], length=2, beam=7, number=7, backend="reference")
    x = np.array([[1, s, 0, 0, 0, 0, 0, 0] for s in range(7)])
    o = model.forward(params, {"x": x}, backend="reference")["o"]
    logp = o - np.log(np.exp(o).sum(axis=2, keepdims=True))
    both = logp[0, 0][:, None] + logp[:, 1]
    best = np.unravel_index(both.argmax(), both.shape)
    assert tuple(found.values[0]) == tuple(map(int, best))
    assert found.log_probability[0] == pytest.approx(both.max())


def test_looped_says_how_much_it_can_write() -> None:
    model = unfold.loads(LOOPED)
    with pytest.raises(DataError, match=r"at most 6 steps after 3 of a prompt.* P has 8 rows"):
        model.generate(model.init(), prompt=[1, 2, 3], length=7)
    assert model.generate(model.init(), prompt=[1, 2, 3], backend="reference").values.shape == (
        1,
        6,
    )


def test_a_past_that_another_index_reads_goes_on_from_no_chunk() -> None:
    spec = text("past").replace("c[t]:", "g[t]: 0.5 * g[t-1] + h[t]\n  c[t]:")
    model = unfold.loads(spec)
    params, x = model.init(), np.ones((1, 5, 2))
    state = model.forward(params, {"x": x}, backend="reference").carry
    with pytest.raises(UnsupportedError, match=r"reads the whole past of .*, but a chunk has none"):
        model.forward(params, {"x": x}, carry=state, backend="reference")


# Measures and printing


def test_depth_through_the_past_counts_every_distance() -> None:
    model = unfold.loads(text("past"))
    found = model.measures(count="layers")
    # K, R and W from one step before; R and W alone from four.
    assert (found.recurrent_depth, found.directions) == (3, (1,))
    assert found.recurrent_skip == Fraction(4, 2)


def test_singles_of_the_past_are_no_loop() -> None:
    program = unfold.loads(f"{HEAD}nodes:\n  y[t]: sum[s <= t](x[s])\n").program
    assert all(isinstance(b, Single) for b in order(program))
