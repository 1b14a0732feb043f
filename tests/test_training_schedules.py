"""Schedules of the learning rate: their values at chosen steps, alone and composed."""

from __future__ import annotations

import math

import pytest

from unfold.errors import SpecError
from unfold.settings.train import read_train
from unfold.spec.file.model import Section
from unfold.training.rules.schedules import Schedule
from unfold.training.rules.steps import power


def read_schedule(written: object) -> Schedule:
    return read_train(Section.at(None, {"schedule": written})).schedule


@pytest.mark.parametrize(
    ("written", "steps", "expected"),
    [
        ("constant", 10, {0: 1.0, 9: 1.0}),
        ({"constant": 0.5}, 10, {0: 0.5, 9: 0.5}),
        ("linear", 10, {0: 1.0, 5: 0.5, 10: 0.0, 20: 0.0}),
        ({"linear": {"to": 0.2, "over": 4}}, 10, {0: 1.0, 2: 0.6, 4: 0.2, 9: 0.2}),
        ("cosine", 8, {0: 1.0, 4: 0.5, 2: 0.5 + math.sqrt(0.5) / 2, 8: 0.0}),
        ({"cosine": 0.1}, 8, {0: 1.0, 4: 0.55, 8: 0.1, 99: 0.1}),
        ({"step": {"every": 3}}, 10, {0: 1.0, 2: 1.0, 3: 0.5, 5: 0.5, 6: 0.25}),
        ({"exponential": {"times": 0.25, "every": 2}}, 10, {0: 1.0, 1: 0.5, 2: 0.25}),
        ({"warmup": 4}, 10, {0: 0.25, 1: 0.5, 3: 1.0, 9: 1.0}),
        ([{"warmup": 4}, "linear"], 14, {0: 0.25, 3: 1.0, 4: 1.0, 9: 0.5, 14: 0.0}),
        ([{"constant": 3}, {"step": {"every": 2, "times": 0.1}}], 9, {1: 3.0, 2: 0.3}),
        ([], 9, {0: 1.0, 8: 1.0}),
    ],
)
def test_factors(written: object, steps: int, expected: dict[int, float]) -> None:
    schedule = read_schedule(written)
    for step, factor in expected.items():
        assert schedule.factor(step, steps) == pytest.approx(factor, rel=1e-12, abs=1e-15), step


def test_noise_and_schedules_overflow() -> None:
    """A factor that is too large is infinite, as everywhere, and training stops at its step."""
    for written in ({"step": {"every": 1, "times": 1e10}}, {"exponential": 1e10}):
        schedule = read_schedule(written)
        assert schedule.factor(30, 100) == pytest.approx(1e300)
        assert schedule.factor(31, 100) == math.inf
    assert power(0.5, 2000) == power(7, -1e300) == 0
    assert power(1, 1e300) == 1 and power(0, 0) == 1


def test_a_warm_up_never_divides_by_the_steps_that_are_left() -> None:
    schedule = read_schedule([{"warmup": 100}, "cosine"])
    assert [schedule.factor(k, 50) for k in (0, 49)] == pytest.approx([0.01, 0.5])


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("cosin", "expected one of constant, warmup, linear, .*did you mean cosine"),
        ({"step": {}}, "schedule.step lacks the key 'every'"),
        ({"step": {"every": 1.5}}, "step.every: expected a whole number, got 1.5"),
        ({"step": {"evry": 2, "every": 2}}, "unknown key 'evry' in train.schedule.step"),
        ({"warmup": 0}, "steps must be at least 1, got 0"),
        ({"linear": {"to": -1}}, "to must be a finite number of at least 0, got -1"),
        ({"linear": {"to": "x"}}, 'linear.to: expected a number, got "x"'),
        ([{"cosine": True}], "schedule.0.cosine: expected a mapping, got true"),
    ],
)
def test_mistakes_are_named(written: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read_schedule(written)
