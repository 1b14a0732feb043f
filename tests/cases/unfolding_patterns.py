"""How the specs of `specs/unfolding` beyond the three design patterns are made small.

Those that stop by themselves are compared in teacher mode here, as a free run of theirs has a
length of its own; `test_stopping_specs` compares their free runs.
"""

from __future__ import annotations

from oracles import unfolding

from cases.case import Case, Input, X

BOTH = ("teacher", "free")
IMAGE = Input((), ("height", "width"))
LETTERS = Input(("t",), category="letters")
SYMBOLS = Input(("t",), category="symbols")
PLAIN = {"symbols": 7, "hidden": 11, "classes": 13}
WRITING = {"height": 7, "width": 11, "hidden": 13, "letters": 17}
NAMING = {"digits": 7, "hidden": 11, "letters": 13}

CASES = (
    Case(
        "dynamical-system",
        unfolding.dynamical_system,
        {"state": 7, "points": 11},
        {"y": Input(("t",), ("points",))},
    ),
    Case(
        "driven-dynamical-system",
        unfolding.driven_dynamical_system,
        {"features": 7, "hidden": 11},
        {"x": X, "y": X},
    ),
    Case(
        "rnn-digest",
        unfolding.rnn_digest,
        {"features": 11, "hidden": 13, "classes": unfolding.CLASSES},
        {"x": X, "y": Input((), category="classes")},
    ),
    Case(
        "one-to-one",
        unfolding.one_to_one,
        {"height": 7, "width": 11, "hidden": 13, "classes": 17},
        {"x": IMAGE, "y": Input((), category="classes")},
        varying=(),
    ),
    Case("one-to-many", unfolding.one_to_many, WRITING, {"x": IMAGE, "y": LETTERS}),
    Case(
        "many-to-one",
        unfolding.many_to_one,
        PLAIN,
        {"x": SYMBOLS, "y": Input((), category="classes")},
    ),
    Case(
        "many-to-many",
        unfolding.many_to_many,
        PLAIN,
        {"x": SYMBOLS, "y": Input(("t",), category="classes")},
    ),
    Case(
        "many-to-many-delayed",
        unfolding.many_to_many_delayed,
        {"symbols": 7, "hidden": 11, "letters": 13},
        {"x": Input(("s",), category="symbols"), "y": LETTERS},
        varying=("t", "s"),
    ),
    Case(
        "scheduled-sampling",
        unfolding.scheduled_sampling,
        {"features": 7, "hidden": 11, "classes": 13},
        {"x": X, "y": Input(("t",), category="classes")},
        modes=BOTH,
    ),
    Case("vector-to-sequence", unfolding.vector_to_sequence, WRITING, {"x": IMAGE, "y": LETTERS}),
    Case(
        "sequence-to-sequence",
        unfolding.sequence_to_sequence,
        {"verdicts": 7, "hidden": 11, "symbols": 13},
        {"x": Input(("t",), category="verdicts"), "y": SYMBOLS},
        modes=BOTH,
    ),
    *(
        Case(name, oracle, NAMING, {"x": Input((), category="digits"), "y": LETTERS})
        for name, oracle in {
            "stop-end-symbol": unfolding.stop_end_symbol,
            "stop-halt-output": unfolding.stop_halt_output,
            "stop-predicted-length": unfolding.stop_predicted_length,
        }.items()
    ),
    Case(
        "learned-initial-state",
        unfolding.learned_initial_state,
        PLAIN,
        {"x": SYMBOLS, "y": Input(("t",), category="classes")},
    ),
)
