"""All that commands print goes through here: colours are ours, and nothing else is obeyed.

    echo(f"{paint('ok', fg='green')}  {name}")

Names come from files: columns, arrays, folders, specs. One may hold what a terminal takes for an
order (clear the screen, set the title) or what cannot be encoded; it becomes U+FFFD. Colours are
marks between characters that no text has until they are printed.
"""

from __future__ import annotations

import os
import re
from typing import Any

import typer

from unfold.errors import printable

OPEN, CLOSE, END = "\ufdd0", "\ufdd1", "\ufdd2"
MARKS = re.compile(f"{OPEN}([0-9;]*){CLOSE}([^{OPEN}{CLOSE}{END}]*){END}")


def paint(text: str, **style: Any) -> str:
    """Colour a piece of text for `echo`, which drops colours where there is no terminal."""
    text = printable(text)
    if not text or os.environ.get("NO_COLOR"):
        return text
    codes = re.findall(r"\x1b\[([0-9;]+)m", typer.style("", **style, reset=False))
    return f"{OPEN}{';'.join(codes)}{CLOSE}{text}{END}"


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text on stdout or stderr, with its colours and without anything else to obey."""
    pieces = MARKS.split(text)  # plain, codes, painted, plain, ...
    shown = [printable(pieces[0])]
    for codes, painted, plain in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        shown += [f"\x1b[{codes}m{printable(painted)}\x1b[0m", printable(plain)]
    typer.echo("".join(shown), err=err, nl=nl)


def warn(text: str) -> None:
    """Print a warning on stderr."""
    echo(paint(text, fg="yellow"), err=True)
