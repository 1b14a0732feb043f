"""Texts as integers: the texts of `data: {text: ...}` and `{lines: ...}`, and their vocabulary.

A vocabulary of characters is the distinct characters of the text in order of code point, so the
same text gives the same integers everywhere; that of bytes is all 256. Nothing is downloaded: the
built-in text is part of CPython.

    Text.of("hello")             →  vocabulary "ehlo", codes [1, 0, 2, 2, 3]
    Text.of("é", level="byte")   →  256 symbols, codes [195, 169]
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from unfold.errors import DataError
from unfold.settings.data import LinesData, Pydoc, TextData, TextFile
from unfold.spec.file.model import Section
from unfold.training.data.problems import data_error, lines_of, read_utf8, unwritable

Array = np.ndarray
Level = Literal["char", "byte"]
BYTES = "".join(map(chr, range(256)))
END = "\n"


@dataclass(frozen=True)
class Text:
    """A text as integers: symbol `vocabulary[codes[i]]` is its character (or byte) i.

    Attributes:
        vocabulary: the symbols; byte b is written as character b.
        codes: of the whole text.
        level: whether a symbol is a character or a byte of its UTF-8 form.
    """

    vocabulary: str
    codes: Array
    level: Level = "char"

    @classmethod
    def of(cls, text: str, level: Level = "char") -> Text:
        """Encode a text by its own vocabulary."""
        if level == "byte":
            return cls(BYTES, _bytes(text), "byte")
        points = np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32)
        distinct, codes = np.unique(points, return_inverse=True)
        return cls("".join(map(chr, distinct)), codes.astype(np.int64))

    def encode(self, text: str) -> Array:
        """Return the codes of another text of the same vocabulary.

        Raises:
            DataError: a character never occurs in this text.
        """
        if self.level == "byte":
            return _bytes(text)
        unknown = sorted(set(text) - set(self.vocabulary))
        if unknown:
            raise DataError(f"the training text has no character {unknown[0]!r} to start from")
        return np.array([self.vocabulary.index(c) for c in text], dtype=np.int64)

    def decode(self, codes: Array) -> str:
        """Return the text of an array of codes; bytes that are not UTF-8 become \ufffd."""
        if self.level == "byte":
            return bytes(int(c) for c in codes).decode("utf-8", errors="replace")
        return "".join(self.vocabulary[c] for c in codes)

    @property
    def kind(self) -> str:
        """The word for a symbol."""
        return "characters" if self.level == "char" else "bytes"


def read_text(settings: TextData, section: Section, folder: Path) -> Text:
    """Read and encode the text that `data` names.

    Arguments:
        settings: the checked section.
        section: the section itself, for the place of a mistake.
        folder: where the spec is; a file's path is relative to it.

    Raises:
        DataError: the file cannot be read or the text is empty.
    """
    text = Text.of(_written(settings, "text", section, folder), settings.level)
    if len(text.codes) < 2:
        message = f"the text is too short: it needs at least two {text.kind}"
        raise data_error(section, ("text",), message)
    return text


def read_lines(settings: LinesData, section: Section, folder: Path) -> tuple[Text, list[Array]]:
    """Read a text with one sequence per line; empty lines are left out.

    Returns:
        the text, which begins with the symbol that ends a line, and each line's codes with that
        symbol on both sides.

    Raises:
        DataError: the file cannot be read or has no lines.
    """
    written = _written(settings, "lines", section, folder)
    lines = [line for line in lines_of(written) if line]
    if not lines:
        raise data_error(section, ("lines",), "all lines are empty")
    text = Text.of(END + END.join(lines) + END, settings.level)
    ends = np.flatnonzero(text.codes == text.encode(END)[0])
    return text, [text.codes[a : b + 1] for a, b in pairwise(ends)]


def _written(settings: TextData | LinesData, key: str, section: Section, folder: Path) -> str:
    source = settings.text if isinstance(settings, TextData) else settings.lines
    if isinstance(source, Pydoc):
        from pydoc_data import topics

        return "".join(topics.topics[name] for name in sorted(topics.topics))
    if isinstance(source, TextFile):
        return read_utf8(source.file, section, (key, "file"), folder)[1]
    if (bad := unwritable(source.string)) is not None:
        help = "it is half of a character; write the whole character"
        raise data_error(section, (key, "string"), f"{bad} is not text", help)
    return source.string


def _bytes(text: str) -> Array:
    encoded = text.encode("utf-8", errors="surrogatepass")
    return np.frombuffer(encoded, dtype=np.uint8).astype(np.int64)
