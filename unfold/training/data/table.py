"""Tables of numbers from CSV files; every line below the header is one step, an empty one included.

    a          lines 2 to 6
    1
    2          columns a = 1 2 NaN 4        a gap is refused, or is NaN where it may be filled:
               lines     2 3 4   5          no line is dropped, because time would close up
    4

Blank lines at the end of a file are not steps. Lines end as on any system: \\n, \\r\\n or \\r.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from unfold.settings.data import SeriesData
from unfold.spec.file.model import KeyPath, Section
from unfold.training.data.columns import Arrays
from unfold.training.data.problems import data_error, lines_of, suggest

FILL = "correct the file, or set  missing: interpolate"


@dataclass(frozen=True)
class Table:
    """Columns of numbers, and the line of the file that each row is on.

    Attributes:
        name: of the file.
        columns: by name, [rows]; gaps that may be filled are NaN.
        lines: [rows].
    """

    name: str
    columns: Arrays
    lines: list[int]


def read_table(
    text: str, name: str, separator: str, settings: SeriesData, section: Section, at: KeyPath
) -> Table:
    """Read the columns of a CSV file that are used; the first line names them.

    Raises:
        DataError: the file lacks a column, or a line or field is not a number, with its line and
            column.
    """

    def refuse(message: str, help: str | None = None) -> NoReturn:
        raise data_error(section, at, f"{name}{message}", help)

    try:
        header, rows = _rows(text, separator)
    except csv.Error as error:
        refuse(f" is not a CSV file: {error}", 'quote fields with " and set the separator')
    if not rows:
        refuse(" has no rows after its header")
    for number, row in rows:
        if not row and settings.missing == "error":
            refuse(f", line {number} is blank", FILL)
        if row and len(row) != len(header):
            message = f", line {number} has {len(row)} fields, the header {len(header)}"
            refuse(message, "correct the line, or set the separator")
    columns: Arrays = {}
    for key, reads, column in _wanted(settings):
        if (times := header.count(column)) != 1:
            found = f"{times} columns" if times else "no column"
            help = "rename one" if times else suggest(column, header, "its columns")
            raise data_error(section, (key, reads), f"{name} has {found} {column}", help)
        if column not in columns:
            place = header.index(column)
            numbers: list[float] = []
            for line, row in rows:
                field = row[place].strip() if row else ""
                where = f", line {line}, column {column}"
                try:
                    numbers.append(_number(field))
                except ValueError as error:
                    refuse(f"{where}: {error}", "correct the file, or omit the column")
                if math.isnan(numbers[-1]) and settings.missing == "error":
                    found = f"{field} is not a finite number" if field else "the field is empty"
                    refuse(f"{where}: {found}", FILL)
            columns[column] = np.array(numbers)
    return Table(name, columns, [number for number, _ in rows])


def _wanted(settings: SeriesData) -> Iterator[tuple[str, str, str]]:
    """Yield each column that is read: the key of `data`, the input that reads it, its name."""
    for key, group in (("inputs", settings.inputs), ("targets", settings.targets)):
        for reads, wanted in group.items():
            for column in (wanted,) if isinstance(wanted, str) else wanted:
                yield key, reads, column


def _rows(text: str, separator: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header, and the fields of every line below it; a blank line has none.

    Raises:
        csv.Error: quotes that do not close, a field that is too long.
    """
    reader = csv.reader((f"{line}\n" for line in lines_of(text)), delimiter=separator)
    first = next((row for row in reader if not _is_blank(row)), [])
    header = [field.strip() for field in first]
    rows = [(reader.line_num, [] if _is_blank(row) else row) for row in reader]
    while rows and not rows[-1][1]:
        rows.pop()
    return header, rows


def _is_blank(row: list[str]) -> bool:
    """Tell whether a line is empty; quotes or a separator make it a field."""
    return not row or (len(row) == 1 and row[0].isspace())


def _number(field: str) -> float:
    """Read a field; a gap is NaN.

    Raises:
        ValueError: the message names the kind of the field.
    """
    try:
        value = float(field.replace("_", "?")) if field else math.nan
    except ValueError:
        raise ValueError(f'"{field[:40]}" is not a number') from None
    if math.isinf(value):
        raise ValueError(f"{field} is not a finite number")
    return value
