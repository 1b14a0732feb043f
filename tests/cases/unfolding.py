"""How the specs of `specs/unfolding` are made small."""

from __future__ import annotations

from oracles import recurrent

from cases.case import LABEL, SMALL, Case, Input, X, Y

CASES = (
    Case("pattern-hidden", recurrent.pattern_hidden, SMALL, {"x": X, "y": Y}),
    Case(
        "pattern-output",
        recurrent.pattern_output,
        {"features": 7, "hidden": 11, "outputs": 13},
        {"x": X, "y": Input(("t",), ("outputs",))},
        modes=("teacher", "free"),
    ),
    Case("pattern-last", recurrent.pattern_last, SMALL, {"x": X, "y": LABEL}),
    Case(
        "teacher-forcing",
        recurrent.teacher_forcing,
        SMALL,
        {"x": X, "y": Y},
        modes=("teacher", "free"),
    ),
)
