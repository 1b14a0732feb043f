"""Sources: values that read no other (inputs, parameters, constants, indices, random numbers).

Random values are drawn by `unfold.core.random`, keyed by the seed, the value's name and the index
point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unfold.core.op import Attributes, Kind, Op, register
from unfold.core.random import uniform
from unfold.core.types import BOOL, REAL, Type


def _declared(types: Sequence[Type | None], attributes: Attributes) -> Type:
    raise AssertionError("a source is added with its type")


def _uniform_evaluate(*, key: int, coordinates: Sequence[Any], shape: tuple[int, ...]) -> Any:
    return uniform(key, coordinates, shape)


def _normal_evaluate(*, key: int, coordinates: Sequence[Any], shape: tuple[int, ...]) -> Any:
    u = uniform(key, coordinates, (2, *shape))  # Box & Muller 1958
    lead = u.ndim - len(shape) - 1
    first, second = np.take(u, 0, axis=lead), np.take(u, 1, axis=lead)
    return np.sqrt(-2.0 * np.log(first)) * np.cos(2.0 * np.pi * second)


def _keep_evaluate(
    *, key: int, coordinates: Sequence[Any], shape: tuple[int, ...], rate: float
) -> Any:
    return np.where(uniform(key, coordinates, shape) < rate, 0.0, 1.0 / (1.0 - rate))


for _name in ("input", "parameter", "constant"):
    register(Op(name=_name, kind=Kind.SOURCE, infer=_declared))
register(Op(name="index", kind=Kind.SOURCE, infer=lambda types, a: REAL))
register(Op(name="inside", kind=Kind.SOURCE, infer=lambda types, a: BOOL))
register(Op(name="count", kind=Kind.SOURCE, infer=lambda types, a: REAL))
register(
    Op(
        name="uniform",
        kind=Kind.SOURCE,
        infer=_declared,
        evaluate=_uniform_evaluate,
        options={"shape": ()},
        arity=(0, 0),
    )
)
register(
    Op(
        name="normal",
        kind=Kind.SOURCE,
        infer=_declared,
        evaluate=_normal_evaluate,
        options={"shape": ()},
        arity=(0, 0),
    )
)
register(Op(name="keep_mask", kind=Kind.SOURCE, infer=_declared, evaluate=_keep_evaluate))
