"""Text that remembers the place of each of its characters in the file.

A YAML scalar is not the characters of the file: quotes fall away, escapes become one character and
line breaks fold into spaces. A `Text` is the value of a scalar together with the file offset of
every one of its characters, so that a caret can be put under any piece of it; a `Span` is such a
piece.

    z[t]: "W @         Text.value is  W @ h[t-1]  and Text.locate(4, 10)
           h[t-1]"     is the six characters h[t-1] on line 2

Invariant: `len(offsets) == len(value) + 1`, ascending; the last one is the end of the value.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from unfold.errors import Location

_BREAK = re.compile(r"\r\n|\r|\n")


class SourceText:
    """A file's name and text, with an index of its lines.

    Attributes:
        name: the path as the user wrote it.
        text: the whole file.
    """

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text

    @cached_property
    def _starts(self) -> list[int]:
        """Offsets at which a line starts, under YAML's line breaks (LF, CRLF, CR)."""
        return [0, *(found.end() for found in _BREAK.finditer(self.text))]

    def line_of(self, offset: int) -> int:
        """Return the 1-based number of the line that holds `offset`."""
        return bisect_right(self._starts, offset)

    def start_of(self, line: int) -> int:
        """Return the offset at which a 1-based line starts."""
        return self._starts[line - 1]

    def line(self, number: int) -> str:
        """Return a 1-based line without its line break, empty where there is no such line."""
        if not 1 <= number <= len(self._starts):
            return ""
        last = self._starts[number] if number < len(self._starts) else len(self.text)
        return self.text[self._starts[number - 1] : last].rstrip("\r\n")

    def locate(self, start: int, end: int | None = None) -> Location:
        """Return the location of `text[start:end]`, cut at the end of its first line.

        Arguments:
            start: offset of the first character.
            end: offset after the last one; one character where it is left out.
        """
        start = max(0, min(start, len(self.text)))
        line = self.line_of(start)
        first = self._starts[line - 1]
        source = self.line(line)
        length = (start + 1 if end is None else end) - start
        return Location(
            file=self.name,
            line=line,
            column=start - first + 1,
            length=max(1, min(length, len(source) - (start - first))),
            source=source,
        )


@dataclass(frozen=True, eq=False)
class Text:
    """A scalar of the file and the file offset of each of its characters.

    Attributes:
        value: the scalar's value, quotes and escapes resolved.
        file: the file it was read from.
        offsets: `len(value) + 1` ascending offsets into `file.text`.
        quoted: whether it was written in quotes or as a block, and so is a string whatever it looks
            like.
        opening: offset at which the scalar starts in the file, its quote included.
    """

    value: str
    file: SourceText = field(repr=False)
    offsets: Sequence[int] = field(repr=False)
    quoted: bool = field(default=False, repr=False)
    opening: int = field(default=-1, repr=False)

    @staticmethod
    def of(value: str, name: str = "<string>") -> Text:
        """Return a text that is a whole file of its own, for expressions given in Python."""
        return Text(value, SourceText(name, value), range(len(value) + 1), opening=0)

    def locate(self, start: int = 0, end: int | None = None) -> Location:
        """Return the place of `value[start:end]`, cut at the end of its first line."""
        size = len(self.value)
        end = size if end is None else max(0, min(end, size))
        start = max(0, min(start, size))
        if not size:
            opening = self.opening if self.opening >= 0 else self.offsets[0]
            return self.file.locate(opening, self.offsets[0] + 1 if self.quoted else None)
        if start >= end:
            return self.file.locate(self.offsets[start])
        return self.file.locate(self.offsets[start], self.offsets[end - 1] + 1)

    @property
    def location(self) -> Location:
        """The place of the whole scalar."""
        return self.locate()

    def span(self, start: int = 0, end: int | None = None) -> Span:
        """Return the piece `value[start:end]`."""
        return Span(self, start, len(self.value) if end is None else end)


@dataclass(frozen=True, eq=False)
class Span:
    """A piece of a text: the place of an expression, a name or a value."""

    text: Text = field(repr=False)
    start: int
    end: int

    @property
    def location(self) -> Location:
        """The place of the piece in the file."""
        return self.text.locate(self.start, self.end)

    @property
    def source(self) -> str:
        """The piece as written."""
        return self.text.value[self.start : self.end]

    def __str__(self) -> str:
        return self.source
