"""How the specs of `specs/architectures` are made small."""

from __future__ import annotations

from oracles import recurrent, structured

from cases.case import CHARACTER, LABEL, SMALL, SOURCE, TARGET, Case, Input, X, Y

CASES = (
    Case(
        "hello",
        recurrent.character_model,
        {"vocab": 11, "hidden": 7},
        {"x": CHARACTER, "target": CHARACTER},
    ),
    Case(
        "char-rnn",
        recurrent.character_model,
        {"vocab": 13, "hidden": 7},
        {"x": CHARACTER, "target": CHARACTER},
    ),
    Case(
        "min-char-rnn",
        recurrent.min_char_rnn,
        {"vocab": 13, "hidden": 7},
        {"x": CHARACTER, "target": CHARACTER},
    ),
    Case(
        "bidirectional",
        recurrent.bidirectional,
        {"features": 7, "forward": 11, "backward": 13, "classes": 17},
        {"x": X, "y": Y},
    ),
    Case(
        "encoder-decoder",
        structured.encoder_decoder,
        {"source": 7, "target": 11, "encoder": 13, "decoder": 17},
        {"x": SOURCE, "y": TARGET},
        varying=("t", "s"),
        modes=("teacher", "free"),
    ),
    Case(
        "attention",
        structured.attention,
        {"source": 7, "target": 11, "encoder": 13, "decoder": 17, "score": 19},
        {"x": SOURCE, "y": TARGET},
        varying=("t", "s"),
        modes=("teacher", "free"),
    ),
    Case(
        "tdnn",
        structured.tdnn,
        {"features": 7, "lower": 11, "upper": 13, "classes": 17},
        {"x": X, "y": LABEL},
        fixed={"k": 4, "m": 6},
    ),
    Case(
        "rnn-2d",
        structured.rnn_2d,
        SMALL,
        {"x": Input(("i", "j"), ("features",)), "y": LABEL},
        varying=("i", "j"),
    ),
)
