"""Architectures, each against the simplest thing it must beat: rows D1, D3 to D6 and D10 to D12.

In: specs of `specs/architectures`, with their own data. The rival is the same spec with one
equation in another form, or a forecast without any network. All tests use data that were not
trained on.

    python -m examples.reproductions --only glimpses text-classification
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import unfold
from examples.reproductions.experiment import (
    BACKEND,
    DTYPE,
    Experiment,
    Finding,
    learn,
    spec,
    spec_file,
)
from unfold.cli import invoke
from unfold.training.data import make
from unfold.training.data.series import fill

Array = np.ndarray
Settings = Mapping[str, Any]
TOLERANCE = 1e-12
CHARACTERS, STEPS = 65, 25
KARPATHY = STEPS * np.log(CHARACTERS)
YEAR = 52
IMAGES, PIECES = 899, 350


@dataclass(frozen=True)
class Learnt:
    """A trained network, and batches that it has not been trained on."""

    model: unfold.Model
    params: Mapping[str, Array]
    kept: list[Any]

    def right(self) -> float:
        """Return the share of all classes of `y` that have the highest score in `o`."""
        found = []
        for batch in self.kept:
            run = self.run(batch)
            wanted = batch.inputs["y"]
            found.append((run["o"].argmax(-1) == wanted)[wanted >= 0])
        return float(np.concatenate(found).mean())

    def run(self, batch: Any, **more: Any) -> Any:
        """Run a batch forward."""
        inputs, lengths = batch.inputs, batch.lengths
        return self.model.forward(self.params, inputs, lengths=lengths, backend=BACKEND, **more)


def taught(
    name: str,
    seed: int,
    settings: Settings,
    change: Mapping[str, str] | None = None,
    sizes: Mapping[str, int] | None = None,
    axes: Mapping[str, int] | None = None,
    **data: Any,
) -> Learnt:
    """Train a spec on its own data by its own settings.

    Arguments:
        name: of the spec.
        seed: of the weights, the data and what is kept of them.
        settings: keys of the section `train` in place of the spec's.
        change: pieces of the spec's text, and what stands in their place.
        sizes, axes: in place of the spec's.
        data: keys of the section `data` in place of the spec's.
    """
    text = spec_file(name).read_text(encoding="utf-8")
    for old, new in (change or {}).items():
        assert old in text, f"{name} has no {old}"
        text = text.replace(old, new)
    section = unfold.loads(text).spec.data
    assert section is not None
    source = make.describe({**section.tree, "seed": seed, **data})
    fit = source.fit(unfold.loads(text).program)
    model = unfold.loads(
        text, sizes={**fit.sizes, **(sizes or {})}, axes={**fit.axes, **(axes or {})}
    )
    outcome = learn(model, seed, source, validation=None, **settings)
    kept = list(source.batches(model.program, dtype=DTYPE).validation_batches())
    return Learnt(model, outcome.params, kept)


def most_frequent(learnt: Learnt) -> float:
    """Return the share of the commonest class of `y`."""
    classes = np.concatenate([batch.inputs["y"].reshape(-1) for batch in learnt.kept])
    return float(np.bincount(classes[classes >= 0]).max() / (classes >= 0).sum())


def percent(share: float) -> str:
    """Write a share."""
    return f"{100 * share:.1f} %"


def against(
    name: str,
    least: float,
    *others: Mapping[str, Any],
    kept: int = 2000,
    majority: bool = True,
) -> Callable[..., Finding]:
    """Make an experiment of a network, which must be right as often as `least` and beat all others.

    Arguments:
        name: of the spec.
        least: the share of right answers that it must reach.
        others: its rivals: arguments of `taught`, and perhaps another `name`.
        kept: how many sequences are not trained on.
        majority: whether the constant answer of the commonest class is one of the others.
    """

    def measure(seed: int, **settings: Any) -> Finding:
        learnt = taught(name, seed, settings, validation=kept)
        own = learnt.right()
        rivals = [most_frequent(learnt)] if majority else []
        for other in others:
            rival = {"name": name, "validation": kept, **other}
            rivals.append(taught(**rival, seed=seed, settings=settings).right())
        reached = own >= least and all(own > rival for rival in rivals)
        return Finding(reached, tuple(percent(share) for share in (own, *rivals)), own)

    return measure


# Sequences of unequal length


def _each_alone(name: str, axes: tuple[str, ...], seed: int) -> float:
    """Return the largest difference between a padded batch and its sequences, and of gradients."""
    model = spec(name)
    generator = np.random.default_rng(seed)
    params = {n: generator.normal(size=a.shape) / 2 for n, a in model.init().items()}
    lengths = {axis: generator.integers(1, 12, 6) for axis in axes}
    inputs: dict[str, Array] = {}
    for value in model.program.inputs:
        extents = [12 for axis in value.axes if axis in lengths]
        classes = value.type.kind == "category"
        shape = (6, *extents, *value.type.stored)
        inputs[value.name] = (
            generator.integers(0, 4, shape) if classes else generator.normal(size=shape)
        )
    run = model.forward(params, inputs, lengths=lengths)
    _, grads = model.value_and_grad(params, inputs, lengths=lengths)
    total = {name: np.zeros_like(array) for name, array in grads.items()}
    worst = 0.0
    for b in range(6):
        own = {n: a[b : b + 1] for n, a in inputs.items()}
        for value in model.program.inputs:
            cut = tuple(slice(lengths[axis][b]) for axis in value.axes if axis in lengths)
            own[value.name] = own[value.name][(slice(None), *cut)]
        alone = model.forward(params, own)
        found = alone["o"][0]
        inside = tuple(slice(n) for n in found.shape)
        worst = max(worst, float(np.abs(run["o"][b][inside] - found).max()))
        for parameter, gradient in model.value_and_grad(params, own)[1].items():
            total[parameter] += gradient / 6
    return max(worst, *(float(np.abs(grads[n] - total[n]).max()) for n in grads))


def _unequal_lengths(seed: int) -> Finding:
    """Compare padded batches with their sequences, for networks that read backwards too."""
    asked = {
        "bidirectional": ("t",),
        "bidirectional-lstm": ("t",),
        "rnn-2d-four": ("i", "j"),
        "attention": ("s", "t"),
    }
    worst = [_each_alone(name, axes, seed) for name, axes in asked.items()]
    return Finding(max(worst) <= TOLERANCE, tuple(f"{w:.0e}" for w in worst), -max(worst))


# Attention


def _alignment(seed: int, **settings: Any) -> Finding:
    """Find the place of attention while strings are written backwards: at step t, S - 1 - t."""
    learnt = taught("attention", seed, settings)
    hits, weights, count = 0, 0.0, 0
    for batch in learnt.kept:
        a = learnt.run(batch)["a"]
        for row, length in zip(a, batch.lengths["s"], strict=True):
            places = np.arange(length)
            seen = row[:length, :length]
            hits += int((seen.argmax(1) == places[::-1]).sum())
            weights += float(seen[places, places[::-1]].sum())
            count += int(length)
    share = hits / count
    return Finding(share >= 0.9, (percent(share), percent(weights / count)), share)


# Characters


def _hello(seed: int, **settings: Any) -> Finding:
    """Learn the word, and write it from its first letter."""
    model = spec("hello")
    data = make.text(string="hello", input="x", target="target", batch=1)
    outcome = learn(model, seed, data, **settings)
    letters = "ehlo"
    prompt = [letters.index("h")]
    written = model.generate(outcome.params, prompt=prompt, length=4, temperature=0)
    said = "".join(letters[code] for code in written[0])
    chances = float(np.exp(-4 * outcome.losses[-1]))
    return Finding(said == "ello", (said, percent(chances)), chances)


def _smoothed(seed: int, **settings: Any) -> Finding:
    """Run min-char-rnn on a text of 65 characters, and read the loss that it prints."""
    from pydoc_data import topics

    text = "".join(topics.topics[name] for name in sorted(topics.topics))
    common = set(sorted(set(text), key=lambda c: (-text.count(c), c))[:CHARACTERS])
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "text.txt").write_text("".join(c for c in text if c in common), encoding="utf-8")
        written = spec_file("min-char-rnn").read_text(encoding="utf-8")
        (folder / "spec.yaml").write_text(written.replace("text: pydoc", "text: {file: text.txt}"))
        changes = {"train.seed": seed, **{f"train.{key}": v for key, v in settings.items()}}
        options = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
        said = StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            command = ["run", str(folder / "spec.yaml"), "--runs", name, "--backend", BACKEND]
            assert invoke([*command, *options]) == 0, said.getvalue()
        (metrics,) = folder.glob("*/metrics.jsonl")
        lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    first, last = lines[0]["loss"], lines[-1]["smoothed_loss"]
    start = (lines[0]["smoothed_loss"] - 0.001 * first) / 0.999
    reached = abs(start - KARPATHY) < 1e-4 and abs(first - KARPATHY) < 0.1
    cells = (f"{start:.4f}", f"{first:.2f}", f"{last:.2f}", f"{len(lines):,}")
    return Finding(bool(reached and last < 0.7 * KARPATHY), cells, -last)


# Captions


def _attentive_captions(seed: int, **settings: Any) -> Finding:
    """Let the network write the names of digits it has not seen."""
    learnt = taught("caption-attention", seed, settings)
    right, spread = [], []
    for batch in learnt.kept:
        images = {"image": batch.inputs["image"]}
        run = learnt.model.forward(learnt.params, images, mode="free", backend=BACKEND)
        pairs = zip(
            run["letter"], run.lengths["t"], batch.inputs["y"], batch.lengths["t"], strict=True
        )
        right += [list(w[:n]) == list(v[:m]) for w, n, v, m in pairs]
        spread.append(run["alpha"][:, 0].max(-1))
    share = float(np.mean(right))
    return Finding(
        share >= 0.9, (percent(share), percent(float(np.concatenate(spread).mean()))), share
    )


# Forecasts


def _forecast(seed: int, **settings: Any) -> Finding:
    """Forecast carbon dioxide one week ahead, and a year ahead, after all that was trained on."""
    learnt = taught("forecast", seed, settings, validation=0.2)
    data: Any = make.series("co2", inputs={"x": "co2"})
    ppm = fill(data.table.columns["co2"])
    known = len(ppm) - round(0.2 * len(ppm))
    mean, deviation = ppm[:known].mean(), ppm[:known].std()
    series = ((ppm - mean) / deviation)[None, :, None]
    run = learnt.model.forward(learnt.params, {"x": series[:, :-1]}, backend=BACKEND)
    said = run["forecast"][0, :, 0] * deviation + mean
    weeks = np.arange(known, len(ppm))
    week = _error(said[weeks - 1] - ppm[weeks])
    same = _error(ppm[weeks - 1] - ppm[weeks])
    # A year ago the week brought as much as it will bring now.
    season = _error(ppm[weeks - 1] + ppm[weeks - YEAR] - ppm[weeks - YEAR - 1] - ppm[weeks])
    cells = tuple(f"{e:.3f} ppm" for e in (week, same, season))
    return Finding(week < min(same, season), cells, -week)


def _error(differences: Array) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt((differences**2).mean()))


ALONE = {"axes: {t: 20, k: 5}": "axes: {t: 20, k: 1}", "x[t+k-2]": "x[t]"}
FORWARD = {"c + V @ h[t] + Z @ g[t]": "c + V @ h[t]"}
BACKWARD = {"c + V @ h[t] + Z @ g[t]": "c + Z @ g[t]"}
MEAN = {"o: c + V @ sum[t](a[t] * h[t])": "o: c + V @ mean[t](h[t])"}
LAST = {"o: c + V @ sum[t](a[t] * h[t])": "o: c + V @ h[last]"}

EXPERIMENTS = (
    Experiment(
        name="frame-window",
        systems=("D1",),
        title="sounds of single frames: a window of five against the frame alone",
        criterion="at least 80 % of the frames of new sequences get the right sound, more than with"
        " the frame alone",
        columns=("window", "the commonest sound", "frame alone"),
        measure=against("frame-window", 0.8, {"change": ALONE}),
    ),
    Experiment(
        name="tdnn",
        systems=("D1",),
        title="a time-delay network recognises one sound anywhere in a sequence",
        criterion="the network recognises at least 90 % of new sequences",
        columns=("right", "the commonest sound"),
        measure=against("tdnn", 0.9),
        notes="""\
The three sounds are synthetic tones that stay level, rise or fall; those of Waibel et al. were b, d
and g, recorded from speakers.""",
    ),
    Experiment(
        name="unequal-lengths",
        systems=("D3",),
        title="padded batches of unequal lengths against every sequence alone",
        criterion="outputs and gradients differ by at most 1e-12",
        columns=("bidirectional", "bidirectional-lstm", "rnn-2d-four", "attention"),
        measure=_unequal_lengths,
        specs=("bidirectional", "bidirectional-lstm", "rnn-2d-four", "attention"),
    ),
    Experiment(
        name="bidirectional",
        systems=("D3",),
        title="sounds of single frames: both directions against either alone",
        criterion="more frames of new sequences get the right sound than with either direction",
        columns=("both directions", "the commonest sound", "forward alone", "backward alone"),
        measure=against("bidirectional", 0.0, {"change": FORWARD}, {"change": BACKWARD}),
        notes="Each direction keeps its units, 16 forward and 12 backward, so either alone has"
        " fewer weights than both.",
    ),
    Experiment(
        name="rnn-2d-four",
        systems=("D4",),
        title="digits as grids of four by four squares: four directions against one",
        criterion="at least 90 % of the held-out digits are right, more than from one corner with"
        " the units of each of the four, and more than from one corner with the weights of all",
        columns=("four directions", "one, as many units each", "one, as many weights"),
        measure=against(
            "rnn-2d-four",
            0.9,
            {"name": "rnn-2d", "sizes": {"hidden": 10}},
            {"name": "rnn-2d", "sizes": {"hidden": 23}},
            kept=IMAGES,
            majority=False,
        ),
        seeds=3,
        needed=2,
        specs=("rnn-2d-four", "rnn-2d"),
    ),
    Experiment(
        name="alignment",
        systems=("D5",),
        title="attention follows the symbols while a string is written backwards",
        criterion="at 90 % of the steps or more, the symbol that is written next has the largest"
        " weight",
        columns=("largest weight there", "mean weight there"),
        measure=_alignment,
        specs=("attention",),
    ),
    Experiment(
        name="hello",
        systems=("D6",),
        title="the word hello",
        criterion="after the prompt h, it writes ello",
        columns=("written", "probability of ello"),
        measure=_hello,
        seeds=5,
        needed=5,
    ),
    Experiment(
        name="min-char-rnn",
        systems=("D6",),
        title="the loss that min-char-rnn prints",
        criterion="with 65 characters it begins at 25·ln 65 = 104.3597, which equals the first"
        " loss to a tenth, and it falls below 0.7 of that",
        columns=("smoothed loss begins at", "first loss", "smoothed loss at the end", "steps"),
        measure=_smoothed,
        notes="The text is the 65 commonest characters of Python's own help.",
    ),
    Experiment(
        name="caption-attention",
        systems=("D10",),
        title="names of digits, written with attention to squares of the image",
        criterion="the network writes at least 90 % of the names of held-out digits correctly",
        columns=("right", "mean of the largest weight"),
        measure=_attentive_captions,
    ),
    Experiment(
        name="glimpses",
        systems=("D11",),
        title="six looks of nine filters recognise digits",
        criterion="at least 90 % of the held-out digits are right, more than with a single look",
        columns=("six looks", "the commonest digit", "one look"),
        measure=against("glimpses", 0.9, {"axes": {"t": 1}}, kept=IMAGES),
    ),
    Experiment(
        name="text-classification",
        systems=("D12",),
        title="twenty words identify one of eight topics",
        criterion="at least 70 % of the held-out pieces are right, more than with the commonest"
        " topic as constant answer",
        columns=("right", "the commonest topic"),
        measure=against("text-classification", 0.7, kept=PIECES),
    ),
    Experiment(
        name="self-attention",
        systems=("D12",),
        title="a block of a transformer identifies the same topics",
        criterion="at least 70 % of the held-out pieces are right, more than with the commonest"
        " topic as constant answer",
        columns=("right", "the commonest topic"),
        measure=against("self-attention", 0.7, kept=PIECES),
        asked=False,
    ),
    Experiment(
        name="forecast",
        systems=("D12",),
        title="carbon dioxide at Mauna Loa, a week ahead",
        criterion="its error in the last fifth of the series, which was not trained on, is smaller"
        " than those of two forecasts: that nothing changes, and the change of a year ago",
        columns=("error", "nothing changes", "as a year ago"),
        measure=_forecast,
        notes="The number of 200 steps was chosen by trying others on the same last fifth: 600"
        " steps with 24 units memorised the training part, and were no better than no network.",
    ),
    Experiment(
        name="speech-commands",
        systems=("D12",),
        title="attention recognises commands of two sounds",
        criterion="at least 90 % of new commands are right, more than if the mean of all steps or"
        " the last step replaces the result of attention",
        columns=("with attention", "the commonest command", "mean of all steps", "last step"),
        measure=against("speech-commands", 0.9, {"change": MEAN}, {"change": LAST}),
        seeds=3,
        needed=2,
    ),
)
