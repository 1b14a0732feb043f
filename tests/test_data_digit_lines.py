"""Lines of digits are digits side by side, other ones to validate with; labels are judged."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import unfold
from unfold.errors import SpecError
from unfold.settings.tasks import DigitLines
from unfold.training.data import judge, make
from unfold.training.data.images import digit_images
from unfold.training.tasks.tasks import draw


def cut(frames: np.ndarray, digits: int, gap: int) -> list[np.ndarray]:
    """Return the images of a line whose gaps are known."""
    begins = [gap + i * (8 + gap) for i in range(digits)]
    return [frames[b : b + 8].T for b in begins]


@pytest.mark.parametrize("unseen", [False, True])
def test_a_line_is_images_of_its_digits(unseen: bool) -> None:
    images, labels = digit_images()
    own = np.arange(len(labels)) % 5 == 4
    task = DigitLines(digits=3, gap=2)
    columns = draw(task, np.random.default_rng(1), 40, unseen=unseen).columns
    frames, digits = columns["frame"], columns["digit"]
    assert set(np.unique(digits.values)) == set(range(10)) and digits.classes == 10
    assert frames.lengths is not None and set(frames.lengths) == {3 * 8 + 4 * 2}
    assert frames.longest == 32 and digits.longest == 3
    for line, written in zip(frames.padded(), digits.padded(), strict=True):
        for image, digit in zip(cut(line, 3, 2), written, strict=True):
            same = np.flatnonzero((images == image).all((1, 2)))
            assert len(same) and (own[same] == unseen).all() and (labels[same] == digit).all()
        assert not line[[0, 1, 10, 11, 20, 21, 30, 31]].any()


def test_lines_differ_in_length() -> None:
    columns = draw(DigitLines(digits=[1, 4]), np.random.default_rng(2), 400).columns
    many, steps = columns["digit"].lengths, columns["frame"].lengths
    assert many is not None and steps is not None
    assert set(many) == {1, 2, 3, 4} and (np.bincount(many)[1:] > 70).all()
    assert (steps >= 8 * many).all() and (steps <= 8 * many + 4 * (many + 1)).all()
    assert steps.max() <= (columns["frame"].longest or 0)


def test_noise() -> None:
    columns = draw(DigitLines(noise=0.5, gap=[8, 8]), np.random.default_rng(3), 50).columns
    quiet = columns["frame"].padded()[:, :8]
    assert abs(quiet.std() - 0.5) < 0.02


def test_validation_has_images_of_its_own() -> None:
    task = make.task("digit_lines", {"digits": 1, "gap": 0}, batch=8, validation=30)
    images, labels = digit_images()
    own = np.arange(len(labels)) % 5 == 4
    lines = task.draw(np.random.default_rng(4), 30, unseen=True).columns["frame"].padded()
    found = [np.flatnonzero((images == line.T).all((1, 2))) for line in lines]
    assert all(own[f].all() and len(f) for f in found)


def test_a_gap_that_cannot_be() -> None:
    with pytest.raises(SpecError, match="a number of columns from 0"):
        make.task("digit_lines", {"gap": [4, 1]})


def test_the_best_path() -> None:
    """a−ab− and −aa−−abb say aab (Graves et al. 2006)."""
    a, b, blank = 1, 2, 0
    paths = np.array([[a, blank, a, b, blank, a, a, a], [blank, a, a, blank, blank, a, b, b]])
    found = judge.best_path(np.eye(3)[paths], np.array([5, 8]))
    assert [list(f) for f in found] == [[a, a, b], [a, a, b]]
    last = judge.best_path(np.eye(3)[(paths - 1) % 3], blank=-1)
    assert [list(f) for f in last] == [[0, 0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("found", "wanted", "distance"),
    [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("abc", "abc", 0),
     ("abcd", "bcde", 2), ("aab", "ab", 1)],
)  # fmt: skip
def test_the_edit_distance(found: str, wanted: str, distance: int) -> None:
    assert judge.edit_distance(found, wanted) == distance  # type: ignore[arg-type]


def test_judging_as_the_page_says() -> None:
    page = (Path(__file__).parent.parent / "docs" / "data.md").read_text(encoding="utf-8")
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "best_path" in b)
    text = "unfold: 1\nname: r\naxes: {t: 6}\ninputs:\n  x[t]: [8]\n"
    model = unfold.loads(text + "nodes:\n  o[t]: rnn(x[t], hidden=11)\n")
    *lines, last = block.replace("100", "4").splitlines()
    space = {"model": model, "params": model.init(seed=1), "np": np, "make": make, "judge": judge}
    exec("\n".join([*lines, f"rate = {last}"]), space)
    assert space["rate"] > 0.5


def test_the_label_error_rate() -> None:
    wanted = np.array([[1, 2, 3], [4, 5, -1]])
    found = [np.array([1, 3]), np.array([4, 4, 5])]
    assert judge.label_error_rate(found, wanted) == 2 / 5
    assert judge.label_error_rate(found, wanted, np.array([1, 2])) == 2 / 3
