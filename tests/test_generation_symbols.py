"""Symbols to text and back: characters, bytes of which some are half a character, and words."""

from __future__ import annotations

import numpy as np
import pytest

import unfold
from unfold.errors import DataError
from unfold.generation import Alphabet, feed_of

BYTES = "".join(map(chr, range(256)))


@pytest.mark.parametrize(
    ("alphabet", "text"),
    [
        (Alphabet.of("\nabc"), "cab\na"),
        (Alphabet.of(BYTES, "byte"), "naïve 日本 🙂\n"),
        (Alphabet.of(["a", "cat", "sat"]), "a cat sat a"),
    ],
)
def test_text_comes_back_however_it_is_cut(alphabet: Alphabet, text: str) -> None:
    codes = alphabet.encode(text)
    assert codes.dtype == np.int64
    assert alphabet.decode(codes) == text
    for size in (1, 2, 3):
        decode = alphabet.decoder()
        pieces = [decode(codes[i : i + size]) for i in range(0, len(codes), size)]
        assert "".join(pieces) == text


def test_what_is_no_text_is_shown_as_such() -> None:
    assert Alphabet.of(BYTES, "byte").decode(np.array([0xE6, 0x97, 65])) == "\ufffdA"
    assert Alphabet.of(BYTES, "byte").decode(np.array([65, 0xE6])) == "A\ufffd"
    assert Alphabet.of("ab").decode(np.array([0, -1, 1, 7])) == "ab\ufffd"


@pytest.mark.parametrize(
    ("alphabet", "text", "message"),
    [
        (Alphabet.of("abc"), "abd", "character 'd' at position 3"),
        (Alphabet.of("abc"), "aB", "help: write 'b'"),
        (Alphabet.of("abc"), "é", "help: the model knows 'a', 'b', 'c'$"),
        (Alphabet.of(BYTES[97:123]), "?", "'h' and 18 more"),
        (Alphabet.of(["a", "cat"]), "a dog", "word 'dog' at position 2"),
    ],
)
def test_unknown_symbols_are_named(alphabet: Alphabet, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        alphabet.encode(text)


def test_a_text_begins_after_the_end_of_a_line() -> None:
    assert Alphabet.of("\n ab").start == 0
    assert Alphabet.of(" \n").start == 1
    assert Alphabet.of("ab").start == 0
    assert Alphabet.of(BYTES, "byte").start == 10


HEAD = """\
unfold: 1
name: feeds
axes: {t: 4}
inputs: {x[t]: {category: 7}, y[t]: {category: 7}}
parameters: {V: [7, 7]}
nodes:
  o[t]: V @ x[t]
  e[t]: cross_entropy(o[t], y[t])
"""


@pytest.mark.parametrize(
    ("rest", "feed"),
    [
        ('data: {text: {string: "hello"}, input: x, target: y}', {"x": "o"}),
        ('data: {lines: {string: "hello"}, input: x, target: y}', {"x": "o"}),
        ("data: {task: reber, inputs: {x: symbol, y: next}}", {"x": "o"}),
        ("data: {task: copy, inputs: {x: symbol, y: target}}", {}),
        ("data: {random: true}", {}),
        ("generate: {feed: {x: e}}", {"x": "e"}),
        ("", {}),
    ],
)
def test_what_reads_what_follows_from_data_and_loss(rest: str, feed: dict[str, str]) -> None:
    assert feed_of(unfold.loads(f"{HEAD}loss: mean[t](e[t])\n{rest}").spec) == feed


def test_a_prediction_of_one_step_alone_is_no_feed() -> None:
    text = HEAD.replace("cross_entropy(o[t], y[t])", "cross_entropy(o[last], y[last])")
    rest = 'loss: mean[t](e[t])\ndata: {text: {string: "hello"}, input: x, target: y}'
    assert feed_of(unfold.loads(text + rest).spec) == {}
