"""How the specs of `specs/depth` are made small."""

from __future__ import annotations

from oracles import deep, gated, recurrent

from cases.case import CHARACTER, LABEL, SMALL, Case, Input, X

VOCAB = {"vocab": 11, "hidden": 7}
READ = {"x": CHARACTER, "y": CHARACTER}
# Networks that read characters and predict the next, each by the oracle of one step.
STEPS = {
    "deep-input-rnn": deep.deep_input_rnn,
    "dt-rnn": deep.dt_rnn,
    "dts-rnn": deep.dts_rnn,
    "dot-rnn": deep.dot_rnn,
    "dots-rnn": deep.dots_rnn,
    "zhang-sh": deep.zhang_sh,
    "zhang-st": deep.zhang,
    "zhang-bu": deep.zhang,
    "zhang-td": deep.zhang,
    "recurrent-depth-3": deep.recurrent_depth_3,
    "stack-feedback": deep.stack_feedback,
}
LAYERED = {
    "stacked-rnn": deep.stacked_rnn,
    "recurrent-highway": deep.recurrent_highway,
    "deep-output-highway": deep.deep_output_highway,
}

CASES = (
    *(Case(name, deep.characters(step), VOCAB, READ) for name, step in STEPS.items()),
    *(
        Case(name, deep.characters(step), VOCAB, READ, fixed={"l": 4})
        for name, step in LAYERED.items()
    ),
    Case(
        "skip-in-time",
        deep.skip_in_time,
        {"features": 7, "hidden": 11},
        {"x": X, "sum": Input()},
    ),
    Case(
        "highway-network",
        deep.highway_network,
        {"height": 7, "width": 11, "hidden": 13, "classes": 17},
        {"x": Input((), ("height", "width")), "label": LABEL},
        varying=(),
        fixed={"l": 4},
    ),
    Case(
        "clockwork-rnn",
        deep.clockwork_rnn,
        {"module": 11, "features": 7},
        {"y": X},
    ),
    Case(
        "lstm-stack",
        gated.lstm_stack,
        {"vocab": 13, "lower": 7, "upper": 11},
        {"x": CHARACTER, "target": CHARACTER},
    ),
    Case(
        "unshared",
        recurrent.unshared,
        SMALL,
        {"x": X, "y": LABEL},
        parameter_axes={"W": "t", "U": "t", "b": "t"},
    ),
    Case("shared", recurrent.shared, SMALL, {"x": X, "y": LABEL}),
    Case(
        "looped-transformer",
        deep.looped_transformer,
        {"vocab": 7, "d": 11, "ff": 13},
        READ,
        fixed={"r": 4, "k": 6},
        parameter_axes={"P": "t"},
    ),
)
