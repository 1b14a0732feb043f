"""Texts and lines as data sets: each symbol predicts the next one.

A text is one stream, cut into rows that are read side by side. Each of the lines is a sequence that
begins and ends with the end of a line.

    {text: {string: hello}}            x: h e l l    y: e l l o
    {lines: {string: "ann\nbo"}}       x: ⏎ a n n    y: a n n ⏎        x: ⏎ b o    y: b o ⏎
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from unfold.core.program import BATCH, Program, Value
from unfold.settings.data import LinesData, TextData
from unfold.spec.file.model import Section
from unfold.training.data.batches import StreamSource
from unfold.training.data.binding import Fit
from unfold.training.data.columns import Array, Column, Examples
from unfold.training.data.dataset import Data, SetDataset, held_out, split_words
from unfold.training.data.problems import data_error, names
from unfold.training.data.random import axis_extents
from unfold.training.data.text import Text, read_lines, read_text


@dataclass(frozen=True)
class TextDataset:
    """A text as one stream.

    Attributes:
        settings: the checked section.
        section: for the places of mistakes.
        text: that was read.
    """

    settings: TextData
    section: Section
    text: Text

    def fit(self, program: Program) -> Fit:
        """Return the size of the vocabulary, where the spec has a name for it."""
        source = check_text_inputs(self.settings, self.section, program)
        name = getattr(source.type.shape[0], "text", "")
        return Fit({} if not name or name.isdigit() else {name: len(self.text.vocabulary)}, {})

    def batches(
        self,
        program: Program,
        *,
        dtype: str = "float64",
        carry: bool = True,
        chunk: Mapping[str, int] | None = None,
    ) -> Data:
        """Return the batches for a Program; see `Dataset.batches`."""
        settings, text = self.settings, self.text
        self._check_categories(program)
        length = {**axis_extents(program), **(chunk or {})}[settings.axis]
        count = len(text.codes)
        kept = held_out(settings.validation, count, self.section, text.kind)
        train = self._cut(text.codes[: count - kept], settings.batch, length, carry)
        validation = None
        if kept:
            rows = max(1, min(settings.batch, (kept - 1) // length))
            validation = self._cut(text.codes[count - kept :], rows, length, carry, "validation")
        facts = {
            "counts": {"train": count - kept, "validation": kept},
            "vocabularies": {settings.input: text.vocabulary},
            "level": text.level,
            "fingerprint": hashlib.sha256(
                text.vocabulary.encode("utf-8", "surrogatepass") + text.codes.tobytes()
            ).hexdigest(),
        }
        told = f"{count:,} {text.kind}, {len(text.vocabulary)} different ones"
        told += split_words(count - kept, kept, text.kind[:-1])
        return Data(train, validation, told, facts, text)

    def _check_categories(self, program: Program) -> None:
        check_text_inputs(self.settings, self.section, program)
        symbols = len(self.text.vocabulary)
        for key, name in (("input", self.settings.input), ("target", self.settings.target)):
            categories = int(program[name].type.shape[0])
            if categories < symbols:
                message = f"the text has {symbols} different {self.text.kind}, but {name} has"
                help = f"give {name} a named size (category: vocab): the text then determines it"
                message += f" {categories} categories"
                raise data_error(self.section, (key,), message, help)

    def _cut(
        self, codes: Array, rows: int, length: int, carry: bool, part: str = "text"
    ) -> StreamSource:
        """Cut symbols into rows; check that there are enough."""
        if (len(codes) - 1) // rows < length:
            key = "batch" if part == "text" and "batch" in self.section.tree else part
            needs = f"{rows} rows of {length} steps need {rows * length + 1}"
            what = "the text" if part == "text" else "its validation part"
            message = f"{what} has {len(codes)} {self.text.kind}, but {needs}"
            axis = self.settings.axis
            help = f"use a smaller batch, a smaller extent of {axis}, or a longer text"
            raise data_error(self.section, (key,), message, help)
        arrays = {self.settings.input: codes[:-1], self.settings.target: codes[1:]}
        return StreamSource.cut(arrays, rows=rows, length=length, carry=carry, symbols=length)


def check_text_inputs(settings: TextData | LinesData, section: Section, program: Program) -> Value:
    """Check that the spec's inputs can take a text; return the one that reads it.

    Raises:
        DataError: an input is missing, is not a category, or lies along other axes.
    """
    source = _text_input("input", settings.input, settings, section, program)
    _text_input("target", settings.target, settings, section, program)
    for value in program.inputs:
        if value.name not in (settings.input, settings.target):
            key = "text" if isinstance(settings, TextData) else "lines"
            message = f"the text gives no values for the input {value.name}"
            raise data_error(section, (key,), message)
    return source


def _text_input(
    key: str, name: str, settings: TextData | LinesData, section: Section, program: Program
) -> Value:
    value = next((v for v in program.inputs if v.name == name), None)
    if value is None:
        message = f"the spec has no input {name}"
        known = names(v.name for v in program.inputs)
        raise data_error(section, (key,), message, f"its inputs: {known}")
    if value.type.kind != "category":
        message = f"characters need a category, but {name} is {value.type.show()}"
        fix = f"declare it as  {name}[{settings.axis}]: {{category: vocab}}"
        raise data_error(section, (key,), message, fix)
    axes = tuple(a for a in value.axes if a != BATCH)
    if axes != (settings.axis,):
        shown = f"{name}[{', '.join(axes)}]" if axes else f"{name} without an axis"
        message = f"the text runs along {settings.axis}, but the input is {shown}"
        raise data_error(section, (key,), message, "set data.axis to the axis of the input")
    return value


def text_dataset(settings: TextData, section: Section, folder: Path) -> TextDataset:
    """Read a text as one stream.

    Raises:
        DataError: the file cannot be read.
    """
    return TextDataset(settings, section, read_text(settings, section, folder))


def lines_dataset(settings: LinesData, section: Section, folder: Path) -> SetDataset:
    """Read a text with one sequence per line.

    Raises:
        DataError: the file cannot be read or has no lines.
    """
    text, lines = read_lines(settings, section, folder)
    facts = {"classes": len(text.vocabulary), "symbols": text.vocabulary}
    examples = Examples(
        {
            "input": Column.ragged([line[:-1] for line in lines], where="a line", **facts),
            "target": Column.ragged([line[1:] for line in lines], where="a line", **facts),
        }
    )

    def read(program: Program) -> Examples:
        check_text_inputs(settings, section, program)
        return examples

    longest = max(len(line) - 2 for line in lines)
    told = f"{len(lines):,} lines of up to {longest} {text.kind}, {len(text.vocabulary)} different"
    inputs = {settings.input: "input", settings.target: "target"}
    return SetDataset(settings, section, "lines", inputs, read, f"{told} ones", text)
