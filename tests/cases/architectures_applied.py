"""How the specs of `specs/architectures` that are made for one task are made small."""

from __future__ import annotations

from oracles import applied

from cases.case import LABEL, Case, Input

ROW, PIXEL = Input(("t",), ("width",)), Input(("t",))
ROWS = {"width": 7, "hidden": 11, "classes": 13}
PIXELS = {"hidden": 11, "classes": 13}
LETTER, SOUND = Input(("t",), category="letters"), Input(("t",), category="sounds")
DIGIT, WORD = Input(("s",), category="digits"), Input(("t",), category="words")
NUMBERS = {"digits": 7, "words": 11, "embedding": 13, "encoder": 17, "decoder": 19}
BOTH = ("teacher", "free")

CASES = (
    Case("digits-rows-rnn", applied.digits_rnn, ROWS, {"x": ROW, "y": LABEL}),
    Case("digits-rows-lstm", applied.digits_lstm, ROWS, {"x": ROW, "y": LABEL}),
    Case("digits-rows-gru", applied.digits_gru, ROWS, {"x": ROW, "y": LABEL}),
    Case("digits-pixels-rnn", applied.digits_rnn, PIXELS, {"x": PIXEL, "y": LABEL}),
    Case("digits-pixels-lstm", applied.digits_lstm, PIXELS, {"x": PIXEL, "y": LABEL}),
    Case("digits-pixels-gru", applied.digits_gru, PIXELS, {"x": PIXEL, "y": LABEL}),
    Case(
        "digits-2d-rnn",
        applied.digits_2d,
        PIXELS,
        {"x": Input(("i", "j")), "y": LABEL},
        varying=("i", "j"),
    ),
    Case(
        "nettalk",
        applied.nettalk,
        {"letters": 11, "hidden": 13, "sounds": 17},
        {"x": LETTER, "y": SOUND},
        fixed={"k": 7},
    ),
    Case(
        "nettalk-birnn",
        applied.nettalk_birnn,
        {"letters": 7, "forward": 11, "backward": 13, "sounds": 17},
        {"x": LETTER, "y": SOUND},
    ),
    Case(
        "number-words",
        applied.number_words,
        NUMBERS,
        {"x": DIGIT, "y": WORD},
        varying=("t", "s"),
        modes=BOTH,
    ),
    Case(
        "number-words-attention",
        applied.number_words_attention,
        {**NUMBERS, "score": 23},
        {"x": DIGIT, "y": WORD},
        varying=("t", "s"),
        modes=BOTH,
    ),
    Case("sunspots", applied.sunspots, {"hidden": 7}, {"x": PIXEL, "target": PIXEL}),
)
