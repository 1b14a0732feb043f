"""Lay the buffers of a Plan out in memory, for given extents.

A buffer has its axes first (with a halo on both sides, as wide as its readers need, so that reading
outside of the domain needs no test), then the batch, then the features:

    h[t, batch, 128] with h[t-1] read      [1 + T, B, 128], row 0 is zero
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

from unfold.core.plan import Buffer

Halo = tuple[int, int]
ALIGN = 64


@dataclass(frozen=True)
class Place:
    """One buffer in memory.

    Attributes:
        buffer: that is placed.
        sizes: of its stored axes, halos included, then of its features.
        halos: points before and after, per stored axis.
        strides: bytes, per stored axis and feature.
        bytes: in all.
    """

    buffer: Buffer
    sizes: tuple[int, ...]
    halos: tuple[Halo, ...]
    strides: tuple[int, ...]
    bytes: int

    def stride(self, axis: str) -> int:
        """Return the bytes from one point of an axis to the next; 0 if it is not kept."""
        for stored, stride in zip(self.buffer.axes, self.strides, strict=False):
            if stored.axis == axis:
                return stride
        return 0

    def halo(self, axis: str) -> int:
        """Return the points of the halo before the first one."""
        for stored, halo in zip(self.buffer.axes, self.halos, strict=True):
            if stored.axis == axis:
                return halo[0]
        return 0


def place(
    buffer: Buffer, extents: Mapping[str, int], halos: Mapping[str, Halo], item: int
) -> Place:
    """Return the layout of a buffer.

    Args:
        buffer: to place.
        extents: of every axis, "batch" included.
        halos: per axis; default none.
        item: bytes of an element.
    """
    own = tuple((0, 0) if s.ring else halos.get(s.axis, (0, 0)) for s in buffer.axes)
    sizes = [
        s.ring or extents[s.axis] + before + after
        for s, (before, after) in zip(buffer.axes, own, strict=True)
    ]
    sizes += buffer.shape
    strides = [item * prod(sizes[i + 1 :]) for i in range(len(sizes))]
    return Place(buffer, tuple(sizes), own, tuple(strides), item * prod(sizes))


def widest(found: Iterable[tuple[str, str, Halo]]) -> dict[str, dict[str, Halo]]:
    """Return the widest halo per buffer and axis."""
    result: dict[str, dict[str, Halo]] = {}
    for buffer, axis, (before, after) in found:
        own = result.setdefault(buffer, {})
        low, high = own.get(axis, (0, 0))
        own[axis] = (max(low, before), max(high, after))
    return result
