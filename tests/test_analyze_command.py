"""`unfold analyze`: tables, JSON, pictures, and what is said of mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from unfold.cli import app, invoke

LATCH = """
unfold: 1
name: small-latch
axes: {t: 6}
sizes: {symbols: 2}
inputs:
  x[t]: {category: symbols}
  y[t]: {category: symbols}
parameters:
  w: {shape: [1, 1], init: {constant: 2}}
  U: {shape: [1, symbols], init: {values: [[0, 3]]}}
nodes:
  h[t]: tanh(w @ h[t-1] + U @ x[t])
  o[t]: concat(h[t], -h[t])
loss: mean[t](cross_entropy(o[t], y[t]))
data: {task: {tomita: {grammar: 1, length: 6}}, inputs: {x: symbol, y: prefix}, batch: 4}
train: {steps: 2, save: 2}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    file = tmp_path / "latch.yaml"
    file.write_text(LATCH, encoding="utf-8")
    return file


def analyzed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert invoke(["analyze", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_each_class_has_its_fixed_points(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = analyzed(capsys, str(spec), "--starts", "40")
    assert (found["axis"], found["period"], found["state"]) == ("t", 1, ["h"])
    assert found["parameters"] == "fresh parameters, seed 0"
    zero, one = found["inputs"]
    assert (zero["input"], one["input"]) == ("x = 0", "x = 1")
    states = {round(p["state"][0], 4): p["kind"] for p in zero["fixed_points"]}
    assert states == {-0.9575: "attractor", 0.0: "repeller", 0.9575: "attractor"}
    (only,) = one["fixed_points"]
    assert only["kind"] == "attractor" and only["residual"] < 1e-12
    assert zero["tried"] == 40


def test_an_input_that_is_given_is_the_only_panel(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [p["input"] for p in analyzed(capsys, str(spec), "--input", "x=1")["inputs"]] == [
        "x = 1"
    ]
    none = analyzed(capsys, str(spec), "--input", "x=-1")["inputs"]
    assert len(none[0]["fixed_points"]) == 3


def test_a_run_is_analyzed_at_its_trained_parameters_and_drawn(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    assert invoke(["run", str(spec), "--runs", str(runs), "--backend", "reference", "--json"]) == 0
    capsys.readouterr()
    picture = tmp_path / "states.svg"
    run = str(next(runs.iterdir()))
    assert invoke(["analyze", run, "-o", str(picture)]) == 0
    told = capsys.readouterr().out
    assert "parameters after step 2" in told
    assert "one step along t; a state has 1 number: h [1]" in told
    assert "attractor" in told and "approach" in told
    first = picture.read_bytes()
    assert b"x = 1" in first and b"attractor" in first
    assert invoke(["analyze", run, "-o", str(picture)]) == 0
    assert picture.read_bytes() == first, "the same picture every time"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "z=1"], "--input z=1: expected NAME=VALUE; a step reads x"),
        (["--input", "x=0.5"], "input x is a class: expected a whole number, got 0.5"),
        (["--input", "x=7"], "input x[0, 0] is 7; classes are 0 to 1; -1 means no class"),
        (["-o", "states.txt"], "-o states.txt: expected one of .svg, .png, .pdf"),
        (["--axis", "k"], "small-latch passes no state along k; axes with a state: t"),
    ],
)
def test_mistakes_are_told(spec: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["analyze", str(spec), *arguments])
    assert result.exit_code == 1
    assert str(result.exception) == message
