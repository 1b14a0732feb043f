"""How the specs of `specs/cells` are made small."""

from __future__ import annotations

from oracles import gated

from cases.case import SMALL, Case, Input, X, Y

CASES = (
    Case("lstm-peephole", gated.lstm_peephole, SMALL, {"x": X, "target": Y}),
    Case(
        "gru",
        gated.gru,
        {"features": 7, "hidden": 11, "outputs": 13},
        {"x": X, "y": Input(("t",), ("outputs",))},
    ),
)
