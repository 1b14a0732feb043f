"""Printing for people on stdout, or nowhere where stdout is for JSON."""

from __future__ import annotations

from unfold.terminal.screen import echo, paint, warn


class Teller:
    """Prints what a command has to say.

    Args:
        quiet: whether stdout is for something else.
    """

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet

    def say(self, text: str = "") -> None:
        """Print a line."""
        if not self.quiet:
            echo(text)

    def fact(self, name: str, text: str) -> None:
        """Print a line that begins with a word in bold, all of them aligned."""
        self.say(f"{paint(f'{name:<7}', bold=True)} {text}".rstrip())

    def warn(self, text: str) -> None:
        """Print a line on stderr, also where stdout is for JSON."""
        warn(text)
