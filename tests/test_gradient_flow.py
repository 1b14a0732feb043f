"""`unfold gradients`: gains, exponents and verdicts against closed forms and finite differences."""

from __future__ import annotations

import csv
import json
from math import inf, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unfold
from unfold.analysis.gradient_flow import GradientFlow, gradient_flow, lyapunov, rate
from unfold.analysis.state_map import state_map
from unfold.cli import invoke
from unfold.errors import DataError, UnsupportedError
from unfold.training.data import random_inputs

LINEAR = """
unfold: 1
name: linear
axes: {t: 12}
inputs:
  x[t]: [3]
parameters:
  W: [3, 3]
nodes:
  h[t]: W @ h[t-1] + x[t]
loss: mean[t](mse(h[t], 0))
"""
GATED = """
unfold: 1
name: gated
axes: {t: 9}
sizes: {n: 4}
inputs:
  x[t]: [3]
  k[t]: {category: 5}
parameters:
  W: [n, n]
  U: [n, 3]
  E: [n, 5]
  V: [n, 3]
nodes:
  c[t]: 0.9 * c[t-1] + sigmoid(W @ h[t-2] + E @ k[t]) * tanh(U @ x[t] + V @ x[t-1])
  h[t]: tanh(c[t]) * 0.5
  o[t]: sum(h[t])
loss: mean[t](mse(o[t], 1))
"""


def linear(matrix: np.ndarray) -> GradientFlow:
    model = unfold.loads(LINEAR)
    inputs = random_inputs(model.program, batch=2, seed=0)
    return gradient_flow(model, {"W": matrix}, inputs)


def test_a_linear_network_decays_as_its_spectral_radius() -> None:
    """A symmetric matrix has gains ρ^k, to rounding."""
    frame, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    found = linear(frame @ np.diag([0.7, -0.5, 0.2]) @ frame.T)
    np.testing.assert_allclose(found.gains["h"], np.arange(12) * log(0.7), atol=1e-12)
    np.testing.assert_allclose(found.norms, found.gains["h"], atol=1e-14)
    assert found.exponents.sum() == pytest.approx(log(0.7 * 0.5 * 0.2), abs=1e-12)
    assert found.radius == pytest.approx(0.7, abs=1e-12)
    np.testing.assert_allclose(found.singular, [0.7, 0.5, 0.2], atol=1e-12)
    assert found.rates["h"] == pytest.approx(log(0.7), abs=1e-12)
    assert found.verdict == ("the gradient along h vanishes: it halves every 1.9 steps",)


def test_an_orthogonal_network_keeps_its_gradients() -> None:
    frame, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))
    found = linear(frame)
    np.testing.assert_allclose(found.gains["h"], 0.0, atol=1e-12)
    np.testing.assert_allclose(found.exponents, 0.0, atol=1e-12)
    assert found.verdict == ("the gradient along h neither vanishes nor explodes",)


def test_an_expanding_and_a_nilpotent_network() -> None:
    assert str(linear(2.0 * np.eye(3))) == "the gradient along h explodes: it doubles every step"
    assert linear(2.0 * np.eye(3)).verdict == (
        "the gradient along h explodes: it doubles every step",
    )
    found = linear(np.diag([1.0, 1.0], 1))
    assert found.gains["h"][2] == pytest.approx(0.0) and found.gains["h"][3] == -inf
    assert linear(np.zeros((3, 3))).verdict == ("the gradient along h is zero",)


@pytest.mark.parametrize(
    ("nodes", "initial", "exponents"),
    [
        ("  x[t]: {is: 4 * x[t-1] * (1 - x[t-1]), shape: []}\n", "  x: 0.3\n", (log(2),)),
        (
            "  x[t]: {is: 1 - 1.4 * x[t-1] * x[t-1] + y[t-1], shape: []}\n  y[t]: 0.3 * x[t-1]\n",
            "  x: 0.1\n  y: 0.1\n",
            (0.419, -1.623),
        ),
    ],
)
def test_published_lyapunov_exponents(
    nodes: str, initial: str, exponents: tuple[float, ...]
) -> None:
    """The logistic map at 4, and the map of Hénon (1976)."""
    text = f"unfold: 1\nname: map\naxes: {{t: 4000}}\nnodes:\n{nodes}initial:\n{initial}"
    found = gradient_flow(unfold.loads(text), {}, {}, backend="numba")
    np.testing.assert_allclose(found.exponents, exponents, atol=6e-3)
    if len(exponents) == 2:  # the map contracts areas by 0.3 everywhere
        assert found.exponents.sum() == pytest.approx(log(0.3), abs=1e-9)


def test_exponents_of_triangular_maps_are_means_of_logarithms() -> None:
    rng = np.random.default_rng(3)
    maps = np.triu(rng.normal(size=(2, 30, 3, 3)), 1) + np.eye(3) * rng.uniform(
        0.1, 2, (2, 30, 1, 3)
    )
    wanted = np.log(np.diagonal(maps, axis1=2, axis2=3)).mean(axis=(0, 1))
    np.testing.assert_allclose(lyapunov(maps), np.sort(wanted)[::-1], atol=1e-12)
    with pytest.raises(DataError, match="at least one step"):
        lyapunov(maps[:, :0])


def test_gains_are_those_of_finite_differences() -> None:
    """Delays, several parts, classes and delayed inputs: each Jacobian at the real inputs."""
    model = unfold.loads(GATED)
    params = model.init(seed=4)
    inputs = random_inputs(model.program, batch=3, seed=5)
    found = gradient_flow(model, params, inputs, steps=4)
    assert found.steps == 4 and set(found.gains) == {"c", "h"}
    run = model.forward(params, inputs, backend="reference")
    size, last = 1e-6, 8

    def state(t: int) -> np.ndarray:
        return np.concatenate([run["c"][:, t], run["h"][:, t - 1], run["h"][:, t]], axis=1)

    def end(start: np.ndarray, begin: int) -> np.ndarray:
        c, h = start[:, :4], {begin - 1: start[:, 4:8], begin: start[:, 8:]}
        for t in range(begin + 1, last + 1):
            gate = 1 / (1 + np.exp(-(h[t - 2] @ params["W"].T + params["E"].T[inputs["k"][:, t]])))
            z = inputs["x"][:, t] @ params["U"].T + inputs["x"][:, t - 1] @ params["V"].T
            c = 0.9 * c + gate * np.tanh(z)
            h[t] = np.tanh(c) * 0.5
        return np.concatenate([c, h[last - 1], h[last]], axis=1)

    for k in (1, 2, 4):
        columns = []
        for i in range(12):
            moved = [state(last - k) + sign * size * np.eye(12)[i] for sign in (1, -1)]
            columns.append((end(moved[0], last - k) - end(moved[1], last - k)) / (2 * size))
        matrix = np.stack(columns, axis=2)
        for name, part in (("c", slice(0, 4)), ("h", slice(4, 12))):
            wanted = np.log(np.linalg.norm(matrix[:, :, part], 2, axis=(1, 2))).mean()
            assert found.gains[name][k] == pytest.approx(wanted, abs=1e-6), (name, k)


def test_states_have_inputs_of_their_own() -> None:
    model = unfold.loads(GATED)
    params = model.init(seed=4)
    inputs = random_inputs(model.program, batch=2, seed=5)
    flow = state_map(model, params)
    at = (np.array([0, 1, 1]), np.array([3, 0, 7]))
    states = np.random.default_rng(6).normal(size=(3, flow.size))
    driven = flow.along(inputs, at)
    for i in range(3):
        alone = flow.along(inputs, (at[0][i : i + 1], at[1][i : i + 1]))
        np.testing.assert_allclose(driven(states)[i], alone(states[i : i + 1])[0], rtol=1e-14)
        np.testing.assert_allclose(
            driven.jacobian(states)[i], alone.jacobian(states[i : i + 1])[0], rtol=1e-13
        )
    with pytest.raises(DataError, match="input x is missing; a step along t reads it"):
        flow.along({"k": inputs["k"]}, at)


def test_lengths_are_kept() -> None:
    model = unfold.loads(GATED)
    params = model.init(seed=4)
    inputs = random_inputs(model.program, batch=2, seed=5)
    short = {n: a[:1, :6] for n, a in inputs.items()}
    alone = gradient_flow(model, params, short)
    padded = {n: a[:1] for n, a in inputs.items()}
    found = gradient_flow(model, params, padded, lengths={"t": np.array([6])})
    for name, gains in alone.gains.items():
        np.testing.assert_allclose(found.gains[name], gains, rtol=1e-12)


def test_a_rate_needs_two_numbers() -> None:
    assert rate(np.array([0.0, -inf])) == -inf
    assert rate(np.array([0.0, -1.0, -inf])) == pytest.approx(-1.0)


def test_what_cannot_be_followed() -> None:
    model = unfold.loads(LINEAR)
    inputs = random_inputs(model.program, batch=2, seed=0)
    with pytest.raises(DataError, match="no sequence passes a state from one step"):
        gradient_flow(model, model.init(), {"x": inputs["x"][:, :1]})
    with pytest.raises(DataError, match=r"no sequence passes a state|not finite"):
        gradient_flow(model, {"W": np.full((3, 3), np.nan)}, inputs)
    still = unfold.loads(LINEAR.replace("W @ h[t-1] + x[t]", "W @ x[t]"))
    with pytest.raises(UnsupportedError, match="passes no state along any axis"):
        gradient_flow(still, still.init(), inputs)
    with pytest.raises(UnsupportedError, match="no state along z; axes with a state: t"):
        gradient_flow(model, model.init(), inputs, axis="z")


# The command


@pytest.fixture
def spec(tmp_path: Path) -> str:
    file = tmp_path / "gated.yaml"
    text = GATED + "data: {random: true}\ntrain: {steps: 2}\n"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_the_command_tells_what_happens(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["gradients", spec, "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["axis"] == "t" and set(document["log_gains"]) == {"c", "h"}
    assert len(document["log_gains"]["c"]) == document["steps"] + 1
    assert len(document["lyapunov_exponents"]) == 12
    assert invoke(["gradients", spec]) == 0
    said = capsys.readouterr().out
    assert all(line in said for line in document["verdict"])
    assert "distance" in said and "Lyapunov exponents, for each step:" in said
    assert invoke(["gradients", spec, "--csv", "--steps", "3"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [r["distance"] for r in rows] == ["0", "1", "2", "3"]
    assert float(rows[1]["log_gain_c"]) == pytest.approx(document["log_gains"]["c"][1], abs=0.5)


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_picture(spec: str, suffix: str, tmp_path: Path) -> None:
    files = [tmp_path / f"{i}.{suffix}" for i in range(2)]
    for file in files:
        assert invoke(["gradients", spec, "-o", str(file)]) == 0
    first, second = (f.read_bytes() for f in files)
    assert first == second and len(first) > 5000
    if suffix == "svg":
        assert b"distance in steps along t" in first


def test_a_trained_run(
    spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(["run", spec]) == 0
    capsys.readouterr()
    assert invoke(["gradients", "runs/gated-1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == "parameters after step 2"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "flow.txt"], "-o flow.txt: expected one of .svg, .png, .pdf"),
        (["--csv", "--json"], "--csv and --json exclude each other"),
        (["--axis", "z"], "passes no state along z; axes with a state: t"),
        (["-o", "/no/such/folder/flow.svg"], "cannot be written"),
    ],
)
def test_mistakes(
    words: list[str], said: str, spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["gradients", spec, *words]) == 1
    told = capsys.readouterr()
    assert said in told.err + told.out
