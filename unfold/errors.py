"""The exception tree, and the diagnostics that report a user's mistakes.

A `Location` names a piece of a file. A `Diagnostic` describes a mistake there, the found and the
expected form, and a way to fix it; `SpecError` carries all independent diagnostics of one file.
This module imports nothing of the package, so every layer may raise and catch these.

    specs/bad.yaml:14:15: shapes do not match in  W @ h[t-1]
       14 |   z[t]: W @ h[t-1] + U @ x[t] + b
          |         ^^^^^^^^^^
      W is [4*hidden, vocab] = [512, 65]; h[t-1] is [hidden] = [128]
      help: the last dimension of W must be hidden (128)
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_SHOWN_LINE = 160

# What a command exits with. A backend that fails is a failure of ours.
OK, MISTAKE, USAGE, OURS, INTERRUPTED = 0, 1, 2, 70, 130


def printable(text: str) -> str:
    """Replace characters that a terminal might obey, or that no file can hold, by U+FFFD."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


@dataclass(frozen=True)
class Location:
    """A piece of one line of a file.

    Attributes:
        file: the path as the user wrote it.
        line: 1-based line number.
        column: 1-based column of the first character.
        length: number of characters to mark, at least 1.
        source: the text of the whole line, without its newline.
    """

    file: str
    line: int
    column: int
    length: int = 1
    source: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def excerpt(self) -> str:
        """Return the source line with carets under the piece; a long line is cut around it."""
        source, start = self.source.replace("\t", " "), self.column - 1
        if len(source) > MAX_SHOWN_LINE:
            left = max(0, min(start - 40, len(source) - MAX_SHOWN_LINE))
            source, start = source[left : left + MAX_SHOWN_LINE], start - left
        marks = "^" * max(1, min(self.length, len(source) - start))
        number = f"{self.line:5d}"
        return f"{number} | {source}\n{' ' * len(number)} | {' ' * start}{marks}"


@dataclass(frozen=True)
class Diagnostic:
    """One mistake: a one-line message, its place, further facts, and a way to fix it."""

    message: str
    location: Location | None = None
    notes: tuple[str, ...] = ()
    help: str | None = None

    def __str__(self) -> str:
        lines = [f"{self.location}: {self.message}" if self.location else self.message]
        if self.location and self.location.source:
            lines.append(self.location.excerpt())
        lines += [f"  {note}" for note in self.notes]
        if self.help:
            lines.append(f"  help: {self.help}")
        return "\n".join(lines)


class UnfoldError(Exception):
    """Root of every error this package raises on purpose.

    Attributes:
        diagnostics: its messages with their places, if it knows them.
    """

    diagnostics: tuple[Diagnostic, ...] = ()


class SpecError(UnfoldError):
    """A mistake in a spec; carries every independent diagnostic found."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        self.diagnostics = diagnostics
        super().__init__("\n\n".join(str(d) for d in diagnostics))


class ShapeError(SpecError):
    """Shapes, kinds or axes of an expression do not fit together."""


class CycleError(SpecError):
    """Equations that need their own value: a cycle without delay, or with delays of both signs."""


class UnsupportedError(UnfoldError):
    """Something legal that this part of the package cannot do (yet); the message says which can."""


class DataError(UnfoldError):
    """Arrays or data files that do not fit the spec; names the file or input, row and column."""

    def __init__(self, message: str | Diagnostic) -> None:
        self.diagnostics = (message,) if isinstance(message, Diagnostic) else ()
        super().__init__(str(message))


class MemoryLimitError(UnfoldError):
    """A run that would not fit; the message tells its need, and a setting that would make it fit.

    Attributes:
        help: the change to make, if it is known at once.
    """

    def __init__(self, message: str, *, help: str = "") -> None:
        super().__init__(f"{message}; {help}" if help else message)
        self.help = help


class BackendError(UnfoldError):
    """A backend failed; the message names the equation and, if there is one, the generated line.

    Attributes:
        text: the generated module, if one failed.
    """

    def __init__(self, message: str, text: str = "") -> None:
        self.text = text
        super().__init__(message)
