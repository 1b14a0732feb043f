"""`unfold run`: the main job. Check, summarise, draw, train with live progress, leave a run folder.

    runs/char-rnn-1/  spec.yaml  run.json  graph-folded.svg  graph-unfolded.svg  metrics.jsonl
                      sessions.jsonl  loss.svg  loss.png  checkpoint/001000/  sample.txt

A spec without data is run once forward and backward on random inputs. Ctrl-C finishes the step,
saves and says how to go on. A run whose loss is no longer a number stops, says where that came
from, and keeps the last state that was one.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unfold.drawing import check_options
from unfold.errors import UnfoldError
from unfold.files import write_whole
from unfold.streams import going_on
from unfold.terminal.memory import memory_of
from unfold.terminal.profile import DRAWING, Watch, repeat
from unfold.terminal.progress import show_compiling
from unfold.terminal.report import first_sentence, named, plural, print_json, table
from unfold.terminal.resolve import resolve
from unfold.terminal.resume import RUN, describe_run, find_run, is_run_folder, read_run, resume
from unfold.terminal.screen import paint
from unfold.terminal.task import Task, prepare
from unfold.terminal.teller import Teller
from unfold.terminal.train import Told, guess, train
from unfold.training.clip import euclidean
from unfold.training.data import random_inputs
from unfold.training.folder import create_run_folder, locked
from unfold.training.metrics import MetricsFile
from unfold.training.weights import Layout

DTYPE = "float64"


@dataclass(frozen=True)
class Request:
    """What the command line says.

    Attributes:
        spec: what to run: a file, a name, or the folder of a run.
        items: of `--set`.
        backend, dtype, mode: None where they are not given.
        runs: where run folders go.
        profile: whether to say where the time went.
        resume: the folder of a run to go on with, in place of a spec.
    """

    spec: str | None
    items: list[str]
    backend: str | None
    dtype: str | None
    mode: str | None
    runs: Path
    profile: bool = False
    resume: str | None = None


def run(asked: Request, *, as_json: bool) -> int:
    """Run a spec and return the exit code."""
    told = Told(Teller(as_json), Watch(asked.profile))
    with ExitStack() as held:
        held.enter_context(going_on())
        old = _run_to_resume(asked)
        if old is not None:
            held.enter_context(locked(old))
            asked = _as_begun(asked, old)
        dtype = asked.dtype or DTYPE
        spec = str(old / "spec.yaml") if old else str(asked.spec)
        task = told.watch.over(prepare(spec, asked.items, asked.backend, dtype, asked.mode))
        check_options(task.model.spec.draw, task.model.program)
        _introduce(task, dtype, told.teller)
        if old is not None:
            folder = old
            state = resume(task, folder, dtype, told.teller.warn) if task.source else None
            write_whole(folder / "spec.yaml", _spec_text(task, folder))
        else:
            folder = _begin(task, asked, dtype)
            held.enter_context(locked(folder))
            state = resume(task, folder, dtype, told.teller.warn) if task.source else None
        with told.watch.phase(DRAWING):
            _draw(task, folder)
        told.teller.fact("drew", f"{folder}/graph-folded.svg, graph-unfolded.svg")
        with show_compiling(), told.watch.closed():
            if task.source is None or state is None:
                code, document = 0, _run_once(task, folder, dtype, told)
            else:
                code, document = train(task, task.source, folder, state, told)
        if asked.profile:
            document["profile"] = told.watch.conclude(folder, quiet=as_json)
    told.teller.say(f"\nall files are in {paint(str(folder), bold=True)}")
    if as_json:
        print_json({"ok": code == 0, "name": task.model.name, "folder": str(folder), **document})
    return code


def _run_to_resume(asked: Request) -> Path | None:
    """Return the folder of the run to go on with, if one is named."""
    if asked.resume is not None:
        if asked.spec is not None:
            raise UnfoldError(
                f"--resume {asked.resume}: the run has its own spec; remove {asked.spec}"
            )
        return find_run(asked.resume)
    if asked.spec is None:
        raise UnfoldError("expected a SPEC, or --resume RUN to resume a run")
    return Path(asked.spec) if is_run_folder(asked.spec) else None


def _as_begun(asked: Request, folder: Path) -> Request:
    """Take from run.json what the command line does not say this time."""
    begun = read_run(folder)
    return replace(
        asked,
        backend=asked.backend or begun.backend,
        dtype=asked.dtype or begun.dtype,
        mode=asked.mode or begun.mode,
    )


def _begin(task: Task, asked: Request, dtype: str) -> Path:
    """Make the folder of a new run, which has its spec from the first moment."""

    def write(folder: Path) -> None:
        write_whole(folder / "spec.yaml", _spec_text(task, folder))
        write_whole(folder / RUN, describe_run(task, dtype, str(asked.spec), asked.mode))

    return create_run_folder(asked.runs, task.model.name, write)


def _introduce(task: Task, dtype: str, teller: Teller) -> None:
    """Say what the spec is, how large, and what it reads."""
    summary = task.model.summary()
    about = first_sentence(task.model.about)
    teller.say(f"{paint(task.model.name, bold=True)}  {about}".rstrip())
    facts = [named(summary["axes"]), named(summary["sizes"])]
    facts.append(plural(summary["parameter_count"], "parameter"))
    teller.fact("model", " · ".join(f for f in facts if f))
    if task.data is not None:
        told, loss = task.data.told, guess(task)
        if loss is not None and task.data.text is not None:
            symbols = len(task.data.text.vocabulary)
            told += f"; guessing costs {loss:.3f} (ln {symbols} per symbol)"
        teller.fact("data", told)
    if (told := memory_of(task, dtype)) is not None:
        teller.fact("memory", told)


def _spec_text(task: Task, folder: Path) -> str:
    return resolve(
        task.model.spec,
        folder,
        sizes={**task.sizes, **task.changes.sizes},
        axes=task.changes.axes,
        sections=task.sections,
    )


def _draw(task: Task, folder: Path) -> None:
    mode = task.train.mode_at(0)
    write_whole(folder / "graph-folded.svg", task.model.render("folded", mode=mode))
    write_whole(folder / "graph-unfolded.svg", task.model.render("unfolded", mode=mode))


def _run_once(task: Task, folder: Path, dtype: str, told: Told) -> dict[str, Any]:
    """Run a spec without data forward, and backward where it has a loss, on random inputs."""
    model, settings, teller = task.model, task.train, told.teller
    parameters = model.init(seed=settings.seed, dtype=dtype)
    inputs = random_inputs(model.program, batch=4, seed=settings.seed, dtype=dtype)
    began, mode = time.perf_counter(), settings.mode_at(0)
    if model.program.loss is None:
        task.engine.forward(parameters, inputs, mode=mode, seed=settings.seed, state=False)
        seconds = time.perf_counter() - began
        if told.watch.on:
            repeat(lambda: task.engine.forward(parameters, inputs, mode=mode, state=False))
        teller.say(f"no data and no loss: ran forward on random inputs in {seconds:.2f} s")
        return {"outcome": "forward", "seconds": seconds}
    found = task.engine.step(parameters, inputs, mode=mode, seed=settings.seed, state=False)
    loss, gradients = float(found.loss), found.grads
    seconds = time.perf_counter() - began
    if told.watch.on:
        repeat(lambda: task.engine.step(parameters, inputs, mode=mode, state=False))
    norms = {name: float(np.linalg.norm(g)) for name, g in gradients.items()}
    whole = euclidean(Layout(gradients).gather(gradients))
    metrics = MetricsFile(folder / "metrics.jsonl")
    metrics.write({"step": 0, "loss": loss, "gradient_norm": whole})
    metrics.close()
    teller.say(f"no data: ran forward and backward on random inputs in {seconds:.2f} s")
    teller.fact("loss", f"{loss:.6f}\n")
    if not teller.quiet:
        shapes = {name: "×".join(map(str, p.shape)) or "1" for name, p in parameters.items()}
        rows = [(name, shapes[name], f"{norm:.3e}") for name, norm in norms.items()]
        table(("parameter", "shape", "norm of gradient"), rows, right=[2])
    return {"outcome": "once", "seconds": seconds, "loss": loss, "gradient_norms": norms}
