"""The training runs of `unfold compare --train`: all of them, with a live line of progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from unfold.comparison.comparison import Measure
from unfold.comparison.executors import executor
from unfold.comparison.results import Progress, Results, perform_all
from unfold.errors import UnfoldError
from unfold.terminal.progress import CLEAR_LINE
from unfold.terminal.report import plural
from unfold.terminal.screen import echo
from unfold.terminal.trials import Trial, measures, perform
from unfold.terminal.variants import Variant


@dataclass(frozen=True)
class Sweep:
    """Every variant with every seed.

    Attributes:
        variants: to train.
        seeds: their number.
        folder: of the results.
        backend, dtype, mode: as of `unfold run`.
        where: jobs, cluster and mpi of `executor`.
    """

    variants: Sequence[Variant]
    seeds: int
    folder: Path
    backend: str | None
    dtype: str
    mode: str | None
    where: Mapping[str, Any]

    def run(self) -> list[Measure] | None:
        """Do what has not been done, and return the measures; None in a process of workers.

        Raises:
            UnfoldError: a variant cannot be trained, or the folder cannot be written to.
        """
        how = {"backend": self.backend, "dtype": self.dtype, "mode": self.mode}
        self._check_data()
        trials = [Trial.of(v, seed, **how) for v in self.variants for seed in range(self.seeds)]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnfoldError(f"--results {self.folder}: {error.strerror}") from None
        teller = _Teller()
        try:
            rows = perform_all(
                trials, Results(self.folder), perform, partial(executor, **self.where), teller
            )
        except KeyboardInterrupt:
            teller.close()
            echo(
                f"stopped; what is done is kept in {self.folder}, and the same command goes on",
                err=True,
            )
            raise
        teller.close()
        if not rows:
            return None
        by_variant = {
            v.name: [rows[t.key] for t in trials if t.variant == v.name] for v in self.variants
        }
        return list(measures(by_variant))

    def _check_data(self) -> None:
        """Refuse losses that say nothing about each other."""
        sections = {v.name: v.model.spec.data for v in self.variants}
        first, *others = ((v, s.tree if s else None) for v, s in sections.items())
        for name, tree in others:
            if tree != first[1]:
                raise UnfoldError(
                    f"{first[0]} and {name} have different data, so their losses cannot be compared"
                    "\n  help: give them the same section  data,  or compare them without --train"
                )


class _Teller:
    """Says how far the runs are: a live line on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._began, self._there = time.monotonic(), -1

    def __call__(self, progress: Progress) -> None:
        """Say it."""
        if self._there < 0:
            self._there = progress.done
        new = progress.done - self._there
        left = progress.total - progress.done
        told = f"{progress.done} of {plural(progress.total, 'run')} done"
        if progress.failed:
            told += f", {progress.failed} failed"
        if new and left:
            rate = (time.monotonic() - self._began) / new
            told += f", about {_minutes(rate * left)} left"
        if sys.stderr.isatty():
            sys.stderr.write(f"{CLEAR_LINE}{told}")
            sys.stderr.flush()
        else:
            echo(told, err=True)

    def close(self) -> None:
        """End the live line."""
        if sys.stderr.isatty():
            sys.stderr.write("\n")


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
