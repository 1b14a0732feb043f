"""The spec `min-char-rnn` against an independent NumPy program of the same.

With its rate of 0.1 the program is chaotic at first: its loss goes up to 260 before it falls, and
one rounding in a gradient decides the losses after a hundred steps. Every BLAS rounds in its own
way, so both are compared from the same weights, sums and state in every step, within what roundings
can do there; and left alone with a rate of 0.01, where roundings stay roundings.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

from tests.min_char_rnn import STEPS, Array, Program, columns
from unfold.shipped import find
from unfold.terminal.task import Task, prepare
from unfold.terminal.train import guess
from unfold.training.loop import Trainer, start
from unfold.training.rules.clip import ClipValue

SPEC = find("min-char-rnn")
CHARACTERS = 4_518  # 180 chunks and a rest: the text ends twice in 500 steps
ROUNDING = 2.0**-52


def read_task(
    folder: Path, *changes: str, backend: str = "numba", characters: int = CHARACTERS
) -> Task:
    """Return the spec with a part of the built-in text."""
    from pydoc_data import topics

    file = folder / "part.txt"
    file.write_text("".join(topics.topics[n] for n in sorted(topics.topics))[:characters])
    return prepare(str(SPEC), [f"data.text={{file: {file}}}", *changes], backend, "float64", None)


def both(task: Task, rate: float = 0.1) -> tuple[Trainer, Program]:
    """Return the spec and the NumPy program, with the same weights."""
    assert task.source is not None and task.text is not None
    state = start(task.engine, task.train)
    trainer = Trainer(task.engine, task.source, task.train, state, guess=guess(task))
    return trainer, Program(state.parameters, task.text.codes, rate)


def numbers(program: Program) -> dict[str, Array]:
    """Return all arrays of the program, by name."""
    sums = {f"sums of {name}": array for name, array in program.sums.items()}
    return {**program.weights, **sums, "state": program.state}


def step(program: Program, rng: np.random.Generator) -> tuple[float, dict[str, float]]:
    """Take a step; return its loss, and how far roundings may move it and each of the arrays.

    A sum of n products is rounded by up to n roundings, whatever the order (Higham 2002, 3.1), and
    n is at most the largest dimension of a matrix. What one rounding of each intermediate result
    does to what comes out is measured, twice, with signs at random.
    """

    def once(array: Array) -> Array:
        return array * (1 + ROUNDING * rng.choice([-1, 1], size=array.shape))

    moved = [copy.deepcopy(program) for _ in range(2)]
    for other in moved:
        other.rounded = once
    loss, *losses = [one.step() for one in (program, *moved)]
    longest = max(n for array in program.weights.values() for n in array.shape)
    apart = {name: longest * ROUNDING * np.abs(a).max() for name, a in numbers(program).items()}
    for other in moved:
        for name, array in numbers(other).items():
            difference = np.abs(array - numbers(program)[name]).max()
            apart[name] = max(apart[name], longest * difference)
    apart["loss"] = longest * max(ROUNDING * loss, *(abs(other - loss) for other in losses))
    return loss, apart


@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_each_step_is_that_of_the_numpy_program(tmp_path: Path, backend: str) -> None:
    task = read_task(tmp_path, backend=backend, characters=520)  # 20 chunks and a rest
    trainer, program = both(task)
    log = np.log(len(program.weights["b_y"]))
    assert program.smoothed == pytest.approx(STEPS * log, rel=1e-15)
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(60):
        found, (expected, near) = trainer.step(), step(program, rng)
        assert found.loss == pytest.approx(expected, rel=0, abs=near["loss"]), found.step
        assert found.smoothed == pytest.approx(program.smoothed, rel=1e-12), found.step
        state = trainer.state()
        assert state.carry is not None
        weights, sums = columns(state.parameters), columns(state.slots["squares"])
        mine = {**weights, **{f"sums of {name}": array for name, array in sums.items()}}
        mine["state"] = state.carry["h"][0, 0, :, None].copy()
        for name, array in numbers(program).items():
            np.testing.assert_allclose(
                mine[name], array, rtol=0, atol=near[name], err_msg=f"{name}, step {found.step}"
            )
        program.weights, program.sums, program.state = weights, sums, mine["state"]
        losses.append(found.loss)
    assert max(losses) > 1.5 * STEPS * log  # as far as it goes up where it is chaotic


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


def test_one_rounding_decides_the_losses_of_the_program_left_alone(tmp_path: Path) -> None:
    """So nothing but the same order of additions could give the same 500 losses at 0.1."""
    task = read_task(tmp_path)
    program, other = (both(task)[1] for _ in range(2))
    other.rounded = lambda array: array * (1 + ROUNDING)
    apart = np.abs([program.step() - other.step() for _ in range(150)])
    assert apart[0] < 1e-9
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
    assert task.train.clip == ClipValue(5)
    weights = task.engine.init(seed=1)
    for name in ("W_xh", "W_hh", "W_hy"):
        assert np.std(weights[name]) == pytest.approx(0.01, rel=0.05)
    assert not weights["b_h"].any() and not weights["b_y"].any()
