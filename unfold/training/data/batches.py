"""Batches: the data of one step, as a pure function of the number of the step.

A `Source` needs no state: the position of a run in its data is the number of steps it has taken
(the only such fact in a checkpoint), so a resumed run reads the same batches to the last bit. Every
order is drawn from (seed, epoch), every generated batch from (seed, step).

    StreamSource    rows of one long sequence, chunk by chunk; the state goes on
    SetSource       sequences in batches of similar length, shuffled anew in every epoch
    ChunkSource     rows of sequences one after the other, chunk by chunk; each row begins anew
    WindowSource    chunks, each with steps before it (`windows`)
    DrawnSource     sequences generated for every batch
    FixedSource     the same batch at every step

    "hello world", batch 2, length 2      row 0: he → el, ll → lo      row 1:  w → wo, or → rl
    step 0 is fresh (the state starts anew), step 1 goes on from it, step 2 is step 0 again
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np

from unfold.training.data.binding import Binding, own_lengths
from unfold.training.data.columns import Examples

Array = np.ndarray
Arrays = dict[str, Array]
ORDER, DRAWN, CHUNKS = 0, 1, 2
"""The purpose of a stream of random numbers: the second entry of its seed."""


@dataclass(frozen=True)
class Batch:
    """The data of one step.

    Attributes:
        inputs: by name, each [batch, *axes, *shape]; categories are integers.
        fresh: whether the state of every row starts anew rather than from the previous batch.
        symbols: the number of predicted symbols (0 if the data are not text).
        lengths: by axis, the length of each sequence, [batch]; empty if all are equal.
        begins: which rows start anew, [batch], if some go on and some do not.
        known: how many of each row's first steps a loss has counted before, [batch].
        overlap: how many of the last steps the next batch begins with.
        alone: whether no batch of the source goes on from the state of another.
    """

    inputs: Arrays
    fresh: bool
    symbols: int = 0
    lengths: Mapping[str, Array] = field(default_factory=dict[str, Array])
    begins: Array | None = None
    known: Array | None = None
    overlap: int = 0
    alone: bool = False


@runtime_checkable
class Source(Protocol):
    """A source of batches."""

    @property
    def batch_size(self) -> int:
        """The largest number of sequences in a batch."""
        ...

    @property
    def epoch(self) -> int | None:
        """Steps until everything has been seen once; None if every batch is new."""
        ...

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0."""
        ...


@dataclass(frozen=True)
class StreamSource:
    """Continuous streams, read side by side in chunks.

    Invariant: chunk k+1 of a row starts exactly where chunk k ended, so a carried state fits.

    Attributes:
        arrays: by input, [rows, steps, *shape].
        length: steps per chunk.
        carry: whether a chunk goes on from the state of the one before.
        symbols: how many symbols a chunk of one row predicts.
    """

    arrays: Arrays
    length: int
    carry: bool = True
    symbols: int = 0

    @classmethod
    def cut(
        cls, arrays: Arrays, *, rows: int, length: int, carry: bool = True, symbols: int = 0
    ) -> StreamSource:
        """Cut arrays [steps, *shape] of equal length into rows; the remainder is not read."""
        per_row = len(next(iter(arrays.values()))) // rows
        parts = {
            n: a[: rows * per_row].reshape(rows, per_row, *a.shape[1:]) for n, a in arrays.items()
        }
        return cls(parts, length, carry, symbols)

    @property
    def batch_size(self) -> int:
        """Number of rows."""
        return next(iter(self.arrays.values())).shape[0]

    @property
    def epoch(self) -> int:
        """Number of chunks in a row."""
        return next(iter(self.arrays.values())).shape[1] // self.length

    def batch(self, step: int) -> Batch:
        """Return chunk number `step` of every row, starting over at the end."""
        chunk = step % self.epoch
        window = slice(chunk * self.length, (chunk + 1) * self.length)
        inputs = {name: rows[:, window] for name, rows in self.arrays.items()}
        symbols = self.batch_size * self.symbols
        return Batch(inputs, chunk == 0 or not self.carry, symbols, alone=not self.carry)


@dataclass(frozen=True, eq=False)
class SetSource:
    """A set of sequences in batches; every one is seen exactly once in an epoch.

    An epoch is shuffled, and then sorted by length within groups of `bucket` batches, whose order
    is shuffled: sequences of similar length share a batch, and batches differ between epochs.

    Attributes:
        binding: makes the arrays.
        examples: the set.
        size: sequences per batch; the last batch of an epoch may have fewer.
        seed: of the order.
        shuffled: False keeps the order of the sequences.
        bucket: batches that are sorted together.
    """

    binding: Binding
    examples: Examples
    size: int
    seed: int = 0
    shuffled: bool = True
    bucket: int = 1

    @property
    def batch_size(self) -> int:
        """Sequences per batch."""
        return min(self.size, self.examples.count)

    @property
    def epoch(self) -> int:
        """Number of batches."""
        return -(-self.examples.count // self.size)

    def batch(self, step: int) -> Batch:
        """Return a batch."""
        epoch, place = divmod(step, self.epoch)
        inputs, lengths = self.binding.inputs(self.examples, epoch_order(self, epoch)[place])
        return Batch(inputs, fresh=True, lengths=lengths, alone=True)


@lru_cache(maxsize=4)
def epoch_order(source: SetSource, epoch: int) -> list[Array]:
    """Return the sequences of every batch of an epoch."""
    count, size = source.examples.count, source.size
    order = np.arange(count)
    if not source.shuffled:
        return [order[i : i + size] for i in range(0, count, size)]
    generator = np.random.default_rng([source.seed, ORDER, epoch])
    generator.shuffle(order)
    lengths = own_lengths(source.binding.parts, source.examples)
    if source.bucket == 1 or not lengths:
        return [order[i : i + size] for i in range(0, count, size)]
    cost = np.sum([n / n.mean() for n in lengths.values()], axis=0)
    batches: list[Array] = []
    for start in range(0, count, size * source.bucket):
        group = order[start : start + size * source.bucket]
        group = group[np.argsort(cost[group], kind="stable")]
        batches += [group[i : i + size] for i in range(0, len(group), size)]
    return [batches[i] for i in generator.permutation(len(batches))]


@dataclass(frozen=True, eq=False)
class ChunkSource:
    """A set of sequences read in chunks along one axis; a row begins the next when one ends.

    Every row has its own sequences and reads them in an order drawn anew for each pass, so rows
    are never idle. `Batch.begins` tells which rows start a sequence.

    Attributes:
        binding: makes the arrays; every input must lie along the axis.
        examples: the set.
        axis: the axis that is cut.
        length: steps per chunk; the last one of a sequence may have fewer.
        size: number of rows.
        seed: of the order.
    """

    binding: Binding
    examples: Examples
    axis: str
    length: int
    size: int
    seed: int = 0

    @property
    def batch_size(self) -> int:
        """Number of rows."""
        return min(self.size, self.examples.count)

    @property
    def epoch(self) -> int:
        """Steps until the longest row has been read once."""
        return max(len(row_order(self, row, 0)) for row in range(self.batch_size))

    @property
    def steps(self) -> Array:
        """The length of every sequence along the axis, [N]."""
        lengths = own_lengths(self.binding.parts, self.examples).get(self.axis)
        if lengths is not None:
            return lengths
        first = next(iter(self.examples.columns.values()))
        return np.full(self.examples.count, first.values.shape[1])

    def batch(self, step: int) -> Batch:
        """Return the current chunk of every row."""
        chosen = np.empty((self.batch_size, 2), dtype=np.int64)
        for row in range(self.batch_size):
            through, place = divmod(step, len(row_order(self, row, 0)))
            chosen[row] = row_order(self, row, through)[place]
        sequences, starts = chosen[:, 0], chosen[:, 1]
        lengths = np.minimum(self.steps[sequences] - starts, self.length)
        steps = np.arange(int(lengths.max()))
        inside = steps < lengths[:, None]
        at = np.where(inside, starts[:, None] + steps, 0)
        inputs: Arrays = {}
        for part in self.binding.parts:
            column = self.examples.columns[part.column]
            if column.offsets is None:
                cut = column.values[sequences[:, None], at]
            else:
                cut = column.values[column.offsets[sequences][:, None] + at]
            cut = cut.astype(np.int64 if part.is_category else self.binding.dtype)
            cut[~inside] = -1 if part.is_category else 0
            inputs[part.input] = cut
        begins = starts == 0
        return Batch(inputs, bool(begins.all()), lengths={self.axis: lengths}, begins=begins)


@lru_cache(maxsize=1024)
def row_order(source: ChunkSource, row: int, through: int) -> Array:
    """Return the nth pass of a row: (sequence, first step) of every chunk, [chunks, 2]."""
    mine = np.arange(row, source.examples.count, source.batch_size)
    np.random.default_rng([source.seed, CHUNKS, row, through]).shuffle(mine)
    steps = source.steps
    return np.array([(s, t) for s in mine for t in range(0, int(steps[s]), source.length)])


@dataclass(frozen=True, eq=False)
class DrawnSource:
    """Sequences that are generated for every batch.

    Attributes:
        binding: makes the arrays.
        draw: generates a number of sequences.
        batch_size: sequences per batch.
        seed: of the draws.
    """

    binding: Binding
    draw: Callable[[np.random.Generator, int], Examples]
    batch_size: int
    seed: int = 0

    @property
    def epoch(self) -> None:
        """None: every batch is new."""

    def batch(self, step: int) -> Batch:
        """Make the batch of a step."""
        generator = np.random.default_rng([self.seed, DRAWN, step])
        examples = self.draw(generator, self.batch_size)
        inputs, lengths = self.binding.inputs(examples, np.arange(self.batch_size))
        return Batch(inputs, fresh=True, lengths=lengths, alone=True)


@dataclass(frozen=True)
class FixedSource:
    """The same batch at every step."""

    inputs: Arrays
    batch_size: int
    lengths: Mapping[str, Array] = field(default_factory=dict[str, Array])

    @property
    def epoch(self) -> int:
        """One step."""
        return 1

    def batch(self, step: int) -> Batch:
        """Return the batch."""
        return Batch(self.inputs, fresh=True, lengths=self.lengths, alone=True)
