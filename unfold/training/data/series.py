"""Time series from CSV files: columns by name, scaled by statistics of the training part.

    {series: {file: weather.csv}, inputs: {x: [wind, rain]}, targets: {y: rain}, ahead: 1}

    step    0     1     2     3  |  4     5          x at step t are wind and rain,
    x       w r   w r   w r   .  |  w r   .          y is the rain one step later;
    y       r     r     r     .  |  r     .          4 steps to train on, 2 to validate with

    ahead: [1, 3]     y[t,k] is the rain one and three steps later, for k = 0 and 1; the last step
                      is the last one with all of its targets

The split is in the order of time, and neither part sees a value of the other. Mean and deviation
(or the range) are those of the training part and belong to the facts of a run, so that a model's
output can be scaled back. A column that a category input reads is not scaled.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unfold.core.program import BATCH, Program, Value
from unfold.core.types import dims
from unfold.settings.data import BuiltIn, SeriesData
from unfold.spec.file.model import KeyPath, Section
from unfold.training.data.batches import SetSource, Source, StreamSource
from unfold.training.data.binding import Binding, BoundColumn, Fit, check_names
from unfold.training.data.columns import Array, Arrays, Column, Examples
from unfold.training.data.dataset import Data, held_out, split_words
from unfold.training.data.problems import data_error, read_utf8
from unfold.training.data.random import axis_extents
from unfold.training.data.table import Table, read_table

SETS = Path(__file__).parent / "sets"


@dataclass(frozen=True)
class SeriesDataset:
    """Columns over time.

    Attributes:
        settings: the checked section.
        section: for the places of mistakes.
        table: the columns that were read.
    """

    settings: SeriesData
    section: Section
    table: Table

    def fit(self, program: Program) -> Fit:
        """Return the numbers of columns, where the spec has names for them."""
        self._check_inputs(program)
        sizes: dict[str, int] = {}
        for value in program.inputs:
            shape = dims(value.type.shape)
            if value.type.kind != "category" and len(shape) == 1 and not shape[0].text.isdigit():
                sizes.setdefault(shape[0].text, len(self._columns(value.name)))
        ahead, targets = self.settings.ahead, self.settings.targets
        axes = {a for v in program.inputs if v.name in targets for a in self._axes(v)[1:]}
        constant = {a for a in axes if program.axes[a].extent.is_constant}
        return Fit(sizes, dict.fromkeys(constant, len(ahead)) if isinstance(ahead, tuple) else {})

    def batches(
        self,
        program: Program,
        *,
        dtype: str = "float64",
        carry: bool = True,
        chunk: Mapping[str, int] | None = None,
    ) -> Data:
        """Return the batches for a Program; see `Dataset.batches`."""
        self._check_inputs(program)
        settings, count = self.settings, len(self.table.lines)
        kept = held_out(settings.validation, count, self.section, "steps")
        first = count - kept
        self._check_ahead(program)
        length = {**axis_extents(program), **(chunk or {})}[settings.axis]
        gaps = sum(int(np.isnan(self.table.columns[n]).sum()) for n in self._used())
        columns = {n: self._filled(n, first) for n in self._used()}
        scales: dict[str, dict[str, float]] = {}
        arrays = {v.name: self._array(v, columns, first, scales, dtype) for v in program.inputs}
        train = self._part(program, arrays, slice(0, first), length, carry, dtype)
        validation = None
        if kept:
            part = slice(first, count)
            validation = self._part(program, arrays, part, length, carry, dtype, "validation")
        told = f"{count:,} steps of {', '.join(self._used())}"
        told += f", {gaps} gaps filled" if gaps else ""
        told += split_words(first, kept, "step")
        facts: dict[str, object] = {
            "counts": {"train": first, "validation": kept},
            "normalisation": scales,
            "fingerprint": self._fingerprint(),
        }
        return Data(train, validation, told, facts)

    def _columns(self, name: str) -> tuple[str, ...]:
        """Return the columns that an input reads."""
        columns = {**self.settings.inputs, **self.settings.targets}[name]
        return (columns,) if isinstance(columns, str) else columns

    def _used(self) -> list[str]:
        names = [*self.settings.inputs, *self.settings.targets]
        return list(dict.fromkeys(c for n in names for c in self._columns(n)))

    def _check_inputs(self, program: Program) -> None:
        """Check that every input has a place over the axis and columns that fit."""
        settings = self.settings
        check_names(program, self.section, {**settings.inputs, **settings.targets})
        for value in program.inputs:
            at = self._at(value.name)
            if value.name not in settings.inputs and value.name not in settings.targets:
                message = f"the input {value.name} gets no values"
                first = next(iter(self.table.columns))
                help = f"name the column to read: inputs: {{{value.name}: {first}}}"
                raise data_error(self.section, ("series",), message, help)
            self._check_axes(value, at)
            width, rank = len(self._columns(value.name)), len(value.type.stored)
            if rank > 1 or (rank == 0 and width > 1):
                fix = f"declare it as  {value.name}[{settings.axis}]: [{width}]"
                message = f"{value.name} is {value.type.show()}, but reads {width} columns"
                raise data_error(self.section, at, message, fix)

    def _axes(self, value: Value) -> list[str]:
        return [a for a in value.axes if a != BATCH]

    def _check_axes(self, value: Value, at: KeyPath) -> None:
        """Check that an input lies along time, and several targets along an additional axis."""
        settings, axes = self.settings, self._axes(value)
        shown = f"{value.name}[{', '.join(axes)}]" if axes else f"{value.name} without axis"
        several = isinstance(settings.ahead, tuple) and value.name in settings.targets
        if axes[:1] != [settings.axis] or len(axes) > 1 + several:
            message = f"the series runs along {settings.axis}, but the input is {shown}"
            raise data_error(self.section, at, message, "set data.axis to its axis")
        if several and len(axes) < 2:
            message = f"every step has {settings.many} targets, but the input is {shown}"
            help = f"give it an axis for them, as in  {value.name}[{settings.axis},k]"
            raise data_error(self.section, at, message, help)

    def _check_ahead(self, program: Program) -> None:
        """Check that targets of several steps have the same number of index points."""
        extents, many = axis_extents(program), self.settings.many
        for value in program.inputs:
            axes = self._axes(value)
            if len(axes) > 1 and extents[axes[1]] != many:
                message = f"{axes[1]} has {extents[axes[1]]} points, but there are {many} targets"
                raise data_error(self.section, ("ahead",), f"{message} at every step")

    def _at(self, name: str) -> KeyPath:
        return ("targets" if name in self.settings.targets else "inputs", name)

    def _filled(self, name: str, first: int) -> Array:
        """Return a column without gaps: interpolate between neighbours, in each part alone."""
        column = self.table.columns[name]
        parts = [part for part in (column[:first], column[first:]) if len(part)]
        for part, rows in zip(parts, ("training", "validation"), strict=False):
            if np.isnan(part).all():
                message = f"{self.table.name}: column {name} has no number in its {rows} part"
                raise data_error(self.section, ("series",), message, "omit the column")
        return np.concatenate([fill(part) for part in parts])

    def _array(
        self,
        value: Value,
        table: Arrays,
        first: int,
        scales: dict[str, dict[str, float]],
        dtype: str,
    ) -> Array:
        """Return the values of an input, [steps, *shape]; `first` steps are for training."""
        names = self._columns(value.name)
        if value.type.kind == "category":
            return self._classes(value, names[0], table[names[0]])
        if value.type.stored and int(value.type.stored[0]) != len(names):
            message = f"{value.name} is {value.type.show()}, but reads {len(names)} columns"
            raise data_error(self.section, self._at(value.name), message)
        columns: list[Array] = []
        for name in names:
            column = table[name]
            if name not in scales:
                with np.errstate(over="ignore", invalid="ignore"):
                    scales[name] = scale(column[:first], self.settings.normalise)
            with np.errstate(over="ignore", invalid="ignore"):
                columns.append((column - scales[name]["subtract"]) / scales[name]["divide"])
        array = np.stack(columns, axis=1) if value.type.stored else columns[0]
        finite = all(math.isfinite(v) for n in names for v in scales[n].values())
        if not finite or not (np.abs(array) <= np.finfo(dtype).max).all():
            message = (
                f"{self.table.name}: the numbers of {', '.join(names)} are too large for {dtype}"
            )
            raise data_error(self.section, self._at(value.name), message, "divide them, or omit")
        return array.astype(dtype)

    def _classes(self, value: Value, name: str, column: Array) -> Array:
        """Return a column as classes of an input."""
        classes = int(value.type.shape[0])
        if (gaps := np.flatnonzero(np.isnan(self.table.columns[name]))).size:
            message = f"{self.table.name}, line {self.table.lines[gaps[0]]}, column {name}:"
            message += f" {value.name} needs a class, and classes cannot be interpolated"
            raise data_error(self.section, self._at(value.name), message, "-1 means no class")
        bad = (column != np.floor(column)) | (column < -1) | (column >= classes)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            message = f"{self.table.name}, line {self.table.lines[row]}, column {name}:"
            message += f" {column[row]:g} is not a class of {value.name}"
            help = f"classes are 0 to {classes - 1}; -1 means no class"
            raise data_error(self.section, self._at(value.name), message, help)
        return column.astype(np.int64)

    def _part(
        self,
        program: Program,
        arrays: Arrays,
        part: slice,
        length: int,
        carry: bool,
        dtype: str,
        key: str = "series",
    ) -> Source:
        """Return the batches of one part of the time."""
        settings = self.settings
        each = settings.ahead if isinstance(settings.ahead, tuple) else (settings.ahead,)
        ahead = max(each) if settings.targets else 0
        steps = part.stop - part.start - ahead
        rows = settings.batch if key == "series" and settings.stride is None else 1
        if key != "series" and settings.stride is None:
            rows = max(1, min(settings.batch, steps // length))
        if steps // rows < length:
            what = "the series" if key == "series" else "its validation part"
            needs = f"{rows} rows of {length} steps need {rows * length + ahead}"
            message = f"{what} has {part.stop - part.start} steps, but {needs}"
            place = "batch" if key == "series" and "batch" in self.section.tree else key
            help = f"use a smaller batch or a smaller extent of {settings.axis}"
            raise data_error(self.section, (place,), message, help)

        def target(array: Array) -> Array:
            """Return the target of each step: [steps, *shape], [steps, ahead, *shape]."""
            later = [array[part][h : h + steps] for h in each]
            return np.stack(later, axis=1) if isinstance(settings.ahead, tuple) else later[0]

        cut = {
            n: target(a) if n in settings.targets else a[part][:steps] for n, a in arrays.items()
        }
        if settings.stride is None:
            return StreamSource.cut(cut, rows=rows, length=length, carry=carry)
        parts = tuple(
            BoundColumn(v.name, v.name, tuple(self._axes(v)), v.type.kind == "category")
            for v in program.inputs
        )
        columns = {n: Column(windows(a, length, settings.stride)) for n, a in cut.items()}
        return SetSource(
            Binding(parts, dtype),
            Examples(columns),
            settings.batch,
            settings.seed,
            shuffled=key == "series",
        )

    def _fingerprint(self) -> str:
        found = hashlib.sha256()
        for name in self._used():
            found.update(name.encode() + b"\0" + self.table.columns[name].tobytes())
        return found.hexdigest()


def windows(array: Array, length: int, stride: int) -> Array:
    """Return every window of an array [steps, *shape], [windows, length, *shape], without copy."""
    every = np.lib.stride_tricks.sliding_window_view(array, length, axis=0)
    return np.moveaxis(every, -1, 1)[::stride]


def fill(values: Array) -> Array:
    """Return values [steps] with their gaps, which are NaN, interpolated."""
    gaps, steps = np.isnan(values), np.arange(len(values))
    return np.interp(steps, steps[~gaps], values[~gaps]) if gaps.any() else values


def scale(column: Array, how: str) -> dict[str, float]:
    """Return the offset and the divisor that scale a column.

    Arguments:
        column: the training part.
        how: "standard" for mean 0 and deviation 1, "range" for 0 to 1, "none".
    """
    if how == "none":
        return {"subtract": 0.0, "divide": 1.0}
    if how == "range":
        lowest, width = float(column.min()), float(column.max() - column.min())
    else:
        lowest, width = float(column.mean()), float(column.std())
    return {"subtract": lowest, "divide": width or 1.0}


def series_dataset(settings: SeriesData, section: Section, folder: Path) -> SeriesDataset:
    """Read the columns that inputs and targets name.

    Raises:
        DataError: the file cannot be read, lacks a column, or has a field that is not a number,
            with its line and column.
    """
    source = settings.series
    if isinstance(source, BuiltIn):
        text = (SETS / f"{source.name}.csv").read_text(encoding="utf-8")
        settings = settings.model_copy(update={"missing": "interpolate"})
        table = read_table(text, source.name, ",", settings, section, ("series",))
    else:
        at = ("series", "file")
        _, text = read_utf8(source.file, section, at, folder)
        table = read_table(text, source.file, source.separator, settings, section, at)
    return SeriesDataset(settings, section, table)
