"""Counter-based random numbers, keyed by seed, name of the value and index point.

Every backend, every order of execution and every split of a batch draws the same numbers, because a
number depends on nothing but its key and its coordinates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mixed(x: Any) -> Any:
    """SplitMix64's output function (Steele, Lea & Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def stream(seed: int, name: str) -> int:
    """Return the 64-bit key of a random value's stream."""
    digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def uniform(key: int, coordinates: Sequence[Any], shape: tuple[int, ...]) -> Any:
    """Return numbers in (0, 1), one for each index point and element.

    Args:
        key: from `stream`.
        coordinates: integer arrays [..., ] of equal rank, one per axis.
        shape: feature shape that is drawn at each point.
    """
    with np.errstate(over="ignore"):
        state = np.full((1,) * len(shape), key, dtype=np.uint64)
        lanes = [np.asarray(c).reshape(np.shape(c) + (1,) * len(shape)) for c in coordinates]
        lanes += [
            np.arange(n).reshape((n,) + (1,) * (len(shape) - i - 1)) for i, n in enumerate(shape)
        ]
        for lane in lanes:
            state = _mixed((state ^ lane.astype(np.uint64)) + GOLDEN)
    # 52 bits and a half: one more bit, and the largest number would round to 1.
    return ((state >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
