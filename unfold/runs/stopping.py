"""The end of free runs: a condition, or a predicted extent, never beyond the bound.

    stop: {when: argmax(o[t]) == eos, at_most: 200}      length = first t at which it holds, plus 1
    stop: {extent: {t: exp(w @ c)}, at_most: 200}        length = the value, rounded, at least 1

In: the values of a run at the longest possible extents. Out: the length of each sequence. Values of
a recurrence do not depend on later ones, so a run with these lengths is the stopped run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from unfold.core.program import BATCH, Program, StopRule
from unfold.runs.domain import Domain

Run = Callable[[Mapping[str, Any]], tuple[Mapping[str, Any], Domain]]


def stopped_lengths(
    rule: StopRule,
    program: Program,
    inputs: Mapping[str, Any],
    lengths: Mapping[str, Any],
    run: Run,
    batch: int | None,
) -> dict[str, Any]:
    """Return the lengths at which a free run stops by its rule.

    Args:
        rule: for the end.
        program: that computes the rule's values.
        inputs: arrays by name, which determine the batch.
        lengths: given ones, which are also bounds.
        run: runs `program` with given lengths.
        batch: number of sequences if there are no inputs.
    """
    found = dict(lengths)
    count = next((len(a) for a in inputs.values()), batch or 1)
    if rule.when is not None:
        axis = next(a for a in program[rule.when].axes if a != BATCH)
        bound = _bound(rule, program, axis, inputs, lengths, count)
        values, domain = run({**lengths, axis: bound})
        holds = np.broadcast_to(values[rule.when], (domain.batch, domain.extents[axis])).copy()
        holds[np.arange(domain.batch), domain.last(axis)] = True
        found[axis] = np.argmax(holds, axis=1) + 1
    for axis, name in rule.extents.items():
        bound = _bound(rule, program, axis, inputs, lengths, count)
        values, domain = run(lengths)
        wanted = np.broadcast_to(values[name].reshape(-1), (domain.batch,))
        found[axis] = np.clip(np.rint(np.nan_to_num(wanted)), 1, bound).astype(np.int64)
    return found


def _bound(
    rule: StopRule,
    program: Program,
    axis: str,
    inputs: Mapping[str, Any],
    lengths: Mapping[str, Any],
    count: int,
) -> Any:
    """Return the largest length of each sequence: the rule's, or that of the data."""
    most = rule.at_most if rule.at_most is not None else Domain(program).extents[axis]
    for value in program.inputs:
        if axis in value.axes and value.name in inputs:
            most = min(most, np.shape(inputs[value.name])[value.axes.index(axis)])
    return np.minimum(np.broadcast_to(lengths.get(axis, most), (count,)), most)
