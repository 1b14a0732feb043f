"""Types that only a recurrence decides: conditions that latch, dimensions of 1 that are repeated.

Equations may stand in any order, so every spec is inferred from all orders of its equations.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

import unfold
from unfold.core.types import Type

HEAD = "unfold: 1\nname: inferred\naxes: {t: 4}\n"


def model(inputs: str, nodes: list[str], more: str = "") -> unfold.Model:
    lines = "\n".join(f"  {n}" for n in nodes)
    return unfold.loads(f"{HEAD}inputs: {inputs}\nnodes:\n{lines}\n{more}")


@pytest.mark.parametrize(
    ("inputs", "nodes", "expected"),
    [
        ("{x[t]: [1], z[t]: [3]}", ["a[t]: b[t-1] + x[t]", "b[t]: a[t] + z[t]"], (3,)),
        ("{x[t]: [1,3], z[t]: [4,1]}", ["a[t]: x[t] + b[t-1]", "b[t]: a[t] * z[t]"], (4, 3)),
        ("{x[t]: [1,3], z[t]: [4,3]}", ["a[t]: x[t] - b[t-1]", "b[t]: z[t] / a[t]"], (4, 3)),
        ("{x[t]: [1]}", ["a[t]: b[t-1] * x[t]", "b[t]: a[t] + 1"], (1,)),
        ("{x[t]: [1]}", ["a[t]: where(x[t] > 0, b[t-1], x[t])", "b[t]: tanh(a[t])"], (1,)),
    ],
)
def test_a_dimension_of_1_beside_something_unknown_may_be_repeated(
    inputs: str, nodes: list[str], expected: tuple[int, ...]
) -> None:
    for order in permutations(nodes):
        program = model(inputs, list(order)).program
        assert (program["a"].type, program["b"].type) == (Type(expected), Type(expected)), order


LEAST = {
    "a running sum": ("{x[t]: []}", ["a[t]: a[t-1] + x[t]"], "", ()),
    "a decayed one": ("{x[t]: []}", ["a[t]: 0.9 * a[t-1] + 2 * x[t]"], "", ()),
    "of steps": ("{x[t]: []}", ["a[t]: a[t-1] + t"], "", ()),
    "a running maximum": ("{x[t]: []}", ["a[t]: maximum(a[t-1], tanh(x[t]))"], "", ()),
    "through another": ("{x[t]: []}", ["a[t]: b[t-1] + x[t]", "b[t]: tanh(a[t-1])"], "", ()),
    "kept": (
        "{x[t]: []}",
        ["a[t]: where(x[t] > 0, b[t], a[t-1])", "b[t]: a[t-1] + x[t]"],
        "",
        (),
    ),
    "grown": ("{x[t]: [], z[t]: [3]}", ["a[t]: b[t-1] + x[t]", "b[t]: a[t] + z[t]"], "", (3,)),
    "in a product": (
        "{x[t]: [], M: [3, 3]}",
        ["a[t]: tanh(M @ b[t-1]) + x[t]", "b[t]: a[t] * x[t]"],
        "",
        (3,),
    ),
    "from numbers": ("{u: []}", ["a[t]: a[t-1] + b[t-1]", "b[t]: a[t-1]"], "{a: u, b: 1}", ()),
    "from a vector": ("{u: [3]}", ["a[t]: a[t-1] + b[t-1]", "b[t]: a[t-1]"], "{a: u}", (3,)),
    "of numbers from a vector": (
        "{x[t]: [], u: [3]}",
        ["a[t]: 0.5 * a[t-1] + x[t]"],
        "{a: tanh(u)}",
        (3,),
    ),
}


@pytest.mark.parametrize("name", LEAST)
def test_a_value_that_needs_itself_has_the_least_shape_that_fits(name: str) -> None:
    inputs, nodes, initial, shape = LEAST[name]
    for order in permutations(nodes):
        more = f"initial: {initial}\n" if initial else ""
        assert model(inputs, list(order), more).program["a"].type == Type(shape), order


@pytest.mark.parametrize(
    "nodes",
    [
        ["a[t]: 2 * a[t-1] + 1 / 3"],
        ["a[t]: tanh(a[t-1])"],
        ["a[t]: where(x[t] > 0, a[t-1], b[t-1])", "b[t]: where(x[t] > 0, b[t-1], a[t-1])"],
    ],
)
def test_where_only_literal_numbers_stand_a_shape_is_asked_for(nodes: list[str]) -> None:
    for order in permutations(nodes):
        with pytest.raises(unfold.errors.SpecError, match="cannot be inferred"):
            model("{x[t]: []}", list(order), "initial: {a: 1}\n")


LATCHES = {
    "or": ["d[t]: d[t-1] or x[t] > 1"],
    "and not": ["d[t]: not d[t-1] and x[t] > 1"],
    "where": ["d[t]: where(x[t] > 1, 1 > 0, d[t-1])"],
    "declared": ["d[t]: {is: 'd[t-1] or x[t] > 1', shape: []}"],
    "two": ["d[t]: c[t-1] or x[t] > 1", "c[t]: d[t-1] and x[t] > 0"],
    "by reference": ["d[t]: {is: 'c[t]', shape: []}", "c[t]: d[t-1] or x[t] > 1"],
    "of a known one": ["d[t]: {is: 'c[t-1]', shape: []}", "c[t]: x[t] > 1"],
}


@pytest.mark.parametrize("name", LATCHES)
def test_a_condition_that_needs_itself_is_one_condition(name: str) -> None:
    for order in permutations(LATCHES[name]):
        assert model("{x[t]: []}", list(order)).program["d"].type == Type((), "bool"), order


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_a_latch_stays(backend: str) -> None:
    """Once true, always true; the gradient goes where it was true."""
    nodes = ["d[t]: d[t-1] or x[t] > 1", "y[t]: where(d[t], x[t], 0)"]
    latch = model("{x[t]: []}", nodes, "loss: sum[t](y[t])\n")
    x = np.array([[0.5, 2.0, 0.25, -1.0], [0.5, 0.25, 0.125, 3.0]])
    run = latch.forward({}, {"x": x}, backend=backend)
    expected = np.array([[0, 1, 1, 1], [0, 0, 0, 1]])
    np.testing.assert_array_equal(run["d"], expected)
    _, grads = latch.value_and_grad({}, {"x": x}, wrt=["x"], backend=backend)
    np.testing.assert_array_equal(grads["x"], expected / 2)  # the mean over the batch


def test_a_latch_of_a_vector_is_a_vector() -> None:
    program = model("{x[t]: [3]}", ["d[t]: d[t-1] or x[t] > 1"]).program
    assert program["d"].type == Type((3,), "bool")


def test_a_latch_may_start_true() -> None:
    latch = model("{x[t]: []}", ["d[t]: d[t-1] and x[t] > 0"], "initial: {d: 1 > 0}\n")
    run = latch.forward({}, {"x": np.array([[1.0, 2.0, -1.0, 1.0]])})
    np.testing.assert_array_equal(run["d"], [[1, 1, 0, 0]])


@pytest.mark.parametrize("backend", ["reference", "numba"])
@pytest.mark.parametrize("outside", ["V[1]", "V[7]", "tanh(V[first]) * 2", "mean[batch](q)", "U"])
def test_a_parameter_may_have_an_expression_outside_of_its_domain(
    outside: str, backend: str
) -> None:
    text = f"""unfold: 1
name: outside
axes: {{t: 4, l: 3}}
inputs: {{x[t]: [2], q: [2]}}
parameters: {{W[l]: [2], V[l]: [2], U: [2]}}
nodes:
  y[t,l]: x[t] * W[l-1]
initial: {{W: "{outside}", V: 0.5}}
loss: sum[t,l](y[t,l] @ y[t,l])
"""
    rng = np.random.default_rng(0)
    found = unfold.loads(text)
    params = {n: rng.normal(size=a.shape) for n, a in found.init().items()}
    inputs = {"x": rng.normal(size=(2, 4, 2)), "q": rng.normal(size=(2, 2))}
    V, q = params["V"], inputs["q"]
    edge = {
        "V[1]": V[1],
        "V[7]": np.full(2, 0.5),
        "tanh(V[first]) * 2": np.tanh(V[0]) * 2,
        "mean[batch](q)": q.mean(0),
        "U": params["U"],
    }[outside]
    before = np.stack([edge, *params["W"][:2]])
    expected = inputs["x"][:, :, None] * before
    run = found.forward(params, inputs, backend=backend)
    np.testing.assert_allclose(run["y"], expected, rtol=1e-12)
    _, grads = found.value_and_grad(params, inputs, backend=backend)
    wanted = (expected * inputs["x"][:, :, None]).sum((0, 1))
    np.testing.assert_allclose(grads["W"], [*wanted[1:], [0, 0]], rtol=1e-12)
    if outside == "V[1]":
        np.testing.assert_allclose(grads["V"], [[0, 0], wanted[0], [0, 0]], rtol=1e-12)


@pytest.mark.parametrize(
    "equation",
    [
        "where(t % 2 == 0, n[t-1], tanh(n[t-1]))",
        "where((n[t-1] > 0.3) and (t > 1), n[t-3], sigmoid(n[t-1] + 0.1))",
    ],
)
def test_a_choice_between_numbers_is_no_condition(equation: str) -> None:
    found = unfold.loads(
        "unfold: 1\nname: choice\naxes: {t: 4}\ninputs: {x[t]: [3]}\n"
        f"nodes:\n  n[t]: {{is: '{equation}', shape: []}}\n  y[t]: n[t] * x[t]\n"
    )
    assert found.program["n"].type.kind == "real"
