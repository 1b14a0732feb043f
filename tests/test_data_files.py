"""Files of arrays, sequences and images: what is read of them, and every way they can be wrong."""

from __future__ import annotations

import io
import json
import os
import random
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.feeding import FRAMES, frames, reading
from unfold.core.bytes import SHARE
from unfold.errors import DataError
from unfold.training.data import arrays as module
from unfold.training.data import make
from unfold.training.data.images import NAMES

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


def little_memory(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """Let so many bytes be free."""
    monkeypatch.setattr("unfold.core.bytes.available", lambda: int(free / SHARE))


def test_npz_that_unpacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unpacked is limited by the memory there is, and by the size of the file."""
    np.savez_compressed(tmp_path / "zeros.npz", n=np.zeros(10_000))
    little_memory(monkeypatch, 1 << 17)
    message = r"what .*zeros\.npz holds needs 235 KiB of memory, but only 128 KiB may be used"
    with pytest.raises(DataError, match=message):
        described(tmp_path, "zeros.npz")
    little_memory(monkeypatch, 1 << 40)
    monkeypatch.setattr(module, "FREE_RATIO", 50_000)
    with pytest.raises(DataError, match=r"would unpack to 78.2 KiB, [0-9]{3} times its size"):
        described(tmp_path, "zeros.npz")
    np.savez(tmp_path / "zeros.npz", n=np.ones(10_000, dtype=int), x=np.zeros((10_000, 1, 3)))
    described(tmp_path, "zeros.npz")


def test_an_archive_that_says_more_than_it_has_is_refused(tmp_path: Path) -> None:
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


def test_a_fingerprint_knows_what_symbols_stand_for(tmp_path: Path) -> None:
    found = []
    for word in ("cat", "bat", "cat"):
        write_lines(tmp_path / "a.jsonl", {"x": word})
        data = make.sequences(str(tmp_path / "a.jsonl"))
        found.append(data.batches(reading("x[t]: {category: 3}")))
    codes = [f.train.batch(0).inputs["x"].tolist() for f in found]
    assert codes == [[[1, 0, 2]]] * 3
    one, two, three = (f.facts["fingerprint"] for f in found)
    assert one == three != two


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
        ('{"x": [1]}\n{"x": []}\n', "line 2, key x: .*\n  help: omit empty sequences"),
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


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"x": [1], "y": "\\ud800"}\n', r"line 1: key y: \\ud800 is not text"),
        ('{"x": ["a", "b\\udfff"]}\n', r"line 1: key x: \\udfff is not text"),
        ('{"a\\ud800": [1]}\n', r"line 1: the key \\ud800 is not text"),
    ],
)
def test_surrogate_in_labels_loses_the_run(tmp_path: Path, lines: str, message: str) -> None:
    """Half a character cannot be saved with a run: it is refused when it is read."""
    (tmp_path / "s.jsonl").write_text(lines)
    with pytest.raises(DataError, match=message):
        make.describe({"sequences": {"file": "s.jsonl"}}, tmp_path)
    (tmp_path / "s.jsonl").write_text('{"y": "\\ud83d\\ude00"}\n')  # both halves are a face
    make.describe({"sequences": {"file": "s.jsonl"}}, tmp_path)
    with pytest.raises(DataError, match=r"\\udc80 is not text"):
        make.text(string="ab\udc80", input="x", target="y")


def test_a_key_that_comes_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"x": [[1]]}\r{"x": [[1,2]], "x": [[3,4]]}\r')
    with pytest.raises(DataError, match=r"t.jsonl, line 2: the key x occurs twice"):
        make.describe({"sequences": {"file": "t.jsonl"}}, tmp_path)


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


@pytest.mark.parametrize(("column", "end"), [("caption", "\n"), ("name", "")])
def test_captions_and_names_spell_the_digits(column: str, end: str) -> None:
    inputs, letters = {"v": "image", "w": column}, 15 + len(end)
    data = make.images("digits", layout="whole", inputs=inputs, order="given")
    program = reading("v: [8, 8]", "w[t]: {category: n}", sizes="n: 3")
    assert data.fit(program).sizes == {"n": letters}
    found = data.batches(reading("v: [8, 8]", "w[t]: {category: n}", sizes=f"n: {letters}"))
    alphabet = found.facts["vocabularies"]["w"]  # type: ignore[index]
    words = found.train.batch(0).inputs["w"]
    told = ["".join(alphabet[c] for c in row if c >= 0) for row in words]
    assert told == [f"{NAMES[i % 10]}{end}" for i in range(16)]


def whole_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return all images, from 0 to 16, and their classes."""
    data = make.images("digits", layout="whole", order="given", batch=1797)
    batch = data.batches(reading("image: [8, 8]", "label: {category: 10}")).train.batch(0)
    return batch.inputs["image"] * 16, batch.inputs["label"]


def test_the_digits_have_the_known_counts() -> None:
    images, labels = whole_digits()
    assert images.sum() == 561718
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_digits_are_those_of_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    digits = datasets.load_digits()
    images, labels = whole_digits()
    np.testing.assert_array_equal(images, digits.images)
    np.testing.assert_array_equal(labels, digits.target)


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


def test_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is limited as a whole, holds files, and has names that can be written."""
    data = {"images": {"folder": "p"}}
    for place in range(8):
        png(tmp_path / f"p/{'ab'[place % 2]}/{place}.png", np.zeros((16, 32), dtype=np.uint8))
    make.describe(data, tmp_path)
    little_memory(monkeypatch, 65_536)
    message = r"p with 8 images of 16×32 needs 96 KiB of memory, but only 64 KiB may be used"
    with pytest.raises(DataError, match=message):
        make.describe(data, tmp_path)
    os.mkfifo(tmp_path / "p/a/pipe.png")
    little_memory(monkeypatch, 1 << 40)
    with pytest.raises(DataError, match=r"cannot read .*pipe.png: it is not a file"):
        make.describe(data, tmp_path)
    (tmp_path / "p/a/pipe.png").unlink()
    try:
        (tmp_path / os.fsdecode(b"p/a\xff")).mkdir()
    except OSError:
        return  # this file system has no such names
    with pytest.raises(DataError, match=r"the name of the folder a\\xff in .*p is not UTF-8"):
        make.describe(data, tmp_path)


def test_labels_are_not_wrapped_round(tmp_path: Path) -> None:
    labels = np.array([0, 2**64 - 1], dtype=np.uint64)
    np.savez(tmp_path / "a.npz", image=np.zeros((2, 3, 2)), label=labels)
    with pytest.raises(DataError, match=r"label of a.npz, sequence 2 is 18446744073709551615"):
        make.describe({"images": {"file": "a.npz"}}, tmp_path)
    np.savez(tmp_path / "b.npz", x=np.zeros((2, 3, 2)), n=labels)
    with pytest.raises(DataError, match=r"n of b.npz, sequence 2 is 18446744073709551615"):
        described(tmp_path, "b.npz")


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
