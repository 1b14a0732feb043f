"""`specs/architectures/min-char-rnn.yaml` against an independent NumPy program, step by step.

With its rate of 0.1 the program is chaotic at first: its loss goes up to 160 before it falls, and
one rounding in a gradient decides the losses after a hundred steps. So it is compared in two ways.
From the same weights, sums and state in every step, as it is; and left alone for 500 steps, with a
rate of 0.01, where roundings stay roundings.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import min_char_rnn
from tests.min_char_rnn import SMALL, STEPS, Program, columns
from unfold.commands.task import Task, prepare
from unfold.commands.train import guess
from unfold.shipped import find
from unfold.training.loop import Trainer, start

SPEC = find("min-char-rnn")
CHARACTERS = 4_518  # 180 chunks and a rest: the text ends twice in 500 steps


def read_task(folder: Path, *changes: str) -> Task:
    """Return the spec with a part of the built-in text."""
    from pydoc_data import topics

    file = folder / "part.txt"
    file.write_text("".join(topics.topics[n] for n in sorted(topics.topics))[:CHARACTERS])
    return prepare(str(SPEC), [f"data.text={{file: {file}}}", *changes], "numba", "float64", None)


def both(task: Task, rate: float) -> tuple[Trainer, Program]:
    """Return the spec and the NumPy program, with the same weights."""
    assert task.source is not None and task.text is not None
    state = start(task.engine, task.train)
    trainer = Trainer(task.engine, task.source, task.train, state, guess=guess(task))
    return trainer, Program(state.parameters, task.text.codes, rate)


def test_500_losses_are_those_of_the_numpy_program(tmp_path: Path) -> None:
    trainer, program = both(read_task(tmp_path, "train.optimizer.adagrad.rate=0.01"), 0.01)
    losses = []
    for _ in range(500):
        found, expected = trainer.step(), program.step()
        assert found.loss == pytest.approx(expected, abs=1e-9), found.step
        assert found.smoothed == pytest.approx(program.smoothed, abs=1e-9), found.step
        losses.append(found.loss)
    assert np.mean(losses[-50:]) < 0.75 * losses[0]


def test_each_of_500_steps_is_that_of_the_numpy_program(tmp_path: Path) -> None:
    trainer, program = both(read_task(tmp_path), 0.1)
    for _ in range(500):
        found, expected = trainer.step(), program.step()
        assert found.loss == pytest.approx(expected, abs=1e-9), found.step
        state = trainer.state()
        mine, sums = columns(state.parameters), columns(state.slots["squares"])
        for name, array in program.weights.items():
            np.testing.assert_allclose(mine[name], array, rtol=0, atol=1e-9, err_msg=name)
            np.testing.assert_allclose(sums[name], program.sums[name] + SMALL, rtol=1e-9)
        assert state.carry is not None
        np.testing.assert_allclose(state.carry["h"][0, 0, :, None], program.state, atol=1e-9)
        program.weights, program.state = mine, state.carry["h"][0, 0, :, None].copy()
        program.sums = {name: array - SMALL for name, array in sums.items()}


def test_one_rounding_decides_the_losses_of_the_program_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W_hy nothing but the same machine code could give the same 500 losses at a rate of 0.1."""
    task = read_task(tmp_path)
    program = both(task, 0.1)[1]
    losses = [program.step() for _ in range(150)]
    exact = min_char_rnn.loss_and_gradients

    def rounded(*arguments: object) -> tuple[float, dict[str, np.ndarray], np.ndarray]:
        loss, gradients, state = exact(*arguments)  # type: ignore[arg-type]
        return loss, {n: g * (1 + 2.0**-52) for n, g in gradients.items()}, state

    monkeypatch.setattr(min_char_rnn, "loss_and_gradients", rounded)
    other = both(task, 0.1)[1]
    apart = np.abs(np.subtract(losses, [other.step() for _ in range(150)]))
    assert apart[0] == 0 and apart[:4].max() < 1e-9
    assert apart.max() > 0.1


def test_the_smoothed_loss_starts_at_25_ln_v(tmp_path: Path) -> None:
    task = read_task(tmp_path)
    assert task.text is not None
    log = np.log(len(task.text.vocabulary))
    assert guess(task) == pytest.approx(STEPS * log, rel=1e-12)
    first = both(task, 0.1)[0].step()
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
