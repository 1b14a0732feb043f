"""A folder of results, each kept under what determines it, and the runs that make them.

    results/4f1c…/   spec.yaml  run.json  checkpoint/  metrics.jsonl  result.json

A `Trial` is one training run: its key is a hash of everything that determines its numbers. A result
is written once, whole, when the run has ended; a run that was killed is taken up again at its last
checkpoint. So the same command, started again, ends with the same results as one that was never
killed, and does nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from unfold.errors import UnfoldError
from unfold.files import is_regular, read_object, write_whole

RESULT = "result.json"
MOST_LOSSES = 3  # of workers in a row, without a result in between


class Trial(Protocol):
    """A run to be done once.

    Attributes:
        key: the name of its folder.
    """

    @property
    def key(self) -> str:
        """The hash of everything that determines the result."""
        ...


Row = Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """The results in a folder."""

    folder: Path

    def place(self, key: str) -> Path:
        """Return the folder of a run."""
        return self.folder / key

    def get(self, key: str) -> Row | None:
        """Return a result, None if there is none yet.

        Raises:
            DataError: its file is damaged.
        """
        file = self.place(key) / RESULT
        return read_object(file) if is_regular(file) else None

    def put(self, key: str, row: Row) -> None:
        """Keep a result."""
        self.place(key).mkdir(parents=True, exist_ok=True)
        write_whole(self.place(key) / RESULT, json.dumps(row, indent=1) + "\n")


@dataclass(frozen=True)
class Progress:
    """How far the runs have come."""

    total: int
    done: int
    failed: int


def perform_all(
    trials: Sequence[Trial],
    results: Results,
    perform: Callable[[Any, Path], Row],
    workers: Callable[[], AbstractContextManager[Executor | None]],
    tell: Callable[[Progress], None],
) -> dict[str, Row]:
    """Return the result of every trial, by key; those that are there are not made again.

    Args:
        trials: to perform.
        results: that are kept.
        perform: makes the result of a trial in a folder, in any process.
        workers: gives an executor; None in a process that only works for others.
        tell: is told whenever a result is there.

    Raises:
        UnfoldError: workers end again and again, without a result.
    """
    found = {t.key: row for t in trials if (row := results.get(t.key)) is not None}
    waiting = [t for t in {t.key: t for t in trials}.values() if t.key not in found]
    lost = 0
    _tell(tell, trials, found)
    while waiting:
        with workers() as pool:
            if pool is None:
                return {}
            futures = {pool.submit(perform, t, results.place(t.key)): t for t in waiting}
            before = len(found)
            for future in as_completed(futures):
                if isinstance(future.exception(), BrokenExecutor):
                    continue  # a worker was killed; what it had begun is taken up again
                key, row = futures[future].key, future.result()
                if results.get(key) is None:  # a worker on another machine has its own disk
                    results.put(key, row)
                found[key] = row
                _tell(tell, trials, found)
        waiting = [t for t in waiting if t.key not in found]
        lost = 0 if len(found) > before else lost + 1
        if lost >= MOST_LOSSES:
            raise UnfoldError(
                f"{lost} workers in a row were killed\n"
                "  help: they may need more memory than there is; try  --jobs 1"
            )
    return found


def _tell(
    tell: Callable[[Progress], None], trials: Iterable[Trial], found: Mapping[str, Row]
) -> None:
    keys = {t.key for t in trials}
    rows = [found[k] for k in keys if k in found]
    tell(Progress(len(keys), len(rows), sum("failed" in r for r in rows)))
