"""Sets of sequences: columns, inputs, batches of similar length, chunks, files and their faults."""

from __future__ import annotations

import io
import json
import random
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tests.feeding import reading
from unfold.errors import DataError
from unfold.training.data import Batch, Source, make
from unfold.training.data.columns import Column
from unfold.training.data.images import NAMES

FRAMES = reading("x[t]: [n]", "y: {category: m}", sizes="n: 3, m: 4")


def frames(count: int = 23) -> dict[str, np.ndarray]:
    """Return sequences of unequal length, with nonsense in the padding; x[i] is i at every step."""
    lengths = np.random.default_rng(0).integers(1, 9, count)
    x = np.full((count, 8, 3), np.nan)
    for row, n in enumerate(lengths):
        x[row, :n] = row
    return {"x": x, "y": np.arange(count) % 4, "n": lengths}


def seen(source: Source, steps: range) -> list[int]:
    """Return which sequences the batches of some steps hold, by their first value."""
    return [int(v) for s in steps for v in source.batch(s).inputs["x"][:, 0, 0]]


# --- columns -----------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=1, max_size=8),
    st.data(),
)
def test_ragged_columns_give_back_what_was_put_in(rows: list[list[int]], data: Any) -> None:
    column = Column.ragged([np.array(r) for r in rows])
    some = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=9)))
    taken = column.take(some, -1)
    assert taken.shape == (len(some), max(len(rows[i]) for i in some))
    for row, i in zip(taken, some, strict=True):
        assert row[: len(rows[i])].tolist() == rows[i]
        assert (row[len(rows[i]) :] == -1).all()
    selected = column.select(some)
    assert selected.count == len(some)
    np.testing.assert_array_equal(selected.take(np.arange(len(some)), -1), taken)


# --- batches -----------------------------------------------------------------------------------


def test_every_sequence_is_seen_once_in_an_epoch_in_an_order_of_its_own() -> None:
    data = make.arrays(frames(), lengths={"t": "n"}, batch=4, seed=2).batches(FRAMES)
    source = data.train
    assert source.epoch == 6
    first, second = seen(source, range(6)), seen(source, range(6, 12))
    assert sorted(first) == sorted(second) == list(range(23))
    assert first != second
    again = make.arrays(frames(), lengths={"t": "n"}, batch=4, seed=2).batches(FRAMES)
    assert seen(again.train, range(6, 12)) == second
    other = make.arrays(frames(), lengths={"t": "n"}, batch=4, seed=3).batches(FRAMES)
    assert seen(other.train, range(6)) != first


def test_a_source_has_no_state() -> None:
    """Any step at any time: what a run reads that goes on from a checkpoint."""
    walked, jumped = (
        make.arrays(frames(), lengths={"t": "n"}, batch=4).batches(FRAMES).train for _ in range(2)
    )
    for step in range(40):
        walked.batch(step)
    for step in (39, 17, 0, 23):
        one, other = walked.batch(step), jumped.batch(step)
        assert {n: a.tobytes() for n, a in one.inputs.items()} == {
            n: a.tobytes() for n, a in other.inputs.items()
        }
        np.testing.assert_array_equal(one.lengths["t"], other.lengths["t"])


def test_padding_is_cut_to_the_longest_and_holds_nothing() -> None:
    arrays = frames()
    source = make.arrays(arrays, lengths={"t": "n"}, batch=4).batches(FRAMES).train
    for step in range(6):
        batch = source.batch(step)
        x, n = batch.inputs["x"], batch.lengths["t"]
        assert x.shape[1] == n.max()
        assert np.isfinite(x).all()
        rows = x[:, 0, 0].astype(int)
        np.testing.assert_array_equal(n, arrays["n"][rows])
        np.testing.assert_array_equal(batch.inputs["y"], arrays["y"][rows])
        for row, length in zip(x, n, strict=True):
            assert (row[length:] == 0).all()
    assert batch.fresh


def padding(bucket: int) -> float:
    """Return the share of padding in an epoch."""
    generator = np.random.default_rng(4)
    x = [generator.integers(0, 3, n) for n in generator.integers(1, 60, 200)]
    lengths = np.array([len(r) for r in x])
    padded = np.stack([np.pad(r, (0, 60 - len(r))) for r in x])
    program = reading("x[t]: {category: n}", sizes="n: 3")
    given = {"x": padded}
    data = make.arrays(given, lengths={"t": lengths}, batch=8, bucket=bucket)
    source = data.batches(program).train
    assert source.epoch is not None
    batches = [source.batch(s) for s in range(source.epoch)]
    cells = sum(b.inputs["x"].size for b in batches)
    return 1 - sum(int(b.lengths["t"].sum()) for b in batches) / cells


def test_sequences_of_similar_length_share_a_batch() -> None:
    plain, sorted_ = padding(1), padding(20)
    assert plain > 0.35
    assert sorted_ < 0.08


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 9), st.integers(1, 5), st.integers(0, 3))
def test_no_sequence_is_lost_whatever_the_sizes(
    count: int, batch: int, bucket: int, epoch: int
) -> None:
    data = make.arrays(frames(count), lengths={"t": "n"}, batch=batch, bucket=bucket)
    source = data.batches(FRAMES).train
    assert source.epoch is not None
    steps = range(epoch * source.epoch, (epoch + 1) * source.epoch)
    assert sorted(seen(source, steps)) == list(range(count))


def test_the_given_order_is_kept_and_its_end_is_validated_with() -> None:
    data = make.arrays(frames(), lengths={"t": "n"}, batch=4, order="given", validation=5)
    found = data.batches(FRAMES)
    assert seen(found.train, range(10)) == [*range(18), *range(18)]
    assert found.validation is not None
    assert seen(found.validation, range(2)) == [18, 19, 20, 21, 22]
    assert found.told.endswith("; 18 to train on, 5 to validate with")


def test_a_shuffled_split_is_the_same_whatever_the_batch() -> None:
    def kept(batch: int, seed: int) -> list[int]:
        data = make.arrays(frames(), lengths={"t": "n"}, batch=batch, seed=seed, validation=0.3)
        found = data.batches(FRAMES)
        assert found.train.epoch is not None
        train = seen(found.train, range(found.train.epoch))
        others = [
            int(b.inputs["x"][r, 0, 0])
            for b in found.validation_batches()
            for r in range(len(b.inputs["x"]))
        ]
        assert sorted([*train, *others]) == list(range(23))
        return others

    assert kept(4, 0) == kept(7, 0)
    assert len(kept(4, 0)) == 7
    assert kept(4, 0) != kept(4, 1)


def test_numbers_that_the_precision_of_the_run_does_not_have() -> None:
    arrays = {"x": np.array([[1.0, 2.0], [3e38, 4e38]])}
    program = reading("x[t]: []")
    assert make.arrays(arrays).batches(program).train.batch(0).inputs["x"].max() == 4e38
    with pytest.raises(
        DataError, match=r"sequence 2, element 2 is 4e\+38\n.* of float32 at most 3.4"
    ):
        make.arrays(arrays).batches(program, dtype="float32")


def test_real_inputs_have_the_precision_of_the_run() -> None:
    data = make.arrays(frames(), lengths={"t": "n"})
    batch = data.batches(FRAMES, dtype="float32").train.batch(0)
    assert batch.inputs["x"].dtype == np.float32
    assert batch.inputs["y"].dtype == np.int64


# --- chunks ------------------------------------------------------------------------------------


def test_long_sequences_are_read_in_chunks_and_rows_begin_anew_one_by_one() -> None:
    lengths = [7, 2, 5, 3, 4, 9, 1]
    x = np.zeros((7, 9), dtype=np.int64)
    for row, n in enumerate(lengths):
        x[row, :n] = 10 * row + np.arange(n)
    program = reading("x[t]: {category: n}", sizes="n: 100")
    data = make.arrays({"x": x}, lengths={"t": np.array(lengths)}, batch=2, seed=1)
    source = data.batches(program, chunk={"t": 3}).train
    read: list[list[int]] = [[], []]
    for step in range(30):
        batch: Batch = source.batch(step)
        assert batch.begins is not None
        assert batch.fresh == batch.begins.all()
        for row in range(2):
            values = batch.inputs["x"][row, : batch.lengths["t"][row]].tolist()
            assert batch.begins[row] == (values[0] % 10 == 0)
            if not batch.begins[row]:
                assert values[0] == read[row][-1] + 1
            read[row] += values
            assert (batch.inputs["x"][row, len(values) :] == -1).all()
    assert source.epoch == 8  # row 0 reads 7, 5, 4 and 1 steps in 3 + 2 + 2 + 1 chunks
    for row, mine in enumerate([[0, 2, 4, 6], [1, 3, 5]]):
        whole = [v for v in read[row]]
        once = sum(lengths[i] for i in mine)
        assert sorted(whole[:once]) == sorted(10 * i + s for i in mine for s in range(lengths[i]))
    assert read[0][:17] != read[0][17:34]


def test_chunks_need_one_axis() -> None:
    data = make.arrays(frames(), lengths={"t": "n"})
    with pytest.raises(DataError, match="in chunks along t, but y lies along no axis"):
        data.batches(FRAMES, chunk={"t": 3})
    drawn = make.task("reber", inputs={"x": "symbol"})
    program = reading("x[t]: {category: n}", sizes="n: 7")
    with pytest.raises(DataError, match="made anew for every batch cannot be read in chunks"):
        drawn.batches(program, chunk={"t": 3})


# --- what does not fit -------------------------------------------------------------------------


def broken(**changes: Any) -> dict[str, Any]:
    """Return arrays of which some are replaced."""
    return {**frames(), **changes}


def nan_at(row: int, step: int) -> np.ndarray:
    """Return frames with a number missing."""
    x = frames()["x"]
    x[row, step, 1] = np.nan
    return x


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (broken(y=np.arange(22) % 4), "unequal counts: array x has 23 sequences, array y has 22"),
        (broken(y=np.arange(23) % 5), "array y, sequence 5 is 4\n  help: classes of y are 0 to 3"),
        (broken(y=np.arange(23) - 2), "array y, sequence 1 is -2"),
        (broken(y=np.zeros(23)), "array y holds float64, but y is a category of m .4."),
        (broken(y=np.array(["a"] * 23)), "array y holds <U1, but y is a category"),
        (broken(x=nan_at(0, 0)), "array x, sequence 1, element 1, element 2 is nan"),
        (broken(x=np.full((23, 8, 3), -np.inf)), "sequence 1, element 1, element 1 is -inf"),
        (broken(x=frames()["x"][:, :, :2]), r"array x has the shape \[2\] at each point, but x.t."),
        (broken(x=frames()["x"][:, :, 0]), r"array x is \[sequences, 8\], but x\[t\] is \[n\]"),
        (broken(x=frames()["x"] + 1j), "array x holds complex128"),
        (broken(n=np.zeros(23, dtype=int)), "the length of sequence 1 along t is 0, but array x"),
        (broken(n=np.full(23, 9)), "the length of sequence 1 along t is 9, but array x has 8"),
        (broken(n=np.ones(23)), "array n is float64 .23."),
        (broken(y=np.zeros(0, dtype=int)), "array y is empty"),
    ],
)
def test_arrays_that_do_not_fit(arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make.arrays(arrays, lengths={"t": "n"}).batches(FRAMES)


def test_counts_of_inputs_that_have_no_lengths() -> None:
    program = reading("x[t]: [n]", "y: {category: n}", sizes="n: 3")
    data = make.arrays({"x": np.zeros((5, 2, 3)), "y": np.zeros(4, dtype=int)})
    with pytest.raises(DataError, match="unequal counts: array x has 5 sequences, array y has 4"):
        data.batches(program)
    program = reading("x[t]: [n]", "y[t]: []", sizes="n: 3")
    data = make.arrays({"x": np.zeros((5, 2, 3)), "y": np.zeros((5, 7))})
    with pytest.raises(DataError, match="unequal extents along t: array x has 2, array y has 7"):
        data.batches(program)


def test_what_arrays_want_of_a_spec() -> None:
    data = make.arrays(frames(), lengths={"t": "n"})
    fit = data.fit(reading("x[t]: [width]", "y: {category: m}", sizes="width: 2, m: 9"))
    assert (fit.sizes, fit.axes) == ({"width": 3}, {"t": 8})


# --- files -------------------------------------------------------------------------------------


def described(tmp_path: Path, file: str, **more: Any) -> Any:
    """Open a file of arrays."""
    return make.describe({"arrays": {"file": file}, "lengths": {"t": "n"}, **more}, tmp_path)


def test_npz_and_safetensors_hold_the_same(tmp_path: Path) -> None:
    arrays = {n: np.nan_to_num(a) for n, a in frames().items()}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    save_file(arrays, tmp_path / "a.safetensors")
    found = [described(tmp_path, f).batches(FRAMES) for f in ("a.npz", "a.safetensors")]
    assert found[0].facts == found[1].facts
    one, other = (f.train.batch(1).inputs["x"] for f in found)
    np.testing.assert_array_equal(one, other)


def test_files_of_arrays_that_cannot_be_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "good.npz", **frames())
    whole = (tmp_path / "good.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    np.savez_compressed(tmp_path / "packed.npz", **frames())
    flipped = bytearray((tmp_path / "packed.npz").read_bytes())
    flipped[200] ^= 0xFF
    (tmp_path / "flipped.npz").write_bytes(flipped)
    (tmp_path / "empty.npz").touch()
    np.savez(tmp_path / "object.npz", x=np.array([{}, 1], dtype=object))
    np.savez(tmp_path / "none.npz")
    np.savez(tmp_path / "number.npz", x=np.array(3.0))
    save_file({"x": np.zeros((3, 2))}, tmp_path / "good.safetensors")
    safe = (tmp_path / "good.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(safe[:-3])
    (tmp_path / "a.pkl").write_bytes(b"cos\nsystem\n")
    (tmp_path / "text.npz").write_text("no archive")
    for file, message in {
        "cut.npz": "cannot read the arrays of .*cut.npz: .*\n  help: it is damaged",
        "flipped.npz": "cannot read the arrays of .*flipped.npz",
        "empty.npz": "empty.npz is empty",
        "object.npz": "cannot read the arrays of .*object.npz: Object arrays",
        "none.npz": "has no arrays",
        "number.npz": "there is no array of sequences",
        "cut.safetensors": "cannot read the arrays of .*cut.safetensors",
        "a.pkl": "is neither .npz nor .safetensors",
        "text.npz": "cannot read the arrays of .*text.npz: File is not a zip file",
        "missing.npz": "missing.npz is not a file",
        "good.safetensors": "there is no array n with lengths",
    }.items():
        with pytest.raises(DataError, match=message):
            described(tmp_path, file)


@pytest.mark.parametrize("name", ["a.npz", "b.npz", "c.safetensors"])
def test_damaged_bytes_are_refused_or_read(name: str, tmp_path: Path) -> None:
    arrays = {n: np.nan_to_num(a) for n, a in frames().items()}
    save = {"a": np.savez, "b": np.savez_compressed, "c": lambda f, **a: save_file(a, f)}[name[0]]
    save(tmp_path / name, **arrays)
    whole, generator = (tmp_path / name).read_bytes(), random.Random(3)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        (tmp_path / name).write_bytes(damaged[: generator.choice([None, -9, 300])])
        with suppress(DataError):
            described(tmp_path, name).batches(FRAMES).train.batch(0)


def test_an_archive_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 44,)}
    )
    with zipfile.ZipFile(tmp_path / "liar.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue())
    with pytest.raises(DataError, match=r"liar\.npz"):
        described(tmp_path, "liar.npz")


WORDS = [
    {"word": "cat", "sounds": [3, 1, 4], "kind": "noun", "age": 1.5},
    {"word": "go", "sounds": [7, 2], "kind": "verb", "age": 2},
    {"word": "tea", "sounds": [0, 0, 5], "kind": "noun", "age": 0},
]


def write_lines(file: Path, *records: Any) -> None:
    """Write JSON lines."""
    file.write_text("".join(json.dumps(r) + "\n" for r in records))


def test_json_lines(tmp_path: Path) -> None:
    write_lines(tmp_path / "words.jsonl", *WORDS)
    data = make.describe(
        {
            "sequences": {"file": "words.jsonl"},
            "inputs": {"x": "word", "p": "sounds", "y": "kind", "a": "age"},
            "order": "given",
        },
        tmp_path,
    )
    inputs = ("x[t]: {category: v}", "p[t]: {category: 9}", "y: {category: m}", "a: []")
    assert data.fit(reading(*inputs, sizes="v: 2, m: 5")).sizes == {"v": 6, "m": 2}
    found = data.batches(reading(*inputs, sizes="v: 6, m: 2"))
    batch = found.train.batch(0)
    letters = found.facts["vocabularies"]["x"]  # type: ignore[index]
    assert letters == "acegot"
    assert ["".join(letters[c] for c in r if c >= 0) for r in batch.inputs["x"]] == [
        "cat",
        "go",
        "tea",
    ]
    assert found.facts["vocabularies"]["y"] == ["noun", "verb"]  # type: ignore[index]
    assert batch.inputs["y"].tolist() == [0, 1, 0]
    assert batch.inputs["p"].tolist() == [[3, 1, 4], [7, 2, -1], [0, 0, 5]]
    assert batch.inputs["a"].tolist() == [1.5, 2.0, 0.0]
    assert batch.lengths["t"].tolist() == [3, 2, 3]


def test_json_lines_of_words_and_vectors(tmp_path: Path) -> None:
    records = [{"w": ["to", "be"], "v": [[1, 2], [3, 4.5]]}, {"w": ["be"], "v": [[0, 1]]}]
    write_lines(tmp_path / "a.jsonl", *records)
    data = make.sequences(str(tmp_path / "a.jsonl"), order="given")
    program = reading("w[t]: {category: n}", "v[t]: [n]")
    batch = data.batches(program).train.batch(0)
    assert batch.inputs["w"].tolist() == [[1, 0], [0, -1]]
    assert batch.inputs["v"].tolist() == [[[1, 2], [3, 4.5]], [[0, 1], [0, 0]]]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"x": [1]}\nx\n', "a.jsonl, line 2: this is not JSON"),
        ('{"x": [1]}\n\n[1]\n', "a.jsonl, line 3: expected an object, got .1."),
        ('{"x": [1], "y": 1}\n{"x": [2]}\n', "line 2: the key y is missing"),
        ('{"x": [1]}\n{"x": [2], "y": 1}\n', "line 2: the key y is new"),
        ('{"x": [1]}\n{"x": "a"}\n', 'line 2, key x: expected a list of numbers, got "a"'),
        ('{"x": [1]}\n{"x": []}\n', "line 2, key x: .*\n  help: leave empty sequences out"),
        ('{"x": [1, null]}\n', "line 1, key x: expected a number, text, or a list"),
        ('{"x": [1, NaN]}\n', "line 1: this is not JSON: NaN is not a number"),
        (
            '{"x": [[1, 2]]}\n{"x": [[1]]}\n',
            "line 2, key x: vectors have 1 numbers, those before 2",
        ),
        ('{"x": [1, 1e999]}\n', "x of a.jsonl, sequence 1, element 2 is inf"),
        ('{"x": [1]}\n{"x": [1.5]}\n', "x of a.jsonl holds float64, but x.t. is a category"),
        ('{"x": [1, 7]}\n', "x of a.jsonl, sequence 1, element 2 is 7"),
        ("\n \n", "a.jsonl has no lines"),
        ("", "a.jsonl is empty"),
        ("[" * 100_000, "line 1: this is not JSON"),
        ('{"x": [123456789012345678901234567890]}\n', "x of a.jsonl holds object"),
    ],
)
def test_json_lines_with_mistakes(tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(lines)
    kind = "[]" if "999" in lines else "{category: 5}"
    program = reading(f"x[t]: {kind}")
    with pytest.raises(DataError, match=message):
        make.describe({"sequences": {"file": "a.jsonl"}}, tmp_path).batches(program)


def test_unequal_lengths_along_one_axis(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", {"x": [1, 2], "y": [1, 2]}, {"x": [1, 2], "y": [1]})
    data = make.sequences(str(tmp_path / "a.jsonl"))
    program = reading("x[t]: {category: 5}", "y[t]: {category: 5}")
    message = "unequal lengths along t: y of .*, sequence 2 has 1 steps, but another input has 2"
    with pytest.raises(DataError, match=message):
        data.batches(program)
    data.batches(reading("x[t]: {category: 5}", "y[s]: {category: 5}"))


# --- images ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "declared", "shape"),
    [
        ("rows", "image[t]: [8]", (16, 8, 8)),
        ("pixels", "image[t]: []", (16, 64)),
        ("grid", "image[i,j]: []", (16, 8, 8)),
        ("whole", "image: [8, 8]", (16, 8, 8)),
    ],
)
def test_digits_in_every_layout(layout: str, declared: str, shape: tuple[int, ...]) -> None:
    data = make.images("digits", layout=layout, order="given")
    program = reading(declared, "label: {category: 10}")
    batch = data.batches(program).train.batch(0)
    image = batch.inputs["image"]
    assert image.shape == shape
    assert batch.inputs["label"].tolist() == [*range(10), *range(6)]
    assert (image.min(), image.max()) == (0, 1)
    np.testing.assert_array_equal(
        image[0].reshape(8, 8)[0], np.array([0, 0, 5, 13, 9, 1, 0, 0]) / 16
    )
    extents = {"rows": {"t": 8}, "pixels": {"t": 64}, "grid": {"i": 8, "j": 8}, "whole": {}}
    assert data.fit(program).axes == extents[layout]


def test_captions_name_the_digits() -> None:
    data = make.images(
        "digits", layout="whole", inputs={"v": "image", "w": "caption"}, order="given"
    )
    program = reading("v: [8, 8]", "w[t]: {category: n}", sizes="n: 3")
    assert data.fit(program).sizes == {"n": 16}
    found = data.batches(reading("v: [8, 8]", "w[t]: {category: n}", sizes="n: 16"))
    letters = found.facts["vocabularies"]["w"]  # type: ignore[index]
    words = found.train.batch(0).inputs["w"]
    told = ["".join(letters[c] for c in row if c >= 0) for row in words]
    assert told == [f"{NAMES[i % 10]}\n" for i in range(16)]


def test_the_digits_are_those_of_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    digits = datasets.load_digits()
    data = make.images("digits", layout="whole", order="given", batch=1797)
    batch = data.batches(reading("image: [8, 8]", "label: {category: 10}")).train.batch(0)
    np.testing.assert_array_equal(batch.inputs["image"] * 16, digits.images)
    np.testing.assert_array_equal(batch.inputs["label"], digits.target)


def png(file: Path, array: np.ndarray) -> None:
    """Write an image."""
    from PIL import Image

    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(file)


def test_a_folder_of_images(tmp_path: Path) -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3) * 51
    for name, image in {"cat/1": grey, "cat/2": 255 - grey, "dog/a": grey // 51}.items():
        png(tmp_path / "pets" / f"{name}.png", image)
    data = make.describe({"images": {"folder": "pets"}, "order": "given"}, tmp_path)
    program = reading("image[t]: [n]", "label: {category: m}", sizes="n: 9, m: 5")
    assert data.fit(program).sizes == {"n": 3, "m": 2}
    found = data.batches(reading("image[t]: [n]", "label: {category: m}", sizes="n: 3, m: 2"))
    assert found.told == "3 images of 2×3 in 2 classes, as rows"
    batch = found.train.batch(0)
    assert batch.inputs["label"].tolist() == [0, 0, 1]
    np.testing.assert_allclose(batch.inputs["image"][0], grey / 255)
    assert found.facts["vocabularies"] == {"label": ["cat", "dog"]}


def test_coloured_and_deep_images(tmp_path: Path) -> None:
    colours = np.zeros((2, 2, 3), dtype=np.uint8)
    colours[0, 1] = [255, 0, 51]
    png(tmp_path / "c/a/1.png", colours)
    data = make.describe({"images": {"folder": "c"}, "layout": "grid"}, tmp_path)
    program = reading("image[i,j]: [3]", "label: {category: 1}")
    image = data.batches(program).train.batch(0).inputs["image"]
    np.testing.assert_allclose(image[0, 0, 1], [1, 0, 0.2])
    png(tmp_path / "d/a/1.png", np.array([[0, 65535]], dtype=np.uint16))
    data = make.describe({"images": {"folder": "d"}, "layout": "whole"}, tmp_path)
    batch = data.batches(reading("image: [1, 2]", "label: {category: 1}")).train.batch(0)
    assert batch.inputs["image"].tolist() == [[[0, 1]]]


def test_images_of_a_file(tmp_path: Path) -> None:
    images = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
    np.savez(tmp_path / "a.npz", x=images, y=np.array([0, 1, 0, 2]))
    source = {"file": "a.npz", "image": "x", "label": "y"}
    data = make.describe({"images": source, "layout": "pixels", "order": "given"}, tmp_path)
    program = reading("image[t]: []", "label: {category: 3}")
    batch = data.batches(program).train.batch(0)
    np.testing.assert_allclose(batch.inputs["image"][1], np.arange(6, 12) / 255)
    with pytest.raises(DataError, match=r"array y of a\.npz, sequence 4 is 2"):
        data.batches(reading("image[t]: []", "label: {category: 2}"))


def test_images_that_cannot_be_read(tmp_path: Path) -> None:
    png(tmp_path / "sizes/a/1.png", np.zeros((2, 3), dtype=np.uint8))
    png(tmp_path / "sizes/b/1.png", np.zeros((3, 3), dtype=np.uint8))
    png(tmp_path / "cut/a/1.png", np.zeros((50, 50), dtype=np.uint8))
    whole = (tmp_path / "cut/a/1.png").read_bytes()
    (tmp_path / "cut/a/1.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "none").mkdir()
    np.savez(tmp_path / "flat.npz", image=np.zeros((4, 3)), label=np.zeros(4, dtype=int))
    np.savez(tmp_path / "labels.npz", image=np.zeros((4, 3, 2)), label=np.zeros(4))
    for source, message in (
        ({"folder": "sizes"}, "sizes/b/1.png is 3×3, but .*sizes/a/1.png is 2×3"),
        ({"folder": "cut"}, "cannot read .*cut/a/1.png"),
        ({"folder": "none"}, "there are no images in the folders of"),
        ({"folder": "nowhere"}, "nowhere is not a folder"),
        ({"file": "flat.npz"}, r"array image of flat.npz is float64 \[4, 3\]"),
        ({"file": "labels.npz"}, r"array label of labels.npz is float64 \[4\]"),
        ({"file": "flat.npz", "image": "imag"}, "has no array imag for the image\n.*mean image"),
    ):
        with pytest.raises(DataError, match=message):
            make.describe({"images": source}, tmp_path)
