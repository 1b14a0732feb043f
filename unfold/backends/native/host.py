"""Values that are known before a run: counts of index points, lengths, random numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from unfold.core.affine import Affine
from unfold.core.op import OPS, Source
from unfold.core.origin import LastIndex
from unfold.core.plan import Buffer
from unfold.core.program import BATCH, Program, Value
from unfold.core.random import stream


@dataclass(frozen=True)
class Request:
    """The extents, lengths and seed of a run.

    Attributes:
        extents: of every axis, "batch" included.
        lengths: per axis, of every sequence, [batch].
        seed: of random values.
        origin: per axis, the point of a longer run at which this one begins; default 0.
    """

    extents: Mapping[str, int]
    lengths: Mapping[str, Any]
    seed: int = 0
    origin: Mapping[str, int] = field(default_factory=dict[str, int])

    @cached_property
    def key(self) -> tuple[object, ...]:
        """The key of host values."""
        begins = tuple(self.origin.items())
        return (self.seed, begins, *((a, np.asarray(n).tobytes()) for a, n in self.lengths.items()))


def host_value(program: Program, buffer: Buffer, run: Request) -> Any:
    """Return a value that no block computes, [*axes, *stored]."""
    if isinstance(buffer.origin, LastIndex):
        return run.lengths[buffer.origin.of] - 1
    value = program[buffer.name]
    return _count(value, run) if value.source is Source.COUNT else _random(value, run)


def _count(value: Value, run: Request) -> Any:
    """Return the number of points of the reduced axes, per sequence if sequences differ."""
    axes = value.iteration
    checked = axes if BATCH in value.reduced else value.reduced
    total = np.ones([run.extents[a] for a in axes])
    if BATCH in axes:
        for axis in checked:
            if axis != BATCH:
                total = total * _exists(axis, axes, run)
    for form in value.within:
        total = total * _holds(form, axes, run)
    over = tuple(axes.index(a) for a in value.reduced)
    return total.sum(axis=over)


def _holds(form: Affine, axes: tuple[str, ...], run: Request) -> Any:
    """Return a mask of the points at which a bound holds, over the box of some axes."""
    grids = np.ogrid[tuple(slice(run.extents[a]) for a in axes)]
    own = BATCH in axes
    last: dict[str, Any] = {}
    for axis, _ in form.lasts:
        lengths = np.asarray(run.lengths[axis]) if own and axis in run.lengths else None
        row = None if lengths is None else (lengths - 1).reshape(-1, *(1,) * (len(axes) - 1))
        last[axis] = run.extents[axis] - 1 if row is None else row
    return form.evaluate(dict(zip(axes, grids, strict=True)), last)[0] >= 0


def _exists(axis: str, axes: tuple[str, ...], run: Request) -> Any:
    points = np.arange(run.extents[axis])
    inside = points[None] < np.asarray(run.lengths[axis])[:, None]
    first, second = axes.index(BATCH), axes.index(axis)
    shape = [1] * len(axes)
    shape[first], shape[second] = inside.shape
    return (inside if first < second else inside.T).reshape(shape)


def _random(value: Value, run: Request) -> Any:
    own = [run.extents[a] for a in value.axes]
    points = [run.origin.get(a, 0) + np.arange(n) for a, n in zip(value.axes, own, strict=True)]
    grids = np.meshgrid(*points, indexing="ij") if own else []
    draw = OPS[value.op].evaluate
    assert draw is not None, value
    key = stream(run.seed, value.name)
    shape = value.type.shape
    drawn = draw(key=key, coordinates=grids, shape=shape, **value.attributes)
    result = np.array(drawn).reshape(*own, *shape)
    for axis in value.axes if value.batched else ():
        if axis != BATCH:  # a caller may request it, and padding is zero
            result[~np.broadcast_to(_exists(axis, value.axes, run), own)] = 0
    return result
