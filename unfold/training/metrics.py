"""metrics.jsonl: the results of training, one JSON object per line, equal for equal runs.

    {"step": 1, "loss": 4.6, "smoothed_loss": 4.6, "gradient_norm": 0.9, "clipped": 0.0, "rate": …}
    {"step": 200, "validation_loss": 2.31, "best": true}

With `log: 100` a line holds the means over a hundred steps. Times of day and speeds are in
sessions.jsonl instead, so that two runs can be compared byte by byte.

Invariant: every record that a checkpoint counts is in the file before the checkpoint exists. A run
that resumes from a checkpoint cuts off lines of later steps, and an incomplete last line. Any other
unreadable line is damage: the old file is set aside, and its complete lines are kept.
"""

from __future__ import annotations

import json
import math
import os
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from unfold.errors import DataError
from unfold.files import (
    explain,
    flush,
    kind_of,
    open_log,
    open_regular,
    parse_json,
    remove,
    require_regular,
)
from unfold.training.checkpoint import DAMAGED, LARGEST

LONGEST = 2**20  # bytes of a line
SECONDS = 1.0  # between flushes: the longest wait of a user who follows the file

Number = float | int | bool | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """The measurements of one step.

    Attributes:
        step: its number, counted from 1.
        loss: of the batch, before the update.
        smoothed: the loss as min-char-rnn shows it, 0.999 of the one before and 0.001 of this one.
        gradient_norm: of all gradients together, before clipping.
        clipped: the share of gradient entries that clipping changed.
        rate: the learning rate.
        teacher: the share of the teacher, if that is scheduled.
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


def _ignore(told: str) -> None:
    """Tell nobody."""


class MetricsFile:
    """An open metrics.jsonl.

    Args:
        file: where to write; None keeps the losses only.
        keep: number of steps in the file; lines of later steps are cut off.
        lines: the expected number of lines of these steps, if that is known.
        told: receives a line about damage, and about missing lines.

    Attributes:
        lines: the number of lines in the file.

    Raises:
        DataError: a link, a folder, a pipe or a device has the name of the file.
    """

    def __init__(
        self,
        file: Path | None,
        *,
        keep: int = 0,
        lines: int | None = None,
        told: Callable[[str], None] = _ignore,
    ) -> None:
        self.steps, self.losses = array("q"), array("d")
        self.validated = array("q"), array("d")
        self.lines, self._handle = 0, None
        if file is not None:
            require_regular(file)
            if file.exists():
                self._take_up(file, keep, told)
            if lines is not None and self.lines < lines:
                told(
                    f"{file} has {self.lines:,} of the {lines:,} lines written up to step "
                    f"{keep:,}; the loss curve lacks the "
                    f"others"
                )
            self._handle = open_log(file)
        self._flushed = time.monotonic()

    def _take_up(self, file: Path, keep: int, told: Callable[[str], None]) -> None:
        """Remember the lines up to a step, cut off those after it, and set damage aside."""
        whole = end = at = damaged = 0
        with os.fdopen(open_regular(file), "rb") as handle:
            for line in _lines(handle):
                at += len(line)
                record = _read(line)
                if record is None:
                    damaged += line.endswith(b"\n") or len(line) >= LONGEST
                elif record["step"] <= keep:
                    whole, end = whole + len(line), at
                    self._remember(record)
        if not damaged and whole == end:
            os.truncate(file, end)
            return
        aside = _free(file.with_name(f"{file.name}{DAMAGED}"))
        _copy_whole_lines(file, keep, aside)
        told(
            f"{file} is damaged: {max(damaged, 1):,} of its lines cannot be read or are out of"
            f" order; it is kept as {aside.name}, and its {self.lines:,} intact lines are used"
        )

    def _remember(self, record: Mapping[str, Any]) -> None:
        self.lines += 1
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
    """Return the readable records of a metrics.jsonl.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with os.fdopen(open_regular(file), "rb") as handle:
            records = [_read(line) for line in _lines(handle)]
    except OSError as error:
        raise DataError(f"cannot read {file}: {explain(error)}") from None
    return [r for r in records if r is not None]


def _lines(handle: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file, in pieces if they are longer than any of ours."""
    return iter(lambda: handle.readline(LONGEST), b"")


def _copy_whole_lines(file: Path, keep: int, aside: Path) -> None:
    """Set a file aside, and replace it by one with its readable lines up to a step."""
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    remove(partial)
    with os.fdopen(open_regular(file), "rb") as old, partial.open("xb") as new:
        for line in _lines(old):
            record = _read(line)
            if record is not None and record["step"] <= keep:
                new.write(line)
    flush(partial)
    file.rename(aside)
    partial.rename(file)


def _free(path: Path) -> Path:
    """Return a free path: this one, or this one with a number."""
    names = (path, *(path.with_name(f"{path.name}-{n}") for n in range(2, 1000)))
    return next(p for p in names if kind_of(p) is None)


def _read(line: bytes) -> dict[str, Any] | None:
    """Return a record, or None for a line that is not one."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = parse_json(line)
    except ValueError:
        return None
    if not isinstance(record, dict):
        return None
    step, losses = record.get("step"), (record.get("loss"), record.get("validation_loss"))
    is_step = type(step) is int and 0 <= step <= LARGEST
    return record if is_step and all(map(_is_loss, losses)) else None


def _is_loss(value: object) -> bool:
    """Tell whether a value is a number that a float can hold, or null."""
    return value is None or type(value) is float or (type(value) is int and abs(value) <= LARGEST)


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
    """Return a number that is not a finite float, as JSON."""
    if isinstance(number, bool):
        return "true" if number else "false"
    return "null" if number is None or not math.isfinite(number) else json.dumps(number)
