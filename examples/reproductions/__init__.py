"""What every row of the library shows, measured: published experiments done again, and more.

    python -m examples.reproductions                     all of them, into docs/reproductions.md
    python -m examples.reproductions --missing           those without up-to-date results
    python -m examples.reproductions --only anbn-srn --seeds 3

A module of this package that has a tuple `EXPERIMENTS` is found by itself. What experiments found
is kept in `results/`, one JSON file each, and docs/reproductions.md is written from these files.
Specs that are not part of the library lie here, and can be run by themselves:
`unfold run examples/reproductions/echo.yaml`.
"""
