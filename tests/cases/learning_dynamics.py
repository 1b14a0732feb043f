"""How the specs of `specs/learning` about gradients, memory and state spaces are made small."""

from __future__ import annotations

from oracles import learning

from cases.case import Case, Input, Oracle

SYMBOL, ANSWER = Input(("t",), category="symbols"), Input(("t",), category="answers")
SYMBOLS = {"x": SYMBOL, "y": ANSWER}
CHARACTERS = {name: Input(("t",), category="vocab") for name in ("x", "y")}
PAIRS = {"x": Input(("t",), ("pair",)), "target": Input()}
UNITS = {"symbols": 7, "answers": 11, "hidden": 13}


def _adding(name: str, oracle: Oracle) -> Case:
    return Case(name, oracle, {"pair": 7, "hidden": 11}, PAIRS)


CASES = (
    Case("bptt", learning.symbols, UNITS, SYMBOLS),
    Case(
        "truncated-by-hand",
        learning.cut_by_hand,
        UNITS,
        SYMBOLS,
        cut=True,
        lengths={"t": {1: [1, 1, 1], 2: [2, 1, 2], 5: [12, 1, 7]}},
    ),
    Case("truncated-bptt", learning.symbols, {"vocab": 7, "hidden": 11}, CHARACTERS),
    Case("two-unit-srn", learning.two_units, UNITS, SYMBOLS),
    Case("latch", learning.latch, {"symbols": 7, "answers": 11}, SYMBOLS),
    Case(
        "copy",
        learning.copy_lstm,
        UNITS,
        {"x": SYMBOL, "target": ANSWER},
    ),
    Case("copy-rnn", learning.copy_rnn, UNITS, {"x": SYMBOL, "target": ANSWER}),
    Case(
        "long-sequence",
        learning.characters_gru,
        {"vocab": 7, "hidden": 11},
        {name: Input(("t",), category="vocab") for name in ("x", "target")},
    ),
    _adding("adding", learning.adding_lstm),
    _adding("adding-rnn", learning.adding_rnn),
    _adding("vanishing", learning.recurrent_sum),
    _adding("exploding", learning.recurrent_sum),
    _adding("clip-by-norm", learning.rectified_sum),
    _adding("clip-by-value", learning.rectified_sum),
    _adding("error-carousel", learning.error_carousel),
)
