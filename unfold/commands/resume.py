"""Going on with a run: its folder in place of a spec.

    unfold run --resume runs/char-rnn-1
    unfold run runs/char-rnn-1 --set train.steps=2000

The state of the last checkpoint that is whole is taken up, and the metrics of steps after it are
dropped. A run that was killed and taken up again ends with the same numbers as one that never was.
What was given on the command line of the first run, and is not in its spec, is in run.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

import unfold
from unfold.commands.task import Task
from unfold.core.printing import show_program
from unfold.errors import DataError, UnfoldError
from unfold.training.checkpoint import Checkpoint, TrainingState, newest
from unfold.training.loop import start

RUN = "run.json"


def is_run_folder(path: str) -> bool:
    """Say whether a path is the folder of a run."""
    return (Path(path) / "spec.yaml").is_file()


def find_run(path: str) -> Path:
    """Return the folder of a run.

    Raises:
        UnfoldError: it is none; says which there are.
    """
    if is_run_folder(path):
        return Path(path)
    folder = Path(path)
    beside = folder.parent if folder.parent.is_dir() else Path("runs")
    there = beside.iterdir() if beside.is_dir() else ()
    runs = sorted(p.name for p in there if is_run_folder(str(p)))
    close = get_close_matches(folder.name, runs, n=1) or runs[-1:]
    found = "it has no spec.yaml" if folder.is_dir() else "there is no such folder"
    hint = f"did you mean {beside / close[0]}?" if close else "`unfold run SPEC` begins a run"
    raise UnfoldError(f"--resume {path}: this is not the folder of a run: {found}\n  help: {hint}")


def describe_run(task: Task, dtype: str, spec: str) -> str:
    """Return the contents of run.json."""
    document = {
        "unfold": unfold.__version__,
        "spec": spec,
        "dtype": dtype,
        "backend": task.engine.backend,
        "mode": task.train.mode,
    }
    return json.dumps(document, indent=2) + "\n"


def read_run(folder: Path) -> dict[str, Any]:
    """Return what the first session of a run was told; nothing where the file is missing."""
    file = folder / RUN
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {file}: {error}") from None
    return found if isinstance(found, dict) else {}


def resume(task: Task, folder: Path, dtype: str, tell: Callable[[str], None]) -> TrainingState:
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
    _check(task, found, fresh)
    return found.state


def facts(task: Task) -> dict[str, object]:
    """Return what a checkpoint says of its run beside the arrays."""
    optimizer = task.train.optimizer
    return {
        "name": task.model.name,
        "unfold": unfold.__version__,
        "optimizer": {optimizer.key: dict(vars(optimizer))},
        "seed": task.train.seed,
        "equations": _equations(task),
        **({"data": dict(task.data.facts)} if task.data else {}),
        **({"vocabulary": task.text.vocabulary} if task.text else {}),
    }


def _equations(task: Task) -> list[str]:
    """Return the spec's Program line by line, extents excepted: they may change."""
    _, *lines = show_program(task.model.program).splitlines()
    return [" ".join(line.split()) for line in lines if line.strip()]


def _check(task: Task, found: Checkpoint, fresh: TrainingState) -> None:
    """Compare a checkpoint with what is to be trained."""
    path, state = found.path, found.state
    _compare(f"{path}: parameter", _shapes(state.parameters), _shapes(fresh.parameters))
    trained = {n: fresh.parameters[n] for n in task.engine.trained}
    expected = {f"{s} of {n}": a for s in task.train.optimizer.slots for n, a in trained.items()}
    mine = {f"{s} of {n}": a for s, arrays in state.slots.items() for n, a in arrays.items()}
    if state.step:
        _compare(f"{path}: the optimiser's", _shapes(mine), _shapes(expected))
    types = {str(a.dtype) for a in state.parameters.values()}
    wanted = {str(a.dtype) for a in fresh.parameters.values()}
    if types != wanted:
        raise DataError(
            f"{path} has numbers of the type {', '.join(types)}, but --dtype says"
            f" {', '.join(wanted)}"
        )
    if found.facts.get("unfold") == unfold.__version__:
        _compare_equations(path, found.facts.get("equations", []), _equations(task))
    if found.facts.get("seed", task.train.seed) != task.train.seed:
        raise DataError(
            f"{path} was trained with the seed {found.facts['seed']}, but train.seed is now"
            f" {task.train.seed}"
        )
    if task.data is not None:
        _compare_data(path, found.facts.get("data", {}), task.data.facts)


def _compare_equations(path: Path, found: Sequence[str], expected: Sequence[str]) -> None:
    """Name the first equation that is another one."""
    if list(found) == list(expected):
        return
    gone = [line for line in found if line not in expected]
    new = [line for line in expected if line not in found]
    raise DataError(
        f"{path} is a checkpoint of another spec\n"
        f"  it was trained with  {gone[0] if gone else 'the same equations in another order'}\n"
        f"  the spec now has     {new[0] if new else 'nothing in its place'}\n"
        "  help: undo the change of spec.yaml, or train the new spec in a folder of its own"
    )


def _compare_data(path: Path, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Say that the data have changed."""
    if found.get("vocabularies") != expected.get("vocabularies"):
        raise DataError(f"{path}: the text has other characters than it was trained on")
    if found.get("fingerprint") != expected.get("fingerprint"):
        raise DataError(
            f"{path}: the data are not those it was trained on\n"
            "  help: bring the old data back, or begin a new run"
        )


def _shapes(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}


def _compare(
    what: str, found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]
) -> None:
    for name in sorted({*found, *expected}):
        if found.get(name) != expected.get(name):
            shown = [str(list(s[name])) if name in s else "nothing" for s in (found, expected)]
            raise DataError(f"{what} {name} is {shown[0]}, but the spec makes it {shown[1]}")
