"""The trained parameters of a model as one flat array, seen through views by name.

    W [2, 3]   U [2, 2]   b [2]        W.ravel() | U.ravel() | b
                                       └── decays ─┘

An optimiser, a norm and an all-reduce are then one pass over one array. The weights that weight
decay shrinks come first.

A step changes them in place, so that an engine can read them without a copy; their values before
the last step are kept separately.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate, pairwise
from math import prod

import numpy as np

Array = np.ndarray
Arrays = dict[str, Array]


class Layout:
    """The place of each parameter in a flat array.

    Args:
        arrays: the trained parameters, of one element type.
        decayed: names of those that weight decay shrinks.

    Attributes:
        names: in the order of the flat array.
        size: entries in all.
        decaying: how many entries, from the first, weight decay shrinks.
        dtype: the element type.
    """

    def __init__(self, arrays: Mapping[str, Array], decayed: Collection[str] = ()) -> None:
        self.names = tuple(sorted(arrays, key=lambda n: n not in decayed))
        self._shapes = [arrays[n].shape for n in self.names]
        ends = list(accumulate((prod(s) for s in self._shapes), initial=0))
        self._parts = [slice(a, b) for a, b in pairwise(ends)]
        self.size = ends[-1]
        self.decaying = sum(arrays[n].size for n in self.names if n in decayed)
        self.dtype = np.result_type(*arrays.values()) if arrays else np.dtype(np.float64)

    def views(self, flat: Array) -> Arrays:
        """Return the parameters, by name, as views of a flat array."""
        pieces = zip(self.names, self._parts, self._shapes, strict=True)
        return {name: flat[part].reshape(shape) for name, part, shape in pieces}

    def gather(self, arrays: Mapping[str, Array], out: Array | None = None) -> Array:
        """Copy arrays into a flat one; parameters without an array are zero."""
        flat = np.zeros(self.size, self.dtype) if out is None else out
        for name, part in zip(self.names, self._parts, strict=True):
            flat[part] = arrays[name].ravel() if name in arrays else 0.0
        return flat


class Weights:
    """The weights and an optimiser's slots, and their values before the last step.

    The weights keep their place in memory from step to step, so their views change with them.

    Args:
        layout: of the flat arrays.
        arrays: the flat weights, then the slots; they are copied.
        frozen: parameters that are not trained, which the views have too.

    Attributes:
        now: weights and slots.
        before: their values before the last step.
        views: all parameters by name.
    """

    def __init__(
        self, layout: Layout, arrays: Sequence[Array], frozen: Mapping[str, Array] | None = None
    ) -> None:
        self.layout = layout
        self.now = [np.array(a, layout.dtype) for a in arrays]
        self.before = [a.copy() for a in self.now]
        self.views: Arrays = {**(frozen or {}), **layout.views(self.now[0])}

    def take_back(self) -> None:
        """Restore everything to the state before the last step."""
        for now, before in zip(self.now, self.before, strict=True):
            now[:] = before
