"""The folders of runs: which there are, and what run.json says.

    find_run("runs/char-rnn-1")  →  Path("runs/char-rnn-1"), or the mistake with what was meant
    read_run(folder)             →  Begun(backend="numba", dtype="float64", mode=None)

What was given on the command line of the first session, and is not in its spec, is in run.json.
"""

from __future__ import annotations

import json
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from unfold.errors import UnfoldError
from unfold.files import checked, is_regular, kind_of, read_object
from unfold.version import VERSION

if TYPE_CHECKING:
    from unfold.terminal.task import Task

RUN = "run.json"


class Begun(BaseModel):
    """What run.json holds of the command line of the first session."""

    model_config = ConfigDict(extra="allow", defer_build=True)
    backend: str | None = None
    dtype: str | None = None
    mode: str | None = None


def is_run_folder(path: str) -> bool:
    """Say whether a path is the folder of a run."""
    return is_regular(Path(path) / "spec.yaml")


def find_run(path: str, option: str = "--resume ") -> Path:
    """Return the folder of a run.

    Arguments:
        path: as the user wrote it.
        option: that it was written behind.

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
    if (kind := kind_of(folder / "spec.yaml")) is not None:
        found = f"its spec.yaml is {kind}"
    hint = f"did you mean {beside / close[0]}?" if close else "start a run with  unfold run SPEC"
    raise UnfoldError(f"{option}{path}: this is not the folder of a run: {found}\n  help: {hint}")


def describe_run(task: Task, dtype: str, spec: str, mode: str | None) -> str:
    """Return the contents of run.json: what was asked for beside the spec."""
    document = {
        "unfold": VERSION,
        "spec": spec,
        "dtype": dtype,
        "backend": task.engine.backend,
        "mode": mode,
    }
    return json.dumps(document, indent=2) + "\n"


def read_run(folder: Path) -> Begun:
    """Return what the first session of a run was told; nothing where the file is missing.

    Raises:
        DataError: it cannot be read, or a key has a wrong type.
    """
    file = folder / RUN
    return Begun() if kind_of(file) is None else checked(read_object(file), Begun, file)
