"""The reference backend against NumPy written by hand, where the meaning of the language is subtle.

    "a corner": h[i,j]: h[i-1,j-1], {h[i]: 10, h[j]: 20}      the first axis of the node decides: 10

A case is a spec and a function of one sequence's inputs, cut to its own lengths, that returns
nodes. The engine gets the padded batch with garbage in the padding; its nodes hold nothing there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from gradients import assert_close, sample

import unfold
from unfold.core.program import BATCH

Arrays = Mapping[str, Any]
Meaning = Callable[[Arrays], dict[str, Any]]

BATCH_SIZE = 4
LENGTHS = {"t": [5, 2, 1, 3], "i": [3, 1, 2, 2], "j": [1, 7, 2, 6]}
HEAD = """unfold: 1
name: meaning
axes: {t: 5, s: t, i: 3, j: 7, k: 5, twice: 2*t, half: (t + 1) // 2, both: i + j - 1}
"""


def at(array: Any, *index: int, outside: Any = 0.0) -> Any:
    """Return an entry, or what stands outside of the array."""
    inside = all(0 <= i < n for i, n in zip(index, array.shape, strict=False))
    return array[index] if inside else outside


def each(function: Callable[..., Any], *extents: int) -> Any:
    """Return the array of a function's values at all index points."""
    found = [function(*map(int, point)) for point in np.ndindex(*extents)]
    return np.reshape(found, (*extents, *np.shape(found[0])))


def recur(step: Callable[[Any, int], Any], start: Any, points: Any) -> Any:
    """Return h[t] = step(the h before, t), computed at the points in their order."""
    found: dict[int, Any] = {}
    for t in points:
        start = found[t] = step(start, t)
    return np.array([found[t] for t in sorted(found)])


# --- boundaries -----------------------------------------------------------------------------------

NUMBERS = """
inputs: {x[t]: [2], w[t]: []}
nodes:
  late[t]: x[t-1]
  later[t]: x[t-3]
  early[t]: x[t+2]
  unsaid[t]: w[t-1] + w[t+1]
  h[t]: {is: "0.5 * h[t-1] - 0.25 * h[t-2] + w[t]", shape: []}
initial: {x: 3, h: -2}
"""


def numbers(v: Arrays) -> dict[str, Any]:
    x, w, T = v["x"], v["w"], len(v["w"])
    h = [-2.0, -2.0]
    for value in w:
        h.append(0.5 * h[-1] - 0.25 * h[-2] + value)
    outside = np.full(2, 3.0)
    return {
        "late": each(lambda t: at(x, t - 1, outside=outside), T),
        "later": each(lambda t: at(x, t - 3, outside=outside), T),
        "early": each(lambda t: at(x, t + 2, outside=outside), T),
        "unsaid": each(lambda t: at(w, t - 1) + at(w, t + 1), T),
        "h": np.array(h[2:]),
    }


EXPRESSIONS = """
inputs: {x[t]: [2], w[t]: []}
nodes:
  c: sum[t](w[t])
  h[t]: 0.5 * h[t-1] + x[t]
  g[t]: {is: "0.5 * g[t+1] + w[t]", shape: []}
  f[t]: {is: "f[t-1] * w[t]", shape: []}
initial:
  h: c * x[first]
  g: w[last] + 1
  f: sum(h[last]) + g[0]
"""


def expressions(v: Arrays) -> dict[str, Any]:
    x, w, points = v["x"], v["w"], range(len(v["w"]))
    h = recur(lambda h, t: 0.5 * h + x[t], np.sum(w) * x[0], points)
    g = recur(lambda g, t: 0.5 * g + w[t], w[-1] + 1, reversed(points))
    return {"h": h, "g": g, "f": recur(lambda f, t: f * w[t], h[-1].sum() + g[0], points)}


# Which axis decides at a corner does not depend on the order in `initial`, but on the node's axes.
CORNER = """
inputs: {a[i,j]: []}
nodes:
  h[i,j]: {is: "0.5 * h[i-1,j-1] + a[i,j]", shape: []}
  g[j,i]: {is: "0.5 * g[j-1,i-1] + a[i,j]", shape: []}
initial: {h[j]: 20, h[i]: 10, g[j]: 20, g[i]: 10}
"""


def corner(v: Arrays) -> dict[str, Any]:
    a = v["a"]
    rows, columns = a.shape
    h, g = np.zeros((rows, columns)), np.zeros((columns, rows))
    for i, j in np.ndindex(rows, columns):
        h[i, j] = 0.5 * (10 if i == 0 else 20 if j == 0 else h[i - 1, j - 1]) + a[i, j]
        g[j, i] = 0.5 * (20 if j == 0 else 10 if i == 0 else g[j - 1, i - 1]) + a[i, j]
    return {"h": h, "g": g}


# The expression for one axis is read at the index of the other, which may be outside as well.
CORNER_OF_EXPRESSIONS = """
inputs: {a[i,j]: [], row[j]: [], column[i]: []}
nodes:
  h[i,j]: {is: "0.5 * h[i-1,j-1] + a[i,j]", shape: []}
  far[i,j]: h[i-1,j+2]
initial: {h[i]: "row[j]", h[j]: "column[i] * 2", row: 7}
"""


def corner_of_expressions(v: Arrays) -> dict[str, Any]:
    a, row, column = v["a"], v["row"], v["column"]
    rows, columns = a.shape
    h = np.zeros((rows, columns))

    def read(i: int, j: int) -> Any:
        if i < 0 or i >= rows:
            return at(row, j, outside=7.0)
        return 2 * column[i] if j < 0 or j >= columns else h[i, j]

    for i, j in np.ndindex(rows, columns):
        h[i, j] = 0.5 * read(i - 1, j - 1) + a[i, j]
    return {"h": h, "far": each(lambda i, j: read(i - 1, j + 2), rows, columns)}


# Along k the next step starts where the one before ended; before the first step stands a number.
MICRO_STEPS = """
inputs: {w[t]: []}
nodes:
  on[t,k]: {is: "0.5 * on[t,k-1] + w[t] * k", shape: []}
  back[t,k]: {is: "0.5 * back[t,k+1] + w[t] * k", shape: []}
initial: {on[k]: "on[t-1,last]", on[t]: 9, back[k]: "back[t+1,first]", back[t]: 4}
"""


def micro_steps(v: Arrays) -> dict[str, Any]:
    w, T = v["w"], len(v["w"])
    order = [(t, k) for t in range(T) for k in range(5)]
    on, back, one, two = np.zeros((T, 5)), np.zeros((T, 5)), 9.0, 4.0
    for t, k in order:
        on[t, k] = one = 0.5 * one + w[t] * k
    for t, k in reversed(order):
        back[t, k] = two = 0.5 * two + w[t] * k
    return {"on": on, "back": back}


# --- ends, and the number of the step -------------------------------------------------------------

ENDS = """
inputs: {x[t]: [2]}
nodes:
  span: x[last] - x[first]
  before_last: x[last-1]
  fourth: x[3]
  turned[t]: x[last-t]
  ends[t]: where(t == last, x[first], x[last])
  left[t]: last - t
  g[t]: g[t+1] + x[t]
  start: g[first]
"""


def ends(v: Arrays) -> dict[str, Any]:
    x, T = v["x"], len(v["x"])
    return {
        "span": x[-1] - x[0],
        "before_last": at(x, T - 2, outside=np.zeros(2)),
        "fourth": at(x, 3, outside=np.zeros(2)),
        "turned": x[::-1],
        "ends": each(lambda t: x[0] if t == T - 1 else x[-1], T),
        "left": np.arange(T)[::-1],
        "g": np.cumsum(x[::-1], axis=0)[::-1],
        "start": x.sum(axis=0),
    }


# --- reductions, windows, derived axes ------------------------------------------------------------

REDUCTIONS = """
inputs: {w[t]: [], a[i,j]: []}
nodes:
  total: sum[t](w[t])
  average: mean[t](w[t])
  largest: max[t](w[t] - 10)
  smallest: min[t](w[t] + 10)
  soft: logsumexp[t](w[t] - 10)
  share[t]: softmax[t](w[t])
  log_share[t]: log_softmax[t](w[t])
  late: mean[t](w[t-1])
  steps: sum[t](t)
  row[i]: max[j](a[i,j] - 10)
  whole: mean[i,j](a[i,j])
  mixed[i]: mean[j](a[i,j] * softmax[i](a[i,j]))
initial: {w: 8}
"""


def reductions(v: Arrays) -> dict[str, Any]:
    w, a = v["w"], v["a"]
    T, weights = len(w), np.exp(w) / np.exp(w).sum()
    shares = np.exp(a) / np.exp(a).sum(axis=0)
    return {
        "total": w.sum(),
        "average": w.sum() / T,
        "largest": w.max() - 10,
        "smallest": w.min() + 10,
        "soft": np.log(np.exp(w).sum()) - 10,
        "share": weights,
        "log_share": np.log(weights),
        "late": (8 + w[:-1].sum()) / T,
        "steps": T * (T - 1) / 2,
        "row": a.max(axis=1) - 10,
        "whole": a.mean(),
        "mixed": (a * shares).mean(axis=1),
    }


# A window that hangs over the ends has zeros there, which a mean counts and a maximum sees.
WINDOWS = """
inputs: {x[t]: [2], w[t]: []}
parameters: {K[k]: [3, 2]}
nodes:
  middle[t]: sum[k](K[k] @ x[t+k-2])
  average[t]: mean[k](w[t+k-2])
  largest[t]: max[k](w[t+k-2] - 10)
  soft[t]: logsumexp[k](w[t+k-2])
  stride[t]: sum[k](K[k] @ x[2*t+k-1])
  past[t]: sum[k](w[t-k] * k)
"""


def windows(v: Arrays) -> dict[str, Any]:
    x, w, K, T = v["x"], v["w"], v["K"], len(v["w"])
    around = each(lambda t, k: at(w, t + k - 2), T, 5)
    zero = np.zeros(2)
    return {
        "middle": each(lambda t: sum(K[k] @ at(x, t + k - 2, outside=zero) for k in range(5)), T),
        "average": around.sum(axis=1) / 5,
        "largest": around.max(axis=1) - 10,
        "soft": np.log(np.exp(around).sum(axis=1)),
        "stride": each(
            lambda t: sum(K[k] @ at(x, 2 * t + k - 1, outside=zero) for k in range(5)), T
        ),
        "past": each(lambda t: sum(at(w, t - k) * k for k in range(5)), T),
    }


# Axes that follow others: per sequence, and read from both sides.
DERIVED = """
inputs: {w[t]: [], a[i,j]: []}
nodes:
  doubled[twice]: {is: "0.5 * doubled[twice-1] + 1", shape: []}
  up[t]: doubled[2*t] * w[t] + doubled[2*t+1]
  ahead[twice]: w[twice] - w[twice-1]
  pair[half]: w[2*half] - w[2*half+1]
  slow[half]: {is: "0.5 * slow[half-1] + pair[half]", shape: []}
  pairs: slow[last]
  seen[t]: sum[s](where(s < t, w[s], 0))
  outer[t,s]: w[t] - w[s] * 2
  swapped[t,s]: outer[s,t-1]
  cross[both]: sum[i](where(i <= both, a[i,both-i], 0))
"""


def derived(v: Arrays) -> dict[str, Any]:
    w, a = v["w"], v["a"]
    (rows, columns), T = a.shape, len(w)
    doubled = recur(lambda d, _: 0.5 * d + 1, 0.0, range(2 * T))
    pair = each(lambda u: w[2 * u] - at(w, 2 * u + 1), (T + 1) // 2)
    slow = recur(lambda s, u: 0.5 * s + pair[u], 0.0, range(len(pair)))
    outer = each(lambda t, s: w[t] - 2 * w[s], T, T)
    return {
        "doubled": doubled,
        "up": each(lambda t: doubled[2 * t] * w[t] + doubled[2 * t + 1], T),
        "ahead": each(lambda p: at(w, p) - at(w, p - 1), 2 * T),
        "pair": pair,
        "slow": slow,
        "pairs": slow[-1],
        "seen": each(lambda t: w[:t].sum(), T),
        "outer": outer,
        "swapped": each(lambda t, s: at(outer, s, t - 1), T, T),
        "cross": each(lambda r: sum(at(a, i, r - i) for i in range(rows)), rows + columns - 1),
    }


# --- categories and conditions --------------------------------------------------------------------

CATEGORIES = """
inputs: {q[t]: {category: 3}, r[t]: {category: 3}, z[t]: [3]}
parameters: {U: [4, 3]}
nodes:
  column[t]: U @ q[t]
  before[t]: U @ q[t-1]
  first_known[t]: U @ r[t-1]
  hot[t]: one_hot(q[t])
  picked[t]: einsum("ij,j->i", U, q[t])
  mixed[t]: z[t] * q[t]
  is_one[t]: where(q[t] == 1, 1, 0)
  same[t]: where(q[t] == q[t-1], 1, 0)
  cost[t]: cross_entropy(z[t], q[t])
  copy[t]: where(t > 0, q[t], r[t])
  best[t]: argmax(z[t] * 0)
  end: U @ q[last]
initial: {r: 2}
"""


def categories(v: Arrays) -> dict[str, Any]:
    q, r, z, U, T = v["q"], v["r"], v["z"], v["U"], len(v["q"])
    hot = np.array([np.eye(3)[c] if c >= 0 else np.zeros(3) for c in q])
    known = np.array([np.eye(3)[c] if c >= 0 else np.zeros(3) for c in (2, *r)])
    before = np.array([np.zeros(3), *hot[:-1]])
    log_shares = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return {
        "column": hot @ U.T,
        "before": before @ U.T,
        "first_known": known[:T] @ U.T,
        "hot": hot,
        "picked": hot @ U.T,
        "mixed": z * hot,
        "is_one": q == 1,
        "same": [a == b for a, b in pairwise((-1, *q))],
        "cost": -(hot * log_shares).sum(axis=1),
        "copy": [r[0], *q[1:]],
        "best": np.zeros(T),
        "end": U @ hot[-1],
    }


# What is a condition is false outside.
CONDITIONS = """
inputs: {w[t]: []}
nodes:
  up[t]: w[t] > w[t-1]
  turn[t]: up[t] and not up[t+1]
  kept[t]: {is: "where(turn[t] or t == 0, w[t], kept[t-1])", shape: []}
"""


def conditions(v: Arrays) -> dict[str, Any]:
    w, T = v["w"], len(v["w"])
    up = each(lambda t: w[t] > at(w, t - 1), T)
    turn = each(lambda t: up[t] and not at(up, t + 1, outside=False), T)
    kept = recur(lambda k, t: w[t] if turn[t] or t == 0 else k, 0.0, range(T))
    return {"up": up, "turn": turn, "kept": kept}


CASES: dict[str, tuple[str, Meaning]] = {
    "numbers outside": (NUMBERS, numbers),
    "expressions outside": (EXPRESSIONS, expressions),
    "a corner": (CORNER, corner),
    "a corner of expressions": (CORNER_OF_EXPRESSIONS, corner_of_expressions),
    "micro-steps": (MICRO_STEPS, micro_steps),
    "ends": (ENDS, ends),
    "reductions": (REDUCTIONS, reductions),
    "windows": (WINDOWS, windows),
    "derived axes": (DERIVED, derived),
    "categories": (CATEGORIES, categories),
    "conditions": (CONDITIONS, conditions),
}


def inside(model: unfold.Model, name: str, lengths: Mapping[str, Any], number: int) -> Any:
    """Return where one sequence's values of a node or an input lie."""
    own = [int(lengths[a][number]) for a in model.program[name].axes if a != BATCH]
    return (number, *map(slice, own))


def ran(case: str) -> tuple[unfold.Model, dict[str, Any], dict[str, Any], Any]:
    """Run a case: model, parameters, inputs and results. No sequence fills the arrays."""
    text = CASES[case][0]
    lengths = {a: n for a, n in LENGTHS.items() if f"[{a}]" in text or f"[{a}," in text}
    extents = {a: max(n) + 1 for a, n in lengths.items()}
    model, params, inputs, options = sample(
        HEAD + text, extents, lengths, batch=BATCH_SIZE, seed=len(case)
    )
    return model, params, inputs, model.forward(params, inputs, backend="reference", **options)


@pytest.mark.parametrize("case", CASES)
def test_meaning(case: str) -> None:
    model, params, inputs, run = ran(case)
    for number in range(BATCH_SIZE):
        own = {n: a[inside(model, n, run.lengths, number)] for n, a in inputs.items()}
        for name, expected in CASES[case][1]({**params, **own}).items():
            found = run[name][inside(model, name, run.lengths, number)]
            assert_close(f"{name} of sequence {number}", found, expected, 1e-12)


@pytest.mark.parametrize("case", CASES)
def test_points_outside_of_a_sequence_hold_nothing(case: str) -> None:
    model, _, _, run = ran(case)
    nothing = {"real": 0.0, "category": -1, "bool": False}
    for name in model.pipeline.nodes:
        outside = np.ones(run[name].shape, dtype=bool)
        for number in range(BATCH_SIZE):
            outside[inside(model, name, run.lengths, number)] = False
        assert np.all(run[name][outside] == nothing[model.program[name].type.kind]), name


def test_a_mean_over_the_batch_counts_the_points_that_exist() -> None:
    text = HEAD + (
        "inputs: {w[t]: []}\nnodes:\n  m: mean[batch,t](w[t])\n  top: max[batch,t](w[t] - 10)\n"
        "  step[t]: mean[batch](w[t])\n  late[t]: step[t-1] - m\n"
    )
    model, params, inputs, options = sample(text, {"t": 5}, {"t": [5, 2, 3]})
    run = model.forward(params, inputs, backend="reference", **options)
    w = [row[:n] for row, n in zip(inputs["w"], (5, 2, 3), strict=True)]
    m = np.concatenate(w).mean()
    step = np.array([np.mean([row[t] for row in w if t < len(row)]) for t in range(5)])
    assert_close("m", run["m"], np.full(3, m), 1e-12)
    assert_close("top", run["top"], np.full(3, np.concatenate(w).max() - 10), 1e-12)
    for number, row in enumerate(w):
        assert_close("step", run["step"][number, : len(row)], step[: len(row)], 1e-12)
        late = np.array([0.0, *step])[: len(row)] - m
        assert_close("late", run["late"][number, : len(row)], late, 1e-12)


def test_the_loss_of_a_batch_is_the_mean_of_its_sequences() -> None:
    text = HEAD + "inputs: {w[t]: []}\nnodes:\n  h[t]: w[t]\nloss: mean[t](h[t])\n"
    model, params, inputs, options = sample(text, {"t": 5}, {"t": [5, 2, 1]})
    loss = model.forward(params, inputs, backend="reference", **options).loss
    w = inputs["w"]
    assert loss == pytest.approx(np.mean([w[0].mean(), w[1, :2].mean(), w[2, 0]]), rel=1e-12)


@pytest.mark.parametrize("kind", ["int8", "bool", "float32", "float64"])
def test_results_are_float64_and_integers_whatever_comes_in(kind: str) -> None:
    text = HEAD + (
        "inputs: {w[t]: [], q[t]: {category: 3}}\nparameters: {p: []}\n"
        "nodes:\n  y[t]: w[t] / 3 + p\n  c[t]: where(w[t] > 0, q[t], q[t-1])\n  b[t]: w[t] > 0\n"
    )
    inputs = {"w": np.array([[0, 1, 1]], dtype=kind), "q": np.array([[0, -1, 2]], dtype="int8")}
    run = unfold.loads(text).forward({"p": np.float32(0.25)}, inputs, backend="reference")
    assert [run[n].dtype for n in ("y", "c", "b")] == ["float64", "int64", "bool"]
    assert run["y"][0].tolist() == [0.25, 1 / 3 + 0.25, 1 / 3 + 0.25]
    assert run["c"][0].tolist() == [-1, -1, 2] and run["b"][0].tolist() == [False, True, True]


def test_without_inputs_the_call_says_how_many_sequences() -> None:
    text = HEAD + (
        "nodes:\n  h[t]: {is: 0.5 * h[t-1] + 1, shape: []}\n  z[t]: h[t] * uniform()\n"
        "  e: mean[t](z[t])\n"
    )
    model = unfold.loads(text)
    run = model.forward({}, {}, batch=3, lengths={"t": [4, 1, 2]}, backend="reference")
    assert run["h"].tolist() == [[1, 1.5, 1.75, 1.875], [1, 0, 0, 0], [1, 1.5, 0, 0]]
    assert_close("e", run["e"], run["z"].sum(axis=1) / [4, 1, 2], 1e-12)


STOPPED = """
inputs: {z: []}
nodes:
  n[t]: {is: "n[t-1] + 1", shape: []}
  h[t]: {is: "0.5 * h[t-1] + z", shape: []}
  left[t]: last - t
  most: n[last]
  average: mean[t](n[t])
"""


@pytest.mark.parametrize("rule", ["extent: {t: z + 1}", "when: h[t] > 3.4"])
def test_where_a_run_stops_counts_for_what_all_sequences_share(rule: str) -> None:
    """No input has the axis t, and still every sequence has a length of its own along it."""
    model = unfold.loads(HEAD + STOPPED + f"stop: {{{rule}, at_most: 6}}\n")
    run = model.forward({}, {"z": np.array([2.0, 1.0])}, mode="free", backend="reference")
    lengths = [3, 2] if "extent" in rule else [3, 6]
    assert run.lengths["t"].tolist() == lengths
    for number, length in enumerate(lengths):
        steps = np.arange(1.0, length + 1)
        assert run["n"][number].tolist() == [*steps, *[0] * (max(lengths) - length)]
        assert run["left"][number, :length].tolist() == list(reversed(range(length)))
        assert (run["most"][number], run["average"][number]) == (length, steps.mean())
