"""Conditions that the index point decides: `where(l == 0, U @ x[t], 0)` reads x at l = 0 only.

In: a reference. Out: whether its value consists of indices and constants only (`is_static`), and
the value at an index point (`decide`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from unfold.core.op import LEAD, OPS, Kind, Source
from unfold.core.paths import reachable
from unfold.core.program import BATCH, Program, Ref, Value

STATIC = (Source.INDEX, Source.INSIDE, Source.CONSTANT)


def is_static(program: Program, ref: Ref) -> bool:
    """Return whether a value depends on nothing but the index point."""

    def follow(name: str) -> list[str]:
        value = program[name]
        return [r.value for r in value.operands] if _is_static(value) else []

    return all(_is_static(program[n]) for n in reachable([ref.value], follow))


def _is_static(value: Value) -> bool:
    if value.source in STATIC:
        return True
    pointwise = OPS[value.op].kind is Kind.POINTWISE
    return bool(value.operands) and pointwise and not (value.reduced or value.boundary)


def decide(program: Program, ref: Ref, at: Mapping[str, Any], last: Mapping[str, int]) -> Any:
    """Return a static value at an index point of its reader.

    Args:
        program: that computes it.
        ref: the reference.
        at: the index point.
        last: the largest index of every axis.
    """
    value = program[ref.value]
    pairs = zip(value.axes, ref.index, strict=True)
    own = {a: i.evaluate(at, last)[0] for a, i in pairs if a != BATCH}
    if value.is_constant:
        return value.attributes["value"]
    if value.source in STATIC:
        found, exact = value.attributes["index"].evaluate(own, last)
        inside = value.source is Source.INSIDE
        return bool(exact and 0 <= found <= last[value.attributes["axis"]]) if inside else found
    operands = [np.reshape(decide(program, r, own, last), (1,) * LEAD) for r in value.operands]
    evaluate = OPS[value.op].evaluate
    assert evaluate is not None, value.op
    with np.errstate(all="ignore"):
        return np.reshape(evaluate(*operands, **value.attributes), ())[()]
