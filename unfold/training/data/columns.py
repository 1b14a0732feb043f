"""Columns and examples: named arrays over a set of sequences, which may differ in length.

A `Column` is one quantity of N sequences. If all have the same extents it is one array
[N, *extents, *shape]; otherwise the sequences are concatenated, [total, *shape], and `offsets` mark
their beginnings. `Examples` are columns over the same sequences.

    Column.ragged([[3, 1], [2], [5, 5, 0]])  →  values [3 1 2 5 5 0], offsets [0 2 3 6]
    .take([1, 2])                            →  [[2 -1 -1], [5 5 0]] with -1 (no class) as padding

Invariant: padding is -1 for classes and 0 for numbers, whatever a file holds there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

Array = np.ndarray
Arrays = dict[str, Array]


@dataclass(frozen=True)
class Column:
    """One quantity of a set of sequences.

    Attributes:
        values: [N, *extents, *shape], or [total, *shape] where there are offsets.
        offsets: the beginning of each sequence, and the end: [N + 1].
        classes: the number of categories, if that is known.
        symbols: the meanings of the categories: characters, or words.
        longest: the largest length of a sequence, if it may exceed the present ones.
        where: its name in messages.
    """

    values: Array
    offsets: Array | None = None
    classes: int | None = None
    symbols: str | tuple[str, ...] | None = None
    longest: int | None = None
    where: str = ""

    @classmethod
    def ragged(cls, sequences: Sequence[Any], **facts: Any) -> Column:
        """Concatenate sequences; each is an array [length, *shape]."""
        lengths = [len(s) for s in sequences]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(np.concatenate([np.asarray(s) for s in sequences]), offsets, **facts)

    @property
    def count(self) -> int:
        """The number of sequences."""
        return len(self.values if self.offsets is None else self.offsets[1:])

    @property
    def lengths(self) -> Array | None:
        """The length of each sequence, [N], if they may differ."""
        return None if self.offsets is None else np.diff(self.offsets)

    def place(self, sequence: int, inside: Sequence[int] = ()) -> str:
        """Describe the place of an element, counted from 1."""
        steps = "".join(f", element {i + 1}" for i in inside)
        return f"{self.where}, sequence {sequence + 1}{steps}"

    def select(self, rows: Array) -> Column:
        """Return the column of some of the sequences."""
        if self.offsets is None:
            return replace(self, values=self.values[rows])
        sizes = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        return replace(self, values=self.values[self._inside(rows, sizes)], offsets=offsets)

    def take(self, rows: Array, fill: float) -> Array:
        """Return some of the sequences padded to the longest of them, [rows, *extents, *shape]."""
        if self.offsets is None:
            return self.values[rows]
        sizes = np.diff(self.offsets)[rows]
        shape = (len(rows), int(sizes.max(initial=0)), *self.values.shape[1:])
        padded = np.full(shape, fill, dtype=self.values.dtype)
        padded[np.arange(shape[1]) < sizes[:, None]] = self.values[self._inside(rows, sizes)]
        return padded

    def padded(self) -> Array:
        """Return all sequences, [N, *extents, *shape]: -1 beyond a sequence of classes, else 0."""
        return self.take(np.arange(self.count), 0 if self.classes is None else -1)

    def _inside(self, rows: Array, sizes: Array) -> Array:
        """Return the positions in `values` of all elements of some sequences, one after another."""
        assert self.offsets is not None
        begins = self.offsets[:-1][rows] - np.concatenate([[0], np.cumsum(sizes)[:-1]])
        return np.repeat(begins, sizes) + np.arange(int(sizes.sum()))


@dataclass(frozen=True)
class Examples:
    """Columns over the same N sequences.

    Attributes:
        columns: by name.
        lengths: by axis, [N], for columns that are padded already.
    """

    columns: Mapping[str, Column]
    lengths: Mapping[str, Array] = field(default_factory=dict[str, Array])

    @property
    def count(self) -> int:
        """The number of sequences."""
        return next(iter(self.columns.values())).count

    def select(self, rows: Array) -> Examples:
        """Return some of the sequences."""
        columns = {n: c.select(rows) for n, c in self.columns.items()}
        return Examples(columns, {a: n[rows] for a, n in self.lengths.items()})
