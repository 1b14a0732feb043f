"""Teacher forcing by schedule: the share of the teacher over training, and the coins it weighs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from differential.interpreted import interpret
from typer.testing import CliRunner

import unfold
from unfold.cli import app
from unfold.errors import SpecError
from unfold.passes.modes import SHARE
from unfold.settings.train import TrainSettings, read_train
from unfold.spec.file.model import Section
from unfold.training.metrics import read_metrics

SPEC = """unfold: 1
name: feedback
axes: {t: 6}
inputs: {x[t]: [2], y[t]: [3]}
parameters: {R: [3,3], U: [3,2]}
nodes:
  before[t]: feedback(teacher=y[t-1], free=o[t-1])
  o[t]: tanh(R @ before[t] + U @ x[t])
initial: {y: 0.5}
loss: mean[t](mse(o[t], y[t]))
train: {optimizer: sgd}
"""
BATCH = 40


def made(batch: int = BATCH) -> tuple[unfold.Model, dict[str, Any], dict[str, Any]]:
    rng = np.random.default_rng(3)
    model = unfold.loads(SPEC)
    inputs = {"x": rng.standard_normal((batch, 6, 2)), "y": rng.standard_normal((batch, 6, 3))}
    return model, model.init(seed=1), inputs


def read(mode: Any, steps: int = 1000) -> TrainSettings:
    return read_train(Section.at(None, {"mode": mode, "steps": steps}))


# Schedules

K = 100.0
FORMULAS: list[tuple[Any, dict[int, float]]] = [
    (0.25, {0: 0.25, 999: 0.25}),
    ({"constant": 0.25}, {0: 0.25, 999: 0.25}),
    ("linear", {0: 1.0, 250: 0.75, 500: 0.5}),
    ({"linear": 0.2}, {0: 1.0, 500: 0.6, 5000: 0.2}),
    ({"linear": {"to": 0.1, "start": 0.9, "over": 200}}, {0: 0.9, 100: 0.5, 200: 0.1, 900: 0.1}),
    ({"exponential": 0.99}, {0: 1.0, 1: 0.99, 300: 0.99**300}),
    ({"exponential": {"times": 0.9, "to": 0.3}}, {1: 0.9, 500: 0.3}),
    (
        {"inverse_sigmoid": K},
        {
            0: K / (K + 1),
            300: K / (K + math.exp(3)),
            round(K * math.log(K)): K / (K + math.exp(4.61)),
            10**7: 0.0,
        },
    ),
    ({"inverse_sigmoid": {"k": K, "to": 0.4}}, {0: K / (K + 1), 10**7: 0.4}),
]


@pytest.mark.parametrize(("schedule", "expected"), FORMULAS, ids=str)
def test_schedules(schedule: Any, expected: Mapping[int, float]) -> None:
    settings = read({"scheduled": schedule})
    for step, share in expected.items():
        assert settings.mode_at(step) == ("scheduled", pytest.approx(share, rel=1e-12))


def test_modes_without_a_schedule() -> None:
    assert read("free").mode_at(7) == "free"
    assert TrainSettings().mode_at(7) == "teacher"


MISTAKES = [
    ({"scheduled": True}, "expected a probability from 0 to 1"),
    ({"scheduled": {"lineal": 0.2}}, r"\(did you mean linear\?\)"),
    ({"scheduled": {"linear": {"to": 2}}}, "to must be from 0 to 1, got 2"),
    ({"scheduled": {"linear": {"over": 0}}}, "over must be at least 1, got 0"),
    ({"scheduled": {"exponential": {}}}, "needs|lacks|times"),
    ({"scheduled": {"inverse_sigmoid": 0.5}}, "k must be a finite number of at least 1, got 0.5"),
    ({"planned": 0.5}, r"expected teacher, free or \{scheduled: 0.5\}"),
]


@pytest.mark.parametrize(("mode", "message"), MISTAKES, ids=str)
def test_mistakes(mode: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read(mode)


# Coins


def test_the_share_is_a_parameter_of_one_program() -> None:
    """The same coins as with the share as a constant of the Program, and nothing made anew."""
    model, params, inputs = made()
    engine = interpret(model)
    for step in ("reference", "numba"):
        for share in (0.0, 0.3, 0.9, 1.0):
            mode = ("scheduled", share)
            run = model.forward(params, inputs, mode=mode, seed=5, backend=step)
            program = model.pipeline.with_state(model.pipeline.resolved(mode=mode))
            values, _ = model._execution.run("reference", program, params, inputs, seed=5)
            np.testing.assert_allclose(run["o"], values["o"], rtol=1e-12, atol=1e-14)
    counts = set()
    for share in (0.1, 0.5, 0.7):
        found = model.step(params, inputs, mode=("scheduled", share), seed=5, backend="numba")
        expected = model.step(params, inputs, mode=("scheduled", share), seed=5)
        for name, gradient in expected.grads.items():
            np.testing.assert_allclose(found.grads[name], gradient, rtol=1e-11, atol=1e-13)
        counts.add((len(engine.machine.known), len(model._execution._planned)))
    assert len(counts) == 1
    assert SHARE.name not in model.step(params, inputs, mode=("scheduled", 0.5)).grads


def test_a_coin_for_every_step_and_sequence() -> None:
    model, params, inputs = made(batch=300)
    run = model.forward(params, inputs, mode=("scheduled", 0.3), seed=2)
    before = np.concatenate([np.full((300, 1, 3), 0.5), inputs["y"][:, :-1]], axis=1)
    teacher = (run["before"] == before).all(-1)[:, 1:]  # both begin with the same value
    assert abs(teacher.mean() - 0.3) < 0.03
    for axis in (0, 1):
        rates = teacher.mean(axis=axis)
        assert 0 < rates.std() < 0.3, "coins differ along both"
    again = model.forward(params, inputs, mode=("scheduled", 0.3), seed=2)
    assert np.array_equal(again["before"], run["before"])
    more = model.forward(params, inputs, mode=("scheduled", 0.6), seed=2)
    raised = (more["before"] == before).all(-1)[:, 1:]
    assert (raised | ~teacher).all(), "a larger share keeps the steps that the teacher had"


def test_single_precision_stays_single() -> None:
    model, params, inputs = made(4)
    interpret(model)
    params, inputs = ({n: a.astype("float32") for n, a in d.items()} for d in (params, inputs))
    found = model.step(params, inputs, mode=("scheduled", 0.4), backend="numba")
    assert {g.dtype for g in found.grads.values()} == {np.dtype("float32")}


def test_gradients_flow_where_the_coin_chose_the_model() -> None:
    """All coins for the teacher: as teacher forcing. None: as a free run."""
    model, params, inputs = made()
    for share, mode in ((1.0, "teacher"), (0.0, "free")):
        found = model.step(params, inputs, mode=("scheduled", share)).grads
        for name, gradient in model.step(params, inputs, mode=mode).grads.items():
            np.testing.assert_allclose(found[name], gradient, rtol=1e-12, atol=1e-14)


# Training

HOW: dict[str, Any] = {"batch": 8, "mode": {"scheduled": {"linear": {"to": 0.0, "over": 10}}}}


def test_the_share_falls_step_by_step(tmp_path: Path) -> None:
    model, _, inputs = made()
    seen: list[float | None] = []
    unfold.train(
        model,
        inputs,
        steps=12,
        folder=tmp_path,
        callbacks=[lambda metrics, _: seen.append(metrics.teacher)],
        **HOW,
    )
    expected = [max(0.0, 1 - step / 10) for step in range(12)]
    assert seen == pytest.approx(expected)
    assert [r["teacher"] for r in read_metrics(tmp_path / "metrics.jsonl")] == seen
    taught = unfold.train(made()[0], inputs, steps=2, batch=8, folder=tmp_path / "taught")
    assert taught.taken == 2
    assert "teacher" not in read_metrics(tmp_path / "taught" / "metrics.jsonl")[0]


def test_a_scheduled_run_that_goes_on_equals_one_that_was_never_stopped(tmp_path: Path) -> None:
    _, _, inputs = made()
    whole = unfold.train(made()[0], inputs, steps=9, folder=tmp_path / "whole", **HOW)
    for steps in (4, 9):
        parts = unfold.train(made()[0], inputs, steps=steps, folder=tmp_path / "parts", **HOW)
    assert list(parts.losses) == list(whole.losses)
    for name, array in whole.params.items():
        assert np.array_equal(parts.params[name], array)
    assert len({(tmp_path / f / "metrics.jsonl").read_bytes() for f in ("whole", "parts")}) == 1


def test_a_run_shows_the_share_and_the_graph(tmp_path: Path) -> None:
    """The progress line, the picture of the graph in force, and what --resume remembers."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        SPEC.replace("train: {optimizer: sgd}\n", "")
        + "data: {random: true, batch: 4}\n"
        + "train: {steps: 4, mode: {scheduled: {linear: {to: 0.2}}}}\n"
    )
    runs = ["--runs", str(tmp_path / "runs"), "--backend", "reference"]
    found = CliRunner().invoke(app, ["run", str(spec), *runs])
    assert found.exit_code == 0, found.output
    assert "teacher 100%" in found.output and "teacher 40%" in found.output
    folder = tmp_path / "runs" / "feedback-1"
    picture = (folder / "graph-unfolded.svg").read_text()
    drawn = {
        mode: unfold.load(spec).render("unfolded", mode=mode)
        for mode in ("teacher", "free", ("scheduled", 1.0))
    }
    assert [m for m, other in drawn.items() if other == picture] == [("scheduled", 1.0)]
    assert json.loads((folder / "run.json").read_text())["mode"] is None
    more = ["--set", "train.steps=6"]
    found = CliRunner().invoke(app, ["run", "--resume", str(folder), *more])
    assert found.exit_code == 0, found.output
    shares = [r["teacher"] for r in read_metrics(folder / "metrics.jsonl")]
    assert shares[4:] == pytest.approx([1 - 0.8 * 4 / 6, 1 - 0.8 * 5 / 6])
    found = CliRunner().invoke(app, ["run", str(spec), *runs, "--mode", "scheduled:0.25"])
    assert found.exit_code == 0 and "teacher 25%" in found.output
    folder = tmp_path / "runs" / "feedback-2"
    found = CliRunner().invoke(app, ["run", "--resume", str(folder), *more])
    assert "teacher 25%" in found.output
