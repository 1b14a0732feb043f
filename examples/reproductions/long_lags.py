"""Long time lags: the adding problem and the copy task, LSTM against a simple network.

In: the specs `adding`, `adding-rnn`, `copy` and `copy-rnn`. Out: errors on new sequences, beside
those of the best answers without memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import unfold
from examples.reproductions.experiment import BACKEND, Experiment, Finding, data_of, learn, spec
from unfold.training.data import make

Array = np.ndarray
TEST, BASELINE = 7, 8
"""What a stream of random numbers is for: the second entry of its seed."""


def sum_error(model: unfold.Model, params: Mapping[str, Array], seed: int) -> float:
    """Return the mean squared error of a network on 2,560 other sequences of the adding problem."""
    columns = data_of(model, seed).draw(np.random.default_rng([seed, TEST]), 2560).columns
    with np.errstate(all="ignore"):
        run = model.forward(params, {"x": columns["pair"].padded()}, backend=BACKEND)
        return float(((run["y"] - columns["sum"].values) ** 2).mean())


def _adding(seed: int, **settings: Any) -> Finding:
    """Train an LSTM and a simple network on the adding problem, beside the best constant."""
    sums = make.task("adding").draw(np.random.default_rng([seed, BASELINE]), 100_000).columns["sum"]
    constant = float(((sums.values - 1) ** 2).mean())
    errors: list[float] = []
    for name in ("adding", "adding-rnn"):
        outcome = learn(spec(name), seed, **settings)
        errors.append(sum_error(spec(name), outcome.params, seed))
    reached = abs(constant - 1 / 6) < 0.002 and errors[0] < 0.01 < errors[1]
    return Finding(reached, (f"{constant:.4f}", *(f"{e:.4f}" for e in errors)), -errors[0])


def _copying(seed: int, **settings: Any) -> Finding:
    """Train an LSTM and a simple network on the copy task, beside the best without memory."""
    losses: list[float] = []
    for name in ("copy", "copy-rnn"):
        model = spec(name)
        outcome = learn(model, seed, **settings)
        columns = data_of(model, seed).draw(np.random.default_rng([seed, TEST]), 640).columns
        inputs = {"x": columns["symbol"].padded(), "target": columns["target"].padded()}
        loss = model.forward(outcome.params, inputs, backend=BACKEND).loss
        assert loss is not None, name
        losses.append(loss)
    baseline = 10 * np.log(8) / 50
    cells = (f"{baseline:.4f}", *(f"{loss:.4f}" for loss in losses))
    return Finding(losses[0] < 0.9 * baseline, cells, -losses[0])


EXPERIMENTS = (
    Experiment(
        name="adding-constant",
        systems=("E7",),
        title="a constant prediction, an LSTM and a simple network on the adding problem",
        criterion="the constant answer 1 has an error of 1/6 ± 0.002, the LSTM less than 0.01, the"
        " simple network more",
        columns=("constant 1", "LSTM", "simple network"),
        measure=_adding,
        seeds=3,
        needed=3,
        specs=("adding", "adding-rnn"),
    ),
    Experiment(
        name="copy-baseline",
        systems=("E7",),
        title="an LSTM on the copy task, against the best answer without memory",
        criterion="after 5,000 updates the LSTM's cross-entropy is below 0.9 of 10 ln 8 / (T + 20)",
        columns=("without memory", "LSTM", "simple network, orthogonal at first"),
        measure=_copying,
        seeds=3,
        needed=3,
        published=(
            "an LSTM stays near the baseline for a long time, an orthogonal network does not"
            " (Arjovsky, Shah & Bengio 2016, T = 100 and more)"
        ),
        specs=("copy", "copy-rnn"),
        notes="T = 30, with 10 symbols of 8 kinds. The figures are cross-entropies per step over"
        " 640 other sequences.",
    ),
)
