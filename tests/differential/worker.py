"""One process of a run: cases in, one line of JSON each out; and what a single case needs.

    python -m tests.differential --worker --seed 0 --first 100 --count 50 --backend numba

Compiled code that is wrong can take its process along, so the line says first which case is begun.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.differential.case import Sample
from tests.differential.compare import Outcome, check
from tests.differential.differences import differences
from tests.differential.generate import generate
from tests.differential.shrink import shrink

FOLDER = Path("build/differential")


def checker(backend: str, levels: tuple[str, ...]) -> Callable[[Sample], Outcome]:
    """Return what compares one sample: with a backend, or gradients with central differences."""
    if backend == "differences":
        return differences
    return lambda sample: check(sample, backend, levels)


def path_of(seed: int, number: int) -> Path:
    """Return where a failing case is written."""
    return FOLDER / f"{seed}-{number}.yaml"


def work(seed: int, first: int, count: int, backend: str, levels: tuple[str, ...]) -> None:
    """Check cases and print a line before and after each."""
    compare = checker(backend, levels)
    for number in range(first, first + count):
        _say(begin=number)
        began = time.perf_counter()
        case = generate(seed, number)
        outcome = compare(case.sample)
        if outcome.failed:
            _write(path_of(seed, number), case.sample, backend, outcome)
        _say(
            number=number,
            kind=outcome.kind,
            label=outcome.label,
            message=outcome.message,
            seconds=round(time.perf_counter() - began, 3),
            features=sorted(set(case.features())),
        )


def _say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def _write(path: Path, sample: Sample, backend: str, outcome: Outcome) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = outcome.message.strip().splitlines() or [""]
    again = f"python -m tests.differential --replay {path} --backend {backend}"
    notes = (again, f"{outcome.kind}: {outcome.label}", *lines[-12:])
    path.write_text(sample.file(*notes), encoding="utf-8")


def shrunk(
    seed: int, number: int, backend: str, levels: tuple[str, ...], *, seconds: float
) -> Outcome:
    """Shrink a failing case, write it to its file, and return its outcome."""
    compare = checker(backend, levels)
    case = generate(seed, number)
    outcome = compare(case.sample)
    if not outcome.failed:
        return outcome

    def fails(sample: Sample) -> bool:
        found = compare(sample)
        return (found.kind, found.label) == (outcome.kind, outcome.label)

    case = shrink(case, fails, seconds=seconds)
    outcome = compare(case.sample)
    _write(path_of(seed, number), case.sample, backend, outcome)
    return outcome


def replay(path: Path, backend: str, levels: tuple[str, ...]) -> Outcome:
    """Check the sample that a file holds."""
    return checker(backend, levels)(Sample.read(path.read_text(encoding="utf-8")))


def show(outcome: Outcome) -> int:
    """Print an outcome; return the exit code it means."""
    print(f"{outcome.kind}: {outcome.message.strip()}" if outcome.message else outcome.kind)
    sys.stdout.flush()
    return 1 if outcome.failed else 0
