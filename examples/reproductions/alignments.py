"""Labels without places: the labels of paths, and a network that reads lines of digits.

In: the specs `ctc` and `ctc-equations`. Best-path decoding reads a line: the most likely class of
every frame, repeats merged, blanks dropped. Errors are edit distances to the written labels.

    python -m examples.reproductions --only ctc-paths ctc-lattice ctc
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

import unfold
from examples.reproductions.experiment import BACKEND, Experiment, Finding, learn, spec
from unfold.training.data import judge, make

A, B, BLANK = 1, 2, 0
SPOKEN = ((A, BLANK, A, B, BLANK), (BLANK, A, A, BLANK, BLANK, A, B, B))
"""a−ab− and −aa−−abb, which both say aab."""
FRAMES, LINES, STEPS = 5, 1000, 2500
OPERATOR = """
unfold: 1
name: operator
axes: {{t: 5, u: 3}}
inputs:
  p[t]: [{classes}]
  y[u]: {{category: {labels}}}
nodes:
  each: ctc[t,u](p[t], y[u], blank={blank})
loss: each
"""


def _collapsed(path: tuple[int, ...]) -> list[int]:
    """Return the labels that a path collapses to."""
    (said,) = judge.best_path(np.eye(3)[[list(path)]], blank=BLANK)
    return [int(k) for k in said]


def _paths(seed: int) -> Finding:
    """Add up the probabilities of all paths of five frames that say aab."""
    scores = np.random.default_rng(seed).standard_normal((FRAMES, 3))
    logs = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    paths = list(product(range(3), repeat=FRAMES))
    saying = [path for path in paths if _collapsed(path) == [A, A, B]]
    listed = -np.log(sum(np.exp(sum(logs[t, k] for t, k in enumerate(p))) for p in saying))
    model = unfold.loads(OPERATOR.format(classes=3, labels=3, blank=BLANK))
    inputs = {"p": logs[None], "y": np.array([[A, A, B]])}
    losses = [float(model.forward({}, inputs, backend=b).loss) for b in ("reference", BACKEND)]
    off = max(abs(loss - listed) for loss in losses)
    right = [_collapsed(path) == [A, A, B] for path in SPOKEN]
    cells = (f"{sum(right)} of 2", f"{len(saying)} of {len(paths)}", f"{off:.0e}")
    return Finding(all(right) and off < 1e-12, cells)


def _lattice(seed: int) -> Finding:
    """Compare the recurrence that is written out with the operator, on lines of unequal lengths."""
    model = spec("ctc-equations")
    columns = make.task("digit_lines").draw(np.random.default_rng(seed), 8).columns
    x, y = columns["frame"].padded(), columns["digit"].padded()
    lengths = {"t": columns["frame"].lengths, "u": columns["digit"].lengths}
    params = model.init(seed=seed, dtype="float64")
    run = model.forward(params, {"x": x, "y": y}, lengths=lengths, backend=BACKEND)
    operator = unfold.loads(OPERATOR.format(classes=11, labels=10, blank="last"))
    other = operator.forward({}, {"p": run["o"], "y": y}, lengths=lengths, backend=BACKEND)
    off = abs(float(run.loss) / float(other.loss) - 1)
    return Finding(off < 1e-12, (f"{run.loss:.3f}", f"{other.loss:.3f}", f"{off:.0e}"))


def _read(model: unfold.Model, params: Any, digits: Any, seed: int) -> tuple[float, float, float]:
    """Return the label error rate, the share of lines without any, and that of blank frames."""
    task = make.task("digit_lines", {"digits": digits})
    columns = task.draw(np.random.default_rng([seed, 1]), LINES, unseen=True).columns
    written, frames = columns["digit"], columns["frame"]
    inputs = {"x": frames.padded(), "y": written.padded()}
    lengths = {"t": frames.lengths, "u": written.lengths}
    scores = model.forward(params, inputs, lengths=lengths, backend=BACKEND)["o"]
    said = judge.best_path(scores, frames.lengths, blank=-1)
    rate = judge.label_error_rate(said, written.padded(), written.lengths)
    texts = np.split(written.values, np.asarray(written.offsets)[1:-1])
    right = np.mean([list(a) == list(b) for a, b in zip(said, texts, strict=True)])
    blank = scores.argmax(-1) == scores.shape[-1] - 1
    inside = np.arange(scores.shape[1]) < np.asarray(frames.lengths)[:, None]
    return rate, float(right), float(blank[inside].mean())


def _digit_lines(seed: int, **settings: Any) -> Finding:
    """Train on lines of one to four digits, and read lines made from other images."""
    model = spec("ctc")
    outcome = learn(model, seed, **{"steps": STEPS, **settings})
    rate, right, blank = _read(model, outcome.params, [1, 4], seed)
    longer, _, _ = _read(model, outcome.params, 6, seed)
    cells = tuple(f"{100 * share:.1f} %" for share in (rate, right, longer, blank))
    return Finding(rate <= 0.05, cells, -rate)


EXPERIMENTS = (
    Experiment(
        name="ctc-paths",
        systems=("D7",),
        title="a−ab−, −aa−−abb and other paths collapse to aab, and the loss adds them all up",
        criterion="both collapse to aab, and the loss equals -log of the sum of the probabilities"
        f" of all paths of {FRAMES} frames that do",
        columns=("say aab", f"paths of {FRAMES} frames that do", "largest difference"),
        measure=_paths,
        published="a−ab− and −aa−−abb collapse to aab (Graves et al. 2006)",
        specs=(),
        quick=True,
    ),
    Experiment(
        name="ctc-lattice",
        systems=("D7",),
        title="the lattice of alignments is a recurrence over two axes",
        criterion="the equations of `ctc-equations` and the operator `ctc[t,u]` give equal losses",
        columns=("equations", "operator", "relative difference"),
        measure=_lattice,
        specs=("ctc-equations",),
    ),
    Experiment(
        name="ctc",
        systems=("D7",),
        title="a bidirectional LSTM reads lines of digits without being told where they are",
        criterion="after training on lines of one to four digits, at most 5 % of the labels are"
        " wrong in lines made from other images (edit distance, best path)",
        columns=(
            "label error rate",
            "lines without error",
            "label error rate of 6 digits",
            "frames that say the blank",
        ),
        measure=_digit_lines,
        seeds=3,
        needed=3,
        notes=f"Training is that of the spec, for {STEPS:,} steps. The labels do not tell where a"
        " digit begins: the network assigns the blank to most columns, and each digit to a few."
        " Lines of six digits are longer than any in training.",
        published="phonemes of TIMIT, which are different data: label error rate 31.5 % by the"
        " best path, 33.8 % for a hybrid of BLSTM and HMM (Graves et al. 2006)",
    ),
)
