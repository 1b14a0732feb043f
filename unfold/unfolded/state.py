"""The state that one chunk of a sequence hands to the next: the last values along an axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from unfold.core.program import BATCH, Program
from unfold.unfolded.domain import Domain
from unfold.unfolded.reference import EMPTY


def last_values(
    program: Program,
    domain: Domain,
    axis: str,
    delays: Mapping[str, int],
    values: Mapping[str, Any],
    before: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the last values of each state, in order.

    Args:
        program: the Program that was run.
        domain: its domain.
        axis: the axis along which the sequence goes on.
        delays: how many values each state needs.
        values: computed arrays [batch, *extents, *stored].
        before: the state that the chunk started from, [batch, delay, *others, *stored]; may be
            empty.

    Returns:
        arrays [batch, delay, *other extents, *stored]; where a sequence is shorter than the delay,
        the older part comes from `before`, or is zero.
    """
    found: dict[str, Any] = {}
    for name, delay in delays.items():
        value = program[name]
        own = [a for a in value.axes if a != BATCH]
        array = np.moveaxis(np.asarray(values[name]), 1 + own.index(axis), 1)
        if array.shape[0] != domain.batch:
            array = np.broadcast_to(array, (domain.batch, *array.shape[1:]))
        old = before.get(name)
        if old is None:
            old = np.full(
                (domain.batch, delay, *array.shape[2:]), EMPTY[value.type.kind], array.dtype
            )
        whole = np.concatenate([old, array], axis=1)
        steps = domain.length(axis)[:, None] + np.arange(delay)
        found[name] = whole[np.arange(domain.batch)[:, None], steps]
    return found
