"""The binding of inputs to columns: the column that an input of the spec reads, and its checks.

In: `Examples`, the inputs of a Program, and the mapping from input to column that `data.inputs`
gives (a column of the same name is the default). Out: a `Binding`, which makes the arrays of a
batch; or the sizes and extents that the data require of the spec, where they differ.

    x[t]: {category: vocab}   ←  column "symbol": 7 classes, 3 to 41 steps
    wants vocab = 7, t = 41

A misfit is a `DataError` at the responsible key of `data`; it names the array, and the sequence and
element in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unfold.core.program import BATCH, Program, Value
from unfold.core.types import dims
from unfold.errors import DataError
from unfold.spec.file.model import KeyPath, Section
from unfold.training.data.columns import Column, Examples
from unfold.training.data.problems import data_error, names, suggest

Array = np.ndarray
Arrays = dict[str, Array]


@dataclass(frozen=True)
class Fit:
    """The requirements of data on a spec: by name, sizes and extents of axes."""

    sizes: Mapping[str, int]
    axes: Mapping[str, int]


@dataclass(frozen=True)
class BoundColumn:
    """One input and its column; `axes` without the batch."""

    input: str
    column: str
    axes: tuple[str, ...]
    is_category: bool


@dataclass(frozen=True)
class Binding:
    """Makes input arrays of examples.

    Attributes:
        parts: for every input of the spec.
        dtype: of real numbers.
    """

    parts: tuple[BoundColumn, ...]
    dtype: str

    def inputs(self, examples: Examples, rows: Array) -> tuple[Arrays, Arrays]:
        """Return the inputs of some sequences, [rows, *extents, *shape], and lengths by axis."""
        lengths = {a: n[rows] for a, n in own_lengths(self.parts, examples).items()}
        arrays: Arrays = {}
        for part in self.parts:
            fill = -1 if part.is_category else 0
            column = examples.columns[part.column]
            array = column.take(rows, fill)
            for place, axis in enumerate(part.axes, start=1):
                if axis in lengths and (column.offsets is None or place > 1):
                    array = _cut(array, place, lengths[axis], fill)
            dtype = np.int64 if part.is_category else self.dtype
            arrays[part.input] = np.ascontiguousarray(array, dtype=dtype)
        return arrays, lengths


def own_lengths(parts: tuple[BoundColumn, ...], examples: Examples) -> Arrays:
    """Return, by axis, the length of every sequence, [N], for axes along which they may differ."""
    found = dict(examples.lengths)
    for part in parts:
        lengths = examples.columns[part.column].lengths
        if lengths is not None and part.axes:
            found.setdefault(part.axes[0], lengths)
    return {a: n for a, n in found.items() if any(a in p.axes for p in parts)}


def _cut(array: Array, place: int, lengths: Array, fill: float) -> Array:
    """Cut one dimension to the longest sequence and pad the others beyond their own lengths."""
    array = array[(slice(None),) * place + (slice(0, int(lengths.max())),)]
    extent = array.shape[place]
    if (lengths == extent).all():
        return array
    shape = [len(lengths), *(extent if d == place else 1 for d in range(1, array.ndim))]
    inside = (np.arange(extent) < lengths[:, None]).reshape(shape)
    return np.where(inside, array, np.asarray(fill, dtype=array.dtype))


@dataclass(frozen=True)
class Binder:
    """Checks columns against a Program.

    Attributes:
        program: of the inputs.
        section: of the spec, for the places of mistakes.
        mapping: by input, the name of its column.
        family: the key of `data` that names the source of the data.
    """

    program: Program
    section: Section
    mapping: Mapping[str, str]
    family: str

    def parts(self, examples: Examples) -> tuple[BoundColumn, ...]:
        """Return the column of every input.

        Raises:
            DataError: the spec or the data lack a name.
        """
        check_names(self.program, self.section, self.mapping)
        for value in self.program.inputs:
            column = self.mapping.get(value.name, value.name)
            if column not in examples.columns:
                message = f"the input {value.name} gets no values: the data have no {column!r}"
                help = suggest(column, examples.columns, "they have")
                if value.name not in self.mapping:
                    first = next(iter(examples.columns))
                    help += f"; name the one to read: inputs: {{{value.name}: {first}}}"
                raise self.error(value, message, help)
        return tuple(
            BoundColumn(
                v.name,
                self.mapping.get(v.name, v.name),
                v.axes[1:] if v.batched else v.axes,
                v.type.kind == "category",
            )
            for v in self.program.inputs
        )

    def error(self, value: Value, message: str, help: str | None = None) -> DataError:
        """Make the error for an input, at the key that gives it a column."""
        at: KeyPath = ("inputs", value.name) if value.name in self.mapping else (self.family,)
        return data_error(self.section, at, message, help)

    def fit(self, examples: Examples) -> Fit:
        """Return the sizes and extents of the examples that have names in the spec."""
        parts = self.parts(examples)
        sizes: dict[str, int] = {}
        axes: dict[str, int] = {}
        lengths = own_lengths(parts, examples)
        for part in parts:
            value, column = self.program[part.input], examples.columns[part.column]
            shape = dims(value.type.shape)
            found = self._shape(value, column, part.axes)
            for dim, size in zip(shape, found, strict=False):
                if len(found) == len(shape) and size is not None and not dim.text.isdigit():
                    sizes.setdefault(dim.text, size)
            for place, axis in enumerate(part.axes):
                if axis in lengths:
                    longest = column.longest if place == 0 else None
                    axes[axis] = max(
                        axes.get(axis, 0), longest or int(lengths[axis].max(initial=1))
                    )
                elif column.offsets is None and place + 1 < column.values.ndim:
                    axes.setdefault(axis, column.values.shape[place + 1])
        constant = {a for a, x in self.program.axes.items() if not x.extent.axes}
        return Fit(sizes, {a: n for a, n in axes.items() if a in constant})

    def bind(self, examples: Examples, dtype: str) -> Binding:
        """Return the binding of examples that fit.

        Raises:
            DataError: unequal counts or lengths, a wrong rank, shape or kind, a class out of range
                or a number that is not finite.
        """
        parts = self.parts(examples)
        self._check_counts(parts, examples)
        lengths = own_lengths(parts, examples)
        extents: dict[str, tuple[int, str]] = {}
        for part in parts:
            value, column = self.program[part.input], examples.columns[part.column]
            self._check_shape(value, column, part.axes)
            self._check_lengths(value, column, part, lengths, extents)
            self._check_values(value, column, part, lengths, dtype)
        return Binding(parts, dtype)

    def _shape(self, value: Value, column: Column, axes: tuple[str, ...]) -> tuple[int | None, ...]:
        """Return the shape that a column has at one index point; None is any number of classes."""
        if value.type.kind == "category":
            return (column.classes,)
        leading = 1 if column.offsets is not None else 1 + len(axes)
        return column.values.shape[leading:]

    def _check_counts(self, parts: tuple[BoundColumn, ...], examples: Examples) -> None:
        """Check that all columns, and the lengths, are of the same sequences."""
        first = examples.columns[parts[0].column]
        counts = {examples.columns[p.column].where: p for p in parts}
        for where, part in counts.items():
            count, value = examples.columns[part.column].count, self.program[part.input]
            if not count:
                raise self.error(value, f"{where} is empty")
            if count != first.count:
                message = f"unequal counts: {first.where} has {first.count} sequences,"
                help = "they are paired one by one"
                raise self.error(value, f"{message} {where} has {count}", help)
        for axis, own in examples.lengths.items():
            if len(own) != first.count:
                message = f"unequal counts: {first.where} has {first.count} sequences, but there"
                message += f" are {len(own)} lengths along {axis}"
                raise data_error(self.section, ("lengths", axis), message)

    def _check_shape(self, value: Value, column: Column, axes: tuple[str, ...]) -> None:
        stored = tuple(int(d) for d in value.type.stored)
        is_ragged = column.offsets is not None
        leading = 1 if is_ragged else 1 + len(axes)
        found = column.values.shape[leading:]
        wrong_axes = (len(axes) != 1) if is_ragged else column.values.ndim < leading
        if wrong_axes or len(found) != len(stored):
            dimensions = "".join(f", {n}" for n in column.values.shape[1:])
            steps = ", steps" if is_ragged else ""
            message = f"{column.where} is [sequences{steps}{dimensions}], but {_declared(value)}"
            help = "an array must be [sequences, *extents of the axes, *shape]"
            raise self.error(value, message, help)
        if found != stored:
            message = f"{column.where} has the shape {list(found)} at each point, but "
            raise self.error(value, message + _declared(value), "give it a size of that value")

    def _check_lengths(
        self,
        value: Value,
        column: Column,
        part: BoundColumn,
        lengths: Arrays,
        extents: dict[str, tuple[int, str]],
    ) -> None:
        """Check that columns over the same axis have the same lengths there."""
        for place, axis in enumerate(part.axes):
            own = lengths.get(axis)
            if column.offsets is not None:
                mine = column.lengths
                assert own is not None and mine is not None
                if (mine != own).any():
                    row = int(np.flatnonzero(mine != own)[0])
                    message = f"unequal lengths along {axis}: {column.place(row)} has {mine[row]}"
                    message += f" steps, but another input has {own[row]} there"
                    help = "inputs of unequal length need separate axes"
                    raise self.error(value, message, help)
                if mine.min() < 1:
                    message = f"{column.place(int(mine.argmin()))} is empty"
                    raise self.error(value, message, "omit it, or give it at least one step")
                continue
            extent = column.values.shape[place + 1]
            if own is not None and (own.min() < 1 or own.max() > extent):
                row = int(np.flatnonzero((own < 1) | (own > extent))[0])
                message = f"the length of sequence {row + 1} along {axis} is {own[row]}, but"
                message += f" {column.where} has {extent} steps there"
                raise self.error(value, message, f"lengths must be from 1 to {extent}")
            other = extents.setdefault(axis, (extent, column.where))
            if other[0] != extent:
                message = f"unequal extents along {axis}: {other[1]} has {other[0]}, {column.where}"
                raise self.error(value, f"{message} has {extent}")

    def _check_values(
        self, value: Value, column: Column, part: BoundColumn, lengths: Arrays, dtype: str
    ) -> None:
        """Check kind and range of every element inside its sequence."""
        values, kind = column.values, column.values.dtype.kind
        if kind not in "biuf" or (value.type.kind == "category" and kind == "f"):
            wanted = "whole numbers" if value.type.kind == "category" else "numbers"
            message = f"{column.where} holds {values.dtype}, but {_declared(value)}"
            raise self.error(value, message, f"{wanted} are expected")
        if value.type.kind == "category":
            classes = int(value.type.shape[0])
            if column.classes is not None and column.classes > classes:
                message = f"{column.where} has {column.classes} classes, but {_declared(value)}"
                help = f"give {value.name} a named size: the data then determine it"
                raise self.error(value, message, help)
            bad = (values < -1) | (values >= classes)
            wanted = f"classes of {value.name} are 0 to {classes - 1}; -1 means no class"
        elif kind == "f":
            largest = np.finfo(dtype).max
            with np.errstate(invalid="ignore"):
                bad = ~(np.abs(values) <= largest)
            wanted = f"numbers must be finite, and in {dtype} at most {largest:.2g}"
        else:
            return
        if not bad.any():
            return
        for place, axis in enumerate(part.axes, start=1):
            if axis in lengths and column.offsets is None:
                steps = np.arange(values.shape[place]) < lengths[axis][:, None]
                shape = [len(values), *(1 if d != place else -1 for d in range(1, values.ndim))]
                bad = bad & steps.reshape(shape)
        if bad.any():
            at = tuple(int(i) for i in np.argwhere(bad)[0])
            sequence, inside = at[0], at[1:]
            if column.offsets is not None:
                sequence = int(np.searchsorted(column.offsets, at[0], side="right")) - 1
                inside = (at[0] - int(column.offsets[sequence]), *at[1:])
            raise self.error(value, f"{column.place(sequence, inside)} is {values[at]}", wanted)


def check_names(program: Program, section: Section, mapping: Mapping[str, object]) -> None:
    """Check that `data.inputs` names inputs of the spec.

    Raises:
        DataError: the spec lacks an input.
    """
    known = [v.name for v in program.inputs]
    for name in mapping:
        if name not in known:
            key = next((k for k in ("inputs", "targets") if name in section.tree.get(k, {})), None)
            help = f"its inputs: {names(known)}"
            at: KeyPath = (key, name) if key else ()
            raise data_error(section, at, f"the spec has no input {name}", help)


def _declared(value: Value) -> str:
    """Show how the spec declares an input."""
    axes = [a for a in value.axes if a != BATCH]
    over = f"[{', '.join(axes)}]" if axes else ""
    return f"{value.name}{over} is {value.type.show()}"
