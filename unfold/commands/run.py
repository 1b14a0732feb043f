"""`unfold run`: the main job. Check, summarise, draw, train with live progress, leave a run folder.

    runs/char-rnn-1/  spec.yaml  graph-folded.svg  graph-unfolded.svg  metrics.jsonl  loss.svg
                      checkpoint/001000/  sample.txt

A spec without data is run once forward and backward on random inputs. Ctrl-C finishes the step,
saves and says so. A run whose loss is no longer a number stops, and keeps the last state that was
one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import typer

from unfold.commands.profile import DRAWING, LOADING, SAVING, Watch, repeat
from unfold.commands.progress import bits, make_progress, show_compiling, stop_on_signals
from unfold.commands.report import MISTAKE, first_sentence, named, paint, plural, print_json, table
from unfold.commands.resolve import resolve
from unfold.commands.resume import is_run_folder, resume
from unfold.commands.task import Task, prepare
from unfold.training.checkpoint import TrainingState, save
from unfold.training.clip import global_norm
from unfold.training.curve import draw_losses
from unfold.training.data import Source, random_inputs
from unfold.training.folder import MetricsFile, create_run_folder, write_whole
from unfold.training.loop import Metrics, train
from unfold.training.sample import sample_text

INTERRUPTED = 130
DRAWN_STEPS = 5
LAST = 20

Outcome = Literal["finished", "interrupted", "diverged"]
EXITS: Mapping[Outcome, int] = {"finished": 0, "interrupted": INTERRUPTED, "diverged": MISTAKE}


@dataclass(frozen=True)
class Request:
    """What the command line says: a spec or a run folder, changes, and where run folders go."""

    spec: str
    items: list[str]
    backend: str | None
    dtype: str
    mode: str | None
    runs: Path
    profile: bool = False


@dataclass(frozen=True)
class Trained:
    """What training came to: how it ended, where, and the loss of every step."""

    outcome: Outcome
    state: TrainingState
    losses: list[float]
    seconds: float


class Teller:
    """Prints for people: on stdout, or nowhere where stdout is for JSON."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet

    def say(self, text: str = "") -> None:
        """Print a line."""
        if not self.quiet:
            typer.echo(text)


def run(asked: Request, *, as_json: bool) -> int:
    """Run a spec and return the exit code."""
    teller, watch = Teller(as_json), Watch(asked.profile)
    going_on = is_run_folder(asked.spec)
    spec = str(Path(asked.spec) / "spec.yaml") if going_on else asked.spec
    with watch.phase(LOADING):
        task = prepare(spec, asked.items, asked.backend, asked.dtype, asked.mode)
    task = watch.over(task)
    _introduce(task, teller)
    folder = Path(asked.spec) if going_on else create_run_folder(asked.runs, task.model.name)
    begun = resume(task, folder, asked.dtype) if task.source else None
    with watch.phase(DRAWING):
        _write_spec_and_pictures(task, folder)
    teller.say(f"{paint('drew', bold=True)}   {folder}/graph-folded.svg, graph-unfolded.svg")
    with show_compiling(), watch.closed():
        if task.source is None or begun is None:
            document = _run_once(task, folder, asked.dtype, teller, watch)
            code = 0
        else:
            trained = _train(task, task.source, folder, watch, *begun)
            document = _conclude(task, trained, folder, teller)
            code = EXITS[trained.outcome]
    if asked.profile:
        document["profile"] = watch.conclude(folder, quiet=as_json)
    teller.say(f"\neverything is in {paint(str(folder), bold=True)}")
    if as_json:
        print_json({"ok": code == 0, "name": task.model.name, "folder": str(folder), **document})
    return code


def _introduce(task: Task, teller: Teller) -> None:
    """Say what the spec is, how large, and what it reads."""
    summary = task.model.summary()
    about = first_sentence(task.model.about)
    teller.say(f"{paint(task.model.name, bold=True)}  {about}".rstrip())
    facts = [named(summary["axes"]), named(summary["sizes"])]
    facts.append(plural(summary["parameter_count"], "parameter"))
    teller.say(f"{paint('model', bold=True)}  {' · '.join(f for f in facts if f)}")
    if task.text is not None and task.source is not None:
        symbols, guess = len(task.text.vocabulary), _guess(task)
        told = f"{len(task.text.codes):,} characters, {symbols} different ones"
        if guess is not None:
            told += f"; guessing costs {guess:.3f} (ln {symbols})"
        teller.say(f"{paint('text', bold=True)}   {told}")


def _write_spec_and_pictures(task: Task, folder: Path) -> None:
    text = resolve(
        task.model.spec,
        folder,
        sizes={**task.sizes, **task.changes.sizes},
        axes=task.changes.axes,
        sections=task.sections,
    )
    write_whole(folder / "spec.yaml", text)
    mode = task.train.mode
    write_whole(folder / "graph-folded.svg", task.model.render("folded", mode=mode))
    picture = task.model.render("unfolded", steps=DRAWN_STEPS, mode=mode)
    write_whole(folder / "graph-unfolded.svg", picture)


def _train(
    task: Task,
    source: Source,
    folder: Path,
    watch: Watch,
    first: TrainingState,
    losses: list[float],
) -> Trained:
    """Train with progress, metrics and checkpoints; `losses` are those of an earlier part."""
    settings, state = task.train, first
    outcome: Outcome = "finished"
    metrics_file = MetricsFile(folder / "metrics.jsonl")
    progress = make_progress(settings.steps, lambda loss: _in_bits(task, loss))
    began = time.perf_counter()
    try:
        with stop_on_signals() as stopped:
            for state, metrics in train(task.engine, source, first, settings, stopped):
                losses.append(metrics.loss)
                metrics_file.write(_record(task, metrics))
                progress.update(metrics)
                if not metrics.finite:
                    outcome = "diverged"
                elif metrics.step % settings.save == 0:
                    with watch.phase(SAVING):
                        save(state, folder / "checkpoint", _facts(task))
            if outcome == "finished" and state.step < settings.steps:
                outcome = "interrupted"
            with watch.phase(SAVING):
                save(state, folder / "checkpoint", _facts(task))
    finally:
        progress.close()
        metrics_file.close()
    return Trained(outcome, state, losses, time.perf_counter() - began)


def _conclude(task: Task, trained: Trained, folder: Path, teller: Teller) -> dict[str, Any]:
    """Draw the curve, write the sample, and say what came out."""
    finite = [loss for loss in trained.losses if math.isfinite(loss)]
    tail = max(1, min(LAST, len(finite) // 10))
    first, last = _mean(finite[:1]), _mean(finite[-tail:])
    guess = _guess(task)
    curve = draw_losses(trained.losses, title=task.model.name, guess=guess)
    write_whole(folder / "loss.svg", curve)
    state = trained.state
    if trained.outcome == "diverged":
        told = f"stopped: the loss or a gradient is not a finite number at step {state.step + 1}"
        teller.say(paint(f"{told}; try a smaller rate, or clip: {{norm: 5}}", fg="red"))
    if trained.outcome == "interrupted":
        teller.say(f"interrupted: saved after {state.step:,} of {plural(task.train.steps, 'step')}")
    clipped = f", gradients clipped in {state.clipped}" if task.train.clip else ""
    teller.say(
        f"{paint('loss', bold=True)}   {first:.4f} → {last:.4f} {_in_bits(task, last)}".rstrip()
        + f" in {plural(state.step, 'step')}, {trained.seconds:.0f} s{clipped}"
    )
    sample = _write_sample(task, state, folder) if trained.outcome != "diverged" else None
    if sample is not None:
        teller.say(f"\n{paint('sample', bold=True)}\n{_printable(sample)}")
    return {
        "outcome": trained.outcome,
        "steps": state.step,
        "seconds": trained.seconds,
        "first_loss": _json_number(first),
        "last_loss": _json_number(last),
        "bits_per_character": _json_number(_bits_per_symbol(task, last)),
        "guessing_loss": guess,
        "clipped_steps": state.clipped,
        "sample": sample,
        "files": sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()),
    }


def _run_once(task: Task, folder: Path, dtype: str, teller: Teller, watch: Watch) -> dict[str, Any]:
    """Run a spec without data forward, and backward where it has a loss, on random inputs."""
    model, settings = task.model, task.train
    parameters = model.init(seed=settings.seed, dtype=dtype)
    inputs = random_inputs(model.program, batch=4, seed=settings.seed, dtype=dtype)
    began = time.perf_counter()
    if model.program.loss is None:
        task.engine.forward(parameters, inputs, mode=settings.mode, seed=settings.seed)
        seconds = time.perf_counter() - began
        if watch.on:
            repeat(lambda: task.engine.forward(parameters, inputs, mode=settings.mode))
        teller.say(f"no data and no loss: ran forward on random inputs in {seconds:.2f} s")
        return {"outcome": "forward", "seconds": seconds}
    found = task.engine.step(parameters, inputs, mode=settings.mode, seed=settings.seed)
    loss, gradients = float(found.loss), found.grads
    seconds = time.perf_counter() - began
    if watch.on:
        repeat(lambda: task.engine.step(parameters, inputs, mode=settings.mode))
    norms = {name: float(np.linalg.norm(g)) for name, g in gradients.items()}
    metrics = MetricsFile(folder / "metrics.jsonl")
    metrics.write({"step": 0, "loss": loss, "gradient_norm": global_norm(gradients)})
    metrics.close()
    teller.say(f"no data: ran forward and backward on random inputs in {seconds:.2f} s")
    teller.say(f"{paint('loss', bold=True)}   {loss:.6f}\n")
    if not teller.quiet:
        shapes = {name: "×".join(map(str, p.shape)) or "1" for name, p in parameters.items()}
        rows = [(name, shapes[name], f"{norm:.3e}") for name, norm in norms.items()]
        table(("parameter", "shape", "norm of gradient"), rows, right=[2])
    return {"outcome": "once", "seconds": seconds, "loss": loss, "gradient_norms": norms}


def _write_sample(task: Task, state: TrainingState, folder: Path) -> str | None:
    """Write text with the trained model, where the spec is a language model."""
    if task.language is None or task.text is None:
        return None
    sample = sample_text(task.engine, state.parameters, task.language, task.text, task.generate)
    write_whole(folder / "sample.txt", sample + "\n")
    return sample


def _record(task: Task, metrics: Metrics) -> dict[str, float | int | None]:
    """Return one line of metrics.jsonl."""
    record = asdict(metrics)
    if task.language is not None:
        record["bits_per_character"] = _bits_per_symbol(task, metrics.loss)
    return record


def _facts(task: Task) -> dict[str, object]:
    """Return what a checkpoint says of its run beside the arrays."""
    optimizer = task.train.optimizer
    facts: dict[str, object] = {
        "name": task.model.name,
        "optimizer": {type(optimizer).__name__.lower(): asdict(optimizer)},
    }
    if task.text is not None:
        facts["vocabulary"] = task.text.vocabulary
    return facts


def _bits_per_symbol(task: Task, loss: float) -> float | None:
    share = task.language.nats_per_loss if task.language else None
    return None if share is None else bits(loss * share)


def _in_bits(task: Task, loss: float) -> str:
    found = _bits_per_symbol(task, loss)
    return "" if found is None else f"({found:.3f} bits/char)"


def _guess(task: Task) -> float | None:
    """Return the loss of giving every character the same probability."""
    share = task.language.nats_per_loss if task.language else None
    if share is None or task.text is None:
        return None
    return math.log(len(task.text.vocabulary)) / share


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _json_number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _printable(text: str) -> str:
    """Replace what a terminal might obey."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
