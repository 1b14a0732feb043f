"""The origins of numbers that are not finite: the points of a run that led to them.

    r[t]: where(m[t] > 0, log(x[t]), 0)      a NaN at t=1 that is not chosen is not an origin

Not every infinite number or NaN does harm. The search goes back from a value that is not finite,
through operands that are not finite at the index points where they were read, and through chosen
branches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from unfold.core.program import BATCH, Value
from unfold.unfolded.reference import Read, Walk, Wavefront, gather

Array = Any


def reaching(walk: Walk, run: Mapping[str, Array], targets: Iterable[str]) -> dict[str, Array]:
    """Return the numbers that are not finite and reach some values.

    Args:
        walk: of the Program.
        run: arrays [batch or 1, *extents, *stored] of all its values.
        targets: names of values.

    Returns:
        by name of a real value, a mask of its points, [batch or 1, *extents].
    """
    real = [v for v in walk.program if v.type.kind == "real"]
    broken = {v.name: _broken(v, run[v.name]) for v in real}
    found = {n: np.zeros_like(b) for n, b in broken.items()}
    for name in targets:
        found[name] = broken[name].copy()
    for step in reversed(walk.steps):
        mask = found.get(step.value.name)
        if mask is None or not mask.any():
            continue
        chosen = mask[(slice(None), *step.points)] if step.points else mask[:, None]
        for position, read in enumerate(step.reads):
            if read.value in found:
                _mark(walk, found, broken, read, _seen(walk, run, step, position, chosen))
    return {n: m for n, m in found.items() if m.any()}


def _broken(value: Value, array: Array) -> Array:
    lead = 1 + sum(a != BATCH for a in value.axes)
    return ~np.isfinite(array.reshape(*array.shape[:lead], -1)).all(axis=-1)


def _seen(
    walk: Walk, run: Mapping[str, Array], step: Wavefront, position: int, chosen: Array
) -> Array:
    """Return the points [batch, points, reduced] at which an operand was taken."""
    chosen = chosen[:, :, None]
    if step.exists is not None:
        chosen = chosen & step.exists
    if not step.value.row.chooses or position == 0:
        return chosen
    read = step.reads[0]
    condition = gather(read, run, walk.program[read.value])
    taken = condition if position == 1 else ~condition
    return chosen & taken.reshape(*taken.shape[:3], -1).any(axis=-1)


def _mark(
    walk: Walk, found: dict[str, Array], broken: Mapping[str, Array], read: Read, chosen: Array
) -> None:
    """Mark the points of a value that were read at the chosen points and are not finite."""
    for inside, beyond in reversed(read.branches):
        if beyond is not None and beyond.value in found:
            _mark(walk, found, broken, beyond, chosen & ~inside)
        chosen = chosen & inside
    mask, bad = found[read.value], broken[read.value]
    if not read.index:
        mask |= bad & chosen.any()
        return
    chosen, *index = np.broadcast_arrays(chosen, *read.index)
    at = tuple(i[chosen] for i in index)
    mask[at] |= bad[at]
