"""Measurements for every row of the library: published experiments, repeated, and more.

    python -m examples.reproductions                     all of them, into docs/reproductions.md
    python -m examples.reproductions --missing           those without up-to-date results
    python -m examples.reproductions --only anbn-srn --seeds 3

The package finds every module of its own that has a tuple `EXPERIMENTS`. It keeps the results of
each experiment as a JSON file in `results/`, and writes docs/reproductions.md from these files.
Specs that are not part of the library lie here. `unfold run examples/reproductions/echo.yaml` runs
one by itself.
"""
