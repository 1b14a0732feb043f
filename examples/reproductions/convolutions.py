"""Convolutions over time, images and films, and readers of lines of digits: rows D2, D8 and D9.

In: specs of `specs/architectures`, with their own data; all tests use data that were not trained
on. Lines are read by best-path decoding, and errors are edit distances.

    python -m examples.reproductions --only one-hot-embedding four-heads
"""

from __future__ import annotations

from typing import Any

import numpy as np

import unfold
from examples.reproductions.architectures import Learnt, percent, taught
from examples.reproductions.experiment import (
    BACKEND,
    Experiment,
    Finding,
    data_of,
    learn,
    spec,
    spec_file,
)
from unfold.training.data import judge

KEPT, LINES = 500, 500
LONGER, LINE_STEPS = {"steps": 800}, {"steps": 1500}
LAYERS = {"conv-1d": 0.9, "conv-2d": 0.8, "conv-3d": 0.8, "lenet": 0.95}
"""Networks with convolutions, and the share of right answers that each must reach."""
HEADS = ("max-pool", "temporal-conv", "lstm", "lstm-conv")


def _right(learnt: Learnt) -> float:
    """Return the share of labels, of sequences or of their steps, that have the highest score."""
    right = []
    for batch in learnt.kept:
        wanted = batch.inputs["label"]
        right.append((learnt.run(batch)["o"].argmax(-1) == wanted)[wanted >= 0])
    return float(np.concatenate(right).mean())


def _picks(seed: int, **settings: Any) -> Finding:
    """Train with products with one-hot vectors, and with selected columns."""
    names = ("one-hot", "embedding")
    sizes = data_of(spec("one-hot"), seed).fit(spec("one-hot").program).sizes
    models = [unfold.load(spec_file(name), sizes=sizes) for name in names]
    one, other = (np.array(learn(m, seed, **settings).losses) for m in models)
    work = [model.cost().flops for model in models]
    off = float(np.abs(one - other).max())
    cells = (f"{off:.0e}", f"{one[-1]:.3f}", *(f"{operations:,}" for operations in work))
    return Finding(off < 1e-3 and work[1] < work[0], cells)


def _layers(seed: int, **settings: Any) -> Finding:
    """Train every kind of convolution on a task made for it."""
    right = [_right(taught(name, seed, settings, validation=KEPT)) for name in LAYERS]
    reached = all(a >= b for a, b in zip(right, LAYERS.values(), strict=True))
    return Finding(reached, tuple(percent(share) for share in right), sum(right))


def _heads(seed: int, **settings: Any) -> Finding:
    """Train four heads on one trunk to recognise the direction in which a digit moves."""
    names = [f"frames-{head}" for head in HEADS]
    right = [_right(taught(name, seed, LONGER | settings, validation=KEPT)) for name in names]
    pooled, *others = right
    reached = min(others) >= 0.9 and pooled < min(others)
    return Finding(reached, tuple(percent(share) for share in right), sum(others))


def _lines(seed: int, **settings: Any) -> Finding:
    """Train two networks to read lines of digits, and read lines made from other images."""
    rates = []
    for name in ("line-recogniser", "deep-speech-2"):
        model, data = spec(name), data_of(spec(name), seed)
        params = learn(model, seed, data, validation=None, **{**LINE_STEPS, **settings}).params
        columns = data.draw(np.random.default_rng([seed, 1]), LINES, unseen=True).columns
        frames, written = columns["frame"], columns["digit"]
        inputs = {"x": frames.padded(), "y": written.padded()}
        lengths = {"t": frames.lengths, "u": written.lengths}
        scores = model.forward(params, inputs, lengths=lengths, backend=BACKEND)["o"]
        said = judge.best_path(scores, frames.lengths, blank=-1)
        rates.append(judge.label_error_rate(said, written.padded(), written.lengths))
    return Finding(max(rates) <= 0.1, tuple(percent(rate) for rate in rates), -max(rates))


def _acoustic(seed: int, **settings: Any) -> Finding:
    """Train a stacked LSTM to name the sound of every frame, with its context and without."""
    alone = {"concat(x[t-2], x[t-1], x[t], x[t+1], x[t+2])": "x[t]"}
    window, frame = (
        _right(taught("acoustic-lstm", seed, LONGER | settings, change, validation=KEPT))
        for change in ({}, alone)
    )
    return Finding(window >= 0.9 and window > frame, (percent(window), percent(frame)), window)


EXPERIMENTS = (
    Experiment(
        name="one-hot-embedding",
        systems=("D2",),
        title="a product with a one-hot vector selects a column",
        criterion="both train to the same losses within 0.001, and selection takes less work",
        columns=(
            "largest difference of losses",
            "loss at the end",
            "operations with products",
            "with picks",
        ),
        measure=_picks,
        specs=("one-hot", "embedding"),
    ),
    Experiment(
        name="convolutions",
        systems=("D2",),
        title="convolutions over time, images and films learn their tasks",
        criterion="right on data that were not trained on: sounds at least 90 % (one dimension),"
        " digits 80 % (two dimensions) and 95 % (LeNet), directions of films 80 % (three)",
        columns=tuple(LAYERS),
        measure=_layers,
        specs=tuple(LAYERS),
    ),
    Experiment(
        name="four-heads",
        systems=("D9",),
        title="the direction of a moving digit: four heads on one trunk of convolutions",
        criterion="temporal convolution, LSTM and both are right about at least 90 % of new films,"
        " more often than the maximum of each feature over time, which ignores order",
        columns=tuple(head.replace("-", " ") for head in HEADS),
        measure=_heads,
        specs=tuple(f"frames-{head}" for head in HEADS),
        notes="The four heads are those of Bashivan et al. 2016 for recordings. Here films show"
        " digits that move in one of four directions, which no single frame reveals.",
    ),
    Experiment(
        name="lines-of-digits",
        systems=("D8",),
        title="convolution, recurrence and CTC read lines of digits",
        criterion="at most 10 % of the labels are wrong in lines made from images that were not"
        " trained on (edit distance, best path)",
        columns=("line recogniser", "Deep Speech 2 in small"),
        measure=_lines,
        specs=("line-recogniser", "deep-speech-2"),
    ),
    Experiment(
        name="acoustic-lstm",
        systems=("D8",),
        title="a stack of LSTMs names sounds frame by frame, better with a window of context",
        criterion="at least 90 % of the frames of new commands are right, more than without the"
        " window",
        columns=("with a window", "without"),
        measure=_acoustic,
    ),
)
