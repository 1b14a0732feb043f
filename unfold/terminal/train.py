"""The training part of `unfold run`: live progress, metrics, checkpoints, and what came out.

Everything that a run leaves is written by `unfold.training.session`; here are the words, the loss
curves and the sample.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unfold.errors import INTERRUPTED, MISTAKE, OK, UnfoldError
from unfold.files import write_whole
from unfold.terminal.language import loss_unit
from unfold.terminal.profile import SAVING, Watch
from unfold.terminal.progress import Words, bits, make_progress, show_loss, stop_on_signals
from unfold.terminal.report import plural
from unfold.terminal.resume import facts
from unfold.terminal.screen import paint
from unfold.terminal.task import Task
from unfold.terminal.teller import Teller
from unfold.terminal.writing import sample
from unfold.training.checkpoint import TrainingState
from unfold.training.curve import Curve, draw_losses
from unfold.training.data import Source
from unfold.training.diagnose import NO_ALIGNMENT
from unfold.training.loop import Trainer, once
from unfold.training.metrics import Number
from unfold.training.session import Ending, Outcome, Setting, Writer, run_session

LAST = 20
EXITS: Mapping[Ending, int] = {
    "finished": OK,
    "early": OK,
    "interrupted": INTERRUPTED,
    "diverged": MISTAKE,
}


@dataclass(frozen=True)
class Told:
    """Who is told of what happens: a person, and a stopwatch."""

    teller: Teller
    watch: Watch


def train(
    task: Task, source: Source, folder: Path, state: TrainingState, told: Told
) -> tuple[int, dict[str, Any]]:
    """Train from a state on; return the exit code and what to say in JSON."""
    settings, teller = task.train, told.teller
    trainer = Trainer(task.engine, source, settings, state, guess=guess(task))
    validation = task.data.validation if task.data else None
    words = Words(
        settings.steps,
        loss_unit(task.model.spec),
        lambda loss: _in_bits(task, loss),
        settings.clip is not None,
    )
    if state.step:
        left = settings.steps - state.step
        more = f"{plural(left, 'step')} to go" if left > 0 else "nothing left to do"
        teller.fact("resumed", f"after {state.step:,} of {plural(settings.steps, 'step')}; {more}")
    writers: list[Writer] = []
    if settings.tensorboard:
        from unfold.training.tensorboard import EventWriter

        writers.append(EventWriter(folder, state.step + 1))
    progress = make_progress(words)
    try:
        with stop_on_signals() as stopped:
            outcome = run_session(
                trainer,
                Setting(
                    folder,
                    facts(task),
                    lambda loss: _more(task, loss),
                    None if validation is None else lambda: once(validation),
                    (lambda metrics, _: progress.update(metrics),),
                    writers,
                    stopped,
                    lambda: told.watch.phase(SAVING),
                    teller.warn,
                ),
            )
    finally:
        progress.close()
    return EXITS[outcome.ending], _conclude(task, outcome, folder, teller)


def guess(task: Task) -> float | None:
    """Return the loss of giving every character the same probability."""
    share = task.language.nats_per_loss if task.language else None
    if share is None or task.data is None or task.data.text is None:
        return None
    return math.log(len(task.data.text.vocabulary)) / share


def _conclude(task: Task, outcome: Outcome, folder: Path, teller: Teller) -> dict[str, Any]:
    """Draw the curve, write the sample, and say what came out."""
    _draw(task, outcome, folder)
    state, finite = outcome.state, [x for x in outcome.losses if math.isfinite(x)]
    tail = max(1, min(LAST, len(finite) // 10))
    first, last = _mean(finite[:1]), _mean(finite[-tail:])
    _say_ending(task, outcome, folder, teller)
    unit = loss_unit(task.model.spec)
    told = f"{show_loss(first)} → {show_loss(last)} {unit} {_in_bits(task, last, '({})')}".rstrip()
    told += f" in {plural(state.step, 'step')}, {outcome.seconds:.0f} s"
    steps, share = outcome.clipped
    if task.train.clip is not None:
        told += f", gradients clipped in {steps:,} steps ({100 * share:.2g} % of entries)"
    if finite:
        teller.fact("loss", told)
    best = outcome.best
    if best is not None:
        words = f"{show_loss(best.loss)} {unit}".rstrip()
        teller.fact("best", f"{words} on validation data, after {plural(best.step, 'step')}")
    text = None
    if outcome.ending != "diverged":
        text = _write_sample(task, best.parameters if best else state.parameters, folder, teller)
    if text is not None:
        teller.say(f"\n{paint('sample', bold=True)}\n{text}")
    return {
        "outcome": outcome.ending,
        "steps": state.step,
        "seconds": outcome.seconds,
        "first_loss": _json_number(first),
        "last_loss": _json_number(last),
        "bits_per_character": _json_number(_bits_per_symbol(task, last)),
        "guessing_loss": guess(task),
        "clipped_steps": steps,
        "clipped_share": share,
        "validation_loss": best.loss if best else None,
        "best_step": best.step if best else None,
        "diagnosis": outcome.diagnosis,
        "sample": text,
        "files": sorted(str(p.relative_to(folder)) for p in folder.rglob("[!.]*") if p.is_file()),
    }


def _say_ending(task: Task, outcome: Outcome, folder: Path, teller: Teller) -> None:
    """Say why training ended before its last step, and how to go on."""
    steps = outcome.state.step
    if outcome.ending == "diverged":
        teller.say(paint(f"stopped at {outcome.diagnosis}", fg="red"))
        teller.say(f"kept the weights after step {steps:,}, the last with a finite loss")
        cure = "try a smaller rate" if task.train.clip else "try a smaller rate, or clip: {norm: 5}"
        if NO_ALIGNMENT in (outcome.diagnosis or ""):
            cure = (
                "use more frames or fewer labels, or ignore the sequence:  ctc[t,u](…, "
                "impossible=0)"
            )
        teller.say(paint(f"  help: {cure}", fg="cyan"))
    elif outcome.ending == "interrupted":
        total = plural(task.train.steps, "step")
        teller.say(f"interrupted: saved after {steps:,} of {total}")
        teller.say(paint(f"  resume with  unfold run --resume {folder}", fg="cyan"))
    elif outcome.ending == "early":
        best = outcome.best
        since = f"after step {best.step:,}" if best else "lately"
        teller.say(f"stopped early after {plural(steps, 'step')}: no improvement {since}")


def _draw(task: Task, outcome: Outcome, folder: Path) -> None:
    curve = Curve(
        task.model.name,
        outcome.steps,
        outcome.losses,
        outcome.validated,
        guess(task),
        loss_unit(task.model.spec),
    )
    write_whole(folder / "loss.svg", draw_losses(curve))
    write_whole(folder / "loss.png", draw_losses(curve, format="png"))


def _write_sample(
    task: Task, parameters: Mapping[str, Any], folder: Path, teller: Teller
) -> str | None:
    """Write text with the trained model, where the spec is a language model."""
    try:
        written = sample(task, parameters)
    except UnfoldError as error:  # such as one that looks ahead; what was trained is none the worse
        teller.warn(f"no sample: {str(error).splitlines()[0]}")
        return None
    if written is not None:
        write_whole(folder / "sample.txt", written + "\n")
    return written


def _more(task: Task, loss: float) -> dict[str, Number]:
    found = _bits_per_symbol(task, loss)
    return {} if found is None else {"bits_per_character": found}


def _bits_per_symbol(task: Task, loss: float) -> float | None:
    share = task.language.nats_per_loss if task.language else None
    return None if share is None else bits(loss * share)


def _in_bits(task: Task, loss: float, form: str = "{}") -> str:
    found = _bits_per_symbol(task, loss)
    if found is None:
        return ""
    shown = f"{found:.3f}" if found < 1e6 else f"{found:.3g}"
    return form.format(f"{shown} bits/char")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _json_number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
