"""Sets of sequences in JSON lines: one object per line, whose values may differ in length.

    {"word": "cat", "sounds": [3, 1, 4], "kind": "noun"}
    {"word": "go", "sounds": [7, 2], "kind": "verb"}

The meaning of a value depends on the input that reads it: over an axis, text is a sequence of
characters and a list of words a sequence of words; without an axis, text is a class. Symbols are
numbered in order (characters by code point, words by alphabet). Lists of numbers are sequences of
numbers, lists of lists sequences of vectors.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unfold.core.program import BATCH, Program
from unfold.settings.data import BuiltIn, SequencesData
from unfold.settings.model import show
from unfold.spec.file.model import Section
from unfold.training.data.columns import Column, Examples
from unfold.training.data.dataset import SetDataset
from unfold.training.data.problems import data_error, lines_of, read_utf8, unwritable
from unfold.training.data.text import Text
from unfold.training.tasks.topics import TOPICS, WORDS, topics

KINDS = {
    "number": "a number",
    "text": "text",
    "numbers": "a list of numbers",
    "words": "a list of words",
    "vectors": "a list of lists of numbers, all of one length",
}


@dataclass(frozen=True)
class Values:
    """The values of one key: of one kind, by line."""

    kind: str
    values: list[Any]
    where: str


def sequences_dataset(settings: SequencesData, section: Section, folder: Path) -> SetDataset:
    """Read a file of JSON lines, or take the built-in topics.

    Raises:
        DataError: the file cannot be read, a line is not an object, a key is missing, or values
            have different kinds.
    """
    if isinstance(settings.sequences, BuiltIn):
        examples = topics()
        told = f"{examples.count:,} snippets of {WORDS} words from {len(TOPICS)} topics of help"
        return SetDataset(settings, section, "sequences", settings.inputs, lambda _: examples, told)
    path = settings.sequences.file
    _, text = read_utf8(path, section, ("sequences", "file"), folder)
    keys = _read(text, path, section)
    fields = {name: _field(name, found, path, section) for name, found in keys.items()}
    count = len(next(iter(fields.values())).values)

    def read(program: Program) -> Examples:
        return Examples({n: _column(v, _is_label(n, program, settings)) for n, v in fields.items()})

    kinds = ", ".join(f"{n} ({KINDS[v.kind]})" for n, v in fields.items())
    told = f"{count:,} sequences: {kinds}"
    return SetDataset(settings, section, "sequences", settings.inputs, read, told)


def _is_label(name: str, program: Program, settings: SequencesData) -> bool:
    """Tell whether an input without axes reads a key, so that its text is one class."""
    readers = [v for v in program.inputs if settings.inputs.get(v.name, v.name) == name]
    return any(not [a for a in v.axes if a != BATCH] for v in readers)


def _read(text: str, path: str, section: Section) -> dict[str, list[tuple[int, Any]]]:
    """Return the values of every key with the numbers of their lines."""

    def error(number: int, message: str, help: str | None = None) -> Exception:
        return data_error(section, ("sequences", "file"), f"{path}, line {number}: {message}", help)

    found: dict[str, list[tuple[int, Any]]] = {}
    for number, line in enumerate(lines_of(text), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, parse_constant=_refuse, object_pairs_hook=_object)
        except LookupError as twice:
            raise error(number, f"the key {twice.args[0]} occurs twice", "delete one") from None
        except (ValueError, RecursionError) as problem:
            raise error(number, f"this is not JSON: {problem}", "one object per line") from None
        if not isinstance(record, dict) or not record:
            help = 'as in {"x": [1, 2], "y": "noun"}'
            raise error(number, f"expected an object, got {show(record)}", help)
        if not found:
            found = {key: [] for key in record}
            if (bad := unwritable(list(record))) is not None:
                raise error(number, f"the key {bad} is not text", "use letters")
        for key in (k for k in found if k not in record):
            raise error(number, f"the key {key} is missing", "every line must have the same keys")
        for key, value in record.items():
            if key not in found:
                raise error(number, f"the key {key} is new", "every line must have the same keys")
            if (bad := unwritable(value)) is not None:
                help = "it is half of a character; write the whole character"
                raise error(number, f"key {key}: {bad} is not text", help)
            found[key].append((number, value))
    if not found:
        raise data_error(section, ("sequences", "file"), f"{path} has no lines")
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its pairs.

    Raises:
        LookupError: a key comes twice, and one of its values would be lost.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise LookupError(next(k for k in keys if keys.count(k) > 1))
    return found


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is not a number")


def _field(name: str, found: list[tuple[int, Any]], path: str, section: Section) -> Values:
    """Check that all values of a key are of the kind of the first."""
    kind, width = "", None
    for number, value in found:
        here = _kind(value)
        where = f"{path}, line {number}, key {name}"
        if not kind:
            kind = here or ""
        if here != kind:
            expected = KINDS.get(kind, "a number, text, or a list of numbers, words or lists")
            message = f"{where}: expected {expected}, got {show(value)}"
            help = "all values of a key must have the same kind" if kind else None
            if value == []:
                help = "omit empty sequences"
            raise data_error(section, ("sequences", "file"), message, help)
        if kind == "vectors":
            width = width or len(value[0])
            if len(value[0]) != width:
                message = f"{where}: vectors have {len(value[0])} numbers, those before {width}"
                raise data_error(section, ("sequences", "file"), message)
    return Values(kind, [value for _, value in found], f"{name} of {path}")


def _kind(value: Any) -> str | None:
    """Return the kind of a value, or None for something else."""
    if _is_number(value):
        return "number"
    if isinstance(value, str):
        return "text" if value else None
    if not isinstance(value, list) or not value:
        return None
    if all(_is_number(v) for v in value):
        return "numbers"
    if all(isinstance(v, str) for v in value):
        return "words"
    rows = all(isinstance(v, list) and v and all(_is_number(n) for n in v) for v in value)
    return "vectors" if rows and len({len(v) for v in value}) == 1 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _column(field: Values, is_label: bool) -> Column:
    """Make the column of a key."""
    make: Callable[..., Column] = Column.ragged
    where = field.where
    if field.kind == "number":
        return Column(np.array(field.values), where=where)
    if field.kind in ("numbers", "vectors"):
        every = [np.array(v) for v in field.values]
        return make(every, where=where)
    if field.kind == "text" and not is_label:
        text = Text.of("".join(field.values))
        codes = [text.encode(v) for v in field.values]
        return make(codes, classes=len(text.vocabulary), symbols=text.vocabulary, where=where)
    words = [[v] for v in field.values] if field.kind == "text" else field.values
    known = {w: i for i, w in enumerate(sorted({w for row in words for w in row}))}
    classes = [np.array([known[w] for w in row], dtype=np.int64) for row in words]
    if field.kind == "text":
        return Column(
            np.concatenate(classes), classes=len(known), symbols=tuple(known), where=where
        )
    return make(classes, classes=len(known), symbols=tuple(known), where=where)
