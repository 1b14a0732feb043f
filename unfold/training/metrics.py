"""metrics.jsonl: what training found, one JSON object per line, the same for the same run.

    {"step": 1, "loss": 4.6, "smoothed_loss": 4.6, "gradient_norm": 0.9, "clipped": 0.0, "rate": …}
    {"step": 200, "validation_loss": 2.31, "best": true}

With `log: 100` a line holds the means over a hundred steps. Times of day and speeds are not in it
but in sessions.jsonl, so that two runs can be compared byte by byte.

Invariant: whatever a checkpoint knows of is in the file before the checkpoint is. To go on from a
checkpoint, lines of later steps are cut off.
"""

from __future__ import annotations

import json
import math
import os
import time
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unfold.errors import DataError

SECONDS = 1.0  # between flushes: what a person who follows the file waits at most

Number = float | int | bool | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """What is known of one step.

    Attributes:
        step: its number, counted from 1.
        loss: of the batch, before the update.
        smoothed: the loss as min-char-rnn shows it, 0.999 of the one before and 0.001 of this one.
        gradient_norm: of all gradients together, before clipping.
        clipped: the share of gradient entries that clipping changed.
        rate: the learning rate.
        teacher: the share of the teacher, where that is scheduled.
    """

    step: int
    loss: float
    smoothed: float
    gradient_norm: float
    clipped: float
    rate: float
    teacher: float | None = None

    @property
    def finite(self) -> bool:
        """Whether training can go on from here."""
        return math.isfinite(self.loss) and math.isfinite(self.gradient_norm)


class MetricsFile:
    """An open metrics.jsonl.

    Args:
        file: where to write; None keeps the losses only.
        keep: number of steps the file may tell of; lines of later steps are cut off.
    """

    def __init__(self, file: Path | None, *, keep: int = 0) -> None:
        self.steps, self.losses = array("q"), array("d")
        self.validated = array("q"), array("d")
        self._handle = None
        if file is not None:
            if file.exists():
                self._cut(file, keep)
            self._handle = file.open("a", encoding="utf-8")
        self._flushed = time.monotonic()

    def _cut(self, file: Path, keep: int) -> None:
        size = 0
        with file.open("rb") as handle:
            for line in handle:
                record = _read(line)
                if record is None or record["step"] > keep:
                    break
                size += len(line)
                self._remember(record)
        os.truncate(file, size)

    def _remember(self, record: Mapping[str, Any]) -> None:
        loss = record.get("loss")
        if loss is not None:
            self.steps.append(record["step"])
            self.losses.append(loss)
        elif record.get("validation_loss") is not None:
            self.validated[0].append(record["step"])
            self.validated[1].append(record["validation_loss"])

    def write(self, record: Mapping[str, Number]) -> None:
        """Append a record; numbers that JSON does not have become null."""
        self._remember(record)
        if self._handle is not None:
            self._handle.write(show_record(record))
            now = time.monotonic()
            if now - self._flushed > SECONDS:
                self._handle.flush()
                self._flushed = now

    def sync(self) -> None:
        """Make sure that everything is on the disk."""
        if self._handle is not None:
            self._handle.flush()
            os.fsync(self._handle.fileno())

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            self._handle.close()


def read_metrics(file: Path) -> list[dict[str, Any]]:
    """Return the records of a metrics.jsonl, a half-written last line excepted.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with file.open("rb") as handle:
            records = [_read(line) for line in handle]
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from None
    return [r for r in records if r is not None]


def _read(line: bytes) -> dict[str, Any] | None:
    """Return a record, or None for a line that is not complete."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("step"), int) else None


def show_record(record: Mapping[str, Number]) -> str:
    """Return a line of JSON, three times as fast as `json.dumps`: there is one for every step.

    >>> show_record({"step": 1, "loss": 0.1, "best": True, "gradient_norm": float("inf")})
    '{"step": 1, "loss": 0.1, "best": true, "gradient_norm": null}\\n'
    """
    pieces = [
        f'"{name}": {number!r}'
        if type(number) is float and number - number == 0.0
        else f'"{name}": {_other(number)}'
        for name, number in record.items()
    ]
    return "{" + ", ".join(pieces) + "}\n"


def _other(number: Number) -> str:
    """Return a number that is no finite float, as JSON."""
    if isinstance(number, bool):
        return "true" if number else "false"
    return "null" if number is None or not math.isfinite(number) else json.dumps(number)
