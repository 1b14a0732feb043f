"""Targets that a loss reads outside of their data are refused, unless what stands there is said."""

from __future__ import annotations

import numpy as np
import pytest

import unfold
from unfold.errors import SpecError

HEAD = """\
unfold: 1
name: past-the-window
axes: {t: 4, k: 3, u: t - 2}
inputs: {x[t]: [], y[t]: [], c[t]: {category: 3}}
parameters: {w: [], V: [3]}
"""


def load(nodes: str, loss: str, more: str = "") -> unfold.Model:
    """Load a spec; nodes are separated by semicolons."""
    lines = "".join(f"  {n.strip()}\n" for n in nodes.split(";"))
    return unfold.loads(f"{HEAD}nodes:\n{lines}loss: {loss}\n{more}", file="spec.yaml")


OUTSIDE = {
    "a window of targets": ("o[t,k]: w * x[t]", "mean[t,k](mse(o[t,k], y[t+k]))", "y[t+k]"),
    "the next": ("o[t]: w * x[t]", "mean[t](mse(o[t], y[t + 1]))", "y[t + 1]"),
    "before the first": ("o[t]: w * x[t]", "mean[t](mse(o[t], y[t] - y[t-1]))", "y[t-1]"),
    "no class": ("o[t]: V * x[t]", "mean[t](cross_entropy(o[t], c[t+1]))", "c[t+1]"),
    "without parameters": ("o[t,k]: x[t]", "mean[t,k](mse(o[t,k], y[t+k]))", "y[t+k]"),
    "a node that only the loss reads": (
        "o[t,k]: w * x[t]; d[t,k]: y[t+k]",
        "mean[t,k](mse(o[t,k], d[t,k]))",
        "y[t+k]",
    ),
    "data that are computed first": (
        "o[t]: w * x[t]; d[t]: 2 * y[t]",
        "mean[t](mse(o[t], d[t+1]))",
        "d[t+1]",
    ),
    "a condition": (
        "o[t]: w * x[t]",
        "mean[t](where(y[t+1] > 0, mse(o[t], y[t]), 0))",
        "y[t+1]",
    ),
    "a metric": (
        "o[t]: w * x[t]; far[t]: abs(o[t] - y[t+1])",
        "mean[t](mse(o[t], y[t]))",
        "y[t+1]",
    ),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_past_the_window(name: str) -> None:
    nodes, loss, written = OUTSIDE[name]
    with pytest.raises(SpecError) as told:
        load(nodes, loss)
    (found,) = told.value.diagnostics
    assert found.message.startswith(f"{written} is read outside the domain of {written[0]}, where")
    place = found.location
    assert place is not None
    assert place.source[place.column - 1 : place.column - 1 + place.length] == written
    word = "-1" if written[0] == "c" else "0"
    assert f"initial: {{{written[0]}: {word}}}" in (found.help or "")


def test_the_first_point_outside_is_told() -> None:
    with pytest.raises(SpecError) as told:
        load(*OUTSIDE["a window of targets"][:2])
    assert told.value.diagnostics[0].notes == (
        "at t = 3, k = 2 it reads t = 5, and y has t = 0 to 3; zero would be mistaken for "
        "the truth",
    )


INSIDE = {
    "its own point": ("o[t]: w * x[t]", "mean[t](mse(o[t], y[t]))", ""),
    "zero is said": ("o[t]: w * x[t]", "mean[t](mse(o[t], y[t+1]))", "initial: {y: 0}"),
    "no class is said": (
        "o[t]: V * x[t]",
        "mean[t](cross_entropy(o[t], c[t+1]))",
        "initial: {c: -1}",
    ),
    "masked": ("o[t,k]: w * x[t]", "sum[t,k](where(t + k < 4, mse(o[t,k], y[t+k]), 0))", ""),
    "an axis that ends before": ("o[u,k]: w * x[u]", "mean[u,k](mse(o[u,k], y[u+k]))", ""),
    "a convolution of inputs": (
        "o[t]: w * sum[k](x[t+k-1])",
        "mean[t](mse(o[t], y[t]))",
        "",
    ),
    "a convolution without parameters": (
        "o[t]: sum[k](x[t+k-1])",
        "mean[t](mse(o[t], y[t]))",
        "",
    ),
    "weights": ("o[t]: w * x[t]", "sum[t](w * x[t-1])", ""),
    "a masked metric": (
        "o[t]: w * x[t]; far[t]: where(t < 3, abs(o[t] - y[t+1]), 0)",
        "mean[t](mse(o[t], y[t]))",
        "",
    ),
    "the teacher": ("o[t]: w * y[t-1] + x[t]", "mean[t](mse(o[t], y[t]))", ""),
    "the ends": ("o[t]: w * x[t]", "mse(o[last], y[last]) + mse(o[first], y[0])", ""),
    "smooth states": ("o[t]: w * x[t]", "mean[t]((o[t] - o[t-1]) ** 2)", ""),
}


@pytest.mark.parametrize("name", INSIDE)
def test_what_a_model_reads_and_what_is_said_may_be_outside(name: str) -> None:
    load(*INSIDE[name])


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_a_perfect_forecast_inside_of_the_data_costs_nothing(backend: str) -> None:
    model = load("o[u,k]: w * x[u]", "mean[u,k](mse(o[u,k], y[u+k]))")
    five = np.full((2, 7), 5.0)
    params = {"w": np.array(1.0), "V": np.zeros(3)}
    loss, _ = model.value_and_grad(
        params, {"x": five, "y": five, "c": 0 * five.astype(int)}, backend=backend
    )
    assert loss == 0
