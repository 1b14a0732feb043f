"""Training runs of variants over seeds: what one is, doing it in any process, and their measures.

    trial = Trial.of(variant, seed=3, backend="numba", dtype="float32", mode=None)
    perform(trial, Path("results/4f1c…"))     {"score": 1.93, "ending": "finished", ...}

A run that fails is a result that says why, and not the end of the others.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from unfold.comparison.comparison import Measure, Value
from unfold.comparison.results import RESULT, Row
from unfold.comparison.statistics import summary
from unfold.core.printing import show_program
from unfold.errors import UnfoldError
from unfold.files import is_regular, read_object, write_whole
from unfold.terminal.resolve import resolve
from unfold.terminal.resume import facts, state_of
from unfold.terminal.run_folders import RUN, describe_run
from unfold.terminal.task import Task, prepare
from unfold.terminal.variants import Variant
from unfold.training.folder import locked
from unfold.training.loop import Trainer, once
from unfold.training.session import Outcome, Setting, run_session
from unfold.version import VERSION

LAST = 20  # losses, of which the mean is the score where nothing is validated


@dataclass(frozen=True)
class Trial:
    """One training run, as any process can do it.

    Attributes:
        variant: its name, for messages.
        spec: path or name.
        items: of `--set`, the seed among them.
        seed: of the weights and the order of batches.
        backend, dtype, mode: as of `unfold run`.
        key: a hash of everything that determines its numbers.
    """

    variant: str
    spec: str
    items: tuple[str, ...]
    seed: int
    backend: str | None
    dtype: str
    mode: str | None
    key: str

    @classmethod
    def of(
        cls, variant: Variant, seed: int, *, backend: str | None, dtype: str, mode: str | None
    ) -> Trial:
        """Return the run of a variant with a seed.

        Raises:
            UnfoldError: the spec has no data or no loss, or its settings are wrong.
        """
        items = (*variant.items, f"train.seed={seed}")
        task = prepare(variant.spec, list(items), backend, dtype, mode)
        path = Path(variant.spec)
        spec = str(path.resolve()) if path.exists() else variant.spec
        return cls(
            variant.name,
            spec,
            items,
            seed,
            task.engine.backend,
            dtype,
            mode,
            _key(task, dtype, mode),
        )


def _key(task: Task, dtype: str, mode: str | None) -> str:
    extents = {a: str(x.extent) for a, x in task.model.program.axes.items()}
    data, train = task.model.spec.data, task.model.spec.train
    parts = {
        "unfold": VERSION,
        "program": show_program(task.model.program),
        "extents": extents,
        "train": train.tree if train else None,
        "data": data.tree if data else None,
        "mode": mode,
        "facts": facts(task),
        "backend": task.engine.backend,
        "dtype": dtype,
    }
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def perform(trial: Trial, place: Path) -> Row:
    """Train, or go on training, in a folder; return the result, which is kept there.

    Args:
        trial: to do.
        place: its folder, made if it is missing.
    """
    place.mkdir(parents=True, exist_ok=True)
    with locked(place):
        if is_regular(place / RESULT):
            return read_object(place / RESULT)
        try:
            row = _trained(trial, place)
        except UnfoldError as error:
            row = {"failed": str(error).splitlines()[0]}
        row = {"variant": trial.variant, "seed": trial.seed, **row}
        write_whole(place / RESULT, json.dumps(row, indent=1) + "\n")
    return row


def _trained(trial: Trial, place: Path) -> dict[str, Any]:
    task = prepare(trial.spec, list(trial.items), trial.backend, trial.dtype, trial.mode)
    assert task.source is not None and task.data is not None
    write_whole(place / "spec.yaml", resolve(task, place))
    write_whole(place / RUN, describe_run(task, trial.dtype, trial.spec, trial.mode))
    state = state_of(task, place, trial.dtype, lambda _: None)
    validation = task.data.validation
    outcome = run_session(
        Trainer(task.engine, task.source, task.train, state),
        Setting(
            place, facts(task), validation=None if not validation else lambda: once(validation)
        ),
    )
    return _result(outcome)


def _result(outcome: Outcome) -> dict[str, Any]:
    finite = [x for x in outcome.losses if math.isfinite(x)]
    last = fmean(finite[-min(LAST, len(finite)) :]) if finite else None
    best = outcome.best
    found = {
        "ending": outcome.ending,
        "steps": outcome.state.step,
        "last_loss": last,
        "validation_loss": best.loss if best else None,
        "score": best.loss if best else last,
    }
    if outcome.ending == "diverged" or found["score"] is None:
        return {**found, "failed": f"diverged: {outcome.diagnosis}"}
    return found


def measures(rows: Mapping[str, list[Row]]) -> Iterator[Measure]:
    """Yield the measures of training, from the results of every variant."""
    kept = {v: [r for r in own if "failed" not in r] for v, own in rows.items()}
    validated = all(r["validation_loss"] is not None for own in kept.values() for r in own)
    what = "validation loss" if validated else f"loss, last {LAST} steps"
    scores = {v: {int(r["seed"]): float(r["score"]) for r in own} for v, own in kept.items()}
    found = summary(scores)

    def measure(name: str, values: Mapping[str, Value]) -> Measure:
        return Measure("training", name, "", dict(values))

    yield measure("runs", {v: len(own) for v, own in rows.items()})
    yield measure(f"{what}, mean", {v: s.mean for v, s in found.items()})
    yield measure("spread", {v: s.spread for v, s in found.items()})
    yield measure("rank", {v: s.rank for v, s in found.items()})
    behind = {v: s.behind for v, s in found.items() if s.behind}
    yield measure("behind the best by", {v: b[0] for v, b in behind.items()})
    for end, side in enumerate(("from", "to")):
        yield measure(f"95 % {side}", {v: b[1][end] for v, b in behind.items() if b[1]})
    reasons = {v: [r["failed"] for r in own if "failed" in r] for v, own in rows.items()}
    yield measure(
        "failed",
        {v: f"{len(r)}: {r[0]}" if r else "0" for v, r in reasons.items()},
    )
