"""Sources: values that read no other (inputs, parameters, constants, indices, random numbers).

Random values are drawn by `unfold.core.random`, keyed by the seed, the value's name and the index
point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unfold.core.op import GIVEN, Attributes, Infer, Kind, Op, Over, Source, register
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


def _source(
    name: str, source: Source, infer: Infer = _declared, *, hidden: bool = True, **facts: Any
) -> None:
    row = Op(name=name, kind=Kind.SOURCE, source=source, infer=infer, hidden=hidden, **facts)
    register(row)


for _given in GIVEN:
    _source(_given.value, _given)
_source("index", Source.INDEX, lambda types, a: REAL)
_source("inside", Source.INSIDE, lambda types, a: BOOL)
_source("count", Source.COUNT, lambda types, a: REAL, over=Over.AXES)
_source("keep_mask", Source.DROPOUT, evaluate=_keep_evaluate)
for _name, _evaluate in (("uniform", _uniform_evaluate), ("normal", _normal_evaluate)):
    _source(
        _name,
        Source.RANDOM,
        hidden=False,
        evaluate=_evaluate,
        options={"shape": ()},
        arity=(0, 0),
        usage=f"{_name}(shape=[hidden])",
    )
