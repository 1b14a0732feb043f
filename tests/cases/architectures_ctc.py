"""How the specs whose labels have no places are made small: never more labels than frames allow."""

from __future__ import annotations

from oracles import alignments

from cases.case import Case, Input

FRAMES, LABELS = Input(("t",), ("rows",)), Input(("u",), category="digits")
FEW = {1: [1, 1, 1], 2: [1, 1, 1], 5: [2, 1, 2]}  # labels beside 1, 2 or 5 frames and fewer

CASES = (
    Case(
        "ctc",
        alignments.ctc,
        {"rows": 7, "hidden": 11, "digits": 13},
        {"x": FRAMES, "y": LABELS},
        varying=("t", "u"),
        lengths={"u": FEW},
    ),
    Case(
        "ctc-equations",
        alignments.ctc_equations,
        {"rows": 7, "hidden": 11, "digits": 13, "never": 1000000},
        {"x": FRAMES, "y": LABELS},
        varying=("t", "u"),
        lengths={"u": {**FEW, 5: [3, 1, 2]}},
    ),
)
