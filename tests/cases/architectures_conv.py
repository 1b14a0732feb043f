"""How the convolutional specs of `specs/architectures` are made small."""

from __future__ import annotations

from oracles import convolutions

from cases.architectures_ctc import FEW
from cases.case import CHARACTER, Case, Input

FRAME, SOUND = Input(("t",), ("bands",)), Input(("t",), category="sounds")
DIRECTION = Input((), category="directions")
FILM = {"x": Input(("t",), ("side", "side")), "label": DIRECTION}
FILMS = {"side": 8, "lower": 6, "upper": 7, "hidden": 11, "directions": 13}
SYMBOLS = {"x": CHARACTER, "y": CHARACTER}

CASES = (
    Case(
        "conv-1d",
        convolutions.conv_1d,
        {"bands": 7, "lower": 11, "upper": 13, "sounds": 17},
        {"x": FRAME, "label": SOUND},
        fixed={"k": 4},
    ),
    Case(
        "conv-2d",
        convolutions.conv_2d,
        {"lower": 7, "upper": 11, "classes": 13},
        {"x": Input(("i", "j")), "label": Input((), category="classes")},
        varying=("i", "j"),
        fixed={"m": 2, "n": 4},
    ),
    Case(
        "conv-3d",
        convolutions.conv_3d,
        {"filters": 7, "directions": 13},
        {"x": Input(("t", "i", "j")), "label": DIRECTION},
        varying=("t", "i", "j"),
        fixed={"k": 4, "m": 2, "n": 3},
    ),
    Case(
        "lenet",
        convolutions.lenet,
        {"lower": 6, "upper": 7, "dense": 11, "classes": 13},
        {"x": Input((), (8, 8)), "label": Input((), category="classes")},
        varying=(),
    ),
    Case("one-hot", convolutions.symbols, {"vocab": 11, "hidden": 7}, SYMBOLS),
    Case("embedding", convolutions.symbols, {"vocab": 11, "hidden": 7}, SYMBOLS),
    Case("frames-max-pool", convolutions.frames_max_pool, FILMS, FILM),
    Case("frames-temporal-conv", convolutions.frames_temporal_conv, FILMS, FILM, fixed={"k": 4}),
    Case("frames-lstm", convolutions.frames_lstm, FILMS, FILM),
    Case("frames-lstm-conv", convolutions.frames_lstm_conv, FILMS, FILM, fixed={"k": 4}),
    Case(
        "line-recogniser",
        convolutions.line_recogniser,
        {"rows": 7, "filters": 6, "hidden": 11, "digits": 13},
        {"x": Input(("t",), ("rows",)), "y": Input(("u",), category="digits")},
        varying=("t", "u"),
        fixed={"k": 4},
        lengths={"u": FEW},
    ),
    Case(
        "deep-speech-2",
        convolutions.deep_speech,
        {"bands": 7, "filters": 6, "features": 11, "hidden": 13, "dense": 17, "labels": 19},
        {"x": FRAME, "y": Input(("u",), category="labels")},
        varying=("t", "u"),
        fixed={"k": 4},
        lengths={"u": FEW},
        together=True,
    ),
    Case(
        "acoustic-lstm",
        convolutions.acoustic_lstm,
        {"bands": 7, "hidden": 11, "sounds": 13},
        {"x": FRAME, "label": SOUND},
    ),
)
