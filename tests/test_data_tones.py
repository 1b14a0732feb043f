"""Tones, topics and squares of pixels: what is made is what the docs say of it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tests.feeding import reading
from unfold.errors import DataError
from unfold.settings.tasks import Tones
from unfold.training.data import make
from unfold.training.tasks.tasks import draw
from unfold.training.tasks.tones import SOUNDS
from unfold.training.tasks.topics import COMMON, TOPICS, WORDS, topics


def parts(sounds: np.ndarray) -> list[tuple[str, slice]]:
    """Return the sounds of one command in their order, each with its frames."""
    edges = np.flatnonzero(np.diff(sounds, prepend=0, append=0))
    runs = pairwise(edges)
    return [(SOUNDS[sounds[a]], slice(a, b)) for a, b in runs if sounds[a]]


def test_a_command_is_its_sounds() -> None:
    examples = draw(Tones(sounds=3, noise=0), np.random.default_rng(1), 200)
    command, sound = examples.columns["command"], examples.columns["sound"]
    assert command.classes == 27
    assert set(command.values) > set(range(20))
    lengths = sound.lengths
    assert lengths is not None and sound.longest is not None
    assert lengths.max() <= sound.longest < lengths.max() + 8
    for said, heard, n in zip(command.values, sound.padded(), lengths, strict=True):
        found = parts(heard[:n])
        assert command.symbols is not None
        assert " ".join(name for name, _ in found) == command.symbols[said]
        assert all(4 <= where.stop - where.start <= 7 for _, where in found)


def test_the_pitch_moves_as_the_sound_says() -> None:
    examples = draw(Tones(noise=0, bands=20), np.random.default_rng(2), 50)
    frames = examples.columns["frame"].padded()
    sounds = examples.columns["sound"].padded()
    for frame, sound in zip(frames, sounds, strict=True):
        assert not frame[sound < 1].any()
        energy = frame @ np.arange(20) / np.where(sound > 0, frame.sum(1), 1)
        for name, where in parts(np.maximum(sound, 0)):
            way = energy[where][-1] - energy[where][0]
            assert {"level": abs(way) < 1e-9, "rise": way > 0.9, "fall": way < -0.9}[name]


def test_a_single_frame_does_not_tell_a_rise_from_a_fall() -> None:
    """Their mean frames are the same: only the order of frames counts."""
    examples = draw(Tones(noise=0), np.random.default_rng(3), 3000)
    frames, sounds = examples.columns["frame"].values, examples.columns["sound"].values
    rise, fall = (frames[sounds == SOUNDS.index(kind)].mean(0) for kind in ("rise", "fall"))
    assert np.abs(rise - fall).max() < 0.04


def test_noise_has_its_deviation() -> None:
    examples = draw(Tones(noise=0.25), np.random.default_rng(4), 400)
    quiet = examples.columns["frame"].values[examples.columns["sound"].values == 0]
    assert quiet.std() == pytest.approx(0.25, rel=0.02)


def test_topics_are_pieces_of_help() -> None:
    examples = topics()
    words, topic = examples.columns["words"], examples.columns["topic"]
    assert words.values.shape == (topic.count, WORDS)
    assert words.symbols is not None and len(words.symbols) == COMMON + 1
    assert set(topic.values) == set(range(len(TOPICS)))
    first = [words.symbols[w] for w in words.values[topic.values == TOPICS.index("compound")][0]]
    assert first[:2] == ["compound", "statements"]


def test_topics_are_read_by_a_spec() -> None:
    data = make.describe({"sequences": "topics", "validation": 0.25})
    program = reading("words[t]: {category: n}", "topic: {category: m}", sizes="n: 1, m: 1")
    assert data.fit(program).sizes == {"n": COMMON + 1, "m": len(TOPICS)}
    assert data.fit(program).axes == {"t": WORDS}


def test_squares_of_pixels_keep_every_pixel() -> None:
    program = reading("x[i,j]: [n]", sizes="n: 4")
    grid = make.images("digits", layout="grid", patch=2, inputs={"x": "image"}, order="given")
    assert grid.fit(program).axes == {"i": 4, "j": 4}
    program = reading("x[i,j]: [n]", sizes="n: 4", axes="i: 4, j: 4")
    cut = grid.batches(program).train.batch(0).inputs["x"]
    program = reading("x: [n, n]", sizes="n: 8")
    whole = make.images("digits", layout="whole", inputs={"x": "image"}, order="given")
    plain = whole.batches(program).train.batch(0).inputs["x"]
    for i, j in ((0, 0), (1, 3), (3, 2)):
        square = plain[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        assert np.array_equal(cut[:, i, j], square.reshape(len(square), 4))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layout": "rows", "patch": 2}, "layout rows has no squares of 2 by 2 pixels"),
        ({"layout": "grid", "patch": 3}, "squares of 3 by 3 pixels do not fill images of 8×8"),
    ],
)
def test_squares_that_do_not_fit(settings: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make.images("digits", inputs={"x": "image"}, **settings)
