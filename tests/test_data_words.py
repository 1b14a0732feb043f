"""Spelling and numbers in words: their rules, against words done by hand and read backwards."""

from __future__ import annotations

import numpy as np
import pytest

from tests.feeding import reading
from unfold.errors import SpecError
from unfold.settings.tasks import NumberWords, Spelling
from unfold.training.data import make
from unfold.training.data.columns import Examples
from unfold.training.tasks.number_words import WORDS, words
from unfold.training.tasks.spelling import LETTERS, SOUNDS, pronounce
from unfold.training.tasks.tasks import draw

# One word for each rule, and for what it must not touch.
SPOKEN = {
    "shock": "S-ok-",
    "thap": "T-ap",
    "chail": "C-A-l",
    "pheel": "f-E-l",
    "toar": "tO-r",
    "leam": "lE-m",
    "cit": "sit",
    "cat": "kat",
    "gen": "Jen",
    "gan": "gan",
    "citten": "sit-@n",
    "cas": "kas",
    "rase": "rAz-",
    "rasse": "ras--",
    "sot": "sot",
    "shape": "S-Ap-",
    "shapte": "S-apt-",
    "shackte": "S-ak-t-",
    "gu": "gU",
    "te": "tE",
    "tata": "tatA",
    "detan": "det@n",
    "detanas": "det@n@s",
    "bedetanas": "b@det@n@s",
    "beadetane": "bE-d@tAn-",
}


@pytest.mark.parametrize(("word", "sound"), SPOKEN.items())
def test_words_are_said_by_the_rules(word: str, sound: str) -> None:
    assert pronounce(word) == sound


def told(examples: Examples, name: str) -> list[list[str]]:
    """Return the symbols of every sequence of a column."""
    column = examples.columns[name]
    assert column.symbols is not None and column.lengths is not None
    rows = zip(column.padded(), column.lengths, strict=True)
    return [[column.symbols[c] for c in row[:n]] for row, n in rows]


def test_spelling_has_a_sound_for_every_letter() -> None:
    examples = draw(Spelling(syllables=[1, 4]), np.random.default_rng(1), 2000)
    letters, sounds = ("".join(w) for w in told(examples, "letter")), told(examples, "sound")
    for word, spoken in zip(letters, sounds, strict=True):
        assert pronounce(word) == "".join(spoken)
    letter, sound = examples.columns["letter"], examples.columns["sound"]
    assert letter.symbols == LETTERS and sound.symbols == SOUNDS
    assert set(letter.values) == set(range(len(LETTERS)))
    assert set(sound.values) == set(range(len(SOUNDS))), "every sound is used"
    assert letter.longest is not None and letter.lengths is not None
    assert letter.lengths.max() <= letter.longest


def test_what_is_stressed_depends_on_what_is_to_come() -> None:
    """The same letters, with the same three on either side, have two sounds."""
    assert pronounce("detanas")[3] == "@" and pronounce("detanasas")[3] == "a"


def value(said: list[str]) -> int:
    """Read the words of a number back."""
    total = part = 0
    for word in said:
        place = WORDS.index(word)
        if word == "thousand":
            total, part = 1000 * part, 0
        elif word == "hundred":
            part *= 100
        else:
            part += place if place < 20 else 10 * (place - 18)
    return total + part


def test_numbers_are_read_back() -> None:
    numbers = [*range(3000), 10_000, 12_017, 100_000, 219_040, 999_999]
    assert [value(words(n)) for n in numbers] == numbers
    assert words(0) == ["zero"] and words(110) == ["one", "hundred", "ten"]
    assert " ".join(words(219_040)) == "two hundred nineteen thousand forty"


def test_number_words_are_numbers_and_their_words() -> None:
    examples = draw(NumberWords(digits=[1, 5]), np.random.default_rng(2), 3000)
    digits, said = told(examples, "digit"), told(examples, "word")
    numbers = [int("".join(d)) for d in digits]
    assert all(str(n) == "".join(d) for n, d in zip(numbers, digits, strict=True))
    assert all(s == [*words(n), "."] for s, n in zip(said, numbers, strict=True))
    assert {len(d) for d in digits} == {1, 2, 3, 4, 5} and 0 in numbers
    word = examples.columns["word"]
    assert word.lengths is not None and word.longest == 8 >= word.lengths.max()
    assert word.classes == len(WORDS) == 31


def test_specs_read_them() -> None:
    program = reading("x[t]: {category: n}", "y[t]: {category: m}", sizes="n: 1, m: 1")
    spelling = make.task("spelling", inputs={"x": "letter", "y": "sound"})
    assert spelling.fit(program).sizes == {"n": len(LETTERS), "m": len(SOUNDS)}
    program = reading("x[s]: {category: n}", "y[t]: {category: m}", sizes="n: 1, m: 1")
    numbers = make.task("number_words", {"digits": 3}, inputs={"x": "digit", "y": "word"})
    assert numbers.fit(program).sizes == {"n": 10, "m": 31}


def test_too_many_digits_are_refused() -> None:
    with pytest.raises(SpecError, match="a length from 1 to 6, or two as in"):
        make.task("number_words", {"digits": [1, 7]}, inputs={})
