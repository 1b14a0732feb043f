"""Windows: chunks of long sequences, each together with steps before it.

Truncated backpropagation with a window longer than a chunk, BPTT(h; h') of Williams & Peng 1990:
every `every` steps weights are updated with the loss of the newest `every` steps, whose gradients
flow back through `back` steps. A window is a chunk and up to back - every steps before it, fewer
if its sequence begins later; `Batch.known` counts them, row by row.

    every 2, back 5   a row reads the sequence  0 1 2 3 4 5 6
    step 0    | 0 1           begins
    step 1    0 1 | 2 3       begins
    step 2    1 2 3 | 4 5     goes on from the state before 1
    step 3    3 4 5 | 6       goes on from the state before 3

The loss counts the steps right of the bar. A window is run again with the present weights, from the
state that the previous step reached `overlap` = back - every steps before its own end.

In: any source whose inputs lie along one axis and whose rows go on from batch to batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from unfold.training.data.batches import Array, Batch, Source

KEPT = 256


@dataclass(frozen=True, eq=False)
class WindowSource:
    """Batches of another source, each with steps before it.

    Attributes:
        chunks: the other source; every input is [rows, steps, *shape].
        axis: the axis that is cut.
        overlap: how many steps before a chunk there are in a window.
    """

    chunks: Source
    axis: str
    overlap: int

    @property
    def batch_size(self) -> int:
        """Number of rows."""
        return self.chunks.batch_size

    @property
    def epoch(self) -> int | None:
        """As many windows as chunks."""
        return self.chunks.epoch

    def batch(self, step: int) -> Batch:
        """Return the window that ends with a chunk."""
        newest = chunk(self, step)
        own = lengths(newest, self.axis)
        pieces, begun, before = [(newest, own)], starts(newest), np.zeros_like(own)
        while not (begun | (before >= self.overlap)).all():
            older = chunk(self, step - len(pieces))
            taken = np.where(begun, 0, lengths(older, self.axis))
            taken = np.minimum(taken, self.overlap - before)
            # A row has begun only where all of its first chunk is in the window.
            whole = taken == lengths(older, self.axis)
            pieces.append((older, taken))
            before, begun = before + taken, begun | (starts(older) & whole)
        total = before + own
        inputs = {n: joined(n, pieces, self.axis, total) for n in newest.inputs}
        equal = bool((total == total[0]).all())
        return Batch(
            inputs,
            bool(begun.all()),
            newest.symbols,
            {} if equal else {self.axis: total},
            None if newest.begins is None else begun,
            before,
            self.overlap,
            newest.alone,
        )


@lru_cache(maxsize=KEPT)
def chunk(source: WindowSource, step: int) -> Batch:
    """Return a batch of the other source."""
    return source.chunks.batch(step)


def lengths(batch: Batch, axis: str) -> Array:
    """Return the number of steps of each row, [rows]."""
    rows, steps = next(iter(batch.inputs.values())).shape[:2]
    return np.asarray(batch.lengths.get(axis, np.full(rows, steps)))


def starts(batch: Batch) -> Array:
    """Return which rows begin a sequence, [rows]."""
    rows = next(iter(batch.inputs.values())).shape[0]
    return np.full(rows, batch.fresh) if batch.begins is None else np.asarray(batch.begins)


def joined(name: str, pieces: list[tuple[Batch, Array]], axis: str, total: Array) -> Array:
    """Return an input of a window: the last steps of every piece, the oldest first.

    Arguments:
        name: of the input.
        pieces: chunks, the newest first, and how many of their steps each row takes.
        axis: the axis that is cut.
        total: how many steps each row has in the end.
    """
    first = pieces[0][0].inputs[name]
    empty = -1 if first.dtype.kind == "i" else 0
    found = np.full((len(first), int(total.max()), *first.shape[2:]), empty, first.dtype)
    end = total.copy()
    for batch, taken in pieces:
        array, own = batch.inputs[name], lengths(batch, axis)
        for row in np.flatnonzero(taken):
            count, stop = taken[row], own[row]
            found[row, end[row] - count : end[row]] = array[row, stop - count : stop]
        end -= taken
    return found
