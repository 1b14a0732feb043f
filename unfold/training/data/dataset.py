"""A data set and its results: batches for training, batches for validation, and a description.

A `Dataset` has been read and knows nothing of a model. It meets a Program in two steps, because
sizes of the spec (a vocabulary, a number of columns) may follow from the data:

    fit(program)      the sizes and extents that the data require; the spec is then loaded again
    batches(program)  checks everything, and returns `Data`

`Data.facts` are for the run folder, as JSON: the vocabulary, the normalisation, the split and a
fingerprint of the contents, by which a resumed run notices that its data have changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from unfold.core.program import Program
from unfold.settings.data import SetData
from unfold.spec.file.model import Section
from unfold.training.data.batches import Batch, ChunkSource, SetSource, Source
from unfold.training.data.binding import Binder, Binding, Fit
from unfold.training.data.columns import Examples
from unfold.training.data.problems import data_error
from unfold.training.data.text import Text

Array = np.ndarray
SPLIT = 3


@dataclass(frozen=True)
class Data:
    """Batches for one Program.

    Attributes:
        train: for training.
        validation: for validation, from step 0 to its `epoch`; None if nothing is held out.
        told: a line for users: the amount and kind of the data, and the split.
        facts: for the run folder, as JSON values.
        text: the vocabulary, if the data are symbols of a text.
    """

    train: Source
    validation: Source | None
    told: str
    facts: Mapping[str, object] = field(default_factory=dict[str, object])
    text: Text | None = None

    def validation_batches(self) -> Iterator[Batch]:
        """Yield all held-out batches, once."""
        if self.validation is not None:
            for step in range(self.validation.epoch or 0):
                yield self.validation.batch(step)


class Dataset(Protocol):
    """Data that have been read."""

    def fit(self, program: Program) -> Fit:
        """Return the sizes and extents that the data require of a spec."""
        ...

    def batches(
        self,
        program: Program,
        *,
        dtype: str = "float64",
        carry: bool = True,
        chunk: Mapping[str, int] | None = None,
    ) -> Data:
        """Return the batches for a Program.

        Arguments:
            program: with the sizes and extents that `fit` returned.
            dtype: of real numbers.
            carry: whether the state goes on from chunk to chunk, where data are one long stream.
            chunk: an axis and a number of steps, to read sets of long sequences in chunks.

        Raises:
            DataError: the data do not fit.
        """
        ...


@dataclass(frozen=True)
class SetDataset:
    """A set of sequences from any source.

    Attributes:
        settings: the checked section.
        section: for the places of mistakes.
        family: the key of `data` that says where the data come from.
        inputs: by input of the spec, the name of its column.
        read: makes the examples; the Program determines the meaning of a word in a JSON file.
        told: a description of the set.
        text: the vocabulary, if the data are symbols of a text.
    """

    settings: SetData
    section: Section
    family: str
    inputs: Mapping[str, str]
    read: Callable[[Program], Examples]
    told: str
    text: Text | None = None

    def fit(self, program: Program) -> Fit:
        """Return the sizes and extents that the data require of a spec."""
        return self._binder(program).fit(self.read(program))

    def batches(
        self,
        program: Program,
        *,
        dtype: str = "float64",
        carry: bool = True,
        chunk: Mapping[str, int] | None = None,
    ) -> Data:
        """Return the batches for a Program; see `Dataset.batches`."""
        settings, examples = self.settings, self.read(program)
        binding = self._binder(program).bind(examples, dtype)
        used = {part.column: examples.columns[part.column] for part in binding.parts}
        examples = Examples(used, examples.lengths)
        kept = held_out(settings.validation, examples.count, self.section, "sequences")
        rows = np.arange(examples.count)
        if settings.order == "shuffled":
            np.random.default_rng([settings.seed, SPLIT]).shuffle(rows)
        first, last = rows[: len(rows) - kept], np.sort(rows[len(rows) - kept :])
        train = examples if not kept else examples.select(np.sort(first))
        validation = None
        if kept:
            validation = SetSource(binding, examples.select(last), settings.batch, shuffled=False)
        facts: dict[str, object] = {
            "counts": {"train": len(first), "validation": kept},
            "fingerprint": fingerprint(binding, examples),
            **vocabularies(binding, examples),
        }
        return Data(
            set_source(binding, train, settings, chunk, self.section),
            validation,
            self.told + split_words(len(first), kept, "sequence"),
            facts,
            self.text,
        )

    def _binder(self, program: Program) -> Binder:
        return Binder(program, self.section, self.inputs, self.family)


def set_source(
    binding: Binding,
    examples: Examples,
    settings: SetData,
    chunk: Mapping[str, int] | None,
    section: Section,
) -> Source:
    """Return the batches of a set, whole sequences or chunks of them.

    Raises:
        DataError: sequences cannot be cut along the axis.
    """
    if not chunk:
        shuffled = settings.order == "shuffled"
        return SetSource(
            binding, examples, settings.batch, settings.seed, shuffled, settings.bucket
        )
    ((axis, length),) = chunk.items()
    for part in binding.parts:
        if part.axes != (axis,):
            message = f"sequences are read in chunks along {axis}, but {part.input} runs along"
            message += f" {', '.join(part.axes) or 'no axis'}"
            raise data_error(section, (), message, "train on whole sequences: remove truncate")
    return ChunkSource(binding, examples, axis, length, settings.batch, settings.seed)


def held_out(validation: float | int, count: int, section: Section, what: str) -> int:
    """Return the number out of `count` to hold out for validation.

    Raises:
        DataError: nothing would be left for training, or for validation.
    """
    kept = validation if isinstance(validation, int) else round(validation * count)
    if kept >= count or (validation and not kept):
        message = f"validation keeps {kept:,} of {count:,} {what}"
        raise data_error(section, ("validation",), message, "keep at least one for each part")
    return kept


def split_words(train: int, validation: int, what: str) -> str:
    """Describe the split of data, as the end of a line."""
    if not validation:
        return ""
    return f"; {train:,} to train on, {validation:,} to validate with"


def fingerprint(binding: Binding, examples: Examples) -> str:
    """Return a hash of everything that the inputs read."""
    found = hashlib.sha256()
    for name in sorted({p.column for p in binding.parts}):
        column = examples.columns[name]
        found.update(repr(column.symbols).encode("utf-8", "backslashreplace"))
        for array in (column.values, column.offsets):
            if array is not None:
                found.update(f"{name} {array.dtype.str} {array.shape}".encode())
                found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def vocabularies(binding: Binding, examples: Examples) -> dict[str, object]:
    """Return the symbols of every input that has any."""
    found = {p.input: examples.columns[p.column].symbols for p in binding.parts}
    symbols = {
        name: known if isinstance(known, str) else list(known)
        for name, known in found.items()
        if known is not None
    }
    return {"vocabularies": symbols} if symbols else {}
