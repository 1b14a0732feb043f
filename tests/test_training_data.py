"""Texts and batches: encoding, continuous streams, and the errors of data that does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unfold.core.affine import Affine
from unfold.core.program import BATCH, Axis, Program, Value
from unfold.core.types import Dim, Type
from unfold.errors import DataError, Location
from unfold.training.data import (
    axis_extents,
    check_text_inputs,
    random_inputs,
    random_source,
    text_source,
)
from unfold.training.data.settings import RandomData, TextData
from unfold.training.data.text import Text, read_text


@dataclass(frozen=True)
class Section:
    """A section whose values are all on one line."""

    tree: Mapping[str, Any] = field(default_factory=dict)

    def locate(self, path: tuple[str | int, ...]) -> Location:
        """Say where a value is."""
        return Location("spec.yaml", 9, 1 + len(path), 1, "data: ...")

    locate_key = locate


def category(name: str, axes: tuple[str, ...], classes: int, text: str | None = None) -> Value:
    """Make a category input."""
    return Value(name, (BATCH, *axes), Type((Dim(classes, text),), "category"), "input", node=name)


def program(*inputs: Value, t: int = 3) -> Program:
    """Make a Program of inputs over t and the half as long u."""
    axes = {
        BATCH: Axis(BATCH, Affine.number(0)),
        "u": Axis("u", Affine.axis("t") // 2),
        "t": Axis("t", Affine.number(t), from_data=True),
    }
    return Program("p", axes, {v.name: v for v in inputs})


def settings(text: str = "hello", **more: Any) -> TextData:
    """Make text settings."""
    return TextData.model_validate({"text": {"string": text}, "input": "x", "target": "y", **more})


X, Y = category("x", ("t",), 30, "vocab"), category("y", ("t",), 30, "vocab")


def test_a_text_is_its_sorted_characters_and_their_codes() -> None:
    text = Text.of("hello")
    assert text.vocabulary == "ehlo"
    assert text.codes.tolist() == [1, 0, 2, 2, 3]
    assert text.decode(text.codes) == "hello"
    assert text.encode("olé"[:2]).tolist() == [3, 2]
    with pytest.raises(DataError, match="no character 'z' to start from"):
        text.encode("hez")


def test_characters_beyond_the_basic_plane() -> None:
    text = Text.of("a𝄞a\n")
    assert text.vocabulary == "\na𝄞"
    assert text.decode(text.codes) == "a𝄞a\n"


def test_rows_are_continuous_streams_and_start_over_at_the_end() -> None:
    text = Text.of("abcdefghijklmnopqrst")  # 19 transitions: 2 rows of 9, 3 chunks of 3
    source = text_source(settings(batch=2), Section(), text, program(X, Y), carry=True)
    assert source.chunks == 3
    batches = [source.batch(step) for step in range(4)]
    assert [b.fresh for b in batches] == [True, False, False, True]
    assert [b.symbols for b in batches] == [6] * 4
    for row, start in ((0, "abcdefghi"), (1, "jklmnopqr")):
        read = np.concatenate([b.inputs["x"][row] for b in batches[:3]])
        said = np.concatenate([b.inputs["y"][row] for b in batches[:3]])
        assert text.decode(read) == start
        assert text.decode(said[:-1]) == start[1:]
    np.testing.assert_array_equal(batches[3].inputs["x"], batches[0].inputs["x"])


def test_without_carry_every_chunk_is_fresh() -> None:
    text = Text.of("abcdefghij")
    source = text_source(settings(batch=1), Section(), text, program(X, Y), carry=False)
    assert all(source.batch(step).fresh for step in range(4))


def test_the_shortest_text_that_fits() -> None:
    source = text_source(settings(batch=2), Section(), Text.of("abcdefg"), program(X, Y), True)
    assert source.chunks == 1
    with pytest.raises(DataError, match="has 6 characters, but 2 rows of 3 steps need 7"):
        text_source(settings(batch=2), Section(), Text.of("abcdef"), program(X, Y), True)


def test_the_size_that_the_vocabulary_sets() -> None:
    assert check_text_inputs(settings(), Section(), program(X, Y)) == "vocab"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((X,), "the spec has no input y"),
        (
            (X, Value("y", (BATCH, "t"), Type((Dim(2),)), "input")),
            "characters need a category, but y",
        ),
        ((category("x", ("u",), 30), Y), r"lies along t, but the input is x\[u\]"),
        ((category("x", (), 30), Y), "lies along t, but the input is x without an axis"),
        ((X, Y, category("z", ("t",), 5)), "the text gives no values for the input z"),
    ],
)
def test_inputs_that_cannot_take_a_text(inputs: tuple[Value, ...], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        check_text_inputs(settings(), Section(), program(*inputs))
    assert str(caught.value).startswith("spec.yaml:9:")


def test_too_few_categories() -> None:
    few = program(category("x", ("t",), 30), category("y", ("t",), 3))
    with pytest.raises(DataError, match="4 different characters, but y has 3 categories"):
        text_source(settings(batch=1), Section(), Text.of("hello"), few, True)


def test_files(tmp_path: Path) -> None:
    def read(name: str) -> Text:
        data = TextData.model_validate({"text": {"file": name}, "input": "x", "target": "y"})
        return read_text(data, Section(), tmp_path)

    (tmp_path / "good.txt").write_text("äb", encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes("ab\xe4b".encode("latin-1"))
    (tmp_path / "short.txt").write_text("a", encoding="utf-8")
    assert read("good.txt").vocabulary == "bä"
    for name, message in {
        "latin.txt": "is not UTF-8 text: byte 2 is 0xe4",
        "short.txt": "the text is too short",
        "none.txt": "none.txt is not a file",
        ".": "is not a file",
        "a\0b": "is not a file|cannot read",
    }.items():
        with pytest.raises(DataError, match=message):
            read(name)


def test_the_built_in_text_is_english() -> None:
    data = TextData.model_validate({"text": "pydoc", "input": "x", "target": "y"})
    text = read_text(data, Section(), Path())
    assert len(text.codes) > 300_000
    assert list(text.vocabulary) == sorted(text.vocabulary)
    assert "Python" in text.decode(text.codes)


def test_random_inputs_fit_the_program() -> None:
    real = Value("v", (BATCH, "u"), Type((Dim(7), Dim(5))), "input")
    static = Value("k", (BATCH,), Type(), "input")
    p = program(X, real, static, t=11)
    assert axis_extents(p) == {"u": 5, "t": 11}
    drawn = random_inputs(p, batch=4, seed=3)
    assert {n: a.shape for n, a in drawn.items()} == {"x": (4, 11), "v": (4, 5, 7, 5), "k": (4,)}
    assert drawn["x"].dtype.kind == "i"
    assert drawn["x"].min() >= 0
    assert drawn["x"].max() < 30
    again = random_inputs(p, batch=4, seed=3)
    np.testing.assert_array_equal(drawn["v"], again["v"])
    assert not np.array_equal(drawn["v"], random_inputs(p, batch=4, seed=4)["v"])
    source = random_source(RandomData(seed=3, batch=4), p)
    np.testing.assert_array_equal(source.batch(5).inputs["v"], drawn["v"])
    assert source.batch(5).fresh
