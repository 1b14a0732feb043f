"""Lines of handwritten digits: images side by side, read column by column, and their labels.

    .##..   .....#      frames: the columns of pixels from left to right, [T, 8]
    #..#.   .#...#      labels: the digits, [L], without their columns
    .##..   .####.

The images are scikit-learn's digits, 8 by 8 pixels from 0 to 1, with empty columns before, between
and after them. Every fifth image is held out: validation sequences consist of these; no training
sequence contains one.
"""

from __future__ import annotations

import numpy as np

from unfold.settings.tasks import DigitLines
from unfold.training.data.columns import Column
from unfold.training.data.images import digit_images

Array = np.ndarray
Generator = np.random.Generator
KEPT = 5  # every fifth image
DIGITS = "0123456789"


def draw_digit_lines(
    task: DigitLines, generator: Generator, count: int, *, unseen: bool = False
) -> dict[str, Column]:
    """Make the columns `frame` and `digit` of `count` lines.

    Args:
        task: constants.
        generator: draws.
        count: of lines.
        unseen: whether to use the held-out images.
    """
    images, labels = digit_images()
    chosen = np.flatnonzero((np.arange(len(labels)) % KEPT == KEPT - 1) == unseen)
    low, high = task.digits
    lines = [generator.choice(chosen, generator.integers(low, high + 1)) for _ in range(count)]
    frames = [_render(images[line], task, generator) for line in lines]
    height, width = images.shape[1:]
    longest = high * width + (high + 1) * task.gap[1]
    assert all(f.shape[1] == height for f in frames)
    return {
        "frame": Column.ragged(frames, longest=longest, where="frame"),
        "digit": Column.ragged(
            [labels[line] for line in lines],
            classes=len(DIGITS),
            symbols=DIGITS,
            longest=high,
            where="digit",
        ),
    }


def draw_unseen_lines(task: DigitLines, generator: Generator, count: int) -> dict[str, Column]:
    """Make lines of the held-out images."""
    return draw_digit_lines(task, generator, count, unseen=True)


def _render(images: Array, task: DigitLines, generator: Generator) -> Array:
    """Return the columns of pixels of a line, [T, 8]."""
    gaps = generator.integers(task.gap[0], task.gap[1] + 1, len(images) + 1)
    parts = [np.zeros((gaps[0], images.shape[1]))]
    for image, gap in zip(images, gaps[1:], strict=True):
        parts += [image.T, np.zeros((gap, images.shape[1]))]
    line = np.concatenate(parts)
    return line + task.noise * generator.standard_normal(line.shape)
