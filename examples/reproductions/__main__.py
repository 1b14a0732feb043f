"""The command: `python -m examples.reproductions [--only NAME …] [--rows A5 …] [--missing]`."""

from __future__ import annotations

import argparse

from examples.reproductions.experiment import Experiment
from examples.reproductions.page import told, write
from examples.reproductions.registry import choose
from examples.reproductions.results import keep, record, stale


def main() -> None:
    """Run experiments, print the result of each seed, store the results, and write the page."""
    about = "Run the experiments of every row of the library, and judge them by their criteria."
    parser = argparse.ArgumentParser(prog="python -m examples.reproductions", description=about)
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="run these experiments"
    )
    parser.add_argument(
        "--rows",
        nargs="+",
        default=[],
        metavar="ROW",
        help="run the experiments of these rows, such as E5",
    )
    parser.add_argument(
        "--missing", action="store_true", help="run those without up-to-date results"
    )
    parser.add_argument(
        "--seeds",
        type=int,
        help="use this many seeds, and store nothing if an experiment has another number",
    )
    parser.add_argument("--list", action="store_true", help="list the experiments, and run nothing")
    parser.add_argument("--page", action="store_true", help="write the page, and run nothing")
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
    """Run an experiment, seed by seed; store the results if all of its seeds were run."""
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
        print(f"  not stored: the page uses {experiment.seeds} seeds", flush=True)


if __name__ == "__main__":
    main()
