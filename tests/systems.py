"""The systems of the field that the library has to express, and which of its specs do.

Row("C2", "cells", "long short-term memory", ("lstm",))
"""

from __future__ import annotations

from dataclasses import dataclass

# What is asked of every spec, by the name of its test in `test_library`.
PARTS = ("drawn", "backends", "oracle", "runs")


@dataclass(frozen=True)
class Row:
    """A system.

    Attributes:
        key: as in A1.
        title: what it is.
        specs: names of the specs that show it.
    """

    key: str
    title: str
    specs: tuple[str, ...]


ROWS = (
    Row("A1", "classical dynamical system", ("dynamical-system",)),
    Row("A2", "driven dynamical system", ("driven-dynamical-system",)),
    Row("A3", "recurrent network without outputs", ("rnn-digest",)),
    Row("A4", "output at each step, recurrence between hidden units", ("pattern-hidden",)),
    Row("A5", "output at each step, recurrence from output to hidden", ("pattern-output",)),
    Row("A6", "one output at the end", ("pattern-last",)),
    Row(
        "A7",
        "one to one, one to many, many to one, many to many, delayed",
        ("one-to-one", "one-to-many", "many-to-one", "many-to-many", "many-to-many-delayed"),
    ),
    Row("A8", "teacher forcing", ("teacher-forcing", "scheduled-sampling")),
    Row("A9", "vector to sequence", ("vector-to-sequence",)),
    Row("A10", "sequence to sequence of equal length, outputs fed back", ("sequence-to-sequence",)),
    Row(
        "A11",
        "stopping: end symbol, halt output, predicted length",
        ("stop-end-symbol", "stop-halt-output", "stop-predicted-length"),
    ),
    Row("A12", "learned initial state", ("learned-initial-state",)),
    Row("B1", "stacked recurrent network", ("stacked-rnn", "lstm-stack")),
    Row(
        "B2",
        "deep transition, deep output, with shortcuts",
        ("deep-input-rnn", "dt-rnn", "dts-rnn", "dot-rnn", "dots-rnn"),
    ),
    Row("B3", "sh, st, bu, td", ("zhang-sh", "zhang-st", "zhang-bu", "zhang-td")),
    Row("B4", "skip connections in time", ("skip-in-time",)),
    Row("B5", "recurrent depth 3", ("recurrent-depth-3", "stack-feedback")),
    Row("B6", "recurrent highway network", ("recurrent-highway",)),
    Row("B7", "highway network", ("highway-network", "deep-output-highway")),
    Row(
        "B8",
        "the weight-constrained feedforward network",
        ("shared", "unshared", "looped-transformer"),
    ),
    Row("B9", "clockwork recurrent network", ("clockwork-rnn",)),
    Row(
        "C1",
        "Elman and Jordan networks, with a shortcut",
        ("elman-srn", "jordan", "elman-shortcut"),
    ),
    Row("C2", "long short-term memory", ("lstm",)),
    Row("C3", "long short-term memory with peepholes", ("lstm-peephole",)),
    Row("C4", "gated recurrent unit, both conventions", ("gru", "gru-cho")),
    Row("C5", "MUT1, MUT2, MUT3", ("mut1", "mut2", "mut3")),
    Row("C6", "the cell found by architecture search", ("nas-cell",)),
    Row(
        "C7", "second-order network, dynamical recognizer", ("second-order", "dynamical-recognizer")
    ),
    Row(
        "D1",
        "sliding windows over text and frames, time-delay network",
        ("nettalk", "nettalk-birnn", "frame-window", "tdnn"),
    ),
    Row(
        "D2",
        "convolution in 1, 2 and 3 dimensions, embedding",
        ("conv-1d", "conv-2d", "conv-3d", "lenet", "one-hot", "embedding"),
    ),
    Row("D3", "bidirectional network", ("bidirectional", "bidirectional-lstm")),
    Row(
        "D4", "two-dimensional network, four directions", ("rnn-2d", "rnn-2d-four", "digits-2d-rnn")
    ),
    Row(
        "D5",
        "encoder-decoder, additive attention",
        ("encoder-decoder", "attention", "number-words", "number-words-attention"),
    ),
    Row("D6", "character language models", ("hello", "char-rnn", "min-char-rnn")),
    Row("D7", "connectionist temporal classification", ("ctc", "ctc-equations")),
    Row(
        "D8",
        "lines of symbols, speech: convolution, recurrence, CTC",
        ("line-recogniser", "deep-speech-2", "acoustic-lstm"),
    ),
    Row(
        "D9",
        "frames by convolution, four heads over time",
        ("frames-max-pool", "frames-temporal-conv", "frames-lstm", "frames-lstm-conv"),
    ),
    Row("D10", "captions of images, with attention", ("caption", "caption-attention")),
    Row("D11", "glimpses", ("glimpses",)),
    Row(
        "D12",
        "classification of text and of digits, forecasts, speech commands",
        (
            "text-classification",
            "forecast",
            "sunspots",
            "speech-commands",
            "self-attention",
            "digits-rows-rnn",
            "digits-rows-lstm",
            "digits-rows-gru",
            "digits-pixels-rnn",
            "digits-pixels-lstm",
            "digits-pixels-gru",
        ),
    ),
    Row(
        "E1",
        "backpropagation through time, truncated",
        ("bptt", "truncated-bptt", "truncated-by-hand"),
    ),
    Row(
        "E2",
        "vanishing and exploding gradients",
        ("vanishing", "exploding", "error-carousel"),
    ),
    Row("E3", "clipping by value and by norm", ("clip-by-norm", "clip-by-value")),
    Row("E4", "memory of backpropagation through time", ("long-sequence",)),
    Row(
        "E5",
        "formal languages",
        (
            "tomita-1-recognizer",
            "tomita-srn",
            "anbn-srn",
            "anbncn-srn",
            "embedded-reber-srn",
            "embedded-reber-lstm",
            "embedded-reber-lstm-1997",
        ),
    ),
    Row("E6", "analysis of hidden units", ("two-unit-srn", "latch")),
    Row("E7", "adding problem, copy task", ("adding", "adding-rnn", "copy", "copy-rnn")),
)
