"""Sources: values that read no other value (inputs, parameters, constants, indices, random numbers).

Random numbers come from a counter-based generator keyed by the seed, the value's name and the index point,
so every backend, every order of execution and every batch split draws the same ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from unfold.core.op import Attributes, Kind, Op, register
from unfold.core.types import BOOL, REAL, Type

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _declared(types: Sequence[Type | None], attributes: Attributes) -> Type:
    raise AssertionError("a source is added with its type")


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
        lanes += [np.arange(n).reshape((n,) + (1,) * (len(shape) - i - 1)) for i, n in enumerate(shape)]
        for lane in lanes:
            state = _mixed((state ^ lane.astype(np.uint64)) + GOLDEN)
    return ((state >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def _uniform_evaluate(*, key: int, coordinates: Sequence[Any], shape: tuple[int, ...]) -> Any:
    return uniform(key, coordinates, shape)


def _normal_evaluate(*, key: int, coordinates: Sequence[Any], shape: tuple[int, ...]) -> Any:
    u = uniform(key, coordinates, (2, *shape))  # Box & Muller 1958
    lead = u.ndim - len(shape) - 1
    first, second = np.take(u, 0, axis=lead), np.take(u, 1, axis=lead)
    return np.sqrt(-2.0 * np.log(first)) * np.cos(2.0 * np.pi * second)


def _keep_evaluate(*, key: int, coordinates: Sequence[Any], shape: tuple[int, ...], rate: float) -> Any:
    return np.where(uniform(key, coordinates, shape) < rate, 0.0, 1.0 / (1.0 - rate))


for _name in ("input", "parameter", "constant"):
    register(Op(name=_name, kind=Kind.SOURCE, infer=_declared))
register(Op(name="index", kind=Kind.SOURCE, infer=lambda types, a: REAL))
register(Op(name="inside", kind=Kind.SOURCE, infer=lambda types, a: BOOL))
register(Op(name="count", kind=Kind.SOURCE, infer=lambda types, a: REAL))
register(Op(name="uniform", kind=Kind.SOURCE, infer=_declared, evaluate=_uniform_evaluate, options={"shape": ()}))
register(Op(name="normal", kind=Kind.SOURCE, infer=_declared, evaluate=_normal_evaluate, options={"shape": ()}))
register(Op(name="keep_mask", kind=Kind.SOURCE, infer=_declared, evaluate=_keep_evaluate))
