"""How the specs of `specs/cells` are made small."""

from __future__ import annotations

from oracles import cells, gated

from cases.case import CHARACTER, LABEL, SMALL, Case, Input, X, Y

SYMBOL = Input(("t",), category="symbols")
REBER = {"x": SYMBOL, "next": SYMBOL}
STRINGS = {"symbols": 13, "hidden": 11}
CHARACTERS = {"vocab": 13, "hidden": 11}
TEXT = {"x": CHARACTER, "target": CHARACTER}
EMBEDDED = {"character": CHARACTER, "target": CHARACTER}

CASES = (
    Case("elman-srn", cells.elman_srn, STRINGS, REBER),
    Case("jordan", cells.jordan, STRINGS, REBER),
    Case("elman-shortcut", cells.elman_shortcut, STRINGS, REBER),
    Case("lstm", cells.lstm, SMALL, {"x": X, "digit": LABEL}),
    Case("lstm-peephole", gated.lstm_peephole, SMALL, {"x": X, "target": Y}),
    Case(
        "gru",
        gated.gru,
        {"features": 7, "hidden": 11, "outputs": 13},
        {"x": X, "y": Input(("t",), ("outputs",))},
    ),
    Case("gru-cho", cells.gru_cho, CHARACTERS, TEXT),
    Case("mut1", cells.embedded(cells.mut1_cell), CHARACTERS, EMBEDDED),
    Case("mut2", cells.embedded(cells.mut2_cell), CHARACTERS, EMBEDDED),
    Case("mut3", cells.embedded(cells.mut3_cell), CHARACTERS, EMBEDDED),
    Case("nas-cell", cells.nas, CHARACTERS, TEXT),
    Case(
        "second-order",
        cells.second_order,
        {"symbols": 7, "states": 11},
        {"x": SYMBOL, "accepted": Input(("t",))},
    ),
    Case(
        "dynamical-recognizer",
        cells.dynamical_recognizer,
        {"symbols": 7, "states": 11},
        {"symbol": SYMBOL, "accepted": Input()},
    ),
)
