"""The cells side by side: on one text, by their depth measures, and the facts each is known for.

In: the specs of `specs/cells` and the packaged cells. Every cell of the text has as many units,
sees the same batches and is trained for as long; how many weights it has differs.

    python -m examples.reproductions --only cells-text cell-measures gru-conventions
"""

from __future__ import annotations

from functools import cache
from math import inf, log
from typing import Any

import numpy as np

import unfold
from examples.reproductions.experiment import BACKEND, Experiment, Finding, data_of, learn, spec
from unfold.training.data import make

Array = np.ndarray
HIDDEN, CHUNK = 48, 25
TRAINING = {"steps": 400, "optimizer": {"adam": {"rate": 0.005}}, "clip": {"norm": 5}}
TEXT = {"text": "pydoc", "input": "x", "target": "next", "batch": 16, "validation": 0.05}
CELL = """
unfold: 1
name: {name}
about: A character model with one packaged cell.
axes: {{t: 25}}
sizes: {{symbols: 103, hidden: 48}}
inputs:
  x[t]: {{category: symbols}}
  next[t]: {{category: symbols}}
parameters:
  {embedding}
  V: [symbols, hidden]
  c: [symbols]
nodes:
  h[t]: {name}({argument})
  o[t]: V @ h[t] + c
loss: mean[t](cross_entropy(o[t], next[t]))
"""
SPECS = ("elman-srn", "jordan", "elman-shortcut")
PACKAGED = ("lstm", "lstm_peephole", "gru", "gru_cho", "mut1", "mut2", "mut3", "nas")
SQUARE = ("mut1", "mut2")
"""Cells whose input is as wide as their state."""


@cache
def _character_model(name: str) -> unfold.Model:
    """Return a spec, or a packaged cell, as a model of the text's characters."""
    if name in SPECS:
        sizes = {"symbols": 103, "hidden": HIDDEN}
        return unfold.load(name, sizes=sizes, axes={"t": CHUNK})
    square = name in SQUARE
    return unfold.loads(
        CELL.format(
            name=name,
            embedding="E: [hidden, symbols]" if square else "d: [hidden]",
            argument="E @ x[t]" if square else "x[t], hidden=hidden",
        )
    )


def _bits_by_frequency(data: Any) -> float:
    """Return what a character costs where only its frequency is known, in bits."""
    batches = data.batches(_character_model("gru").program).train
    seen = np.concatenate([batches.batch(i).inputs["next"].ravel() for i in range(200)])
    shares = np.bincount(seen) / len(seen)
    return float(-sum(share * log(share, 2) for share in shares if share))


def _text(seed: int, **settings: Any) -> Finding:
    """Train every cell on the same chunks of text; bits per character on what was kept back."""
    chosen = {**TRAINING, **settings}
    data = make.describe(TEXT)
    check = {"every": chosen["steps"], "batches": 50}
    bits: list[float] = []
    for name in (*SPECS, *PACKAGED):
        outcome = learn(_character_model(name), seed, data, validation=check, **chosen)
        bits.append(outcome.validated[1][-1] / log(2))
    guess = _bits_by_frequency(data)
    cells = (f"{guess:.2f}", *(f"{b:.2f}" for b in bits))
    return Finding(max(bits) < guess, cells, -min(bits))


MEASURES: dict[str, tuple[float, float, float]] = {
    "elman-srn": (1, 2, 1),
    "jordan": (2, 2, 0.5),
    "elman-shortcut": (1, 2, 1),
    "lstm": (1, 2, inf),
    "lstm_peephole": (1, 2, inf),
    "gru": (2, 3, inf),
    "gru_cho": (2, 3, inf),
    "mut1": (2, 4, inf),
    "mut2": (2, 3, inf),
    "mut3": (2, 3, inf),
    "nas": (1, 2, inf),
}
"""Recurrent depth, feedforward depth and skip coefficient, by hand: see the experiment's notes."""


def _measures(seed: int) -> Finding:
    """Measure every cell between an input and an output layer."""
    cells: list[str] = []
    right = True
    for name, expected in MEASURES.items():
        found = _character_model(name).measures(axis="t", count="layers")
        three = (found.recurrent_depth, found.feedforward_depth, found.recurrent_skip)
        right = right and three == expected
        cells.append(", ".join("∞" if n == inf else str(n) for n in three))
    return Finding(right, tuple(cells))


def _conventions(seed: int) -> Finding:
    """Turn the update gate of one GRU around, and compare everything with the other's."""
    generator = np.random.default_rng(seed)
    chung, cho = _character_model("gru"), _character_model("gru_cho")
    params = {n: 0.1 * generator.standard_normal(v.shape) for n, v in chung.init().items()}
    turned = {n: -v if n.endswith("_z") else v for n, v in params.items()}
    symbols = generator.integers(103, size=(2, 4, CHUNK))
    inputs = {"x": symbols[0], "next": symbols[1]}
    runs = [m.forward(p, inputs, backend=BACKEND) for m, p in ((chung, params), (cho, turned))]
    found = [
        m.value_and_grad(p, inputs, backend=BACKEND)[1] for m, p in ((chung, params), (cho, turned))
    ]
    states = float(np.abs(runs[0]["h"] - runs[1]["h"]).max())
    gates = float(np.abs(runs[0]["h.z"] - (1 - runs[1]["h.z"])).max())
    gradients = max(
        float(np.abs(found[0][n] - (-found[1][n] if n.endswith("_z") else found[1][n])).max())
        for n in params
    )
    figures = (states, gates, gradients)
    return Finding(max(figures) < 1e-12, tuple(f"{number:.1e}" for number in figures))


def _share_right(name: str, output: str, target: str, seed: int, settings: Any) -> float:
    """Train a spec on its data; return how many classes are right of what was kept back."""
    model = spec(name)
    data = data_of(model, seed)
    outcome = learn(model, seed, data, **settings)
    right: list[Array] = []
    for batch in data.batches(model.program).validation_batches():
        run = model.forward(outcome.params, batch.inputs, lengths=batch.lengths, backend=BACKEND)
        wanted = batch.inputs[target]
        right.append((run[output].argmax(axis=-1) == wanted)[wanted >= 0])
    return float(np.concatenate(right).mean())


def _digits(seed: int, **settings: Any) -> Finding:
    """Read digits row by row."""
    share = _share_right("lstm", "y", "digit", seed, settings)
    return Finding(share > 0.9, (f"{100 * share:.1f} %",), share)


def _tones(seed: int, **settings: Any) -> Finding:
    """Say of every frame which sound it is part of."""
    share = _share_right("lstm-peephole", "y", "target", seed, settings)
    return Finding(share > 0.7, (f"{100 * share:.1f} %",), share)


def _picked(seed: int) -> Finding:
    """Count the operations of a step of training, per symbol read, for alphabets of any size."""
    steps, found = 100, []
    for symbols in (2, 1000):
        sizes = {"symbols": symbols, "states": 20}
        plan = unfold.load("dynamical-recognizer", sizes=sizes, axes={"t": steps}).plan()
        found.append(plan.flops // steps)
    return Finding(found[0] == found[1], tuple(f"{flops:,}" for flops in found))


EXPERIMENTS = (
    Experiment(
        name="cells-text",
        systems=("C1", "C2", "C3", "C4", "C5", "C6"),
        title="all cells on the same text",
        criterion="after 400 updates every cell predicts characters better than frequencies do",
        columns=("by frequency", *SPECS, *PACKAGED),
        measure=_text,
        seeds=2,
        needed=2,
        specs=SPECS,
        notes="""\
Bits per character on held-out text: 400 updates on 16 rows of 25 characters of `pydoc`, 48
hidden units each, Adam with rate 0.005. All cells see the same batches. They have the same
number of units, but not of weights. Such a short training shows how quickly a cell learns, not
how well it can learn in the end.""",
    ),
    Experiment(
        name="cell-measures",
        systems=("C1", "C2", "C3", "C4", "C5", "C6"),
        title="depth measures of all cells; the memory of gated ones is a path without layers",
        criterion="recurrent depth, feedforward depth and skip coefficient equal those by hand",
        columns=tuple(MEASURES),
        measure=_measures,
        specs=SPECS,
        quick=True,
        notes="""\
The columns give *d_r, d_f, s* between one-hot characters and an output layer; they count products
with matrices. By hand: the path back is W in Elman's network, V and R in Jordan's. If gates alone
carry the state, a cycle has length 0, and *s* is infinite: this holds for the memory of LSTM and
NAS, and for h itself in GRU and MUT. The reset gate acts before the product, so a step of GRU and
MUT crosses two matrices: *d_r* = 2. MUT1 and MUT2 read embedded characters, which adds a layer; in
MUT2 nothing else precedes the reset gate.""",
    ),
    Experiment(
        name="lstm-digits",
        systems=("C2",),
        title="an LSTM reads digits row by row",
        criterion="the network names over 90 % of the held-out images correctly",
        columns=("right",),
        measure=_digits,
        seeds=3,
        needed=3,
        specs=("lstm",),
    ),
    Experiment(
        name="lstm-peephole-tones",
        systems=("C3",),
        title="an LSTM with peepholes names the sound of every frame",
        criterion="the network names over 70 % of the held-out frames correctly",
        columns=("right",),
        measure=_tones,
        seeds=3,
        needed=3,
        specs=("lstm-peephole",),
    ),
    Experiment(
        name="gru-conventions",
        systems=("C4",),
        title="the two conventions of the GRU are one network: z is 1 - z",
        criterion="with the weights of z negated, states, gates and gradients are equal to 1e-12",
        columns=("states differ by", "z and 1 - z differ by", "gradients differ by"),
        measure=_conventions,
        specs=(),
        notes="The run uses float64. Weights are normal with deviation 0.1, and sequences have 25"
        " characters.",
    ),
    Experiment(
        name="second-order-cost",
        systems=("C7",),
        title="a symbol selects its matrix: the size of the alphabet costs nothing",
        criterion="a training step takes the same number of operations with 1,000 symbols and 2",
        columns=("operations per symbol read, of 2", "of 1,000"),
        measure=_picked,
        specs=("dynamical-recognizer",),
        quick=True,
    ),
)
