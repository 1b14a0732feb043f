"""Initial values that differ between the points outside of an axis: several lags, both ends.

    initial: {h[t]: {-1: a, -2: b}}        or        h: where(t == -1, a, b)

Oracles are plain loops that look a point up in a table of what stands outside.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gradients import check_each_alone, check_model, sample

import unfold
from unfold.core.program import BATCH
from unfold.errors import SpecError
from unfold.runs.domain import Domain
from unfold.unfolded.graph import Node, UnfoldedGraph

BACKENDS = ["reference", "numba"]
HEAD = "unfold: 1\nname: lags\naxes: {t: 8}\n"
FIBONACCI = (
    HEAD
    + """inputs: {one: [], two: []}
nodes:
  a[t]: a[t-1] + a[t-2]
initial: {a: OUTSIDE}
loss: a[last]
"""
)
FORMS = [
    "{-1: one, -2: two}",
    "{-2: two, -1: one}",
    "where(t == -1, one, two)",
    "-t * one - (t + 1) * (two - 2 * one)",
]


@pytest.mark.parametrize(
    ("outside", "backend"), [*((f, "reference") for f in FORMS), (FORMS[0], "numba")]
)
def test_initial_lags(outside: str, backend: str) -> None:
    model = unfold.loads(FIBONACCI.replace("OUTSIDE", outside))
    inputs = {"one": np.array([1.0, 2.0]), "two": np.array([0.0, -1.0])}
    run = model.forward({}, inputs, backend=backend)
    np.testing.assert_allclose(run["a"][0], [1, 2, 3, 5, 8, 13, 21, 34])
    _, grads = model.value_and_grad({}, inputs, wrt=["one", "two"], backend=backend)
    np.testing.assert_allclose([grads["one"], grads["two"]], [[17, 17], [10.5, 10.5]])


def test_what_is_not_listed_reads_zero() -> None:
    model = unfold.loads(FIBONACCI.replace("OUTSIDE", "{-2: two}"))
    run = model.forward({}, {"one": np.array([7.0]), "two": np.array([1.0])})
    np.testing.assert_allclose(run["a"][0], [1, 1, 2, 3, 5, 8, 13, 21])


MANY = """unfold: 1
name: many
axes: {t: 5, l: 2}
inputs: {x[t]: [2], u: [2]}
parameters: {W: [2, 2], v: [2]}
nodes:
  b[t]: tanh(W @ b[t+1] + 0.5 * b[t+3] + x[t])
  h[t,l]: tanh(W @ h[t-1,l] - h[t-3,l] + x[t] * b[t])
  w[t]: x[t-2] * v + x[t+1]
initial:
  b: {last+1: learned, last+3: tanh(u)}
  h[t]: {-1: v * l, -2: learned, -3: b[0]}
  x: (t + 3) * v
loss: sum[t,l](h[t,l] @ h[t,l]) + sum[t](w[t] @ w[t])
"""


def by_hand(params: dict[str, Any], x: Any, u: Any) -> float:
    """Compute the loss of one sequence."""
    W, v, steps = params["W"], params["v"], len(x)
    after = {steps: params["b.initial.after1"], steps + 2: np.tanh(u)}
    b = {t: after.get(t, np.zeros(2)) for t in range(steps, steps + 3)}
    for t in reversed(range(steps)):
        b[t] = np.tanh(W @ b[t + 1] + 0.5 * b[t + 3] + x[t])
    h = {}
    for level in range(2):
        at = {-1: v * level, -2: params["h.initial.t.before2"], -3: b[0]}
        for t in range(steps):
            at[t] = np.tanh(W @ at[t - 1] - at[t - 3] + x[t] * b[t])
            h[t, level] = at[t]

    def read(t: int) -> Any:
        return x[t] if 0 <= t < steps else (t + 3) * v

    w = [read(t - 2) * v + read(t + 1) for t in range(steps)]
    return sum(a @ a for a in [*h.values(), *w])


@pytest.mark.parametrize("backend", BACKENDS)
def test_points_before_and_after_with_unequal_lengths(backend: str) -> None:
    lengths = {"t": [5, 1, 3]}
    model, params, inputs, options = sample(MANY, {"t": 5}, lengths)
    assert set(params) == {"W", "v", "b.initial.after1", "h.initial.t.before2"}
    expected = [
        by_hand(params, x[:n], u)
        for x, u, n in zip(inputs["x"], inputs["u"], lengths["t"], strict=True)
    ]
    run = model.forward(params, inputs, backend=backend, **options)
    assert run.loss == pytest.approx(np.mean(expected), rel=1e-12)


def test_gradients_of_points_before_and_after() -> None:
    model, params, inputs, options = sample(MANY, {"t": 5}, {"t": [5, 1, 3]})
    check_model(model, params, inputs, **options)
    check_each_alone(model, params, inputs, **options)
    reference, numba = (
        model.value_and_grad(params, inputs, wrt=[*params, "x", "u"], backend=b, **options)[1]
        for b in BACKENDS
    )
    for name, found in numba.items():
        np.testing.assert_allclose(found, reference[name], rtol=1e-9, atol=1e-11, err_msg=name)


def test_one_value_stands_for_all_points_as_before() -> None:
    text = FIBONACCI.replace("OUTSIDE", "learned").replace("inputs: {one: [], two: []}\n", "")
    text = text.replace("a[t-1] + a[t-2]", "a[t-1] + a[t-2] + 0 * t")
    model = unfold.loads(text)
    assert list(model.init()) == ["a.initial"] and model.program["a.initial"].axes == ()


def test_what_is_never_read_outside_needs_no_points() -> None:
    model = unfold.loads(FIBONACCI.replace("a[t-1] + a[t-2]", "one * two").replace("OUTSIDE", "t"))
    assert model.forward({}, {"one": np.ones(1), "two": np.ones(1)}).loss == 1


def test_a_sum_over_the_axis_is_not_a_point_outside() -> None:
    nodes = "nodes:\n  a[t]: a[t-1] + x[t]\ninitial: {a: 'sum[t](x[t])'}\n"
    text = f"{HEAD}inputs: {{x[t]: []}}\n{nodes}"
    model = unfold.loads(text)
    assert set(model.program.axes) == {BATCH, "t"}
    run = model.forward({}, {"x": np.ones((1, 8))})
    np.testing.assert_allclose(run["a"][0], np.arange(9, 17))


def test_points_of_a_category_and_of_a_reversed_cell(tmp_path: Any) -> None:
    cell = """unfold: 1
cell: twice
axes: [t]
inputs: {x[t]: []}
nodes: {h[t]: "x[t] + 2 * h[t-1] + 10 * h[t-2]"}
initial: {h: {-1: 1, -2: 3}}
output: h[t]
"""
    (tmp_path / "twice.yaml").write_text(cell)
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        f"""{HEAD}use: {{twice: twice.yaml}}
inputs: {{x[t]: [], c[t]: {{category: 3}}}}
parameters: {{E: [2, 3]}}
nodes:
  h[t]: {{is: twice(x[t]), reverse: t}}
  e[t]: E @ c[t-1] + 10 * (E @ c[t-2])
initial: {{c: {{-2: 1}}}}
"""
    )
    model = unfold.load(spec)
    x, c = np.arange(8.0)[None], np.array([[0, 1, 2, 0, 1, 2, 0, 1]])
    E = np.array([[1.0, 2, 3], [4, 5, 6]])
    run = model.forward({"E": E}, {"x": x, "c": c})
    before = [3.0, 1.0]
    for number in x[0][::-1]:
        before.append(number + 2 * before[-1] + 10 * before[-2])
    np.testing.assert_allclose(run["h"][0], before[2:][::-1])
    np.testing.assert_allclose(run["e"][0, :2], [10 * E[:, 1], E[:, 0]])


def test_the_graph_reads_each_point() -> None:
    model = unfold.loads(FIBONACCI.replace("OUTSIDE", FORMS[0]))
    graph = UnfoldedGraph(model.program, Domain(model.program, {}), detail="node")
    read = {str(e.source) for e in graph.in_edges(Node("a", (0,)))}
    assert read == {"a[-1]", "a[-2]"}
    held = {str(e.source) for e in graph.in_edges(Node("a", (-1,), boundary=True))}
    assert len(held) == 1 and held.pop().endswith("[1]")  # the part of a.initial for the point -1
    assert model.measures(count="nodes").recurrent_depth == 1
    assert "a" in model.draw(steps={"t": 3}).to_svg()


MISTAKES = {
    "{-1: one, 2: two}": "2 is not a point outside the domain of a",
    "{-1: one, last: two}": "last is not a point outside the domain of a",
    "{-1: one, t-2: two}": "has no axis t",
    "{-1: one, -1: two}": "-1 is not unique|given twice|twice",
    "{b: one}": "unknown index b",
    "{}": "a has no points",
    "{-1: zzz}": "unknown name zzz",
    "{-1: {x: 1}}": "expected an initial value",
    "{-1: one, -2: one > 0}": "has the wrong type",
}


@pytest.mark.parametrize("outside", MISTAKES)
def test_mistakes(outside: str) -> None:
    with pytest.raises(SpecError, match=MISTAKES[outside]) as caught:
        unfold.loads(FIBONACCI.replace("OUTSIDE", outside))
    assert len(caught.value.diagnostics) == 1, caught.value


def test_points_behind_a_parameter_differ_between_sequences() -> None:
    text = """unfold: 1
name: ends
axes: {t: }
inputs: {x[t]: []}
parameters: {p[t]: []}
nodes: {h[t]: "x[t] * (p[t-1] + p[t+1])"}
initial: {p: POINTS}
"""
    with pytest.raises(SpecError, match="differs between sequences"):
        unfold.loads(text.replace("POINTS", "{-1: 1, last+1: 2}"))
    model = unfold.loads(text.replace("POINTS", "{last+1: 2}"), axes={"t": 3})
    run = model.forward({"p": np.arange(3.0)}, {"x": np.ones((1, 3))})
    np.testing.assert_allclose(run["h"], [[1, 2, 3]])


def test_points_any_number_of_steps_outside_are_named() -> None:
    text = (
        FIBONACCI.replace("axes: {t: 8}", "axes: {t: , k: t}")
        .replace("a[t-1] + a[t-2]", "a[t-1] + sum[k](a[t-k-1])")
        .replace("two: []", "two: [], x[t]: []")
    )
    with pytest.raises(SpecError, match="any number of steps outside"):
        unfold.loads(text.replace("OUTSIDE", FORMS[2]))
    model = unfold.loads(text.replace("OUTSIDE", FORMS[0]), axes={"t": 3})
    inputs = {"one": np.array([1.0]), "two": np.array([5.0]), "x": np.ones((1, 3))}
    found = model.forward({}, inputs)["a"][0]
    # k has 3 points: a[-1] + a[-2] + 0, then a[0] + a[-1] + a[-2], then a[1] + a[0] + a[-1].
    np.testing.assert_allclose(found, [1 + 6, 7 + 13, 20 + 28])


def test_an_index_around_the_end_is_never_outside() -> None:
    """x[(t+2)%(last+1)] reads no point outside of t, so what stands there may depend on t."""
    model = unfold.loads(
        HEAD + "inputs: {x[t]: []}\nnodes:\n  a[t]: 2 * x[t]\n  b[t]: a[(t+2)%(last+1)]\n"
        "initial: {a: 3 * t}\noutputs: [b]\n"
    )
    x = np.arange(8.0).reshape(1, 8)
    found = model.forward({}, {"x": x}, backend="reference")["b"]
    assert np.array_equal(found, 2 * np.roll(x, -2, axis=1))
