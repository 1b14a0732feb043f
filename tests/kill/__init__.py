"""Runs that are killed at random instants, and have to end as if nothing had happened.

    python -m tests.kill --kills 50 --seed 0

A kill is SIGKILL: the process has no chance to do anything. Half of the instants are spread over
the whole life of the process, from its start to its last file; the other half come a moment after a
random step. After every kill the run is resumed, or begun anew where it had not made its folder
yet. At the end the weights, the optimiser's slots, the carried state, the best weights, the
metrics, the loss curve and the sample must be those of a run that nobody touched, byte for byte.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.runs import TINY, begin, kill, run, traces, wait_for_steps

STEPS = 40
MOMENT = 0.03


@dataclass(frozen=True)
class Killed:
    """One kill: when it came, as words, and whether there was a run to go on with."""

    when: str
    resumable: bool


class Killer:
    """Kills runs of the tiny spec.

    Args:
        folder: an empty one.
        seed: of the instants.
        backend: what computes.
    """

    def __init__(self, folder: Path, *, seed: int = 0, backend: str = "reference") -> None:
        self.folder, self.backend = folder, backend
        self.random = random.Random(seed)
        (folder / "tiny.yaml").write_text(TINY, encoding="utf-8")
        began = time.monotonic()
        self._run("run", "tiny.yaml")
        self.seconds = time.monotonic() - began
        self.expected = traces(folder / "runs" / "tiny-1")
        self._count = 1

    def _run(self, *arguments: str) -> None:
        done = run(self.folder, *arguments, backend=self.backend)
        assert done.returncode == 0, done.stdout + done.stderr

    def attempt(self, kills: int) -> Iterator[Killed]:
        """Kill a run some times; resume it, and compare what it leaves in the end.

        Raises:
            AssertionError: it does not resume, or ends otherwise than the untouched run.
        """
        self._count += 1
        place = self.folder / "runs" / f"tiny-{self._count}"
        for _ in range(kills):
            yield self._kill_one(place)
        if place.exists():
            self._run("run", "--resume", str(place))
        else:
            self._run("run", "tiny.yaml")
        found = traces(place)
        different = [n for n in self.expected if found.get(n) != self.expected[n]]
        assert not different, f"{place}: not as in a run that nobody killed: {different}"

    def _kill_one(self, place: Path) -> Killed:
        arguments = ("--resume", str(place)) if place.exists() else ("tiny.yaml",)
        process = begin(self.folder, "run", *arguments, backend=self.backend)
        if self.random.random() < 0.5:
            after = self.random.uniform(0, self.seconds)
            time.sleep(after)
            when = f"{after:.3f} s after its start"
        else:
            steps = self.random.randrange(1, STEPS)
            wait_for_steps(process, place, steps)
            after = self.random.uniform(0, MOMENT)
            time.sleep(after)
            when = f"{1000 * after:.0f} ms after line {steps} of metrics.jsonl"
        ended = process.poll()
        said = kill(process)
        assert ended in (None, 0), f"{place}: ended by itself with {ended}, {when}\n{said}"
        return Killed(when if ended is None else f"{when} (it had just ended)", place.exists())
