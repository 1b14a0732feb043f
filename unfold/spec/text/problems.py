"""Collect mistakes, so that all independent ones of a file are reported in one go.

The checks of a file add mistakes to one `Problems` and go on with the next entry. At the end
`raise_if_any` raises a single `SpecError` with all of them, in the order of the file.

    with problems.collect():          # an entry that cannot be read is reported and skipped
        nodes.append(parse_equation(key, value))
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from unfold.errors import Diagnostic, Location, SpecError

MAX_REPORTED = 50
_MISSING = (
    "unknown name ",
    "unknown size ",
    "unknown axis ",
    "unknown operator ",
    "unknown index ",
)


class Problems:
    """The mistakes found so far; the same message at the same place is kept once.

    Attributes:
        broken: names whose definitions could not be read. Later checks ignore uses of them, so that
            one mistake is reported once.
    """

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self._found: dict[tuple[str, int, int, str], Diagnostic] = {}

    @property
    def count(self) -> int:
        """The number of mistakes found so far."""
        return len(self._found)

    def add(self, message: str, location: Location, *notes: str, help: str | None = None) -> None:
        """Record one mistake."""
        self.take(Diagnostic(message, location, notes, help))

    def take(self, diagnostic: Diagnostic) -> None:
        """Record a mistake that has already been described."""
        at = diagnostic.location
        file, line, column = (at.file, at.line, at.column) if at else ("", 0, 0)
        self._found.setdefault((file, line, column, diagnostic.message), diagnostic)

    @contextmanager
    def collect(self, *names: str) -> Iterator[None]:
        """Record the mistakes of a `SpecError` raised inside, and go on after the block.

        Arguments:
            names: that the block defines, which become `broken`.
        """
        try:
            yield
        except SpecError as error:
            self.broken.update(names)
            for diagnostic in error.diagnostics:
                self.take(diagnostic)

    def raise_if_any(self) -> None:
        """Raise all recorded mistakes, ordered by place.

        Raises:
            SpecError: with the first 50 of them and, if there are more, a line with their number.
        """
        if not self._found:
            return
        found = _merged([self._found[key] for key in sorted(self._found)])
        if len(found) > MAX_REPORTED:
            more = Diagnostic(f"and {len(found) - MAX_REPORTED} more errors")
            found = [*found[:MAX_REPORTED], more]
        raise SpecError(*found)


def _merged(found: list[Diagnostic]) -> list[Diagnostic]:
    """Report a name that is missing once, with the other lines that use it."""
    first: dict[tuple[str, str], Diagnostic] = {}
    others: dict[tuple[str, str], list[int]] = {}
    merged: list[Diagnostic] = []
    for diagnostic in found:
        at = diagnostic.location
        if at is None or not diagnostic.message.startswith(_MISSING):
            merged.append(diagnostic)
            continue
        key = (at.file, diagnostic.message)
        if key in first:
            others.setdefault(key, []).append(at.line)
        else:
            first[key] = diagnostic
            merged.append(diagnostic)
    return [_with_lines(d, others) for d in merged]


def _with_lines(diagnostic: Diagnostic, others: dict[tuple[str, str], list[int]]) -> Diagnostic:
    at = diagnostic.location
    lines = sorted(
        set(others.get((at.file, diagnostic.message), ()) if at else ()) - {at and at.line}
    )
    if not lines:
        return diagnostic
    shown = ", ".join(map(str, lines[:6])) + (", …" if len(lines) > 6 else "")
    note = f"also in line{'s' if len(lines) > 1 else ''} {shown}"
    return replace(diagnostic, notes=(*diagnostic.notes, note))


def already_reported() -> SpecError:
    """Return an error without diagnostics: the missing name was misspelt, which is recorded."""
    return SpecError()


def fail(message: str, location: Location, *notes: str, help: str | None = None) -> SpecError:
    """Return the `SpecError` of one mistake, to be raised by the caller."""
    return SpecError(Diagnostic(message, location, notes, help))
