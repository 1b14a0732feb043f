"""A moving digit is one image, moved by a pixel per frame, round the edges."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from unfold.settings.tasks import MovingDigits
from unfold.training.data import make
from unfold.training.data.images import digit_images
from unfold.training.tasks.moving_digits import DIRECTIONS, STEPS
from unfold.training.tasks.tasks import draw


@pytest.mark.parametrize("unseen", [False, True])
def test_frames_are_one_image_that_moves(unseen: bool) -> None:
    task = MovingDigits(frames=5, size=11, noise=0)
    columns = draw(task, np.random.default_rng(1), 60, unseen=unseen).columns
    films, ways = columns["frame"].values, columns["direction"]
    assert films.shape == (60, 5, 11, 11)
    assert ways.symbols == DIRECTIONS and set(ways.values) == {0, 1, 2, 3}
    for film, way in zip(films, ways.values, strict=True):
        for before, after in pairwise(film):
            assert np.array_equal(np.roll(before, STEPS[way], (0, 1)), after)
    images, labels = digit_images()
    own = np.arange(len(labels)) % 5 == 4
    sums = images.sum((1, 2))
    for film, digit in zip(films, columns["digit"].values, strict=True):
        same = np.isclose(sums, film[0].sum()) & (labels == digit)
        assert (same & (own == unseen)).any()


def test_every_place_and_every_way_are_as_likely() -> None:
    """What is seen at one time says nothing about the direction."""
    columns = draw(MovingDigits(noise=0), np.random.default_rng(2), 4000).columns
    ways, first = columns["direction"].values, columns["frame"].values[:, 0]
    for way in range(4):
        assert np.abs(first[ways == way].mean(0) - first.mean()).max() < 0.06


def test_noise() -> None:
    quiet, loud = (
        draw(MovingDigits(noise=n), np.random.default_rng(3), 50).columns["frame"].values
        for n in (0.0, 0.5)
    )
    assert abs((loud - quiet).std() - 0.5) < 0.02


def test_films_by_name() -> None:
    task = make.task("moving_digits", {"size": 12, "frames": 3}, batch=4)
    columns = task.draw(np.random.default_rng(4), 2).columns
    assert columns["frame"].values.shape == (2, 3, 12, 12)
