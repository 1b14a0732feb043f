"""Depth: the measures of Zhang et al. 2016 for every network of family B, and the effect of depth.

In: the specs of `specs/depth`. Measures are computed from the folded graphs, exactly, and written
d_r, d_f, s: recurrent depth, feedforward depth, skip coefficient. Networks and those that they are
compared with are trained on the spec's own data.

    zhang-td   →   2, 3, 1       is the criterion of "zhang-measures", with those of sh, st and bu
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

import unfold
from examples.reproductions.experiment import (
    BACKEND,
    DTYPE,
    Experiment,
    Finding,
    data_of,
    learn,
    spec,
    spec_file,
)

Measured = tuple[Fraction | float | None, ...]
HALF = Fraction(1, 2)
LAYERS, DELAYS = range(1, 7), range(2, 8)
DEEP = 50
"""Layers of a feedforward network that is too deep to be trained without a bypass."""
PLAIN = {
    "  g[l]: sigmoid(b_T[l] + W_T[l] @ y[l-1])\n": "",
    "y[l]: g[l] * u[l] + (1 - g[l]) * y[l-1]": "y[l]: u[l]",
    "  W_T[l]: [hidden, hidden]\n": "",
    "  b_T[l]: {shape: [hidden], init: {constant: -2}}\n": "",
}
"""Changes that make highway-network.yaml a plain network: no gate, and no bypass of a layer."""


def measured(model: unfold.Model) -> Measured:
    """Return d_r, d_f and s along time."""
    found = model.measures(axis="t")
    return found.recurrent_depth, found.feedforward_depth, found.recurrent_skip


def shown(found: Measured) -> str:
    """Return measures as text: `2, 3, 1/2`."""
    return ", ".join("∞" if value == math.inf else str(value) for value in found)


def count(model: unfold.Model) -> int:
    """Return the number of parameters."""
    return sum(array.size for array in model.init(seed=0).values())


def changed(name: str, changes: Mapping[str, str]) -> str:
    """Return the text of a spec with every key of `changes` replaced; it must contain each."""
    text = spec_file(name).read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def _measures(pairs: Mapping[str, tuple[unfold.Model, Measured]]) -> Finding:
    """Measure models, and compare each with the measures that are given for it."""
    found = {label: measured(model) for label, (model, _) in pairs.items()}
    right = all(found[label][: len(wanted)] == wanted for label, (_, wanted) in pairs.items())
    return Finding(right, tuple(shown(values) for values in found.values()))


def _of_specs(expected: Mapping[str, Measured]) -> Callable[..., Finding]:
    """Return a function that measures specs by name."""

    def measure(seed: int, **settings: Any) -> Finding:
        return _measures({name: (spec(name), wanted) for name, wanted in expected.items()})

    return measure


def _of_layers(name: str, expected: Callable[[int], Measured]) -> Callable[..., Finding]:
    """Return a function that measures a spec with every extent of its axis l."""

    def measure(seed: int, **settings: Any) -> Finding:
        models = {n: unfold.load(spec_file(name), axes={"l": n}) for n in LAYERS}
        return _measures({str(n): (model, expected(n)) for n, model in models.items()})

    return measure


def _of_delays(seed: int, **settings: Any) -> Finding:
    """Measure skip-in-time with delays that differ from its own."""
    texts = {k: changed("skip-in-time", {"h[t-3]": f"h[t-{k}]"}) for k in DELAYS}
    return _measures({str(k): (unfold.loads(t), (1, 2, k)) for k, t in texts.items()})


def _bits(model: unfold.Model, seed: int, settings: Mapping[str, Any]) -> float:
    """Train a model of characters; return bits per character of the held-out text."""
    outcome = learn(model, seed, **settings)
    return float(outcome.best.loss) / math.log(2)


def _highways(seed: int, **settings: Any) -> Finding:
    """Train the two highways with equal parameters, and one that is wide instead of deep."""
    recurrent, feedforward = spec("recurrent-highway"), spec("deep-output-highway")
    wide = unfold.load(spec_file("recurrent-highway"), axes={"l": 1}, sizes={"hidden": 91})
    bits = [_bits(model, seed, settings) for model in (recurrent, feedforward, wide)]
    equal = count(recurrent) == count(feedforward) <= count(wide)
    measures = [measured(model) for model in (recurrent, feedforward, wide)]
    right = measures == [(3, 4, math.inf), (1, 4, math.inf), (1, 2, math.inf)]
    cells = [shown(measures[0]), f"{bits[0]:.3f}", shown(measures[1]), f"{bits[1]:.3f}"]
    cells += [shown(measures[2]), f"{bits[2]:.3f}", f"{count(feedforward):,}, {count(wide):,}"]
    return Finding(equal and right and max(bits) < 3, tuple(cells), -bits[0])


def _accuracy(model: unfold.Model, seed: int, settings: Mapping[str, Any], label: str) -> float:
    """Train a model of digits; return the share of held-out images that it names correctly."""
    data = data_of(model, seed)
    outcome = learn(model, seed, data, **settings)
    source = data.batches(model.program, dtype=DTYPE).validation
    right = 0
    batches = [source.batch(step) for step in range(source.epoch)]
    for batch in batches:
        run = model.forward(outcome.params, batch.inputs, backend=BACKEND)
        right += int((run["o"].argmax(axis=-1) == batch.inputs[label]).sum())
    return right / sum(len(batch.inputs[label]) for batch in batches)


def _deep_digits(seed: int, **settings: Any) -> Finding:
    """Train a highway network and a plain network with the same number of layers."""
    highway = unfold.load(spec_file("highway-network"), axes={"l": DEEP})
    plain = unfold.loads(changed("highway-network", PLAIN), axes={"l": DEEP})
    chosen = {"steps": 600, **settings}
    found = [_accuracy(model, seed, chosen, "label") for model in (highway, plain)]
    return Finding(found[0] > 0.9 and found[1] < 0.5, tuple(map(_percent, found)), found[0])


def _sharing(seed: int, **settings: Any) -> Finding:
    """Compare the unfolded graphs of shared and unshared, and train both."""
    models = spec("shared"), spec("unshared")
    graphs = [model.unfold() for model in models]
    drawn = [
        {f"{e.source} {e.target}" for e in graph.edges() if e.kind != "parameter"}
        for graph in graphs
    ]
    matrices = [len({e.source for e in graph.edges() if e.source.value == "W"}) for graph in graphs]
    accuracies = [_accuracy(model, seed, settings, "y") for model in models]
    same = drawn[0] == drawn[1] and matrices == [1, graphs[1].domain.extents["t"]]
    cells = ["equal" if drawn[0] == drawn[1] else "not equal"]
    for model, number, accuracy in zip(models, matrices, accuracies, strict=True):
        cells += [str(number), f"{count(model):,}", _percent(accuracy)]
    return Finding(same and min(accuracies) > 0.9, tuple(cells), accuracies[0])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _by_heart(name: str, seed: int, settings: Mapping[str, Any]) -> float:
    """Train a network without input; return its squared error over the variance of the waveform."""
    model = spec(name)
    data = data_of(model, seed)
    outcome = learn(model, seed, data, **settings)
    inputs = data.batches(model.program, dtype=DTYPE, carry=False).train.batch(0).inputs
    wave = inputs["y"]
    error = model.forward(outcome.params, inputs, backend=BACKEND)["o"] - wave
    return float(np.mean(error**2) / np.var(wave))


def _clockwork(seed: int, **settings: Any) -> Finding:
    """Train a clockwork and a simple recurrent network of at least its size on one waveform."""
    names = ("clockwork-rnn", "clockwork-srn")
    found = [_by_heart(name, seed, settings) for name in names]
    size = [count(spec(name)) for name in names]
    cells = (*(f"{error:.4f}" for error in found), *map(str, size))
    return Finding(size[0] <= size[1] and 10 * found[0] < found[1], cells, -found[0])


COUNTED = """\
Written d_r, d_f, s: the recurrent depth is the greatest length of a cycle per step of time, the
feedforward depth the greatest length of a path from an input to an output less d_r for each step
it takes, the skip coefficient one over the smallest length of a cycle per step. What has length 1
is a product with weights; see [measures](measures.md)."""
ZHANG = "Zhang et al. 2016"

EXPERIMENTS = (
    Experiment(
        name="stacked-depth",
        systems=("B1",),
        title="n recurrent layers in a stack are as deep in time as one",
        criterion="n layers have d_r = 1 and d_f = n + 1, for every n from 1 to 6",
        columns=tuple(f"n = {n}" for n in LAYERS),
        measure=_of_layers("stacked-rnn", lambda n: (1, n + 1)),
        specs=("stacked-rnn",),
        notes=COUNTED,
        quick=True,
    ),
    Experiment(
        name="transition-depth",
        systems=("B2",),
        title="depth within a step: input, transition, output, and shortcuts past it",
        criterion="DT has d_r = 2, d_f = 3, s = 1/2; DT(S) has 2, 3, 1; DOT(S) has 2, 4, 1; it"
        " follows that DOT has 2, 4, 1/2 and a deep input alone 1, 3, 1",
        columns=("deep input", "DT", "DT(S)", "DOT", "DOT(S)"),
        measure=_of_specs(
            {
                "deep-input-rnn": (1, 3, 1),
                "dt-rnn": (2, 3, HALF),
                "dts-rnn": (2, 3, 1),
                "dot-rnn": (2, 4, HALF),
                "dots-rnn": (2, 4, 1),
            }
        ),
        specs=("deep-input-rnn", "dt-rnn", "dts-rnn", "dot-rnn", "dots-rnn"),
        notes="""\
The architectures are those of Pascanu, Gulcehre, Cho & Bengio (2014), with one layer at each added
place. The measures are those of Zhang et al. (2016).""",
        quick=True,
    ),
    Experiment(
        name="zhang-measures",
        systems=("B3",),
        title="one layer, two, and two with a delay from below or from above",
        criterion="(d_r, d_f) of sh, st, bu, td are (1, 2), (1, 3), (1, 3), (2, 3)",
        columns=("sh", "st", "bu", "td"),
        measure=_of_specs(
            {"zhang-sh": (1, 2), "zhang-st": (1, 3), "zhang-bu": (1, 3), "zhang-td": (2, 3)}
        ),
        published=f"(d_r, d_f) = (1, 2), (1, 3), (1, 3), (2, 3) ({ZHANG})",
        specs=("zhang-sh", "zhang-st", "zhang-bu", "zhang-td"),
        quick=True,
    ),
    Experiment(
        name="skip-coefficient",
        systems=("B4",),
        title="a connection over k steps lets a signal cross k steps at once",
        criterion="with delays 1 and k, s = k and d_r = 1, for every k from 2 to 7",
        columns=tuple(f"k = {k}" for k in DELAYS),
        measure=_of_delays,
        specs=("skip-in-time",),
        quick=True,
    ),
    Experiment(
        name="recurrent-depth",
        systems=("B5",),
        title="recurrent depth 3, within one layer and through a stack",
        criterion="if the longest path between the states of two steps passes three layers,"
        " d_r = 3; a stack of three with a delay from the top to the bottom has d_r = 3, d_f = 4",
        columns=("three layers in a step", "stack of three, top to bottom"),
        measure=_of_specs({"recurrent-depth-3": (3, 4, 1), "stack-feedback": (3, 4)}),
        specs=("recurrent-depth-3", "stack-feedback"),
        quick=True,
    ),
    Experiment(
        name="highway-recurrent-depth",
        systems=("B6",),
        title="the recurrent depth of a highway network is its number of micro-steps",
        criterion="with L micro-steps d_r = L, for every L from 1 to 6",
        columns=tuple(f"L = {n}" for n in LAYERS),
        measure=_of_layers("recurrent-highway", lambda n: (n, n + 1, math.inf)),
        specs=("recurrent-highway",),
        notes="""\
The skip coefficient is infinite, because the carry path passes no product with weights.""",
        quick=True,
    ),
    Experiment(
        name="highway-depth",
        systems=("B7", "B6"),
        title="feedforward depth against recurrent depth at equal parameters",
        criterion="a recurrent highway of three micro-steps and its twin, in which a step starts"
        " from the first micro-step of the previous one instead of the last, have the same"
        " parameters and d_f = 4, but d_r = 3 and 1; both learn to predict characters, as does a"
        " wide one (d_r = 1, d_f = 2): under 3 bits per character on held-out text",
        columns=(
            "recurrent depth",
            "its bits per character",
            "feedforward depth",
            "bits of that",
            "wide",
            "bits of the wide one",
            "parameters of the deep ones, and of the wide one",
        ),
        measure=_highways,
        seeds=3,
        needed=3,
        published=(
            "words of the Penn Treebank, equal numbers of parameters: from depth 1 to 10 the"
            " perplexity falls from 90.6 to 65.4 (Zilly et al. 2017, abstract)"
        ),
        specs=("recurrent-highway", "deep-output-highway"),
        notes="""\
The data are characters of `pydoc`: 1,000 updates of 16 rows by 25 characters, and 20,000 held-out
characters. These networks are far smaller than the paper's, train for a far shorter time,
and use no dropout. They do not show the paper's advantage of recurrent depth: it is worth no
more than the same number of parameters in feedforward depth or in width.""",
    ),
    Experiment(
        name="highway-network",
        systems=("B7",),
        title="a highway network learns with 50 layers, a plain one does not",
        criterion="after equal training, the highway network names over 90 % of the held-out"
        " digits, the plain network with the same number of layers under 50 %",
        columns=("highway", "plain"),
        measure=_deep_digits,
        seeds=3,
        needed=3,
        published=(
            "plain networks with many layers are much harder to optimise, highway networks are not"
            " (Srivastava, Greff & Schmidhuber 2015)"
        ),
        notes="""\
The plain network is the same file without gates: y(l) = tanh(b_H[l] + W_H[l] y(l-1)). Both start
from Glorot's weights and take 600 updates of 32 images of 8 by 8 pixels.""",
    ),
    Experiment(
        name="shared-unshared",
        systems=("B8",),
        title="a recurrent network is a feedforward network whose layers share their weights",
        criterion="the unfolded graphs of W and of W[t] differ only in the number of matrices,"
        " 1 and 8; both name over 90 % of the held-out digits, row by row",
        columns=(
            "graphs without weights",
            "matrices W",
            "parameters with W",
            "right with W",
            "matrices W[t]",
            "parameters with W[t]",
            "right with W[t]",
        ),
        measure=_sharing,
        seeds=3,
        needed=3,
        specs=("shared", "unshared"),
    ),
    Experiment(
        name="clockwork-rnn",
        systems=("B9",),
        title="a clockwork RNN memorises a waveform, a plain RNN of its size does not",
        criterion="its squared error over the variance of the waveform is under a tenth of that of"
        " a simple recurrent network with at least as many parameters",
        columns=("clockwork RNN", "simple RNN", "parameters", "parameters of the simple RNN"),
        measure=_clockwork,
        seeds=5,
        needed=5,
        published=(
            "320 samples of speech: the clockwork RNN's error is far below those of simple"
            " recurrent networks and LSTMs of equal size (Koutník et al. 2014, task 1)"
        ),
        specs=("clockwork-rnn", "clockwork-srn"),
        notes="""\
The waveform is 256 yearly numbers of sunspots; there is no input. Periods are 1, 2, 4 and 8.
Training takes 3,000 updates by Adam and clips the norm of gradients at 1. The simple network has
the best of five rates and two ways to draw W, tried on other seeds.""",
    ),
)
