"""Texts and batches: encoding, continuous streams, and the errors of data that does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unfold.core.affine import Affine
from unfold.core.origin import Written
from unfold.core.program import BATCH, Axis, Program, Value
from unfold.core.types import Dim, Type
from unfold.errors import DataError, Location
from unfold.settings.data import RandomData, TextData
from unfold.training.data import axis_extents, make, open_data, random_inputs
from unfold.training.data.batches import StreamSource
from unfold.training.data.streams import TextDataset, check_text_inputs
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
    type = Type((Dim(classes, text),), "category")
    return Value(name, (BATCH, *axes), type, "input", origin=Written(name))


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


def stream(text: str, *, carry: bool = True, program: Program, **more: Any) -> StreamSource:
    """Cut a text into batches."""
    section = Section({"text": {"string": text}, **more})
    source = TextDataset(settings(text, **more), section, Text.of(text)).batches(
        program, carry=carry
    )
    assert isinstance(source.train, StreamSource)
    return source.train


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
    source = stream("abcdefghijklmnopqrst", batch=2, program=program(X, Y))
    assert source.epoch == 3
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
    source = stream("abcdefghij", batch=1, program=program(X, Y), carry=False)
    assert all(source.batch(step).fresh for step in range(4))


def test_the_shortest_text_that_fits() -> None:
    assert stream("abcdefg", batch=2, program=program(X, Y)).epoch == 1
    with pytest.raises(DataError, match="has 6 characters, but 2 rows of 3 steps need 7"):
        stream("abcdef", batch=2, program=program(X, Y))


def test_the_size_that_the_vocabulary_sets() -> None:
    data = TextDataset(settings(), Section(), Text.of("hello"))
    assert data.fit(program(X, Y)).sizes == {"vocab": 4}
    unnamed = program(category("x", ("t",), 30), category("y", ("t",), 30))
    assert data.fit(unnamed).sizes == {}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((X,), "the spec has no input y"),
        (
            (X, Value("y", (BATCH, "t"), Type((Dim(2),)), "input")),
            "characters need a category, but y",
        ),
        ((category("x", ("u",), 30), Y), r"runs along t, but the input is x\[u\]"),
        ((category("x", (), 30), Y), "runs along t, but the input is x without an axis"),
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
        stream("hello", batch=1, program=few)


def test_files(tmp_path: Path) -> None:
    def read(name: str) -> Text:
        data = TextData.model_validate({"text": {"file": name}, "input": "x", "target": "y"})
        return read_text(data, Section(), tmp_path)

    (tmp_path / "good.txt").write_text("äb", encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes("ab\xe4b".encode("latin-1"))
    (tmp_path / "short.txt").write_text("a", encoding="utf-8")
    (tmp_path / "empty.txt").touch()
    assert read("good.txt").vocabulary == "bä"
    for name, message in {
        "latin.txt": "is not UTF-8 text: byte 2 is 0xe4",
        "short.txt": "the text is too short: it needs at least two characters",
        "empty.txt": "empty.txt is empty",
        "none.txt": "none.txt is not a file",
        ".": "is not a file",
        "a\0b": "is not a file|cannot read",
    }.items():
        with pytest.raises(DataError, match=message):
            read(name)


def test_bytes_are_all_256_symbols() -> None:
    text = Text.of("aé", level="byte")
    assert len(text.vocabulary) == 256
    assert text.codes.tolist() == [97, 195, 169]
    assert text.encode("ß").tolist() == [195, 159]
    assert text.decode(text.codes) == "aé"
    assert text.decode(np.array([97, 195])) == "a\ufffd"
    data = make.text(string="aéa", input="x", target="y", batch=1, level="byte")
    assert data.fit(program(X, Y)).sizes == {"vocab": 256}
    wide = [category(n, ("t",), 256, "vocab") for n in "xy"]
    assert data.batches(program(*wide)).facts["level"] == "byte"


def test_the_end_of_a_text_is_kept_to_validate_with() -> None:
    text = "abcdefghijklmnopqrst"
    data = make.text(string=text, input="x", target="y", batch=2, validation=0.25)
    data = data.batches(program(X, Y))
    assert data.told == ("20 characters, 20 different ones; 15 to train on, 5 to validate with")
    (batch,) = data.validation_batches()
    assert data.text is not None
    assert [data.text.decode(row) for row in batch.inputs["x"]] == ["pqr"]
    assert [data.text.decode(row) for row in batch.inputs["y"]] == ["qrs"]
    assert isinstance(data.train, StreamSource)
    read = {
        int(c) for step in range(data.train.epoch) for c in data.train.batch(step).inputs["y"].flat
    }
    assert max(read) < 15
    assert data.facts["counts"] == {"train": 15, "validation": 5}
    assert data.facts["vocabularies"] == {"x": text}


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        (20, "validation keeps 20 of 20 characters"),
        (0.01, "validation keeps 0 of 20 characters"),
        (3, "its validation part has 3 characters, but 1 rows of 3 steps need 4"),
    ],
)
def test_a_validation_part_of_the_wrong_size(validation: float, message: str) -> None:
    data = make.text(
        string="abcdefghijklmnopqrst", input="x", target="y", batch=2, validation=validation
    )
    with pytest.raises(DataError, match=message):
        data.batches(program(X, Y))


def test_lines_are_sequences_between_two_ends() -> None:
    data = make.lines(string="bo\r\ranna\r\nal\r", input="x", target="y", batch=3, order="given")
    assert data.fit(program(X, Y)).sizes == {"vocab": 6}
    assert data.fit(program(X, Y)).axes == {"t": 5}
    found = data.batches(program(X, Y))
    assert found.told == "3 lines of up to 4 characters, 6 different ones"
    assert found.text is not None
    assert found.text.vocabulary == "\nablno"
    batch = found.train.batch(0)
    assert batch.lengths["t"].tolist() == [3, 5, 3]
    for row, line in enumerate(["bo", "anna", "al"]):
        n = len(line) + 1
        assert found.text.decode(batch.inputs["x"][row, :n]) == "\n" + line
        assert found.text.decode(batch.inputs["y"][row, :n]) == line + "\n"
        assert (batch.inputs["x"][row, n:] == -1).all()
    with pytest.raises(DataError, match="all lines are empty"):
        make.lines(string="\n\r\n", input="x", target="y")


def test_a_continued_run_can_tell_that_its_text_is_another() -> None:
    def facts(string: str) -> object:
        data = make.text(string=string, input="x", target="y", batch=1)
        return data.batches(program(X, Y)).facts["fingerprint"]

    assert facts("hello") == facts("hello")
    assert facts("hello") != facts("hallo")


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
    data = open_data(RandomData(seed=3, batch=4), Section(), Path()).batches(p)
    np.testing.assert_array_equal(data.train.batch(5).inputs["v"], drawn["v"])
    assert data.train.batch(5).fresh
    assert (data.told, data.validation) == ("one random batch of 4", None)
