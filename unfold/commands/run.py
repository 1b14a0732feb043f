"""Check, draw and train a spec, and leave a run folder.

    unfold run char-rnn --set size.hidden=256
    unfold run --resume runs/char-rnn-1

A spec without data runs once, forward and backward, on random inputs. The run folder holds the
spec, its pictures, metrics, loss curves, checkpoints and, for a language model, a sample. Ctrl-C
finishes the step, saves and says how to resume. If the loss is no longer finite, the run stops,
reports the cause and keeps the last finite state.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unfold.errors import UnfoldError
from unfold.files import write_whole
from unfold.streams import going_on
from unfold.terminal.options import (
    SPEC,
    BackendOption,
    JsonOption,
    ModeOption,
    SetOption,
    dtype_option,
)
from unfold.terminal.profile import DRAWING, Watch
from unfold.terminal.progress import show_compiling
from unfold.terminal.report import print_json
from unfold.terminal.resolve import resolve
from unfold.terminal.run_folders import RUN, describe_run, find_run, is_run_folder, read_run
from unfold.terminal.screen import paint
from unfold.terminal.teller import Teller

if TYPE_CHECKING:
    from unfold.terminal.task import Task

DTYPE = "float64"


def run(
    spec: Annotated[str | None, SPEC] = None,
    changes: SetOption = None,
    backend: BackendOption = None,
    dtype: Annotated[
        str | None, dtype_option("Compute in float64 (the default) or float32.")
    ] = None,
    mode: ModeOption = None,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="RUN", help="Resume the run in this folder."),
    ] = None,
    folder: Annotated[
        str, typer.Option("--runs", metavar="FOLDER", help="Create run folders in FOLDER.")
    ] = "runs",
    profile: Annotated[
        bool, typer.Option("--profile", help="Show where the time goes; write profile.json.")
    ] = False,
    json: JsonOption = False,
) -> int:
    """Run a spec and return the exit code."""
    from unfold.drawing import check_options
    from unfold.terminal.introduce import introduce
    from unfold.terminal.once import run_once
    from unfold.terminal.resume import state_of
    from unfold.terminal.task import prepare
    from unfold.terminal.train import Told, train
    from unfold.training.folder import create_run_folder, locked

    told = Told(Teller(json), Watch(profile))
    with ExitStack() as held:
        held.enter_context(going_on())
        old = place = _run_to_resume(spec, resume)
        if place is not None:
            held.enter_context(locked(place))
            begun = read_run(place)
            backend, mode = backend or begun.backend, mode or begun.mode
            dtype = dtype or begun.dtype
        dtype = dtype or DTYPE
        source = str(place / "spec.yaml") if place else str(spec)
        task = told.watch.over(prepare(source, changes, backend, dtype, mode))
        check_options(task.model.spec.draw, task.model.program)
        introduce(task, dtype, told.teller)
        if place is None:
            files = _begin(task, dtype, source, mode)
            place = create_run_folder(Path(folder), task.model.name, files)
            held.enter_context(locked(place))
        state = state_of(task, place, dtype, told.teller.warn) if task.source else None
        if old is not None:
            write_whole(place / "spec.yaml", resolve(task, place))
        with told.watch.phase(DRAWING):
            _draw(task, place)
        told.teller.fact("drew", f"{place}/graph-folded.svg, graph-unfolded.svg")
        with show_compiling(), told.watch.closed():
            if task.source is None or state is None:
                code, document = 0, run_once(task, place, dtype, told)
            else:
                code, document = train(task, task.source, place, state, told)
        if profile:
            document["profile"] = told.watch.conclude(place, quiet=json)
    told.teller.say(f"\nall files are in {paint(str(place), bold=True)}")
    if json:
        print_json({"ok": code == 0, "name": task.model.name, "folder": str(place), **document})
    return code


def _run_to_resume(spec: str | None, resume: str | None) -> Path | None:
    """Return the folder of the run to go on with, if one is named."""
    if resume is not None:
        if spec is not None:
            raise UnfoldError(f"--resume {resume}: the run has its own spec; remove {spec}")
        return find_run(resume)
    if spec is None:
        raise UnfoldError("expected a SPEC, or --resume RUN to resume a run")
    return Path(spec) if is_run_folder(spec) else None


def _begin(task: Task, dtype: str, spec: str, mode: str | None) -> Callable[[Path], None]:
    """Return what writes the first files of a new run, which has its spec from the first moment."""

    def write(folder: Path) -> None:
        write_whole(folder / "spec.yaml", resolve(task, folder))
        write_whole(folder / RUN, describe_run(task, dtype, spec, mode))

    return write


def _draw(task: Task, folder: Path) -> None:
    mode = task.train.mode_at(0)
    for view in ("folded", "unfolded"):
        write_whole(folder / f"graph-{view}.svg", task.model.render(view, mode=mode))
