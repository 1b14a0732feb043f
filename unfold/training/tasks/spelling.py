"""A synthetic lexicon: words that follow rules of spelling, and the sound of every letter.

In: the number of syllables of words. Out: words as letters, and one sound per letter. A silent
letter, such as one of two that stand for one sound, has the sound `-`.

    letter  s h a p e   c i t t e n   d e t a n a s
    sound   S - A p -   s i t - @ n   d e t @ n @ s

The rules are a small part of English's, and have no exceptions:

* sh, th, ch, ph, ck, ai, ea, ee and oa are one sound, and so is a doubled consonant;
* c is s and g is J before e and i; s between two vowels is z;
* an e at the end is silent, and makes the vowel before one consonant long (A E I O U); any other
  vowel at the end is long, too;
* of three and more syllables the third from the end is stressed, of two the first; a short vowel
  that is not stressed is `@`.

All but the last need a few letters on either side; the place of the stress depends on the number of
syllables that follow.
"""

from __future__ import annotations

import re

import numpy as np

from unfold.settings.tasks import Spelling
from unfold.training.data.columns import Column

Generator = np.random.Generator
VOWELS = "aeiou"
LETTERS = "abcdefghiklmnoprstu"
ONSETS = [
    "b",
    "c",
    "d",
    "f",
    "g",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "sh",
    "th",
    "ch",
    "ph",
    "st",
    "tr",
    "pl",
    "gr",
]
CODAS = ["", "", "", "n", "l", "r", "s", "t", "m", "p", "ck"]
NUCLEI = ["a", "e", "i", "o", "u", *VOWELS, "ai", "ea", "ee", "oa"]
ENDINGS = ["e", "e", "", "", ""]
PAIRS = {"sh": "S", "th": "T", "ch": "C", "ph": "f", "ck": "k", "ai": "A", "ea": "E"}
PAIRS |= {"ee": "E", "oa": "O"}
SILENT, UNSTRESSED = "-", "@"
SOUNDS = SILENT + UNSTRESSED + "aeiouAEIOUbdfgklmnprstzCJST"


def draw_spelling(task: Spelling, generator: Generator, count: int) -> dict[str, Column]:
    """Make the columns `letter` and `sound` of `count` words."""
    low, high = task.syllables
    words = [_word(int(n), generator) for n in generator.integers(low, high + 1, count)]
    longest = high * (2 + 2 + 2) + 1
    made = {"letter": (LETTERS, words), "sound": (SOUNDS, [pronounce(word) for word in words])}
    return {
        name: Column.ragged(
            [[alphabet.index(symbol) for symbol in string] for string in strings],
            classes=len(alphabet),
            symbols=alphabet,
            longest=longest,
            where=name,
        )
        for name, (alphabet, strings) in made.items()
    }


def _word(syllables: int, generator: Generator) -> str:
    """Generate a word."""

    def one_of(choices: list[str]) -> str:
        return choices[int(generator.integers(len(choices)))]

    word = ""
    for _ in range(syllables):
        onset = one_of(ONSETS)
        if len(onset) > 1 and word.endswith(onset[0]):
            onset = onset[1:]  # no three consonants of which two are doubled, as in `ssh`
        word += onset + one_of(NUCLEI) + one_of(CODAS)
    return word + (one_of(ENDINGS) if word[-1] not in VOWELS else "")


def pronounce(word: str) -> str:
    """Return the sound of every letter of a word.

    >>> pronounce("shape"), pronounce("citten"), pronounce("detanas")
    ('S-Ap-', 'sit-@n', 'det@n@s')
    """
    sounds = [SILENT] * len(word)
    syllables: list[int] = []
    place = 0
    while place < len(word):
        letter, after = word[place], word[place + 1 :]
        pair = word[place : place + 2]
        if pair in PAIRS:
            sounds[place] = PAIRS[pair]
        elif letter not in VOWELS:
            sounds[place] = _consonant(word, place)
        elif after or letter != "e" or not syllables:
            long = not after or re.fullmatch(f"[^{VOWELS}]e", after)
            sounds[place] = letter.upper() if long else letter
        if letter in VOWELS and sounds[place] != SILENT:
            syllables.append(place)
        doubled = letter not in VOWELS and after.startswith(letter)
        place += 2 if pair in PAIRS or doubled else 1
    stressed = syllables[-min(3, len(syllables))] if syllables else None
    for place in syllables:
        if place != stressed and sounds[place] in VOWELS:
            sounds[place] = UNSTRESSED
    return "".join(sounds)


def _consonant(word: str, place: int) -> str:
    """Return the sound of a single or doubled consonant."""
    letter, after = word[place], word[place + 1 :]
    soft = after.lstrip(letter)[:1] in ("e", "i")
    if letter == "c":
        return "s" if soft else "k"
    if letter == "g" and soft:
        return "J"
    between = place > 0 and word[place - 1] in VOWELS and after[:1] and after[0] in VOWELS
    return "z" if letter == "s" and between else letter
