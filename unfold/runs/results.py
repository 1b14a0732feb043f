"""The results of a run: arrays of nodes, the loss, gradients and the state for the next chunk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfold.core.program import BATCH, Program, Value
from unfold.runs.domain import EMPTY, Domain


@dataclass(frozen=True)
class Run(Mapping[str, Any]):
    """The results of a forward run.

    Attributes:
        arrays: of the named nodes, [batch, *axes, *shape].
        loss: mean over the batch; None without a loss or without its inputs.
        carry: the state for the next chunk, by node.
        lengths: number of index points of each axis, per sequence.
        aliases: other names of nodes, as `l1` for the output of a cell's instance.
    """

    arrays: Mapping[str, Any]
    loss: float | None
    carry: Mapping[str, Any]
    lengths: Mapping[str, Any]
    aliases: Mapping[str, str]

    def __getitem__(self, name: str) -> Any:
        return self.arrays[self.aliases.get(name, name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)


@dataclass(frozen=True)
class Step:
    """Loss, gradients by name, and the state for the next chunk."""

    loss: float
    grads: dict[str, Any]
    carry: dict[str, Any]


def whole_batch(array: Any, value: Value, domain: Domain) -> Any:
    """Repeat a shared value for each sequence, with nothing past the sequence's end."""
    if value.batched:
        return array
    whole = np.broadcast_to(array, (domain.batch, *array.shape[1:]))
    for position, axis in enumerate(value.axes, start=1):
        inside = np.arange(domain.extents[axis]) < domain.length(axis)[:, None]
        if not inside.all():
            others = [i for i in range(1, whole.ndim) if i != position]
            whole = np.where(np.expand_dims(inside, others), whole, EMPTY[value.type.kind])
    return whole


def padded(gradient: Any, parameter: Any) -> Any:
    """Extend the gradient of a parameter by zeros for the steps that a shorter run lacks."""
    if (whole := np.shape(parameter)) == gradient.shape:
        return gradient
    return np.pad(gradient, [(0, n - m) for n, m in zip(whole, gradient.shape, strict=True)])


def norms(program: Program, gradients: Mapping[str, Any]) -> dict[str, Any]:
    """Return norms of gradients over the batch and the features, [*axes] by node.

    Args:
        program: of the nodes.
        gradients: arrays [batch, *axes, *shape] by node.
    """
    found: dict[str, Any] = {}
    for name, gradient in gradients.items():
        axes = sum(a != BATCH for a in program[name].axes)
        over = (0, *range(1 + axes, gradient.ndim))
        found[name] = np.sqrt(np.sum(gradient * gradient, axis=over))
    return found
