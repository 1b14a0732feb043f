"""The constants of the built-in tasks; `unfold.training.tasks` makes the sequences.

task: reber
task: {tomita: {grammar: 4, length: [1, 12]}}
task: {adding: {length: 100}}
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from unfold.settings.model import Interval, Settings

MAX_LENGTH = 1_000_000
MAX_STRING = 1_000
MAX_FEW = 6
MAX_GAP = 1_000


def _length(most: int) -> Interval:
    return Interval(1, most, f"a length from 1 to {most:,}, or two as in [5, 10]")


Range = Annotated[Any, _length(MAX_LENGTH)]
ShortRange = Annotated[Any, _length(MAX_STRING)]
"""Of strings that are drawn uniformly, for which all have to be counted."""
Few = Annotated[Any, _length(MAX_FEW)]
Gap = Annotated[
    Any, Interval(0, MAX_GAP, f"a number of columns from 0 to {MAX_GAP}, or two as in [0, 4]")
]


class Task(Settings):
    """A rule that makes up sequences, with its constants."""


class Tomita(Task):
    """Strings of 0 and 1, and whether they belong to one of Tomita's (1982) languages.

    Attributes:
        grammar: 1 to 7.
        length: of the strings; every length and both answers are equally likely if such strings
            exist.
    """

    grammar: int = Field(default=1, ge=1, le=7)
    length: ShortRange = (1, 10)


class Counting(Task):
    """Strings of a counting language; every n is equally likely.

    Attributes:
        n: how often each letter comes.
    """

    n: Range = (1, 10)


class AnBn(Counting):
    """a to the n, b to the n."""


class AnBnCn(Counting):
    """a to the n, b to the n, c to the n."""


class Reber(Task):
    """Strings of Reber's (1967) grammar; both branches of every node are equally likely."""


class EmbeddedReber(Task):
    """Reber strings between two equal symbols (Hochreiter & Schmidhuber 1997, figure 4)."""


class Adding(Task):
    """Add the two marked numbers of a sequence (Hochreiter & Schmidhuber 1997).

    Attributes:
        length: of the sequences.
    """

    length: Range = (100, 100)


class Copy(Task):
    """Repeat symbols after a long delay (Arjovsky, Shah & Bengio 2016).

    Attributes:
        delay: steps between the last item and the first answer.
        items: the number of items to remember.
        symbols: the number of different ones.
    """

    delay: int = Field(default=100, ge=1, le=MAX_LENGTH)
    items: int = Field(default=10, ge=1, le=MAX_LENGTH)
    symbols: int = Field(default=8, ge=1, le=MAX_LENGTH)


class Reversal(Task):
    """Write a sequence backwards.

    Attributes:
        length: of the sequences.
        symbols: how many different ones.
    """

    length: Range = (1, 10)
    symbols: int = Field(default=8, ge=1, le=MAX_LENGTH)


class Tones(Task):
    """Recognise commands of tones that stay level, rise or fall.

    Attributes:
        sounds: in a command.
        bands: of a frame.
        noise: its standard deviation; a tone is about 1 loud.
    """

    sounds: int = Field(default=2, ge=1, le=8)
    bands: int = Field(default=12, ge=8, le=1024)
    noise: float = Field(default=0.3, ge=0, allow_inf_nan=False)


class Spelling(Task):
    """Pronounce every letter of synthetic words, as NETtalk does (Sejnowski & Rosenberg 1987).

    Attributes:
        syllables: of a word.
    """

    syllables: Few = (1, 4)


class NumberWords(Task):
    """Write numbers in words.

    Attributes:
        digits: of a number; every length is equally likely.
    """

    digits: Few = (1, 4)


class DigitLines(Task):
    """Read handwritten digits side by side.

    Attributes:
        digits: in a line; every number of them is equally likely.
        gap: empty columns before, between and after the digits.
        noise: its standard deviation; pixels are from 0 to 1.
    """

    digits: Few = (1, 4)
    gap: Gap = (0, 4)
    noise: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class MovingDigits(Task):
    """Recognise the direction in which a handwritten digit moves.

    Attributes:
        frames: of a film.
        size: of a frame, in pixels on each side.
        noise: its standard deviation; pixels are from 0 to 1.
    """

    frames: int = Field(default=6, ge=2, le=MAX_GAP)
    size: int = Field(default=10, ge=8, le=256)
    noise: float = Field(default=0.1, ge=0, allow_inf_nan=False)


TASKS: dict[str, type[Task]] = {
    "tomita": Tomita,
    "anbn": AnBn,
    "anbncn": AnBnCn,
    "reber": Reber,
    "embedded_reber": EmbeddedReber,
    "adding": Adding,
    "copy": Copy,
    "reversal": Reversal,
    "tones": Tones,
    "spelling": Spelling,
    "number_words": NumberWords,
    "digit_lines": DigitLines,
    "moving_digits": MovingDigits,
}
