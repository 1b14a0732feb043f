"""What elaboration works out by itself: shapes, sizes of cells, axes of the caller, names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import unfold
from unfold.errors import SpecError

HEAD = "unfold: 1\nname: m\naxes: {t: 4, s: 3}\nsizes: {n: 4, m: 5}\n"


def load(rest: str) -> unfold.Model:
    return unfold.loads(HEAD + rest)


def shape(model: unfold.Model, name: str) -> list[int]:
    return [int(d) for d in model.program[name].type.shape]


def test_a_product_with_a_matrix_that_is_not_known_yet_is_no_vector() -> None:
    """W @ A is taken for a vector only where nothing else says what A is."""
    model = load(
        "parameters: {W: [n, n], C: [n, n]}\n"
        "nodes:\n  A[t]: W @ B[t-1]\n  B[t]: A[t] + C\n  v[t]: tanh(W @ v[t-1])\n"
    )
    assert shape(model, "A") == [4, 4] and shape(model, "v") == [4]


def test_a_declared_shape_decides() -> None:
    model = load("parameters: {W: [n, n]}\nnodes:\n  v[t]: {is: W @ v[t-1], shape: [n, m]}\n")
    assert shape(model, "v") == [4, 5]


def test_sizes_of_a_cell_follow_from_its_arguments(tmp_path: Path) -> None:
    (tmp_path / "outer.yaml").write_text(
        "unfold: 1\ncell: outer\naxes: [t]\nsizes: {features: , twice: 2*features}\n"
        "inputs: {x[t]: [features]}\nparameters: {P: [twice, features]}\n"
        "nodes:\n  h[t]: rnn(P @ x[t], hidden=features)\noutput: h[t]\n"
    )
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        HEAD + "use: {outer: outer.yaml}\ninputs: {x[t]: [m]}\nnodes:\n  y[t]: outer(x[t])\n"
    )
    model = unfold.load(spec)
    assert shape(model, "y.P") == [10, 5]
    assert shape(model, "y.h.U") == [5, 10] and shape(model, "y") == [5]


def test_a_cell_runs_at_every_point_of_the_other_axes() -> None:
    """y[t,s]: rnn(x[t,s]) along t equals the equation written out with both indices."""
    inputs = "inputs: {x[t,s]: [n]}\n"
    model = load(inputs + "nodes:\n  y[t,s]: rnn(x[t,s], hidden=m)\n")
    written = load(
        inputs + "parameters: {W: [m, m], U: [m, n], b: [m]}\n"
        "nodes:\n  y[t,s]: tanh(b + W @ y[t-1,s] + U @ x[t,s])\n"
    )
    x = {"x": np.random.default_rng(0).normal(size=(2, 4, 3, 4))}
    params = model.init(seed=1)
    same = {n: params[f"y.{n}"] for n in ("W", "U", "b")}
    assert model.program["y.W"].axes == ()
    np.testing.assert_allclose(
        model.forward(params, x)["y"], written.forward(same, x)["y"], rtol=1e-12
    )


def test_nodes_may_be_called_like_sections() -> None:
    model = load(
        "inputs: {x[t]: [n]}\nnodes:\n  loss[t]: mse(x[t], 0)\n  stop[t]: loss[t] + 1\n"
        "loss: mean[t](loss[t])\n"
    )
    run = model.forward({}, {"x": np.ones((1, 4, 4))})
    assert run.loss == 1.0 and run["loss"].shape == (1, 4)


def test_the_entry_about_one_axis_wins() -> None:
    """`s[t]: ones` holds along t, whatever `s` says about all axes, in any order."""
    nodes = "nodes:\n  g[t,s]: {is: 'g[t-1,s] + g[t,s-1]', shape: []}\n"
    one = load(nodes + "initial: {g: 2, g[t]: ones}\n").forward({}, {}, batch=1)["g"]
    two = load(nodes + "initial: {g[t]: ones, g: 2}\n").forward({}, {}, batch=1)["g"]
    np.testing.assert_array_equal(one, two)
    assert one[0, 0, 0] == 3.0  # 1 from before t, 2 from before s


def test_a_category_may_start_as_no_class() -> None:
    model = load(
        "inputs: {x[t]: {category: n}}\nparameters: {U: [m, n]}\n"
        "nodes:\n  p[t]: where(t == 0, p[t-1], x[t])\n  u[t]: U @ p[t]\ninitial: {p: -1}\n"
    )
    run = model.forward({"U": np.ones((5, 4))}, {"x": np.zeros((1, 4), dtype=int)})
    assert run["p"][0].tolist() == [-1, 0, 0, 0]
    assert run["u"][0, :, 0].tolist() == [0.0, 1.0, 1.0, 1.0]


def test_an_axis_without_an_extent_says_nothing_about_those_derived_from_it() -> None:
    text = (
        "unfold: 1\nname: m\naxes: {t: , u: t // 2}\ninputs: {x[t]: []}\nnodes: {y[u]: 'x[2*u]'}\n"
    )
    model = unfold.loads(text)
    assert model.forward({}, {"x": np.arange(6.0)[None]})["y"].tolist() == [[0.0, 2.0, 4.0]]


def test_a_spec_without_mistakes_of_syntax_is_needed_for_none_of_meaning() -> None:
    """A mistake of syntax in one equation hides none of meaning in another, nor makes one."""
    with pytest.raises(SpecError) as caught:
        load("nodes:\n  a[t]: 1 +\n  b[t]: a[t] + c[t]\n  d[t]: b[t] * a[t-1]\n")
    assert [d.message for d in caught.value.diagnostics] == [
        "a value is missing after +",
        "unknown name c",
    ]


@pytest.mark.parametrize("init", ["zeros", "{constant: 2}", "{normal: 1}", "{values: 3}", "glorot"])
def test_a_parameter_may_be_a_number(init: str) -> None:
    model = load(f"parameters: {{p: {{shape: [], init: {init}}}}}\nnodes:\n  y[t]: p * t\n")
    params = model.init(seed=0)
    assert params["p"].shape == ()
    assert model.forward(params, {}, batch=1)["y"][0, 2] == 2 * params["p"]
