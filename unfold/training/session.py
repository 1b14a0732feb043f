"""A session: training from one state until it is finished, stopped or cannot go on.

A session records every step, measures it on validation data when that is due, and calls the
callbacks. It writes a checkpoint from time to time and at the end. Records do not contain times, so
a run that was killed and resumed leaves the same metrics.jsonl as one that never was. The process,
time, speed and end of each session are in sessions.jsonl.

    step → metrics.jsonl → validation → callbacks → checkpoint → stop?
"""

from __future__ import annotations

import json
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from unfold.files import open_log
from unfold.training.checkpoint import Best, TrainingState, save
from unfold.training.data.batches import Batch
from unfold.training.diagnose import explain_failure
from unfold.training.loop import Trainer, validate
from unfold.training.metrics import Metrics, MetricsFile, Number

Callback = Callable[[Metrics, Trainer], object]
Ending = Literal["finished", "early", "interrupted", "diverged"]
SAVE_SECONDS = 30.0
LINES = "metrics_lines"  # the counter of records in metrics.jsonl
MEANS = ("loss", "gradient_norm", "clipped")


class Writer(Protocol):
    """Another receiver of records, such as event files for TensorBoard."""

    def write(self, record: Mapping[str, Number]) -> None:
        """Take a record."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


@dataclass(frozen=True)
class Setting:
    """The environment of a run.

    Attributes:
        folder: for checkpoints and metrics; None keeps nothing.
        facts: about the run, for its checkpoints.
        more: further numbers for a record, from a loss.
        validation: gives the batches of the validation data, from the first.
        callbacks: receive the metrics of every step, and the trainer; one that returns True ends
            the run.
        writers: receive every record, too.
        stopped: is called after every step; whether to stop.
        saving: surrounds the writing of a checkpoint.
        told: receives a line about damaged files of the folder.
    """

    folder: Path | None = None
    facts: Mapping[str, object] = field(default_factory=dict[str, object])
    more: Callable[[float], Mapping[str, Number]] = lambda _: {}
    validation: Callable[[], Iterable[Batch]] | None = None
    callbacks: Sequence[Callback] = ()
    writers: Sequence[Writer] = ()
    stopped: Callable[[], bool] = lambda: False
    saving: Callable[[], AbstractContextManager[Any]] = nullcontext
    told: Callable[[str], None] = lambda told: warnings.warn(told, stacklevel=2)


@dataclass(frozen=True)
class Outcome:
    """The result of a session.

    Attributes:
        ending: the reason of its end.
        state: at the end; arrays of its own.
        steps, losses: of every record since the run began.
        validated: (steps, losses) of all measurements on validation data.
        seconds: that the session took.
        taken: steps of this session.
        clipped: the number of steps of the run with clipped gradients, and the share of their
            entries.
        diagnosis: the place of the first number that is not finite, if that was the end.
    """

    ending: Ending
    state: TrainingState
    steps: Sequence[int]
    losses: Sequence[float]
    validated: tuple[Sequence[int], Sequence[float]]
    seconds: float
    taken: int
    clipped: tuple[int, float]
    diagnosis: str | None = None

    @property
    def params(self) -> Mapping[str, Any]:
        """The parameters at the end, by name."""
        return self.state.parameters

    @property
    def best(self) -> Best | None:
        """The best weights, if there is validation."""
        return self.state.best


class _Records:
    """Turns metrics into records, each the mean over some steps."""

    def __init__(self, every: int, counters: Mapping[str, float]) -> None:
        self._every = every
        self._count = int(counters.get("pending_steps", 0))
        self._sums = [counters.get(f"pending_{name}", 0.0) for name in MEANS]

    def add(self, metrics: Metrics) -> dict[str, Number] | None:
        """Take the metrics of a step; return the record that is due, if one is."""
        means = (metrics.loss, metrics.gradient_norm, metrics.clipped)
        if self._every > 1:
            self._count += 1
            self._sums = [a + b for a, b in zip(self._sums, means, strict=True)]
            if metrics.step % self._every:
                return None
            means = tuple(s / self._count for s in self._sums)
            self._count, self._sums = 0, [0.0] * len(MEANS)
        teacher = {} if metrics.teacher is None else {"teacher": metrics.teacher}
        return {
            "step": metrics.step,
            "loss": means[0],
            "smoothed_loss": metrics.smoothed,
            "gradient_norm": means[1],
            "clipped": means[2],
            "rate": metrics.rate,
            **teacher,
        }

    def pending(self) -> dict[str, float]:
        """Return the values to keep in a checkpoint between two records."""
        if not self._count:
            return {}
        sums = {f"pending_{n}": s for n, s in zip(MEANS, self._sums, strict=True)}
        return {"pending_steps": self._count, **sums}


class _Session:
    def __init__(self, trainer: Trainer, setting: Setting) -> None:
        self.trainer, self.setting = trainer, setting
        folder = setting.folder
        self.records = _Records(trainer.settings.log, trainer.begun)
        file = folder / "metrics.jsonl" if folder else None
        known = trainer.begun.get(LINES)
        lines = None if known is None else int(known)
        self.metrics = MetricsFile(file, keep=trainer.taken, lines=lines, told=setting.told)
        self.saved, self.saved_at = -1, time.monotonic()

    def run(self) -> Ending:
        """Take steps."""
        trainer, setting = self.trainer, self.setting
        settings, callbacks = trainer.settings, setting.callbacks
        if self.is_patient_no_more():
            return "early"
        while trainer.taken < settings.steps:
            metrics = trainer.step()
            if not metrics.finite:
                return "diverged"
            record = self.records.add(metrics)
            if record is not None:
                self.write({**record, **setting.more(metrics.loss)})
            ended = False
            if settings.validation and metrics.step % settings.validation.every == 0:
                ended = self.validate()
            for callback in callbacks:
                ended = callback(metrics, trainer) is True or ended
            if self.is_due(metrics.step):
                self.save()
            if ended:
                return "early"
            if setting.stopped():
                return "interrupted" if trainer.taken < settings.steps else "finished"
        return "finished"

    def write(self, record: Mapping[str, Number]) -> None:
        """Write a record."""
        self.metrics.write(record)
        for writer in self.setting.writers:
            writer.write(record)

    def validate(self) -> bool:
        """Measure the loss on validation data; tell whether patience is at its end."""
        rules = self.trainer.settings.validation
        assert rules is not None and self.setting.validation is not None
        loss, better = validate(self.trainer, self.setting.validation())
        self.write({"step": self.trainer.taken, "validation_loss": loss, "best": better})
        return self.is_patient_no_more()

    def is_patient_no_more(self) -> bool:
        """Tell whether training ends early after too many measurements without improvement."""
        rules, best = self.trainer.settings.validation, self.trainer.best
        if rules is None or rules.patience is None or best is None:
            return False
        return best.misses >= rules.patience

    def is_due(self, step: int) -> bool:
        """Tell whether it is time for a checkpoint."""
        every = self.trainer.settings.save
        if every is not None:
            return step % every == 0
        return time.monotonic() - self.saved_at > SAVE_SECONDS

    def save(self) -> None:
        """Write a checkpoint, and before it all records that it counts."""
        folder = self.setting.folder
        if folder is None or self.saved == self.trainer.taken:
            return
        with self.setting.saving():
            self.metrics.sync()
            state = self.trainer.state()
            counters = {**state.counters, **self.records.pending(), LINES: self.metrics.lines}
            save(replace(state, counters=counters), folder / "checkpoint", self.setting.facts)
        self.saved, self.saved_at = self.trainer.taken, time.monotonic()


def run_session(trainer: Trainer, setting: Setting) -> Outcome:
    """Train until the settings' steps are taken, or something else ends it.

    Raises:
        OSError: a file of the folder cannot be written.
    """
    session, first, began = _Session(trainer, setting), trainer.taken, time.perf_counter()
    diagnosis = None
    try:
        ending = session.run()
        if ending == "diverged":
            diagnosis = explain_failure(trainer)
            trainer.take_back()
        session.save()
    finally:
        for writer in setting.writers:
            writer.close()
        session.metrics.close()
    seconds, taken = time.perf_counter() - began, trainer.taken - first
    if setting.folder is not None:
        _note(setting.folder, first, trainer.taken, ending, seconds)
    state = trainer.state()
    parameters = {n: a.copy() for n, a in state.parameters.items()}
    return Outcome(
        ending,
        replace(state, parameters=parameters),
        session.metrics.steps,
        session.metrics.losses,
        session.metrics.validated,
        seconds,
        taken,
        trainer.clipped,
        diagnosis,
    )


def _note(folder: Path, first: int, last: int, ending: Ending, seconds: float) -> None:
    """Append a line to sessions.jsonl."""
    record: dict[str, Any] = {
        "ended": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "from_step": first,
        "to_step": last,
        "ending": ending,
        "seconds": round(seconds, 3),
        "steps_per_second": round((last - first) / max(seconds, 1e-9), 3),
        "host": platform.node(),
        "process": os.getpid(),
    }
    with open_log(folder / "sessions.jsonl") as file:
        file.write(json.dumps(record) + "\n")
