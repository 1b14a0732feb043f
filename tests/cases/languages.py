"""How the specs of `specs/learning` that learn formal languages are made small."""

from __future__ import annotations

from oracles import languages

from cases.case import Case, Input
from cases.cells import REBER, STRINGS, SYMBOL

ACCEPTED = Input(("t",))

CASES = (
    Case("anbn-srn", languages.counting, STRINGS, REBER),
    Case("anbncn-srn", languages.counting, STRINGS, REBER),
    Case("embedded-reber-lstm", languages.reber_lstm, STRINGS, REBER),
    Case(
        "embedded-reber-lstm-1997",
        languages.reber_lstm_1997,
        {"symbols": 7, "blocks": 3, "cells": 2},
        REBER,
        given=True,
    ),
    Case("embedded-reber-srn", languages.reber_srn, STRINGS, REBER, cut=True),
    Case("tomita-srn", languages.tomita_srn, STRINGS, {"x": SYMBOL, "accepted": ACCEPTED}),
    Case(
        "tomita-1-recognizer",
        languages.tomita_1_recognizer,
        {"symbols": 2, "states": 2},
        {"symbol": SYMBOL, "accepted": ACCEPTED},
        given=True,
    ),
)
