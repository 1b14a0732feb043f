"""Measuring time where other programs run, too: in turns, and against the machine's own limit.

    turn(run, seconds=0.05)          →  [0.00912, 0.00907, 0.00921, ...]   seconds of each run
    interleave({"a": f, "b": g}, 2)  →  {"a": [...], "b": [...]}           a, b, a, b, ...
    gemm_peak(threads=2)             →  2.4e11                             operations per second

A machine's speed varies over seconds; what is to be compared takes turns, so that it varies for all
of them. The limit is that of a product of matrices by NumPy's BLAS, in single precision.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Run = Callable[[], Any]
Turn = Callable[[], list[float]]

TURN = 0.05  # seconds; short against the machine's ups and downs
LEAST_ROUNDS, MOST_ROUNDS = 3, 20
GEMM_SIZE = 2048
_GEMM = """
import sys, time
import numpy as np
size, runs = map(int, sys.argv[1:])
a, b = np.random.default_rng(0).standard_normal((2, size, size)).astype(np.float32)
c = np.empty_like(a)
durations = []
for _ in range(runs + 1):
    began = time.perf_counter()
    np.dot(a, b, out=c)
    durations.append(time.perf_counter() - began)
print(min(durations[1:]))
"""


@dataclass(frozen=True)
class Times:
    """What came of repeated runs.

    Attributes:
        minimum, median: seconds of a run.
        runs: how many were timed.
    """

    minimum: float
    median: float
    runs: int

    @classmethod
    def of(cls, durations: list[float]) -> Times:
        """Sum up durations."""
        return cls(min(durations), statistics.median(durations), len(durations))


def timed(run: Run) -> float:
    """Return the seconds of one run."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def turn(run: Run, seconds: float = TURN, expected: float = 0.0) -> list[float]:
    """Return the durations of runs that fill some seconds, at least one.

    Args:
        run: what to time.
        seconds: how long a turn is.
        expected: seconds of a run. If it is short, one goes first that is not counted: somebody
            else has just had a turn, and left the caches to us.
    """
    if expected < seconds:
        run()
    durations = [timed(run)]
    while sum(durations) < seconds:
        durations.append(timed(run))
    return durations


def interleave(
    turns: Mapping[str, Turn], seconds: float, rounds: int = MOST_ROUNDS
) -> dict[str, list[float]]:
    """Return durations by name, after rounds in which everybody has a turn.

    Args:
        turns: functions that run something for a while and return the durations.
        seconds: how long to go on, for each; a slow one drops out after three rounds.
        rounds: the number of turns of each, at most.
    """
    found: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(rounds):
        for name, take in turns.items():
            if number < LEAST_ROUNDS or sum(found[name]) < seconds:
                found[name] += take()
    return found


def gemm_peak(threads: int, *, size: int = GEMM_SIZE, runs: int = 8) -> float:
    """Return the operations per second of a product of square float32 matrices, the best of some.

    Runs in a process of its own, because a BLAS takes its number of threads from the environment.
    """
    names = ("OPENBLAS", "OMP", "MKL", "VECLIB")
    environment = {f"{name}_NUM_THREADS": str(threads) for name in names}
    done = subprocess.run(
        [sys.executable, "-c", _GEMM, str(size), str(runs)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return 2 * size**3 / float(done.stdout)
