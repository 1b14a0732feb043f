"""Fixed points, Jacobians and trajectories: known systems, differences, and steps one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import unfold
from unfold import analysis
from unfold.errors import DataError, UnfoldError

Array = np.ndarray

LINEAR = """
unfold: 1
name: linear
axes: {t: 5}
sizes: {n: 3}
inputs:
  x[t]: [n]
parameters:
  A: {shape: [n, n], init: {values: [[0.5, 0.3, 0], [-0.3, 0.5, 0], [0, 0, 1.5]]}}
nodes:
  h[t]: A @ h[t-1] + x[t]
"""
SCALAR = """
unfold: 1
name: scalar
axes: {t: 5}
inputs:
  x[t]: []
parameters:
  w: {shape: [], init: {constant: 2}}
nodes:
  h[t]: {is: EQUATION, shape: []}
"""
DELAYS = """
unfold: 1
name: delays
axes: {t: 7, k: 2}
sizes: {n: 3, m: 2}
inputs:
  x[t]: [m]
parameters:
  A: [n, n]
  B: [n, m]
  C[k]: [m, n]
nodes:
  h[t]: tanh(A @ h[t-3] + B @ x[t-1] + B @ sum[k](g[t-1,k]))
  g[t,k]: tanh(C[k] @ h[t-1] + x[t])
initial:
  h: 0.3
"""


def scalar(equation: str) -> unfold.Model:
    return unfold.loads(SCALAR.replace("EQUATION", equation))


def flow_of(model: unfold.Model, **options: object) -> analysis.StateMap:
    return analysis.state_map(model, model.init(seed=1), **options)  # pyright: ignore


def differences(flow: Callable[[Array], Array], states: Array, step: float = 1e-6) -> Array:
    columns = [
        (flow(states + step * unit) - flow(states - step * unit)) / (2 * step)
        for unit in np.eye(states.shape[1])
    ]
    return np.stack(columns, axis=-1)


def test_a_linear_map_has_one_fixed_point_with_the_eigenvalues_of_its_matrix() -> None:
    model = unfold.loads(LINEAR)
    matrix = model.init()["A"]
    x = np.array([0.2, -0.4, 0.1])
    flow = flow_of(model, inputs={"x": x})
    found = analysis.fixed_points(flow, np.random.default_rng(0).standard_normal((7, 3)))
    (point,) = found.points
    assert (found.found, found.tried, found.slowest) == (7, 7, None)
    assert np.allclose(point.state, np.linalg.solve(np.eye(3) - matrix, x), atol=1e-13)
    assert point.residual < 1e-14
    assert np.allclose(point.eigenvalues, [1.5, 0.5 + 0.3j, 0.5 - 0.3j], atol=1e-13)
    for value, vector in zip(point.eigenvalues, point.eigenvectors.T, strict=True):
        assert np.allclose(matrix @ vector, value * vector, atol=1e-13)
    assert (point.kind, point.expanding, point.turn) == ("saddle", 1, 0.0)
    assert point.memory == pytest.approx(-1 / np.log(np.hypot(0.5, 0.3)))


def test_a_latch_has_two_attractors_and_a_repeller_between_them() -> None:
    flow = flow_of(scalar("tanh(w * h[t-1])"))
    found = analysis.fixed_points(flow, np.linspace(-1.4, 1.4, 15)[:, None])
    states = {round(float(p.state[0]), 4): p.kind for p in found.points}
    assert states == {-0.9575: "attractor", 0.0: "repeller", 0.9575: "attractor"}
    outer = next(p for p in found.points if p.state[0] > 0.5)
    assert outer.eigenvalues[0] == pytest.approx(2 * (1 - outer.state[0] ** 2), rel=1e-12)


def test_a_cycle_is_a_fixed_point_of_as_many_steps() -> None:
    model = scalar("tanh(-w * h[t-1])")
    starts = np.linspace(-1.4, 1.4, 15)[:, None]
    (origin,) = analysis.fixed_points(flow_of(model), starts).points
    assert (origin.kind, origin.turn) == ("repeller", pytest.approx(np.pi))
    found = analysis.fixed_points(flow_of(model, steps=2), starts)
    assert sorted(round(float(p.state[0]), 4) for p in found.points) == [-0.9575, 0.0, 0.9575]


def test_where_there_is_no_fixed_point_none_is_found_and_the_speed_is_told() -> None:
    found = analysis.fixed_points(flow_of(scalar("h[t-1] + 0.25")), np.array([[0.0], [3.0]]))
    assert found.points == ()
    assert (found.found, found.tried, found.slowest) == (0, 2, 0.25)


def test_where_nothing_moves_every_state_is_neutral() -> None:
    found = analysis.fixed_points(flow_of(scalar("h[t-1] + x[t]")), np.array([[0.0], [3.0]]))
    assert [p.kind for p in found.points] == ["neutral", "neutral"]


@pytest.mark.parametrize(
    ("name", "axis", "mode"),
    [
        ("gru", None, "teacher"),
        ("lstm-stack", None, "teacher"),
        ("rnn-2d", "j", "teacher"),
        ("pattern-output", None, "free"),
        ("attention", "t", "teacher"),
    ],
)
def test_the_jacobian_is_that_of_central_differences(name: str, axis: str, mode: str) -> None:
    few = {"hidden": 5, "lower": 4, "upper": 3, "encoder": 4, "decoder": 5}
    known = unfold.load(name).elaborated.sizes
    model = unfold.load(name, sizes={n: k for n, k in few.items() if n in known})
    flow = flow_of(model, axis=axis, mode=mode)
    states = np.random.default_rng(2).standard_normal((2, flow.size))
    assert np.allclose(flow.jacobian(states), differences(flow, states), atol=1e-8)


def test_a_state_has_as_many_values_as_are_read_later_and_all_axes() -> None:
    flow = flow_of(unfold.loads(DELAYS), inputs={"x": [0.5, -1.0]})
    assert [(p.name, p.shape, p.start) for p in flow.parts] == [
        ("h", (3, 3), 0),
        ("g", (1, 2, 2), 9),
    ]
    assert flow.labels[8:10] == ("h[8]", "g[0]")
    states = np.random.default_rng(3).standard_normal((2, 13))
    jacobian = flow.jacobian(states)
    assert np.allclose(jacobian, differences(flow, states), atol=1e-8)
    assert (jacobian[:, :6, 3:9] == np.eye(6)).all(), "older values move one place"
    three = flow_of(unfold.loads(DELAYS), inputs={"x": [0.5, -1.0]}, steps=3)
    assert np.allclose(three(states), flow(flow(flow(states))), atol=1e-14)
    chain = flow.jacobian(flow(flow(states))) @ flow.jacobian(flow(states)) @ jacobian
    assert np.allclose(three.jacobian(states), chain, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_trajectories_follow_the_map(steps: int) -> None:
    model = unfold.loads(DELAYS)
    params = model.init(seed=1)
    x = np.broadcast_to(np.array([0.5, -1.0]), (2, 7, 2))
    flow = analysis.state_map(model, params, {"x": [0.5, -1.0]}, steps=steps)
    paths = analysis.trajectories(flow, model.forward(params, {"x": x}, lengths={"t": [7, 4]}))
    assert paths.shape == (2, 7, 13)
    there = np.isfinite(paths).all(axis=2)
    # The oldest of three values is known from the third step on, and nothing beyond the end.
    assert there.tolist() == [[False] * 2 + [True] * 5, [False] * 2 + [True] * 2 + [False] * 3]
    assert np.isnan(paths[~there]).all()
    for row, end in ((0, 7), (1, 4)):
        known = paths[row, 2:end]
        assert np.allclose(flow(known)[: max(end - 2 - steps, 0)], known[steps:], atol=1e-13)


def test_the_plane_is_that_of_the_principal_components() -> None:
    states = np.random.default_rng(0).standard_normal((50, 4)) * [3.0, 0.1, 1.0, 0.01] + 5.0
    plane = analysis.plane_of(states)
    assert np.allclose(np.abs(plane.directions[[0, 2], [0, 1]]), 1, atol=0.05)
    assert plane.share is not None and sum(plane.share) == pytest.approx(1, abs=0.01)
    assert np.allclose(plane.show(states).mean(axis=0), 0, atol=1e-12)
    two = states[:, :2]
    assert (analysis.plane_of(two).show(two) == two).all(), "a plane is drawn as it is"


REFUSED = [
    ("tdnn", "teacher", "no state at a step needs the one before"),
    ("pattern-output", "teacher", "in mode teacher no state at a step needs the one before"),
    ("unshared", "teacher", "W differs from step to step"),
    ("teacher-forcing", "free", "choice is a class, so the state cannot be perturbed"),
]


@pytest.mark.parametrize(("name", "mode", "why"), REFUSED)
def test_a_step_without_such_a_map_says_why(name: str, mode: str, why: str) -> None:
    with pytest.raises(UnfoldError) as caught:
        flow_of(unfold.load(name), mode=mode)
    assert str(caught.value) == f"a step along t is not a map from state to state: {why}" or (
        str(caught.value).endswith(why)
    )


@pytest.mark.parametrize(
    ("equation", "why"),
    [
        ("tanh(h[t-1] + x[t+1])", "h reads x[t+1], which comes later"),
        ("tanh(h[t-1] + normal())", "is drawn at random"),
        ("tanh(h[t-1] + t)", "h differs from step to step"),
        ("tanh(h[t-1] + mean[t](x[t]))", "h needs all steps"),
    ],
)
def test_what_a_step_cannot_know_is_named(equation: str, why: str) -> None:
    with pytest.raises(UnfoldError, match=r"a step along t is not a map") as caught:
        flow_of(scalar(equation))
    assert why in str(caught.value)


def test_arrays_that_do_not_fit_are_named() -> None:
    model = unfold.loads(LINEAR)
    with pytest.raises(DataError, match=r"input x of a step: expected a number or \[3\], got \[2"):
        flow_of(model, inputs={"x": [1.0, 2.0]})
    with pytest.raises(DataError, match="a step reads no input y; the inputs of a step are x"):
        flow_of(model, inputs={"y": 1.0})
    with pytest.raises(DataError, match=r"states have the shape \[2, 4\], expected \[number, 3\]"):
        flow_of(model)(np.zeros((2, 4)))
    with pytest.raises(UnfoldError, match="passes no state along k; axes with a state: t"):
        flow_of(model, axis="k")
    with pytest.raises(DataError, match=r"input x is a class: expected a whole number, got 0\.5"):
        flow_of(unfold.load("hello"), inputs={"x": 0.5})
