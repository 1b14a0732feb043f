"""Moving digits: short films of a handwritten digit that moves in one direction, round the edges.

    frame 1        frame 2        frame 3
    . # # . . .    . . # # . .    . . . # # .     the digit moves right; one frame does not show it
    . # . # . .    . . # . # .    . . . # . #

Frames are `size` by `size` pixels. The digit (one of scikit-learn's, 8 by 8 pixels from 0 to 1)
begins anywhere, and leaves on one side to come back on the other, so that no place reveals its
direction: a network must compare frames in their order. Validation films show images that no
training film shows.
"""

from __future__ import annotations

import numpy as np

from unfold.settings.tasks import MovingDigits
from unfold.training.data.columns import Column
from unfold.training.data.images import digit_images
from unfold.training.tasks.digit_lines import DIGITS, KEPT

Generator = np.random.Generator
DIRECTIONS = ("right", "down", "left", "up")
STEPS = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])  # rows, columns


def draw_moving_digits(
    task: MovingDigits, generator: Generator, count: int, *, unseen: bool = False
) -> dict[str, Column]:
    """Make the columns `frame`, `direction` and `digit` of `count` films.

    Args:
        task: constants.
        generator: draws.
        count: of films.
        unseen: whether to use the held-out images.
    """
    images, labels = digit_images()
    chosen = np.flatnonzero((np.arange(len(labels)) % KEPT == KEPT - 1) == unseen)
    films = generator.choice(chosen, count)
    directions = generator.integers(len(DIRECTIONS), size=count)
    height, width = images.shape[1:]
    whole = np.zeros((count, task.size, task.size))
    whole[:, :height, :width] = images[films]
    begins = generator.integers(task.size, size=(count, 2))
    times = np.arange(task.frames)
    # What stands at a point at time t stood there before it was moved: shift, less t steps.
    moved = begins[:, None] + times[:, None] * STEPS[directions][:, None]
    at = (np.arange(task.size) - moved[..., None]) % task.size
    film = np.arange(count)[:, None, None, None]
    frames = whole[film, at[:, :, 0, :, None], at[:, :, 1, None, :]]
    frames += task.noise * generator.standard_normal(frames.shape)
    return {
        "frame": Column(frames, where="frame"),
        "direction": Column(
            directions, classes=len(DIRECTIONS), symbols=DIRECTIONS, where="direction"
        ),
        "digit": Column(labels[films], classes=len(DIGITS), symbols=DIGITS, where="digit"),
    }


def draw_unseen_digits(task: MovingDigits, generator: Generator, count: int) -> dict[str, Column]:
    """Make films of the held-out images."""
    return draw_moving_digits(task, generator, count, unseen=True)
