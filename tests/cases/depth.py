"""How the specs of `specs/depth` are made small."""

from __future__ import annotations

from oracles import gated, recurrent

from cases.case import CHARACTER, LABEL, SMALL, Case, X, Y

CASES = (
    Case(
        "lstm-stack",
        gated.lstm_stack,
        {"vocab": 13, "lower": 7, "upper": 11},
        {"x": CHARACTER, "target": CHARACTER},
    ),
    Case("highway", gated.highway, SMALL, {"x": X, "y": Y}, fixed={"l": 4}),
    Case(
        "unshared",
        recurrent.unshared,
        SMALL,
        {"x": X, "y": LABEL},
        parameter_axes={"W": "t", "U": "t", "b": "t"},
    ),
    Case("shared", recurrent.shared, SMALL, {"x": X, "y": LABEL}),
)
