"""What the shapes of unfolding learn: rows A6 to A12, trained on the data of their specs.

In: the specs of `specs/unfolding`. Test data are other draws than training data, or the images that
were kept from training. A spec is compared with itself in another form: a line of its text changed.

    python -m examples.reproductions --only stop-end-symbol
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
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
from unfold.training.data import make

Array = np.ndarray
TEST, COUNT = 7, 1000
"""The second entry of the seed of test data, and how many sequences are drawn."""


@cache
def changed(name: str, old: str, new: str) -> unfold.Model:
    """Load a spec with a piece of its text replaced."""
    text = spec_file(name).read_text(encoding="utf-8")
    assert text.count(old) == 1, (name, old)
    return unfold.loads(text.replace(old, new))


def test_columns(model: unfold.Model, seed: int, count: int = COUNT) -> Any:
    """Draw the columns of a spec's task anew."""
    section = model.spec.data
    assert section is not None
    data: Any = make.describe(dict(section.tree))
    return data.draw(np.random.default_rng([seed, TEST]), count).columns


def kept_images(model: unfold.Model, seed: int) -> dict[str, Array]:
    """Return the inputs of all images that are not trained on."""
    section = model.spec.data
    assert section is not None
    data: Any = make.describe({**section.tree, "seed": seed, "batch": COUNT})
    return data.batches(model.program, dtype=DTYPE).validation.batch(0).inputs


def run(model: unfold.Model, params: Any, inputs: Any, **options: Any) -> Any:
    """Run forward on the compiled backend."""
    return model.forward(params, inputs, backend=BACKEND, **options)


def percent(share: float) -> str:
    """Show a share."""
    return f"{100 * share:.1f} %"


def _images_right(model: unfold.Model, params: Any, seed: int) -> float:
    """Return the share of unseen images of which the largest output, or state, is the label."""
    inputs = kept_images(model, seed)
    found = run(model, params, {"x": inputs["x"]})
    said = found["o"] if "o" in found else found["h"][:, -1, :10]
    return float((said.argmax(-1) == inputs["y"]).mean())


def _names_right(model: unfold.Model, params: Any, seed: int) -> float:
    """Return the share of unseen images whose whole name is written right."""
    inputs = kept_images(model, seed)
    written = model.generate(params, {"x": inputs["x"]}, backend=BACKEND)
    right = [
        np.array_equal(written[row], names[names >= 0]) for row, names in enumerate(inputs["y"])
    ]
    return float(np.mean(right))


def _strings_right(model: unfold.Model, params: Any, seed: int) -> float:
    """Return the share of new strings of which every verdict is right."""
    columns = test_columns(model, seed)
    symbols = columns["symbol"]
    found = run(model, params, {"x": symbols.padded()}, lengths={"t": symbols.lengths})
    said = found["o"].argmax(-1)
    if said.ndim == 1:
        return float((said == columns["accepted"].values).mean())
    wanted = columns["prefix"].padded()
    return float(((said == wanted) | (wanted < 0)).all(1).mean())


def _reversed_right(model: unfold.Model, params: Any, seed: int) -> float:
    """Return the share of new sequences that are written backwards without a mistake."""
    columns = test_columns(model, seed)
    source, target = columns["source"], columns["target"]
    inputs = {"x": source.padded()}
    written = model.generate(params, inputs, lengths={"s": source.lengths}, backend=BACKEND)
    wanted = target.padded()
    right = [np.array_equal(written[row], w[w >= 0]) for row, w in enumerate(wanted)]
    return float(np.mean(right))


Judge = Callable[[unfold.Model, Any, int], float]
SHAPES: dict[str, Judge] = {
    "one-to-one": _images_right,
    "one-to-many": _names_right,
    "many-to-one": _strings_right,
    "many-to-many": _strings_right,
    "many-to-many-delayed": _reversed_right,
}


def _share(name: str, judge: Judge, needed: float) -> Callable[..., Finding]:
    """Return what trains a spec, and asks that so much of what it has not seen is right."""

    def measure(seed: int, **settings: Any) -> Finding:
        model = spec(name)
        outcome = learn(model, seed, **settings)
        share = judge(model, outcome.params, seed)
        return Finding(share >= needed, (percent(share), f"{outcome.losses[-1]:.4f}"), share)

    return measure


def _five(seed: int, **settings: Any) -> Finding:
    """Train all five shapes."""
    shares = []
    for name, judge in SHAPES.items():
        model = spec(name)
        shares.append(judge(model, learn(model, seed, **settings).params, seed))
    return Finding(min(shares) >= 0.9, tuple(map(percent, shares)), min(shares))


def _free_loss(model: unfold.Model, params: Any, seed: int) -> tuple[float, float]:
    """Return cross-entropy per step and the share of right steps of free runs on new sequences."""
    columns = test_columns(model, seed)
    frames, wanted = columns["frame"], columns["sound"].padded()
    inputs = {"x": frames.padded().astype(DTYPE), "y": wanted}
    found = run(model, params, inputs, lengths={"t": frames.lengths}, mode="free")
    said, inside = found["choice"], wanted >= 0
    return float(found.loss), float((said == wanted)[inside].mean())


def _scheduled(seed: int, **settings: Any) -> Finding:
    """Train in three modes from the same weights, and use all of them freely."""
    model = spec("scheduled-sampling")
    losses, shares = {}, {}
    for way, mode in (("scheduled", None), ("teacher", "teacher"), ("free", "free")):
        chosen = settings if mode is None else {**settings, "mode": mode}
        outcome = learn(model, seed, **chosen)
        losses[way], shares[way] = _free_loss(model, outcome.params, seed)
    cells = tuple(f"{losses[way]:.3f} ({percent(shares[way])})" for way in losses)
    gain = losses["teacher"] - losses["scheduled"]
    return Finding(gain > 0, cells, gain)


def _joint(seed: int, **settings: Any) -> Finding:
    """Compare -log P(y | x) with and without R, and with what cannot be known from x."""
    name = "sequence-to-sequence"
    columns = test_columns(spec(name), seed)
    x, y = columns["prefix"].padded(), columns["symbol"].padded()
    # After every return to the start both symbols are equally likely, and then none is open.
    starts = 1 + x[:, :-1].sum(1)
    floor = float(np.log(2) * starts.mean())
    alone = float(np.log(2) * x.shape[1])
    losses = []
    for model in (
        spec(name),
        changed(
            name, "R: [hidden, symbols]", "R: {shape: [hidden, symbols], init: zeros, frozen: true}"
        ),
    ):
        outcome = learn(model, seed, **settings)
        losses.append(float(run(model, outcome.params, {"x": x, "y": y}).loss))
    cells = tuple(f"{value:.3f}" for value in (losses[0], floor, losses[1], alone))
    return Finding(losses[0] < floor + 0.1 < alone - 0.1 < losses[1], cells, -losses[0])


def _stops(name: str) -> Callable[..., Finding]:
    """Return what trains a spec that names digits, and counts where it stops."""

    def measure(seed: int, **settings: Any) -> Finding:
        model = spec(name)
        rule = model.elaborated.stop
        assert rule is not None and rule.at_most is not None
        outcome = learn(model, seed, **settings)
        inputs = kept_images(model, seed)
        digits, first = np.unique(inputs["x"], return_index=True)
        wanted = [row[row >= 0] for row in inputs["y"][first]]
        written = model.generate(outcome.params, {"x": digits}, backend=BACKEND)
        stopped = sum(len(written[i]) == len(w) for i, w in enumerate(wanted))
        right = sum(np.array_equal(written[i], w) for i, w in enumerate(wanted))
        lengths = _untrained(model, seed, digits)
        cells = (
            f"{stopped} of {len(digits)}",
            f"{right} of {len(digits)}",
            f"{lengths.max()} of at most {rule.at_most}",
            str((lengths == rule.at_most).sum()),
        )
        reached = right == len(digits) == 10 and lengths.max() <= rule.at_most
        return Finding(bool(reached), cells, right)

    return measure


def _untrained(model: unfold.Model, seed: int, digits: Array) -> Array:
    """Return the lengths of 1,000 free runs with random weights."""
    generator, lengths = np.random.default_rng([seed, TEST]), list[int]()
    shapes = {name: value.shape for name, value in model.init(dtype=DTYPE).items()}
    while len(lengths) < COUNT:
        params = {n: generator.normal(size=s).astype(DTYPE) for n, s in shapes.items()}
        lengths += list(run(model, params, {"x": digits}, mode="free").lengths["t"])
    return np.array(lengths)


def _initial(seed: int, **settings: Any) -> Finding:
    """Train with a learned and with fixed initial states, and read the gradient at the start."""
    name = "learned-initial-state"
    model = spec(name)
    columns = test_columns(model, seed)
    symbols, prefix = columns["symbol"], columns["prefix"].padded()
    inputs, lengths = {"x": symbols.padded(), "y": prefix}, {"t": symbols.lengths}
    start = model.init(seed, dtype=DTYPE)
    _, grads = model.value_and_grad(start, inputs, lengths=lengths, backend=BACKEND)
    norm = float(np.linalg.norm(grads["h.initial"]))
    losses, shares = [], []
    for word in ("learned", "zeros", "ones"):
        own = changed(name, "h: learned", f"h: {word}")
        params = learn(own, seed, **settings).params
        losses.append(float(run(own, params, inputs, lengths=lengths).loss))
        shares.append(_strings_right(own, params, seed))
    told = (f"{a:.4f} ({percent(b)})" for a, b in zip(losses, shares, strict=True))
    cells = (*told, f"{norm:.4f}")
    return Finding(norm > 0 and losses[0] < min(losses[1:]), cells, -losses[0])


STOPPING = "Goodfellow, Bengio & Courville 2016, section 10.2.3"
EXPERIMENTS = (
    Experiment(
        "digest-learns",
        ("A3",),
        "a network without outputs keeps in its last state which digit it has read",
        "of at least 85 % of 359 unseen images the largest of the first ten units of h(last) is"
        " the digit's",
        ("right", "loss at the end"),
        _share("rnn-digest", _images_right, 0.85),
        seeds=3,
        needed=3,
        specs=("rnn-digest",),
    ),
    Experiment(
        "pattern-last",
        ("A6",),
        "one output at the end tells digits by their rows",
        "at least 90 % of 359 unseen images are named right",
        ("right", "loss at the end"),
        _share("pattern-last", _images_right, 0.9),
        seeds=3,
        needed=3,
    ),
    Experiment(
        "five-shapes-learnt",
        ("A7",),
        "each of the five shapes learns its task",
        "of unseen sequences at least 90 % are right as a whole, for each of the five",
        tuple(SHAPES),
        _five,
        specs=tuple(SHAPES),
        notes="The answers are the digit of an image, its name, a verdict on a string, a verdict"
        " after every symbol, and a sequence backwards; the last three use 1,000 new draws.",
    ),
    Experiment(
        "scheduled-sampling",
        ("A8",),
        "scheduled sampling prepares for the free run, teacher forcing does not",
        "in a free run on 1,000 new sequences, the cross-entropy per step is lower after scheduled"
        " sampling than after teacher forcing",
        ("after scheduled sampling", "after teacher forcing", "after free running"),
        _scheduled,
        seeds=3,
        needed=3,
        published="Bengio, Vinyals, Jaitly & Shazeer 2015 (captions, parsing, speech)",
        notes="The figures in brackets are shares of frames that are named correctly.",
    ),
    Experiment(
        "vector-to-sequence",
        ("A9",),
        "a sequence is written from one vector",
        "of 359 unseen images at least 85 % get the whole name of their digit, and nothing after",
        ("right", "loss at the end"),
        _share("vector-to-sequence", _names_right, 0.85),
        seeds=3,
        needed=3,
        published="Goodfellow, Bengio & Courville 2016, figure 10.9 (the shape)",
    ),
    Experiment(
        "joint-distribution",
        ("A10",),
        "with R the outputs need not be independent given x",
        "-log P(y | x) on 1,000 new strings is at most 0.1 nats above what cannot be known, and"
        " without R not below 12 ln 2 - 0.1",
        ("with R", "what cannot be known", "without R", "12 ln 2"),
        _joint,
        seeds=3,
        needed=3,
        published="Goodfellow, Bengio & Courville 2016, figure 10.10 (the shape)",
        specs=("sequence-to-sequence",),
        notes="x tells which prefixes of a string of 12 belong to Tomita's sixth language. Given"
        " x alone, 0 and 1 are equally likely at every step; after each return to the start one"
        " symbol is open (ln 2), and it determines all others up to the next return.",
    ),
    *(
        Experiment(
            name,
            ("A11",),
            f"stopping by {how}",
            "the names of all ten digits are written and end by themselves, and none of 1,000 runs"
            " with random weights goes on beyond `at_most`",
            ("stopped right", "written right", "longest with random weights", "runs at the bound"),
            _stops(name),
            seeds=3,
            needed=3,
            published=f"{STOPPING} (the way)",
        )
        for name, how in (
            ("stop-end-symbol", "an end symbol"),
            ("stop-halt-output", "an extra halt output"),
            ("stop-predicted-length", "a predicted length τ, with τ − t as an extra input"),
        )
    ),
    Experiment(
        "learned-initial-state",
        ("A12",),
        "the gradient reaches the initial state, and learning it helps",
        "the gradient in h(-1) is not zero, and the cross-entropy on 1,000 new strings is lower"
        " with the learned initial state than with zeros and with ones",
        ("learned", "zeros", "ones", "norm of the gradient"),
        _initial,
        seeds=3,
        needed=3,
        published="Forcada & Carrasco 1995 (second-order networks learn regular languages better"
        " with a learned initial state)",
        notes="The figures in brackets are shares of strings whose verdicts are all correct.",
    ),
)
