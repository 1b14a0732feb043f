"""A run's folder: made once, never shared, every file written whole.

    runs/char-rnn-3/  spec.yaml  metrics.jsonl  checkpoint/  graph-folded.svg  graph-unfolded.svg
                      loss.svg   sample.txt

Folders are numbered per name. A file appears under its name only when it is complete.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

from unfold.errors import DataError


def create_run_folder(root: Path, name: str) -> Path:
    """Make the next free `root/NAME-N` and return it; two runs at once get different ones.

    Raises:
        DataError: where no folder can be made there.
    """
    stem = re.sub(r"[^\w.-]+", "-", name).strip(".-")[:80] or "run"
    try:
        root.mkdir(parents=True, exist_ok=True)
        pattern = re.compile(re.escape(stem) + r"-(\d+)")
        taken = [int(m[1]) for p in root.iterdir() if (m := pattern.fullmatch(p.name))]
        number = max(taken, default=0) + 1
        while True:
            folder = root / f"{stem}-{number}"
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
            else:
                return folder
    except OSError as error:
        raise DataError(f"cannot make a run folder in {root}: {error.strerror}") from None


def write_whole(file: Path, content: str | bytes) -> None:
    """Write a file under a temporary name and rename it when it is complete."""
    data = content.encode("utf-8", errors="replace") if isinstance(content, str) else content
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    partial.write_bytes(data)
    partial.replace(file)


class MetricsFile:
    """metrics.jsonl: one JSON object per step, flushed as it is written."""

    def __init__(self, file: Path) -> None:
        self._handle = file.open("a", encoding="utf-8")

    def write(self, record: Mapping[str, float | int | None]) -> None:
        """Append a record; numbers that JSON does not have become null."""
        clean = {k: v if v is not None and math.isfinite(v) else None for k, v in record.items()}
        self._handle.write(json.dumps(clean) + "\n")
        self._handle.flush()

    def close(self) -> None:
        """Close the file."""
        self._handle.close()


def read_metrics(file: Path) -> list[dict[str, float]]:
    """Return the records of a metrics.jsonl, a half-written last line excepted."""
    lines = file.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]
