"""Runs that are killed at random instants, and have to end as if nothing had happened.

    python -m tests.kill --kills 50 --seed 0

A kill is SIGKILL: the process has no chance to do anything. Half of the instants are spread over
the whole life of the process, from its start to its last file; the other half come a moment after a
random step. Some processes have further troubles: nobody reads what they print, links to something
precious lie in their folder, or the disk is full (no file may grow any more, as with a quota).

After every kill the run is resumed, or begun anew where it had not made its folder yet. At the end
the weights, the optimiser's slots, the carried state, the best weights, the metrics, the loss curve
and the sample must be those of a run that nobody touched, byte for byte.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.runs import TINY, begin, kill, run, traces, wait_for_steps

try:
    import resource
except ImportError:  # not on Windows; disks are never full there
    resource = None

STEPS = 40
TROUBLES = ("none", "none", "pipes", "links", "disk")
PRECIOUS = "precious"
MOMENT = 0.03
FULL = 1500  # bytes that a file may have on a full disk: more than some have, less than others


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
        (folder / PRECIOUS).mkdir()
        (folder / PRECIOUS / "file").write_text(PRECIOUS)
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
        trouble = self.random.choice(TROUBLES)
        if trouble == "links" and place.exists():
            self._put_links(place)
        process = begin(self.folder, "run", *arguments, backend=self.backend)
        if trouble == "pipes":
            self._close_pipes(process)
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
        when += "" if trouble == "none" else f", with trouble: {trouble}"
        full = trouble == "disk" and self._fill_disk(process)
        ended = process.poll()
        said = kill(process) if trouble != "pipes" else self._kill_silent(process)
        allowed = (None, 0, 1) if full else (None, 0)
        assert ended in allowed, f"{place}: ended by itself with {ended}, {when}\n{said}"
        assert (self.folder / PRECIOUS / "file").read_text() == PRECIOUS, f"{place}: {when}"
        return Killed(when if ended is None else f"{when} (it had just ended)", place.exists())

    def _put_links(self, place: Path) -> None:
        """Let names that a run removes or replaces lead to something precious."""
        target = self.folder / PRECIOUS
        for name in (".tiny.1.partial", "checkpoint/.000003.1.partial", "checkpoint/000001"):
            with suppress(FileExistsError, FileNotFoundError):
                (place / name).symlink_to(target)
        for name in ("loss.svg", "sample.txt"):
            (place / name).unlink(missing_ok=True)
            (place / name).symlink_to(target / "file")

    @staticmethod
    def _close_pipes(process: subprocess.Popen[str]) -> None:
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()

    @staticmethod
    def _kill_silent(process: subprocess.Popen[str]) -> str:
        process.kill()
        process.wait()
        return "(nobody read what it said)"

    @staticmethod
    def _fill_disk(process: subprocess.Popen[str]) -> bool:
        """Let no file of a process grow beyond some bytes, for a moment; say whether that works."""
        if resource is None or not hasattr(resource, "prlimit"):
            return False
        with suppress(ProcessLookupError, PermissionError):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (FULL, FULL))
            time.sleep(2 * MOMENT)
        return True
