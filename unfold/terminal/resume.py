"""Going on with a run: its folder in place of a spec.

    unfold run --resume runs/char-rnn-1
    unfold run runs/char-rnn-1 --set train.steps=2000

The state of the last checkpoint that is whole is taken up, and the metrics of steps after it are
dropped. A run that was killed and taken up again ends with the same numbers as one that never was.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from unfold.terminal.task import Task
from unfold.training.checkpoint import TrainingState, newest
from unfold.training.facts import check_fits, with_slots
from unfold.training.facts import facts as run_facts
from unfold.training.loop import start


def state_of(task: Task, folder: Path, dtype: str, tell: Callable[[str], None]) -> TrainingState:
    """Return the state to go on from: of the last whole checkpoint, or the first one of all.

    Arguments:
        task: what is trained.
        folder: of the run.
        dtype: element type of the parameters.
        tell: is given a line about every damaged checkpoint.

    Raises:
        DataError: the checkpoint belongs to another spec, optimiser, data or type.
    """
    fresh = start(task.engine, task.train, dtype)
    found = newest(folder / "checkpoint", tell, move=True)
    if found is None:
        return fresh
    check_fits(found, with_slots(fresh, task.engine, task.train), facts(task))
    return found.state


def facts(task: Task) -> dict[str, Any]:
    """Return what a checkpoint says of its run beside the arrays."""
    found = run_facts(task.engine, task.train, task.data.facts if task.data else {})
    return found | ({"vocabulary": task.text.vocabulary} if task.text else {})
