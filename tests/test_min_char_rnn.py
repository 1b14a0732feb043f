"""The spec `min-char-rnn` against an independent NumPy program of the same.

With its rate of 0.1 the program is chaotic at first: its loss goes up to 260 before it falls, and
one rounding in a gradient decides the losses after a hundred steps. So the reference run, which
adds in an order that NumPy can be told, gives the same 500 losses; the compiled run, whose machine
code rounds in its own way, is compared from the same weights, sums and state in every step, and
left alone with a rate of 0.01, where roundings stay roundings.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.min_char_rnn import STEPS, Found, Program, all_at_once, columns, one_by_one
from unfold.commands.task import Task, prepare
from unfold.commands.train import guess
from unfold.shipped import find
from unfold.training.loop import Trainer, start

SPEC = find("min-char-rnn")
CHARACTERS = 4_518  # 180 chunks and a rest: the text ends twice in 500 steps


def read_task(folder: Path, *changes: str, backend: str = "numba") -> Task:
    """Return the spec with a part of the built-in text."""
    from pydoc_data import topics

    file = folder / "part.txt"
    file.write_text("".join(topics.topics[n] for n in sorted(topics.topics))[:CHARACTERS])
    return prepare(str(SPEC), [f"data.text={{file: {file}}}", *changes], backend, "float64", None)


def both(
    task: Task, rate: float = 0.1, differentiate: Callable[..., Found] = one_by_one
) -> tuple[Trainer, Program]:
    """Return the spec and the NumPy program, with the same weights."""
    assert task.source is not None and task.text is not None
    state = start(task.engine, task.train)
    trainer = Trainer(task.engine, task.source, task.train, state, guess=guess(task))
    return trainer, Program(state.parameters, task.text.codes, rate, differentiate)


def test_500_losses_are_those_of_the_numpy_program(tmp_path: Path) -> None:
    trainer, program = both(read_task(tmp_path, backend="reference"), differentiate=all_at_once)
    log = np.log(len(program.weights["b_y"]))
    assert program.smoothed == pytest.approx(STEPS * log, rel=1e-15)
    losses = []
    for _ in range(500):
        found, expected = trainer.step(), program.step()
        assert found.loss == pytest.approx(expected, abs=1e-9), found.step
        assert found.smoothed == pytest.approx(program.smoothed, abs=1e-9), found.step
        losses.append(found.loss)
    assert np.mean(losses[-50:]) < 0.8 * STEPS * log


def test_both_versions_of_the_numpy_program_are_the_same_but_for_roundings(tmp_path: Path) -> None:
    program = both(read_task(tmp_path))[1]
    rng = np.random.default_rng(0)
    weights = {n: 0.3 * rng.standard_normal(a.shape) for n, a in program.weights.items()}
    state, size = rng.uniform(-1, 1, program.state.shape), len(weights["b_y"])
    codes, targets = rng.integers(size, size=(2, STEPS))
    loss, gradients, last = one_by_one(weights, codes, targets, state)
    other, others, other_last = all_at_once(weights, codes, targets, state)
    assert loss == pytest.approx(other, rel=1e-12)
    np.testing.assert_allclose(last, other_last, rtol=1e-12)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(others[name], gradient, rtol=1e-9, atol=1e-12)


def test_500_compiled_losses_are_those_of_the_numpy_program_where_it_is_not_chaotic(
    tmp_path: Path,
) -> None:
    trainer, program = both(read_task(tmp_path, "train.optimizer.adagrad.rate=0.01"), 0.01)
    losses = []
    for _ in range(500):
        found, expected = trainer.step(), program.step()
        assert found.loss == pytest.approx(expected, abs=1e-9), found.step
        assert found.smoothed == pytest.approx(program.smoothed, abs=1e-9), found.step
        losses.append(found.loss)
    assert np.mean(losses[-50:]) < 0.75 * losses[0]


def test_each_of_500_steps_is_that_of_the_numpy_program(tmp_path: Path) -> None:
    trainer, program = both(read_task(tmp_path))
    for _ in range(500):
        found, expected = trainer.step(), program.step()
        assert found.loss == pytest.approx(expected, abs=1e-9), found.step
        state = trainer.state()
        mine, sums = columns(state.parameters), columns(state.slots["squares"])
        for name, array in program.weights.items():
            np.testing.assert_allclose(mine[name], array, rtol=0, atol=1e-9, err_msg=name)
            np.testing.assert_allclose(sums[name], program.sums[name], rtol=1e-9)
        assert state.carry is not None
        np.testing.assert_allclose(state.carry["h"][0, 0, :, None], program.state, atol=1e-9)
        program.weights, program.state = mine, state.carry["h"][0, 0, :, None].copy()
        program.sums = sums


def test_one_rounding_decides_the_losses_of_the_program_left_alone(tmp_path: Path) -> None:
    """Nothing but the same order of additions could give the same 500 losses at a rate of 0.1."""

    def rounded(*arguments: Any) -> Found:
        loss, gradients, state = one_by_one(*arguments)
        return loss, {n: g * (1 + 2.0**-52) for n, g in gradients.items()}, state

    task = read_task(tmp_path)
    program, other = (both(task, differentiate=how)[1] for how in (one_by_one, rounded))
    apart = np.abs([program.step() - other.step() for _ in range(150)])
    assert apart[0] == 0 and apart[:4].max() < 1e-9
    assert apart.max() > 0.1


def test_the_smoothed_loss_starts_at_25_ln_v(tmp_path: Path) -> None:
    task = read_task(tmp_path)
    assert task.text is not None
    log = np.log(len(task.text.vocabulary))
    assert guess(task) == pytest.approx(STEPS * log, rel=1e-12)
    first = both(task)[0].step()
    assert first.smoothed == pytest.approx(0.999 * STEPS * log + 0.001 * first.loss, rel=1e-12)
    assert first.loss == pytest.approx(STEPS * log, rel=1e-3)


def test_its_settings_are_those_of_the_program(tmp_path: Path) -> None:
    task = read_task(tmp_path)
    assert task.model.summary()["sizes"]["hidden"] == 100
    assert task.train.clip is not None and task.train.clip.model_dump() == {"value": 5}
    weights = task.engine.init(seed=1)
    for name in ("W_xh", "W_hh", "W_hy"):
        assert np.std(weights[name]) == pytest.approx(0.01, rel=0.05)
    assert not weights["b_h"].any() and not weights["b_y"].any()
