"""Numbers as digits and as words: a translation between two sequences of unequal length.

    digit  3 0 4 2
    word   three thousand forty two .

The words are those of English, without `and`; the last class is the end.
"""

from __future__ import annotations

import numpy as np

from unfold.settings.tasks import NumberWords
from unfold.training.data.columns import Column

SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
HUNDRED, THOUSAND, END = "hundred", "thousand", "."
WORDS = (*SMALL, *TENS, HUNDRED, THOUSAND, END)


def draw_number_words(
    task: NumberWords, generator: np.random.Generator, count: int
) -> dict[str, Column]:
    """Make the columns `digit` and `word` of `count` numbers."""
    low, high = task.digits
    lengths = generator.integers(low, high + 1, count)
    first = np.where(lengths > 1, 10 ** (lengths - 1), 0)
    numbers = [int(n) for n in generator.integers(first, 10**lengths)]
    return {
        "digit": Column.ragged(
            [[int(d) for d in str(n)] for n in numbers],
            classes=10,
            symbols="0123456789",
            longest=high,
            where="digit",
        ),
        "word": Column.ragged(
            [[WORDS.index(w) for w in (*words(n), END)] for n in numbers],
            classes=len(WORDS),
            symbols=WORDS,
            longest=len(words(int("7" * high))) + 1,
            where="word",
        ),
    }


def words(number: int) -> list[str]:
    """Return the words of a number below a million.

    >>> words(30_042), words(700)
    (['thirty', 'thousand', 'forty', 'two'], ['seven', 'hundred'])
    """
    return _below_million(number) or [SMALL[0]]


def _below_million(number: int) -> list[str]:
    """Return the words of a number; none for 0."""
    if number >= 1000:
        return [*_below_million(number // 1000), THOUSAND, *_below_million(number % 1000)]
    if number >= 100:
        return [SMALL[number // 100], HUNDRED, *_below_million(number % 100)]
    if number >= len(SMALL):
        return [TENS[number // 10 - 2], *_below_million(number % 10)]
    return [SMALL[number]] if number else []
