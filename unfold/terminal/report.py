"""What commands say: diagnostics, failures, tables and JSON, with colours only on a terminal.

specs/bad.yaml:14:15: shapes do not match in  W @ h[t-1]      place bold, message red
   14 |   z[t]: W @ h[t-1] + U @ x[t] + b
      |         ^^^^^^^^^^                                      carets red
  help: the last dimension of W must be hidden (128)          help cyan
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unfold.errors import MISTAKE, OURS, BackendError, Diagnostic, UnfoldError, printable
from unfold.streams import has_room_for
from unfold.terminal.screen import echo, paint


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    text = json.dumps(document, indent=2, ensure_ascii=False, default=str)
    text = re.sub(r"[^\n -~]", lambda found: _escaped(found.group()), text)
    if not has_room_for(text):
        text = json.dumps(document, indent=2, default=str)
    echo(text)


def _escaped(character: str) -> str:
    """Return a character of a JSON text, escaped where a terminal might obey it."""
    return character if character.isprintable() else json.dumps(character)[1:-1]


def diagnostic_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """Return a diagnostic as JSON values, with its text as a person sees it."""
    place = diagnostic.location
    return {
        "message": diagnostic.message,
        "file": place.file if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
        "length": place.length if place else None,
        "notes": list(diagnostic.notes),
        "help": diagnostic.help,
        "text": str(diagnostic),
    }


def show_diagnostic(diagnostic: Diagnostic, *, err: bool = True) -> None:
    """Print a diagnostic, on stderr unless it is a command's result."""
    first, *rest = str(diagnostic).split("\n")
    place = f"{diagnostic.location}: " if diagnostic.location else ""
    message = first.removeprefix(place)
    lines = [paint(place, bold=True) + paint(message, fg="red", bold=True)]
    for line in rest:
        if line.strip(" |^") == "" and "^" in line:
            lines.append(paint(line, fg="red"))
        elif line.startswith("  help: "):
            lines.append(paint(line, fg="cyan"))
        else:
            lines.append(line)
    echo("\n".join(lines), err=err)


def errors_json(error: UnfoldError) -> list[dict[str, Any]]:
    """Return the diagnostics of an error as JSON values."""
    if error.diagnostics:
        return [diagnostic_json(d) for d in error.diagnostics]
    return [{"message": str(error), "text": str(error)}]


def show_error(error: UnfoldError, *, err: bool = True) -> None:
    """Print every diagnostic of an error."""
    if error.diagnostics:
        for number, diagnostic in enumerate(error.diagnostics):
            if number:
                echo("", err=err)
            show_diagnostic(diagnostic, err=err)
    else:
        first, _, rest = str(error).partition("\n")
        echo(paint(first, fg="red", bold=True) + (f"\n{rest}" if rest else ""), err=err)


def report_failure(error: Exception, *, as_json: bool) -> int:
    """Print what went wrong and return the exit code: 1 for a user's mistake, 70 for ours.

    A backend that fails is ours, too: it has words of its own.
    """
    if isinstance(error, OSError) and error.filename is not None:
        error = UnfoldError(f"{error.filename}: {(error.strerror or str(error)).lower()}")
    if isinstance(error, MemoryError):
        error = UnfoldError("not enough memory for these sizes and extents")
    ours = not isinstance(error, UnfoldError) or isinstance(error, BackendError)
    debugging = os.environ.get("UNFOLD_DEBUG", "") not in ("", "0")
    if ours and debugging:
        import traceback

        traceback.print_exception(error)
    if not isinstance(error, UnfoldError):
        error = UnfoldError(f"internal error in unfold: {type(error).__name__}: {error}")
    if as_json:
        print_json(
            {"ok": False, **({"internal": True} if ours else {}), "errors": errors_json(error)}
        )
    if ours or not as_json:
        show_error(error)
    if ours:
        hint = (
            "Please report it"
            if debugging
            else "Please report it with the output of UNFOLD_DEBUG=1"
        )
        echo(f"{hint}, and the spec.", err=True)
    return OURS if ours else MISTAKE


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Iterable[int] = (),
    width: int = 100,
) -> None:
    """Print a table on stdout.

    Arguments:
        columns: headings.
        rows: cells, one per column.
        right: the columns of numbers.
        width: in characters, where there is no terminal to say it.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    numbers = set(right)
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, heading in enumerate(columns):
        grid.add_column(
            heading,
            justify="right" if number in numbers else "left",
            no_wrap=number != len(columns) - 1,
            overflow="fold",
        )
    for row in rows:
        grid.add_row(*(Text(printable(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else width, highlight=False).print(grid)


def plural(number: int, noun: str) -> str:
    """Return `1 step`, `20,503 parameters`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def digits(number: float) -> str:
    """Return three significant digits, as in 0.254, 9.21, 16.7, 839."""
    decimals = next((d for d, limit in ((3, 1), (2, 10), (1, 100)) if number < limit), 0)
    return f"{number:.{decimals}f}"


def named(values: Mapping[str, Any]) -> str:
    """Return `t=25, u=12`."""
    return ", ".join(f"{name}={value}" for name, value in values.items())


def first_sentence(text: str) -> str:
    """Return a text on one line, up to the first full stop or colon that ends a clause."""
    line = " ".join(text.split())
    return re.split(r"(?<! al)[.:] ", line, maxsplit=1)[0].rstrip(".")
