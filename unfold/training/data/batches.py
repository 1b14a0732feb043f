"""Training data: from the settings of `data` to batches of input arrays, one per step.

A source is a pure function of the step number, so a run can resume anywhere. A text is cut into
`batch` rows that are read side by side, each in chunks of `length` symbols; the target is the input
one symbol later.

    "hello world", batch 2, length 2      row 0: he → el, ll → lo      row 1:  w → wo, or → rl
    step 0 is fresh (the state starts anew), step 1 goes on from it, step 2 is step 0 again

Invariant: chunk k+1 of a row starts exactly where chunk k ended, so a carried state fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from unfold.core.program import BATCH, Program, Value
from unfold.core.types import dims
from unfold.training.data.settings import RandomData, TextData
from unfold.training.data.text import Text, data_error
from unfold.training.sections import Section

Array = np.ndarray
Arrays = dict[str, Array]


@dataclass(frozen=True)
class Batch:
    """What one step is trained on.

    Attributes:
        inputs: by name, each [batch, *axes, *shape]; categories are integers.
        fresh: whether the state starts anew rather than from the previous batch.
        symbols: how many symbols are predicted (0 where the data is no text).
    """

    inputs: Arrays
    fresh: bool
    symbols: int = 0


class Source(Protocol):
    """Where batches come from."""

    @property
    def batch_size(self) -> int:
        """Sequences per batch."""
        ...

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0."""
        ...


@dataclass(frozen=True)
class TextSource:
    """Continuous streams of a text.

    Attributes:
        input: name of the input that gets the symbols.
        target: name of the input that gets the next symbols.
        rows: the streams, [batch, symbols + 1].
        length: symbols per chunk.
        carry: whether a chunk goes on from the state of the one before.
    """

    input: str
    target: str
    rows: Array
    length: int
    carry: bool = True

    @property
    def batch_size(self) -> int:
        """Number of rows."""
        return self.rows.shape[0]

    @property
    def chunks(self) -> int:
        """Number of chunks in a row: after so many steps the text has been read once."""
        return (self.rows.shape[1] - 1) // self.length

    def batch(self, step: int) -> Batch:
        """Return chunk number `step` of every row, starting over at the end of the text."""
        chunk = step % self.chunks
        start = chunk * self.length
        window = self.rows[:, start : start + self.length + 1]
        inputs = {self.input: window[:, :-1], self.target: window[:, 1:]}
        return Batch(inputs, chunk == 0 or not self.carry, self.batch_size * self.length)


@dataclass(frozen=True)
class FixedSource:
    """The same batch at every step."""

    inputs: Arrays
    batch_size: int

    def batch(self, step: int) -> Batch:
        """Return the batch."""
        return Batch(self.inputs, fresh=True)


def check_text_inputs(settings: TextData, section: Section, program: Program) -> str:
    """Check that the spec's inputs can take a text; return how the number of categories is written.

    Raises:
        DataError: where an input is missing, is not a category, or lies along other axes.
    """
    source = _text_input("input", settings.input, settings, section, program)
    _text_input("target", settings.target, settings, section, program)
    for value in program.inputs:
        if value.name not in (settings.input, settings.target):
            message = f"the text gives no values for the input {value.name}"
            raise data_error(section, ("text",), message)
    return dims(source.type.shape)[0].text


def _text_input(
    key: str, name: str, settings: TextData, section: Section, program: Program
) -> Value:
    value = next((v for v in program.inputs if v.name == name), None)
    if value is None:
        message = f"the spec has no input {name}"
        names = ", ".join(v.name for v in program.inputs) or "none"
        raise data_error(section, (key,), message, f"its inputs: {names}")
    if value.type.kind != "category":
        message = f"characters need a category, but {name} is {value.type.show()}"
        fix = f"declare it as  {name}[{settings.axis}]: {{category: vocab}}"
        raise data_error(section, (key,), message, fix)
    axes = tuple(a for a in value.axes if a != BATCH)
    if axes != (settings.axis,):
        shown = f"{name}[{', '.join(axes)}]" if axes else f"{name} without an axis"
        message = f"the text lies along {settings.axis}, but the input is {shown}"
        raise data_error(section, (key,), message, "set data.axis to the axis of the input")
    return value


def text_source(
    settings: TextData, section: Section, text: Text, program: Program, carry: bool
) -> TextSource:
    """Cut a text into rows and chunks for this Program.

    Raises:
        DataError: where the text is too short, or has more characters than an input has categories.
    """
    symbols = len(text.vocabulary)
    for key, name in (("input", settings.input), ("target", settings.target)):
        categories = int(program[name].type.shape[0])
        if categories < symbols:
            message = f"the text has {symbols} different characters, but {name} has {categories}"
            fix = f"give {name} a named size (category: vocab): it is then set from the text"
            raise data_error(section, (key,), f"{message} categories", fix)
    length = axis_extents(program)[settings.axis]
    per_row = (len(text.codes) - 1) // settings.batch
    if per_row < length:
        where = "batch" if "batch" in section.tree else "text"
        rows = f"{settings.batch} rows of {length} steps need {settings.batch * length + 1}"
        message = f"the text has {len(text.codes)} characters, but {rows}"
        fix = f"use a smaller batch, a smaller extent of {settings.axis}, or a longer text"
        raise data_error(section, (where,), message, fix)
    index = np.arange(settings.batch)[:, None] * per_row + np.arange(per_row + 1)
    return TextSource(settings.input, settings.target, text.codes[index], length, carry)


def random_inputs(program: Program, *, batch: int, seed: int = 0, dtype: str = "float64") -> Arrays:
    """Draw every input of a Program: standard normal numbers, uniform categories.

    Returns:
        by name, arrays [batch, *axes, *shape] at the extents the Program has.
    """
    length = axis_extents(program)
    generator = np.random.default_rng(seed)
    drawn: Arrays = {}
    for value in program.inputs:
        extents = [batch if a == BATCH else length[a] for a in value.axes]
        shape = (*extents, *value.type.stored)
        if value.type.kind == "category":
            drawn[value.name] = generator.integers(0, int(value.type.shape[0]), shape)
        elif value.type.kind == "bool":
            drawn[value.name] = generator.random(shape) < 0.5
        else:
            drawn[value.name] = generator.standard_normal(shape).astype(dtype)
    return drawn


def random_source(settings: RandomData, program: Program, dtype: str = "float64") -> FixedSource:
    """Return the fixed batch of random inputs that `data` asks for."""
    inputs = random_inputs(program, batch=settings.batch, seed=settings.seed, dtype=dtype)
    return FixedSource(inputs, settings.batch)


def axis_extents(program: Program) -> dict[str, int]:
    """Return the number of index points of every axis of a Program, the batch excepted."""
    known: dict[str, int] = {}

    def extent(name: str) -> int:
        if name not in known:
            formula = program.axes[name].extent
            needed = {a: extent(a) for a in formula.axes}
            known[name] = int(formula.evaluate(needed, {})[0])
        return known[name]

    for name in program.axes:
        if name != BATCH:
            extent(name)
    return known
