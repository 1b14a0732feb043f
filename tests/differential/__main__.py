"""Compare a backend with the reference on thousands of random specs.

    python -m tests.differential --count 20000 --seed 0 --backend numba --jobs 2
    python -m tests.differential --replay build/differential/0-17.yaml --backend numba
    python -m tests.differential --count 200 --backend differences

Case N of a seed is the same everywhere. Workers are processes that are started anew every few
hundred cases, and after a case that took one along. Every failure is written to
`build/differential`, the first of each kind made as small as it gets. The last line of the output
is a summary as JSON; the exit code is 1 after a failure, or where too many cases say nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from tests.differential.compare import LEVELS
from tests.differential.worker import path_of, replay, show, shrunk, work

BLOCK = 200
PATIENCE = 1800.0  # seconds without a word; a busy machine is slow, and not wrong
DISTINCT = 20
# At most so many of a hundred cases may be illegal, and as many may be undecided.
ILLEGAL, UNDECIDED = 3.0, 3.0
FAILED = ("disagrees", "fails", "broken", "crashes")


@dataclass
class Tally:
    """What has come out so far."""

    kinds: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    slowest: float = 0.0
    slow: int = -1
    began: float = field(default_factory=time.perf_counter)

    def add(self, line: dict[str, Any]) -> None:
        """Count a case."""
        self.kinds[line["kind"]] += 1
        self.features.update(line.get("features", ()))
        if line.get("seconds", 0.0) > self.slowest:
            self.slowest, self.slow = line["seconds"], line["number"]
        if line["kind"] in FAILED:
            self.failures.append(line)
            last = (line["message"].strip().splitlines() or [""])[-1]
            print(f"case {line['number']} {line['kind']}: {last}", flush=True)

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self.began

    def distinct(self) -> list[dict[str, Any]]:
        """Return the first failure of each label."""
        first: dict[tuple[str, str], dict[str, Any]] = {}
        for line in self.failures:
            first.setdefault((line["kind"], line["label"]), line)
        return list(first.values())

    def summary(self) -> dict[str, Any]:
        """Return the result as plain data."""
        total = max(1, sum(self.kinds.values()))
        share = {k: round(100 * self.kinds[k] / total, 2) for k in ("illegal", "ambiguous")}
        return {
            "cases": sum(self.kinds.values()),
            **dict(sorted(self.kinds.items())),
            "percent": share,
            "seconds": round(self.seconds, 1),
            "slowest": {"case": self.slow, "seconds": self.slowest},
            "distinct": [f"{line['kind']}: {line['label']}" for line in self.distinct()],
        }

    def code(self, given: argparse.Namespace) -> int:
        """Return the exit code."""
        percent = self.summary()["percent"]
        unclear = given.backend != "differences" and percent["ambiguous"] > UNDECIDED
        return int(bool(self.failures) or percent["illegal"] > ILLEGAL or unclear)


def _command(given: argparse.Namespace, *extra: str) -> list[str]:
    shared = ["--seed", str(given.seed), "--backend", given.backend, "--levels", given.levels]
    return [sys.executable, "-m", "tests.differential", *shared, *extra]


def _block(given: argparse.Namespace, first: int, count: int, out: Queue[dict[str, Any]]) -> None:
    """Run a block of cases in processes of their own, one after the other where one dies."""
    while count > 0:
        command = _command(given, "--worker", "--first", str(first), "--count", str(count))
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None and process.stderr is not None
        begun = first
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        for text in process.stdout:
            line = json.loads(text)
            timer.cancel()
            timer = threading.Timer(PATIENCE, process.kill)
            timer.start()
            if "begin" in line:
                begun = line["begin"]
            else:
                out.put(line)
        timer.cancel()
        error = process.stderr.read()
        if process.wait() == 0:
            return
        message = f"the process ended with {process.returncode}\n{error[-2000:]}"
        label = f"process ended with {process.returncode}"
        out.put({"number": begun, "kind": "crashes", "label": label, "message": message})
        count -= begun + 1 - first
        first = begun + 1


def run(given: argparse.Namespace) -> Tally:
    """Run all cases on several processes; print progress."""
    blocks: Queue[tuple[int, int]] = Queue()
    end = given.first + given.count
    for first in range(given.first, end, BLOCK):
        blocks.put((first, min(BLOCK, end - first)))
    out: Queue[dict[str, Any]] = Queue()

    def job() -> None:
        while True:
            try:
                first, count = blocks.get_nowait()
            except Empty:
                return
            _block(given, first, count, out)

    threads = [threading.Thread(target=job, daemon=True) for _ in range(given.jobs)]
    for thread in threads:
        thread.start()
    tally, shown = Tally(), 0.0
    while any(t.is_alive() for t in threads) or not out.empty():
        try:
            tally.add(out.get(timeout=1.0))
        except Empty:
            continue
        if tally.seconds - shown > given.every:
            shown = tally.seconds
            done = sum(tally.kinds.values())
            print(f"{done} of {given.count}, {dict(tally.kinds)}, {shown:.0f} s", flush=True)
    return tally


def _report(given: argparse.Namespace, tally: Tally) -> None:
    """Print the histogram, and shrink the first failure of each kind."""
    if given.histogram:
        for feature, count in sorted(tally.features.items(), key=lambda p: (-p[1], p[0])):
            print(f"{count:7}  {feature}")
    for line in tally.distinct()[:DISTINCT]:
        number = line["number"]
        path = path_of(given.seed, number)
        if given.shrink > 0 and line["kind"] != "crashes":
            extra = ("--shrink-case", str(number), "--shrink", str(given.shrink))
            subprocess.run(_command(given, *extra), stdout=subprocess.DEVNULL, check=False)
        count = sum(f["label"] == line["label"] for f in tally.failures)
        print(f"{line['kind']} ({count} cases): {line['label']}\n  {path}", flush=True)


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--count", type=int, default=20_000, help="how many cases")
    add("--first", type=int, default=0, help="number of the first one")
    add("--seed", type=int, default=0, help="of the series of cases")
    add("--backend", default="numba", help="or another engine: see README.md")
    add("--jobs", type=int, default=2, help="how many processes")
    add("--levels", default=",".join(LEVELS), help=f"any of {', '.join(LEVELS)}")
    add("--shrink", type=float, default=120.0, help="seconds for each failure to be made small")
    add("--every", type=float, default=20.0, help="seconds between lines of progress")
    add("--histogram", action="store_true", help="print how often each feature occurred")
    add("--replay", type=Path, help="check one file")
    add("--show", type=int, metavar="NUMBER", help="print one case")
    add("--shrink-case", type=int, metavar="NUMBER", help="make one failing case small")
    add("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    levels = tuple(given.levels.split(","))
    if not set(levels) <= set(LEVELS):
        parser.error(f"--levels: any of {', '.join(LEVELS)}, with commas")
    if given.worker:
        work(given.seed, given.first, given.count, given.backend, levels)
        return 0
    if given.replay:
        return show(replay(given.replay, given.backend, levels))
    if given.show is not None:
        from tests.differential.generate import generate

        print(generate(given.seed, given.show).sample.file(), end="")
        return 0
    if given.shrink_case is not None:
        seconds = given.shrink
        return show(shrunk(given.seed, given.shrink_case, given.backend, levels, seconds=seconds))
    tally = run(given)
    _report(given, tally)
    print(json.dumps(tally.summary()))
    return tally.code(given)


if __name__ == "__main__":
    sys.exit(main())
