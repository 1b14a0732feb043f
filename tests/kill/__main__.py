"""The command: `python -m tests.kill --kills 50`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.kill import Killer


def main() -> None:
    """Kill runs, and say how it went."""
    parser = argparse.ArgumentParser(prog="python -m tests.kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="in all")
    parser.add_argument("--each", type=int, default=1, help="kills of every run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", default="reference")
    asked = parser.parse_args()
    resumed = 0
    with tempfile.TemporaryDirectory() as folder:
        killer = Killer(Path(folder), seed=asked.seed, backend=asked.backend)
        print(f"an untouched run takes {killer.seconds:.1f} s", flush=True)
        for _ in range(asked.kills // asked.each):
            for killed in killer.attempt(asked.each):
                resumed += killed.resumable
                state = "resumed" if killed.resumable else "nothing begun"
                print(f"killed {killed.when}: {state}", flush=True)
    print(
        f"{asked.kills} kills, {resumed} of them of a run that had begun;"
        " every run ended byte for byte like an untouched one"
    )


if __name__ == "__main__":
    main()
