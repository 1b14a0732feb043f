"""Networks at work: digits read in turn, letters to sounds, numbers to words, reversal, sunspots.

In: specs of `specs/architectures` and built-in data. All tests use data that were not trained on.
Two networks that are compared see the same data.

    python -m examples.reproductions --only letter-to-sound sunspots
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import unfold
from examples.reproductions.criteria import unlike, written_right
from examples.reproductions.experiment import BACKEND, Experiment, Finding, learn, spec, spec_file
from unfold.training.data import make
from unfold.training.data.columns import Examples
from unfold.training.tasks.spelling import SOUNDS, UNSTRESSED

Array = np.ndarray
TRAIN, TEST = range(2)
"""What a stream of random numbers is for: the second entry of its seed."""

# The halves of scikit-learn's own example: the first images to train on, the last 899 to test on.
DIGITS_TEST = 899
CELLS = ("rnn", "lstm", "gru")

WORDS = 2000
VOWELS = "aeiou" + UNSTRESSED

NUMBERS, DIGITS = 2000, [1, 6]
STRINGS = {"length": [1, 12], "symbols": 8}
NEW = 2000

FIRST_TEST_YEAR, AFTER_TEST = 1921, 1956
CYCLE = 11


def percent(share: float) -> str:
    """Write a share."""
    return f"{100 * share:.1f} %"


# Digits


def digit_images(layout: str) -> tuple[Array, Array]:
    """Return the images, as sequences or grids, and their classes."""
    data: Any = make.images("digits", layout=layout, inputs={})
    columns = data.read(None).columns
    return columns["image"].values, columns["label"].values


def digits_right(name: str, layout: str, seed: int, settings: Mapping[str, Any]) -> float:
    """Train on the first 898 images, and return the share of the last 899 that is right."""
    model = spec(name)
    images, labels = digit_images(layout)
    first = slice(None, -DIGITS_TEST)
    data = make.arrays({"x": images[first], "y": labels[first]}, batch=32, seed=seed)
    outcome = learn(model, seed, data, validation=None, **settings)
    run = model.forward(outcome.params, {"x": images[-DIGITS_TEST:]}, backend=BACKEND)
    return float((run["o"].argmax(-1) == labels[-DIGITS_TEST:]).mean())


def _digits(layout: str, names: tuple[str, ...], least: float = 0.9) -> Any:
    def measure(seed: int, **settings: Any) -> Finding:
        right = [digits_right(name, layout, seed, settings) for name in names]
        return Finding(min(right) >= least, tuple(percent(share) for share in right), sum(right))

    return measure


# Captions


def _captions(seed: int, **settings: Any) -> Finding:
    """Train on the first 898 digits, and let the network write the names of the others."""
    model = spec("caption")
    data: Any = make.images("digits", layout="whole", inputs={})
    columns = data.read(None).columns
    images, names = columns["image"].values, columns["caption"].padded()
    lengths = columns["caption"].lengths
    first, last = slice(None, -DIGITS_TEST), slice(-DIGITS_TEST, None)
    arrays = {"image": images[first], "y": names[first]}
    train = make.arrays(arrays, lengths={"t": lengths[first]}, batch=32, seed=seed)
    outcome = learn(model, seed, train, validation=None, **settings)
    run = model.forward(outcome.params, {"image": images[last]}, mode="free", backend=BACKEND)
    right = written_right(run["letter"], run.lengths["t"], names[last], lengths[last])
    return Finding(right >= 0.9, (percent(right),), right)


# Letters to sounds


def _sounds(name: str, train: Examples, test: Examples, seed: int, settings: Any) -> Array:
    """Train a network on some words, and return the sound that it gives every letter of others."""
    model = spec(name)
    letter, sound = train.columns["letter"], train.columns["sound"]
    arrays = {"x": letter.padded(), "y": sound.padded()}
    data = make.arrays(arrays, lengths={"t": letter.lengths}, batch=16, seed=seed)
    outcome = learn(model, seed, data, validation=None, **settings)
    new = test.columns["letter"]
    inputs, lengths = {"x": new.padded()}, {"t": new.lengths}
    return model.forward(outcome.params, inputs, lengths=lengths, backend=BACKEND)["o"].argmax(-1)


def _letter_to_sound(seed: int, **settings: Any) -> Finding:
    """Train the window and the bidirectional network on the same words."""
    task = make.task("spelling")
    train = task.draw(np.random.default_rng([seed, TRAIN]), WORDS)
    test = unlike(task.draw(np.random.default_rng([seed, TEST]), WORDS), train, "letter")
    wanted, lengths = test.columns["sound"].padded(), test.columns["sound"].lengths
    assert lengths is not None
    inside = np.arange(wanted.shape[1]) < lengths[:, None]
    cells, shares = [], []
    for name in ("nettalk", "nettalk-birnn"):
        wrong = (_sounds(name, train, test, seed, settings) != wanted) & inside
        vowels = np.isin(wanted, [SOUNDS.index(vowel) for vowel in VOWELS])
        shares.append(1 - wrong[inside].mean())
        whole = 1 - wrong.any(1).mean()
        of_vowels = wrong[vowels].sum() / max(1, wrong.sum())
        cells += [percent(shares[-1]), percent(whole), percent(of_vowels)]
    window, both = shares
    return Finding(both >= 0.98 and both > window, tuple(cells), both - window)


# From sequence to sequence


def translated_right(
    name: str, sizes: Mapping[str, int], train: Any, test: tuple[Any, Any], seed: int, settings: Any
) -> float:
    """Train a network on pairs of sequences, and return the share of others that it gets right.

    Arguments:
        name: of the spec, whose inputs are x[s] and y[t].
        sizes: in place of the spec's own.
        train: data for `learn`.
        test: the columns that are read and that are to be written, the end included.
        seed, settings: as for `learn`.
    """
    model = unfold.load(spec_file(name), sizes=sizes)
    outcome = learn(model, seed, train, validation=None, **settings)
    source, target = test
    lengths = {"s": source.lengths, "t": target.lengths}
    if model.elaborated.stop is not None:  # it says itself where it ends
        del lengths["t"]
    inputs = {"x": source.padded()}
    run = model.forward(outcome.params, inputs, mode="free", lengths=lengths, backend=BACKEND)
    return written_right(run["choice"], run.lengths["t"], target.padded(), target.lengths)


def _number_words(seed: int, **settings: Any) -> Finding:
    """Train on 2,000 numbers below a million, and have others written in words."""
    task = make.task("number_words", {"digits": DIGITS})
    train = task.draw(np.random.default_rng([seed, TRAIN]), NUMBERS)
    test = unlike(task.draw(np.random.default_rng([seed, TEST]), NEW), train, "digit")
    digit, word = train.columns["digit"], train.columns["word"]
    data = make.arrays(
        {"x": digit.padded(), "y": word.padded()},
        lengths={"s": digit.lengths, "t": word.lengths},
        batch=32,
        seed=seed,
    )
    pair = (test.columns["digit"], test.columns["word"])
    plain, attentive = (
        translated_right(name, {}, data, pair, seed, settings)
        for name in ("number-words", "number-words-attention")
    )
    reached = attentive >= 0.95 and attentive > plain
    return Finding(reached, (percent(plain), percent(attentive)), attentive)


def _reversal(seed: int, **settings: Any) -> Finding:
    """Train on strings of 1 to 12 symbols, new ones at every step, and have others reversed."""
    inputs = {"x": "source", "y": "target"}
    data = make.task("reversal", STRINGS, inputs=inputs, batch=32, seed=seed)
    columns = data.draw(np.random.default_rng([seed, TEST]), NEW).columns
    pair = (columns["source"], columns["target"])
    sizes = {"source": 8, "target": 9, "encoder": 64, "decoder": 64}
    how = {"steps": 3000, "schedule": ["cosine"], **settings}
    plain, attentive = (
        translated_right(name, {**sizes, **more}, data, pair, seed, how)
        for name, more in (("encoder-decoder", {}), ("attention", {"score": 32}))
    )
    reached = attentive >= 0.95 and attentive > plain
    return Finding(reached, (percent(plain), percent(attentive)), attentive)


# Sunspots


def _sunspots(seed: int, **settings: Any) -> Finding:
    """Train on 1700 to 1920, and forecast each of the years 1921 to 1955 from all before it."""
    model = spec("sunspots")
    data: Any = make.series("sunspots", inputs={"x": ["year", "sunspots"]})
    years, spots = (data.table.columns[name] for name in ("year", "sunspots"))
    known = spots[years < FIRST_TEST_YEAR]
    scaled = (spots - known.mean()) / known.std()
    extent = 40
    before = scaled[: len(known)]
    windows = np.lib.stride_tricks.sliding_window_view(before, extent + 1)
    arrays = {"x": windows[:, :-1], "target": windows[:, 1:]}
    train = make.arrays(arrays, batch=16, seed=seed)
    outcome = learn(model, seed, train, validation=None, **settings)
    run = model.forward(outcome.params, {"x": scaled[None, :-1]}, backend=BACKEND)
    forecast = run["y"][0] * known.std() + known.mean()
    asked = (years >= FIRST_TEST_YEAR) & (years < AFTER_TEST)
    (places,) = np.nonzero(asked)
    guesses = (forecast[places - 1], spots[places - CYCLE], spots[places - 1])
    errors = [float(np.sqrt(np.mean((guess - spots[asked]) ** 2))) for guess in guesses]
    variance = errors[0] ** 2 / spots[years < 1980].var()
    cells = (*(f"{error:.1f}" for error in errors), f"{variance:.3f}")
    return Finding(errors[0] < errors[1], cells, -errors[0])


SPLIT = "trained on the first 898 images, tested on the last 899"
SVM = (
    "a support vector classifier on whole images: 97 % (scikit-learn's example `Recognizing"
    " hand-written digits`, the same split)"
)

EXPERIMENTS = (
    Experiment(
        name="digits-rows",
        systems=("A6", "C2", "C4"),
        title="handwritten digits, a row at a time",
        criterion=f"{SPLIT}: at least 90 % of the answers of each network are right",
        columns=tuple(cell.upper() for cell in CELLS),
        measure=_digits("rows", tuple(f"digits-rows-{cell}" for cell in CELLS)),
        seeds=3,
        needed=3,
        published=SVM,
        specs=tuple(f"digits-rows-{cell}" for cell in CELLS),
    ),
    Experiment(
        name="digits-pixels",
        systems=("A6",),
        title="handwritten digits, a pixel at a time",
        criterion=f"{SPLIT}: at least 85 % of the answers of each network are right",
        columns=tuple(cell.upper() for cell in CELLS),
        measure=_digits("pixels", tuple(f"digits-pixels-{cell}" for cell in CELLS), 0.85),
        published=SVM,
        specs=tuple(f"digits-pixels-{cell}" for cell in CELLS),
    ),
    Experiment(
        name="digits-2d-rnn",
        systems=("D4",),
        title="handwritten digits by a two-dimensional recurrent network",
        criterion=f"{SPLIT}: at least 90 % of the answers are right",
        columns=("right",),
        measure=_digits("grid", ("digits-2d-rnn",)),
        seeds=3,
        needed=3,
        published=SVM,
    ),
    Experiment(
        name="captions",
        systems=("D10",),
        title="captions of digits: an image is named letter by letter",
        criterion=f"{SPLIT}: the network writes the right name of at least 90 %, with all letters"
        " and the end",
        columns=("right names",),
        measure=_captions,
        seeds=3,
        needed=3,
        specs=("caption",),
    ),
    Experiment(
        name="letter-to-sound",
        systems=("D1", "D3"),
        title="letters to sounds: a window of seven letters against a bidirectional network",
        criterion="the bidirectional network gives at least 98 % of the letters of new words the"
        " right sounds, more than the window does",
        columns=(
            "sounds right, window",
            "words right, window",
            "vowels among the wrong, window",
            "sounds right, bidirectional",
            "words right, bidirectional",
            "vowels among the wrong, bidirectional",
        ),
        measure=_letter_to_sound,
        seeds=3,
        needed=3,
        published=(
            "NETtalk's window on English: 95 % of the sounds of its training text, 78 % of those of"
            " new text (Sejnowski & Rosenberg 1987)"
        ),
        specs=("nettalk", "nettalk-birnn"),
        notes="""\
The lexicon is not English but synthetic: 2,000 words for training and others for the test, with
rules that have no exceptions, so the figures are not NETtalk's. All rules but one need at most
two letters on either side. The stress of a vowel depends on the number of syllables that follow,
which a window does not see.""",
    ),
    Experiment(
        name="reversal",
        systems=("D5",),
        title="strings of up to 12 symbols written backwards, without attention and with it",
        criterion="with attention at least 95 % of new strings are right from the first symbol to"
        " the end, more than without",
        columns=("without attention", "with attention"),
        measure=_reversal,
        specs=("encoder-decoder", "attention"),
    ),
    Experiment(
        name="number-words",
        systems=("D5",),
        title="numbers below a million written in words, without attention and with it",
        criterion="after training on 2,000 numbers, with attention at least 95 % of other numbers"
        " are right from the first word to the end, more than without",
        columns=("without attention", "with attention"),
        measure=_number_words,
        specs=("number-words", "number-words-attention"),
    ),
    Experiment(
        name="sunspots",
        systems=("D12",),
        title="a network forecasts next year's sunspots better than those of 11 years ago do",
        criterion="the root of the mean squared error of the forecasts for 1921 to 1955 is below"
        " that of the seasonal naive forecast, the number of 11 years before",
        columns=(
            "error",
            "seasonal naive",
            "last year's number",
            "squared error over variance",
        ),
        measure=_sunspots,
        seeds=3,
        needed=3,
        published=(
            "squared error over variance, 1921 to 1955: 0.086 (Weigend, Huberman & Rumelhart 1990,"
            " a network of 12 inputs), 0.097 (Tong & Lim 1980, threshold autoregression)"
        ),
    ),
)
