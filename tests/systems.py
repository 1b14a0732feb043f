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
    Row("A1", "classical dynamical system", ()),
    Row("A2", "driven dynamical system", ()),
    Row("A3", "recurrent network without outputs", ()),
    Row("A4", "output at each step, recurrence between hidden units", ("pattern-hidden",)),
    Row("A5", "output at each step, recurrence from output to hidden", ("pattern-output",)),
    Row("A6", "one output at the end", ("pattern-last",)),
    Row("A7", "one to one, one to many, many to one, many to many, delayed", ()),
    Row("A8", "teacher forcing", ("teacher-forcing",)),
    Row("A9", "vector to sequence", ()),
    Row("A10", "sequence to sequence of equal length, outputs fed back", ()),
    Row("A11", "stopping: end symbol, halt output, predicted length", ()),
    Row("A12", "learned initial state", ()),
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
    Row("B8", "the weight-constrained feedforward network", ("shared", "unshared")),
    Row("B9", "clockwork recurrent network", ("clockwork-rnn",)),
    Row("C1", "Elman and Jordan networks, with a shortcut", ()),
    Row("C2", "long short-term memory", ()),
    Row("C3", "long short-term memory with peepholes", ("lstm-peephole",)),
    Row("C4", "gated recurrent unit, both conventions", ("gru",)),
    Row("C5", "MUT1, MUT2, MUT3", ()),
    Row("C6", "the cell found by architecture search", ()),
    Row("C7", "second-order network, dynamical recognizer", ()),
    Row("D1", "sliding windows over text and frames, time-delay network", ("tdnn",)),
    Row("D2", "convolution in 1, 2 and 3 dimensions, embedding", ()),
    Row("D3", "bidirectional network", ("bidirectional",)),
    Row("D4", "two-dimensional network, four directions", ("rnn-2d",)),
    Row("D5", "encoder-decoder, additive attention", ("encoder-decoder", "attention")),
    Row("D6", "character language models", ("hello", "char-rnn", "min-char-rnn")),
    Row("D7", "connectionist temporal classification", ()),
    Row("D8", "lines of symbols, speech: convolution, recurrence, CTC", ()),
    Row("D9", "frames by convolution, four heads over time", ()),
    Row("D10", "captions of images, with attention", ()),
    Row("D11", "glimpses", ()),
    Row("D12", "classification of text, forecasts, speech commands", ()),
    Row("E1", "backpropagation through time, truncated", ()),
    Row("E2", "vanishing and exploding gradients", ()),
    Row("E3", "clipping by value and by norm", ()),
    Row("E4", "memory of backpropagation through time", ()),
    Row("E5", "formal languages", ()),
    Row("E6", "analysis of hidden units", ()),
    Row("E7", "adding problem, copy task", ()),
)
