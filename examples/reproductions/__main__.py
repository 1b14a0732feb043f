"""The command: `python -m examples.reproductions [--only NAME …] [--rows A5 …] [--missing]`."""

from __future__ import annotations

import argparse

from examples.reproductions.experiment import Experiment
from examples.reproductions.page import told, write
from examples.reproductions.registry import choose
from examples.reproductions.results import keep, record, stale


def main() -> None:
    """Do experiments, say how each seed went, keep what was found, and write the page."""
    about = "Measure what every row of the library shows, and judge it by its criterion."
    parser = argparse.ArgumentParser(prog="python -m examples.reproductions", description=about)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these experiments")
    parser.add_argument("--rows", nargs="+", default=[], metavar="ROW", help="these rows, as E5")
    parser.add_argument("--missing", action="store_true", help="what has no up-to-date results")
    parser.add_argument("--seeds", type=int, help="so many; another number is not kept")
    parser.add_argument("--list", action="store_true", help="name them, and measure nothing")
    parser.add_argument("--page", action="store_true", help="write the page, and measure nothing")
    asked = parser.parse_args()
    if asked.seeds is not None and asked.seeds < 1:
        parser.error(f"--seeds {asked.seeds}: expected a number from 1")
    try:
        chosen = choose(asked.only, asked.rows)
    except ValueError as mistake:
        parser.error(str(mistake))
    if asked.missing:
        chosen = [experiment for experiment in chosen if stale(experiment)]
    if asked.list:
        for experiment in chosen:
            print(f"{', '.join(experiment.systems):10} {experiment.name:32} {experiment.title}")
    elif asked.page:
        write()
    else:
        for number, experiment in enumerate(chosen, 1):
            print(f"[{number}/{len(chosen)}] ", end="")
            _measure(experiment, asked.seeds or experiment.seeds)


def _measure(experiment: Experiment, seeds: int) -> None:
    """Run an experiment, seed by seed; keep what was found if all seeds were asked for."""
    print(f"{experiment.name}: {', '.join(experiment.columns)}", flush=True)
    outcomes = []
    for seed in range(seeds):
        outcome = experiment.run(seed)
        outcomes.append(outcome)
        mark = "reached" if outcome.finding.reached else "not reached"
        figures = ", ".join(outcome.finding.cells)
        print(f"  seed {seed}: {mark}: {figures}  ({outcome.seconds:.1f} s)", flush=True)
    found = record(experiment, outcomes)
    print(f"  {told(experiment, found)}", flush=True)
    if seeds == experiment.seeds:
        keep(found)
        write()
    else:
        print(f"  not kept: the page has {experiment.seeds} seeds", flush=True)


if __name__ == "__main__":
    main()
