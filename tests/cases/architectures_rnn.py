"""How specs of `specs/architectures` that read frames, words, numbers and images are made small.

Specs that stop by themselves are compared in teacher mode only; that their free runs are what the
teacher's branch makes of the same symbols is tested in `test_architectures.py`.
"""

from __future__ import annotations

from functools import partial

from oracles import frames, images

from cases.case import LABEL, Case, Input

FRAMES, WORDS = Input(("t",), ("bands",)), Input(("t",), category="vocab")
SOUND, COMMAND = Input(("t",), category="sounds"), Input((), category="commands")
CAPTION = Input(("t",), category="letters")
LOOKS = 4
NETS = {"bands": 7, "hidden": 11, "sounds": 13}

CASES = (
    Case("frame-window", frames.frame_window, NETS, {"x": FRAMES, "y": SOUND}, fixed={"k": 4}),
    Case("bidirectional-lstm", frames.bidirectional_lstm, NETS, {"x": FRAMES, "y": SOUND}),
    Case(
        "speech-commands",
        frames.speech_commands,
        {"bands": 7, "features": 11, "hidden": 13, "commands": 17},
        {"x": FRAMES, "y": COMMAND},
        fixed={"k": 4},
    ),
    Case(
        "text-classification",
        frames.text_classification,
        {"vocab": 7, "embedding": 11, "hidden": 13, "classes": 17},
        {"x": WORDS, "y": LABEL},
    ),
    Case(
        "self-attention",
        frames.self_attention,
        {"vocab": 7, "width": 11, "inner": 13, "classes": 17},
        {"x": WORDS, "y": LABEL},
        parameter_axes={"P": "t"},
    ),
    Case(
        "forecast",
        frames.forecast,
        {"series": 7, "hidden": 11},
        {"x": Input(("t",), ("series",)), "y": Input(("t",), ("series",))},
    ),
    Case(
        "rnn-2d-four",
        images.rnn_2d_four,
        {"features": 7, "hidden": 11, "classes": 13},
        {"x": Input(("i", "j"), ("features",)), "y": LABEL},
        varying=("i", "j"),
    ),
    Case(
        "caption",
        images.caption,
        {"height": 7, "width": 11, "vector": 13, "hidden": 17, "letters": 19},
        {"image": Input((), ("height", "width")), "y": CAPTION},
    ),
    Case(
        "caption-attention",
        images.caption_attention,
        {
            "pixels": 7,
            "region": 11,
            "embedding": 13,
            "score": 17,
            "hidden": 19,
            "letters": 23,
        },
        {"image": Input(("r",), ("pixels",)), "y": CAPTION},
        varying=("t", "r"),
        parameter_axes={"P": "r"},
    ),
    Case(
        "glimpses",
        partial(images.glimpses, looks=LOOKS),
        {"hidden": 7, "classes": 11},
        {"x": Input(("i", "j")), "y": LABEL},
        varying=("i", "j"),
        fixed={"t": LOOKS, "m": 10, "n": 12},
    ),
)
