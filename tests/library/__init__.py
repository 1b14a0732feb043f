"""Run every spec of the library to its end, as a user would, and say how long each took.

    python -m tests.library                  all of them, one after the other
    python -m tests.library gru hello        some
    python -m tests.library --limit 60       seconds that none may take

Every spec gets a process and an empty folder of its own. A run that fails, or that takes longer
than the limit (compiling included), is said so, and the command ends with 1.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ended:
    """How `unfold run` of one spec ended.

    Attributes:
        seconds: of the whole process.
        mistake: what went wrong, or None.
        told: what `--json` printed: losses, steps, files.
    """

    name: str
    family: str
    seconds: float
    mistake: str | None
    told: dict[str, Any]


def run(path: Path, limit: float) -> Ended:
    """Run one spec in a folder that is then thrown away."""
    command = [sys.executable, "-m", "unfold", "run", path.stem, "--json"]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=limit, check=False
            )
        except subprocess.TimeoutExpired:
            return Ended(path.stem, path.parent.name, limit, f"takes longer than {limit:g} s", {})
    seconds = time.perf_counter() - began
    try:
        told = json.loads(done.stdout)
    except ValueError:
        told = {}
    mistake = (
        None if done.returncode == 0 else f"ended with {done.returncode}: {done.stderr[-500:]}"
    )
    return Ended(path.stem, path.parent.name, seconds, mistake, told)
