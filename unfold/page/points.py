"""What a run computed at the drawn points of a picture, as numbers that fit a page.

In: arrays of a run [batch, *axes, *shape], norms of gradients [*axes], and the points that pictures
show. Out: `Points`, one column per number. Points behind the end of a sequence do not count.

    points_of([(0,), (9,)], array, inside, norms)    least, mean, most, deviation, norm, first
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unfold.page.document import Points

DIGITS = 4
MOST_FEATURES = 64
Array = np.ndarray


def points_of(
    at: Sequence[tuple[int, ...]], array: Array, inside: Array, norms: Array | None, *, first: bool
) -> Points:
    """Return the numbers of one value.

    Args:
        at: the drawn index points.
        array: the values, [batch, *axes, *stored shape].
        inside: which of them exist, [batch, *axes].
        norms: of gradients, [*axes]; None without a loss.
        first: whether to keep the features of the first sequence.
    """
    rows = [_summary(array[(slice(None), *p)][inside[(slice(None), *p)]]) for p in at]
    least, mean, most, deviation = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Points(
        at=at,
        least=least,
        mean=mean,
        most=most,
        deviation=deviation,
        norm=() if norms is None else [short(norms[p]) for p in at],
        first=[_features(array[(0, *p)]) for p in at] if first else (),
    )


def features(array: Array, axes: int) -> int:
    """Return how many numbers `Points.first` has for every point of a value."""
    return min(MOST_FEATURES, int(np.prod(array.shape[1 + axes :], dtype=np.int64)))


def exists(shape: Sequence[int], axes: Sequence[str], lengths: Mapping[str, Any]) -> Array:
    """Return which points exist, [batch, *axes].

    Args:
        shape: [batch, *axes].
        axes: their names.
        lengths: per axis, the length of each sequence, [batch].
    """
    found = np.ones(tuple(shape), bool)
    for position, axis in enumerate(axes, start=1):
        if axis in lengths:
            own = np.arange(shape[position]) < np.asarray(lengths[axis])[:, None]
            others = [i for i in range(1, len(shape)) if i != position]
            found &= np.expand_dims(own, others)
    return found


def _summary(values: Array) -> tuple[float | None, float | None, float | None, float | None]:
    if not values.size:
        return None, None, None, None
    numbers = values.astype(np.float64)
    with np.errstate(all="ignore"):
        found = numbers.min(), numbers.mean(), numbers.max(), numbers.std()
    return short(found[0]), short(found[1]), short(found[2]), short(found[3])


def _features(values: Array) -> list[float]:
    return [short(v) for v in np.ravel(values)[:MOST_FEATURES]]


def short(value: Any) -> float:
    """Return a number with few digits."""
    return float(f"{float(value):.{DIGITS}g}")
