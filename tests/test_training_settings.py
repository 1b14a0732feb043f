"""The sections data, train and generate: defaults, and the words and places of every mistake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from unfold.errors import Location, SpecError
from unfold.settings.data import RandomData, TextData, TextFile, read_data
from unfold.settings.generate import read_generate
from unfold.settings.train import read_train
from unfold.training.rules.clip import ClipNorm, ClipValue
from unfold.training.rules.optimizers import Adagrad, Adam, Sgd


@dataclass(frozen=True)
class Section:
    """A section whose places are paths: a key has length 1, a value length 2."""

    tree: Mapping[str, Any]

    def locate(self, path: tuple[str | int, ...]) -> Location:
        """Say where a value is."""
        return Location("/".join(map(str, path)), 1, 1, 2)

    def locate_key(self, path: tuple[str | int, ...]) -> Location:
        """Say where a key is."""
        return Location("/".join(map(str, path)), 1, 1, 1)


def mistakes(read: Callable[[Section], object], tree: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Return (message with its help, place, 1 for a key or 2 for a value) of every diagnostic."""
    with pytest.raises(SpecError) as caught:
        read(Section(tree))
    found = []
    for diagnostic in caught.value.diagnostics:
        assert diagnostic.location is not None
        text = diagnostic.message + (f" | {diagnostic.help}" if diagnostic.help else "")
        found.append((text, diagnostic.location.file, diagnostic.location.length))
    return found


TEXT = {"text": "pydoc", "input": "x", "target": "y"}


def test_defaults() -> None:
    data = read_data(Section(TEXT))
    assert isinstance(data, TextData)
    assert (data.batch, data.axis, data.level) == (16, "t", "char")
    train = read_train(Section({}))
    assert (train.steps, train.optimizer, train.clip, train.carry) == (1000, Adam(), None, True)
    assert read_generate(Section({})).temperature is None
    assert read_data(Section({"random": True, "batch": 8})) == RandomData(batch=8)


def test_every_form() -> None:
    data = read_data(Section({**TEXT, "text": {"file": "novel.txt"}}))
    assert isinstance(data, TextData)
    assert data.text == TextFile(file="novel.txt")
    train = read_train(Section({"optimizer": {"adagrad": {"rate": 0.5}}, "clip": {"norm": 5}}))
    assert train.optimizer == Adagrad(rate=0.5)
    assert train.clip == ClipNorm(norm=5.0)
    train = read_train(Section({"optimizer": "adagrad", "clip": {"value": 2}}))
    assert (train.optimizer, train.clip) == (Adagrad(), ClipValue(value=2.0))
    assert read_train(Section({"mode": {"scheduled": 0.25}})).mode == ("scheduled", 0.25)
    train = read_train(Section({"weight_decay": 0.1, "optimizer": Sgd(0.5)}))
    assert (train.decay, train.optimizer) == (0.1, Sgd(rate=0.5))
    assert read_train(Section({"optimizer": "adamw"})).decay == 0.01


CASES: list[tuple[Callable[[Section], object], dict[str, Any], list[tuple[str, str, int]]]] = [
    (
        read_data,
        {"text": "pydoc", "input": "x"},
        [("data lacks the key 'target'", "", 1)],
    ),
    (
        read_data,
        {"text": "pydoc", "input": "x", "targt": "y"},
        [("unknown key 'targt' in data | did you mean 'target'?", "targt", 1)],
    ),
    (
        read_data,
        {**TEXT, "batch": 0},
        [("data.batch: expected a number of at least 1, got 0", "batch", 2)],
    ),
    (
        read_data,
        {**TEXT, "text": {"fil": "a"}},
        [
            (
                'data.text: expected pydoc, {file: novel.txt} or {string: hello}, got {"fil": "a"}',
                "text",
                2,
            )
        ],
    ),
    (
        read_data,
        {**TEXT, "text": {"file": "a", "encoding": "x"}},
        [("unknown key 'encoding' in data.text | known keys: file", "text/encoding", 1)],
    ),
    (
        read_data,
        {**TEXT, "text": {"string": 3}, "level": "word"},
        [
            ("data.text.string: expected text, got 3", "text/string", 2),
            ("data.level: expected 'char' or 'byte', got \"word\"", "level", 2),
        ],
    ),
    (
        read_data,
        {"random": False},
        [("data.random: expected true, got false", "random", 2)],
    ),
    (
        read_train,
        {"steps": 2.5, "seed": True},
        [
            ("train.steps: expected a whole number, got 2.5", "steps", 2),
            ("train.seed: expected a whole number, got true", "seed", 2),
        ],
    ),
    (
        read_train,
        {"optimizer": "adan"},
        [
            (
                "train.optimizer: expected one of sgd, adagrad, rmsprop, adam, adamw, "
                'or {adam: {rate: 0.01}}, got "adan" (did you mean adam?)',
                "optimizer",
                2,
            )
        ],
    ),
    (
        read_train,
        {"optimizer": {"adam": {"beta3": 1}}},
        [
            (
                "unknown key 'beta3' in train.optimizer.adam | did you mean 'beta2'?",
                "optimizer/adam/beta3",
                1,
            )
        ],
    ),
    (
        read_train,
        {"optimizer": {"adam": {"beta1": 1}}},
        [
            (
                "train.optimizer.adam: beta1 must be at least 0 and below 1, got 1",
                "optimizer/adam",
                2,
            )
        ],
    ),
    (
        read_train,
        {"optimizer": "adamw", "weight_decay": 0.1},
        [
            (
                "train: adamw has its own weight decay; set optimizer.adamw.weight_decay"
                " and omit weight_decay, or use adam",
                "",
                2,
            )
        ],
    ),
    (
        read_train,
        {"schedule": [{"warmup": 10}, {"cosin": 1}], "weight_decay": -1},
        [
            (
                "train.schedule.1: expected one of constant, warmup, linear, cosine, step,"
                ' exponential, or {cosine: {to: 0.1}}, got {"cosin": 1} (did you mean cosine?)',
                "schedule/1",
                2,
            ),
            (
                "train.weight_decay.rate: expected a number of at least 0, got -1",
                "weight_decay/rate",
                2,
            ),
        ],
    ),
    (
        read_train,
        {"validation": {"patience": 0}, "save": 0},
        [
            (
                "train.validation.patience: expected a number of at least 1, got 0",
                "validation/patience",
                2,
            ),
            ("train.save: expected a number of at least 1, got 0", "save", 2),
        ],
    ),
    (
        read_train,
        {"clip": 5},
        [("train.clip: expected {norm: 5} or {value: 5}, got 5", "clip", 2)],
    ),
    (
        read_train,
        {"clip": {"norm": -5}},
        [("train.clip.norm: expected a number above 0, got -5", "clip/norm", 2)],
    ),
    (
        read_train,
        {"mode": {"scheduled": 3}},
        [
            (
                "train.mode.scheduled: expected a probability from 0 to 1, or {linear: {to: 0.2}},"
                " got 3",
                "mode/scheduled",
                2,
            )
        ],
    ),
    (
        read_train,
        {"mode": "fre"},
        [('train.mode: expected teacher, free or {scheduled: 0.5}, got "fre"', "mode", 2)],
    ),
    (
        read_generate,
        {"temprature": 3, "length": "x" * 200},
        [
            (
                'generate.length: expected a whole number, got "' + "x" * 59 + " ...",
                "length",
                2,
            ),
            ("unknown key 'temprature' in generate | did you mean 'temperature'?", "temprature", 1),
        ],
    ),
]


@pytest.mark.parametrize(("read", "tree", "expected"), CASES)
def test_mistakes_have_words_and_places(
    read: Callable[[Section], object], tree: dict[str, Any], expected: list[tuple[str, str, int]]
) -> None:
    assert mistakes(read, tree) == expected
