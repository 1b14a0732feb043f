"""The command: `python -m examples.reproductions [NAME …] [--seeds N] [--no-page]`."""

from __future__ import annotations

import argparse
from pathlib import Path

from examples.reproductions.experiments import EXPERIMENTS
from examples.reproductions.page import PAGE, block, put, told


def main() -> None:
    """Do experiments, say how each seed went, and write the page."""
    about = "Train the networks of published experiments, and judge them by their criteria."
    parser = argparse.ArgumentParser(prog="python -m examples.reproductions", description=about)
    names = ", ".join(EXPERIMENTS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{names}; default: all")
    parser.add_argument("--seeds", type=int, help="how many; default: as many as the page has")
    parser.add_argument("--page", type=Path, default=PAGE, help="where results are written")
    parser.add_argument("--no-page", action="store_true", help="write nothing")
    asked = parser.parse_args()
    for name in asked.names:
        if name not in EXPERIMENTS:
            parser.error(f"no experiment is called {name!r}; there are {names}")
    if asked.seeds is not None and asked.seeds < 1:
        parser.error(f"--seeds {asked.seeds}: expected a number from 1")
    for name in asked.names or EXPERIMENTS:
        experiment = EXPERIMENTS[name]
        print(f"{name}: {', '.join(experiment.columns)}", flush=True)
        findings = []
        for seed in range(asked.seeds or experiment.seeds):
            found = experiment.run(seed)
            findings.append(found)
            mark = "reached" if found.reached else "not reached"
            figures = ", ".join(found.cells)
            print(f"  seed {seed}: {mark}: {figures}  ({found.seconds:.1f} s)", flush=True)
        print(f"  {told(experiment, findings)}", flush=True)
        if not asked.no_page:
            page = asked.page.read_text(encoding="utf-8")
            asked.page.write_text(put(page, name, block(experiment, findings)), encoding="utf-8")


if __name__ == "__main__":
    main()
