"""Where windows over feature dimensions stand: element (i, u) is element start + d i + s u.

    Geometry(size=(3,), stride=(2,), dilation=(1,), start=(-1,), count=(4,))
    windows of 3 elements, each 2 further on; the first begins one element before the first one

Windows may reach beyond the dimensions they are taken of; there they see zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Counts = tuple[int, ...]
GEOMETRY = ("size", "stride", "dilation", "start", "count")


@dataclass(frozen=True)
class Geometry:
    """Where windows stand along each of the last dimensions.

    Attributes:
        size: elements of a window.
        stride: from a window to the next one.
        dilation: from an element of a window to the next one.
        start: the first element of the first window.
        count: how many windows.
    """

    size: Counts
    stride: Counts
    dilation: Counts
    start: Counts
    count: Counts

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> Geometry:
        """Return the geometry in the attributes of a row."""
        return cls(*(tuple(attributes[name]) for name in GEOMETRY))

    def attributes(self) -> dict[str, Counts]:
        """Return the attributes of a row."""
        return {name: getattr(self, name) for name in GEOMETRY}

    def ends(self, d: int) -> tuple[int, int]:
        """Return the first and the last element that windows reach along a dimension."""
        corners = [
            self.start[d] + self.dilation[d] * i + self.stride[d] * u
            for i in (0, self.size[d] - 1)
            for u in (0, self.count[d] - 1)
        ]
        return min(corners), max(corners)

    def margins(self, shape: Sequence[int]) -> list[tuple[int, int]]:
        """Return how far windows reach beyond the dimensions they are taken of."""
        ends = [self.ends(d) for d in range(len(self.size))]
        return [(max(0, -a), max(0, b + 1 - int(n))) for (a, b), n in zip(ends, shape, strict=True)]

    def moved(self, by: Sequence[int]) -> Geometry:
        """Return the same windows further on."""
        start = tuple(s + b for s, b in zip(self.start, by, strict=True))
        return Geometry(self.size, self.stride, self.dilation, start, self.count)
