"""The trained parameters of a model as one flat array, seen through views by name.

    W [2, 3]   U [2, 2]   b [2]        W.ravel() | U.ravel() | b
                                       └── decays ─┘

An optimiser, a norm and an all-reduce are then one pass over one array. Those that weight decay
shrinks come first.

Two sets of arrays take turns: a step reads one and writes the other, so the weights before the last
step stay whole until the next one. Nobody may keep a view for longer than that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate, pairwise
from math import prod

import numpy as np

Array = np.ndarray
Arrays = dict[str, Array]


class Layout:
    """Where each parameter lies in a flat array.

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
        """Copy arrays into a flat one; what has no array is zero."""
        flat = np.zeros(self.size, self.dtype) if out is None else out
        for name, part in zip(self.names, self._parts, strict=True):
            flat[part] = arrays[name].ravel() if name in arrays else 0.0
        return flat


class Weights:
    """The weights and an optimiser's slots, before and after the last step.

    Args:
        layout: of the flat arrays.
        arrays: the flat weights, then the slots; they are copied.
        frozen: parameters that are not trained, which the views have too.
    """

    def __init__(
        self, layout: Layout, arrays: Sequence[Array], frozen: Mapping[str, Array] | None = None
    ) -> None:
        self.layout = layout
        self._now = [np.array(a, layout.dtype) for a in arrays]
        self._other = [np.empty_like(a) for a in self._now]
        self._now_views, self._other_views = (
            {**(frozen or {}), **layout.views(flat[0])} for flat in (self._now, self._other)
        )

    @property
    def now(self) -> list[Array]:
        """Weights and slots."""
        return self._now

    @property
    def spare(self) -> list[Array]:
        """What a step writes to; before that, the arrays before the last step."""
        return self._other

    @property
    def views(self) -> Arrays:
        """All parameters by name."""
        return self._now_views

    def swap(self) -> None:
        """Let what was written be the present; a second call takes the last step back."""
        self._now, self._other = self._other, self._now
        self._now_views, self._other_views = self._other_views, self._now_views
