"""Going on with a run: its folder in place of a spec.

    unfold run runs/char-rnn-1 --set train.steps=2000

The state of the last complete checkpoint is taken up, and the metrics of steps after it are
dropped. A run that was killed and taken up again ends with the same numbers as one that never was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from unfold.commands.task import Task
from unfold.errors import DataError
from unfold.training.checkpoint import TrainingState, latest, load
from unfold.training.folder import read_metrics, write_whole
from unfold.training.loop import start


def is_run_folder(path: str) -> bool:
    """Say whether a path is the folder of a run."""
    return (Path(path) / "spec.yaml").is_file()


def resume(task: Task, folder: Path, dtype: str) -> tuple[TrainingState, list[float]]:
    """Return the state to go on from and the losses so far; cut metrics.jsonl to match.

    Raises:
        DataError: where the checkpoint belongs to another model, optimiser or text.
    """
    fresh = start(task.engine, task.train, dtype)
    checkpoint = latest(folder / "checkpoint")
    state = load(checkpoint) if checkpoint else fresh
    if checkpoint:
        _compare(f"{checkpoint}: parameter", _shapes(state.parameters), _shapes(fresh.parameters))
        mine, theirs = (
            {f"{s} of {n}": a for s, arrays in slots.items() for n, a in arrays.items()}
            for slots in (state.optimizer.slots, fresh.optimizer.slots)
        )
        _compare(f"{checkpoint}: the optimiser's", _shapes(mine), _shapes(theirs))
        facts = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
        if task.text is not None and facts.get("vocabulary") != task.text.vocabulary:
            raise DataError(f"{checkpoint}: the text has other characters than it was trained on")
    file = folder / "metrics.jsonl"
    records = read_metrics(file)[: state.step] if file.exists() else []
    write_whole(file, "".join(json.dumps(r) + "\n" for r in records))
    return state, [float(r["loss"]) for r in records]


def _shapes(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}


def _compare(
    what: str, found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]
) -> None:
    for name in sorted({*found, *expected}):
        if found.get(name) != expected.get(name):
            shown = [str(list(s[name])) if name in s else "nothing" for s in (found, expected)]
            raise DataError(f"{what} {name} is {shown[0]}, but the spec makes it {shown[1]}")
