"""Parameters that start from files: every type of number, and every mistake at its place."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import unfold
from unfold.cli import invoke
from unfold.errors import DataError
from unfold.training.data.arrays import read_safetensors

SPEC = """\
unfold: 1
name: started
axes: {t: 4}
sizes: {n: 2}
inputs: {x[t]: [n]}
parameters: {A: {shape: [n, n], init: {file: s.safetensors}}}
nodes: {h[t]: A @ x[t]}
loss: mean[t](sum(h[t]))
"""


def write(file: Path, name: str, kind: str, shape: list[int], data: bytes) -> None:
    """Write one array as safetensors says, of any type."""
    entry = {"dtype": kind, "shape": shape, "data_offsets": [0, len(data)]}
    header = json.dumps({name: entry}).encode()
    file.write_bytes(struct.pack("<Q", len(header)) + header + data)


def started(folder: Path, text: str = SPEC) -> Any:
    """Return what A starts from."""
    (folder / "m.yaml").write_text(text)
    return unfold.load(folder / "m.yaml").init()["A"]


@pytest.mark.parametrize(
    ("kind", "bits", "size"),
    [
        ("BF16", [0x3F80, 0xC020, 0x0000, 0x4049], 2),  # 1, -2.5, 0, 3.140625
        ("F16", [0x3C00, 0xC100, 0x0000, 0x4248], 2),
        ("F8_E4M3", [0x38, 0xC2, 0x00, 0x45], 1),  # 1, -2.5 (s 1000 010), 0, 3.25
        ("F8_E5M2", [0x3C, 0xC1, 0x00, 0x42], 1),  # 1, -2.5, 0, 3
    ],
)
def test_init_file_bf16(tmp_path: Path, kind: str, bits: list[int], size: int) -> None:
    """The types of published weights are converted, those of NumPy's and smaller ones."""
    write(
        tmp_path / "s.safetensors",
        "A",
        kind,
        [2, 2],
        b"".join(b.to_bytes(size, "little") for b in bits),
    )
    last = {"BF16": 3.140625, "F16": 3.140625, "F8_E4M3": 3.25, "F8_E5M2": 3.0}[kind]
    assert started(tmp_path).tolist() == [[1.0, -2.5], [0.0, last]]


@pytest.mark.parametrize(("kind", "name"), [("F8_E4M3", "e4m3fn"), ("F8_E5M2", "e5m2")])
def test_all_numbers_of_eight_bits(tmp_path: Path, kind: str, name: str) -> None:
    types = pytest.importorskip("ml_dtypes")
    codes = np.arange(256, dtype=np.uint8)
    write(tmp_path / "s.safetensors", "A", kind, [256], codes.tobytes())
    found = read_safetensors((tmp_path / "s.safetensors").read_bytes())["A"]
    wanted = codes.view(getattr(types, f"float8_{name}")).astype(np.float32)
    np.testing.assert_array_equal(found.astype(np.float32), wanted)


def test_weights_of_npz_files_and_of_axes(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", A=np.arange(16).reshape(4, 2, 2))
    text = SPEC.replace("A:", "A[t]:").replace("A @", "A[t] @").replace("s.safetensors", "w.npz")
    assert started(tmp_path, text).tolist() == np.arange(16.0).reshape(4, 2, 2).tolist()


def make_files(folder: Path) -> None:
    """Write one file for each mistake."""
    save_file({"B": np.zeros((2, 2))}, folder / "other.safetensors")
    save_file({"A": np.zeros((2, 3))}, folder / "shape.safetensors")
    save_file({"A": np.array([[0, 1], [np.inf, 0]])}, folder / "inf.safetensors")
    save_file({"A": np.ones((2, 2), bool)}, folder / "bool.safetensors")
    write(folder / "f4.safetensors", "A", "F4", [2, 2], b"ab")
    (folder / "cut.safetensors").write_bytes((folder / "shape.safetensors").read_bytes()[:-3])
    (folder / "folder.safetensors").mkdir()
    os.mkfifo(folder / "pipe.safetensors")
    (folder / "w.txt").write_text("0")


@pytest.mark.parametrize(
    ("file", "message", "help"),
    [
        ("none.safetensors", "none.safetensors is not a file", "relative to the spec's folder"),
        ("pipe.safetensors", "pipe.safetensors is not a file", "relative to the spec's folder"),
        ("folder.safetensors", "folder.safetensors is not a file", "relative"),
        ("/dev/zero", "/dev/zero is not a file", "relative"),
        ("w.txt", "w.txt is neither .npz nor .safetensors", "numpy.savez"),
        ("cut.safetensors", "cannot read the arrays of", "it is damaged, truncated"),
        ("other.safetensors", "other.safetensors has no array A", "its arrays: B"),
        ("shape.safetensors", "of shape.safetensors has the shape [2, 3]", "[2, 2] is expected"),
        ("inf.safetensors", "A[1, 0] of inf.safetensors is inf", "finite numbers"),
        ("bool.safetensors", "contains bool", "a parameter must contain real numbers"),
        ("f4.safetensors", "cannot read the arrays of", "it is damaged"),
    ],
)
def test_a_mistake_is_shown_where_the_spec_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, message: str, help: str
) -> None:
    make_files(tmp_path)
    with pytest.raises(DataError) as told:
        started(tmp_path, SPEC.replace("s.safetensors", file))
    (found,) = told.value.diagnostics
    assert found.location is not None
    assert (found.location.line, found.location.column) == (6, 46)
    assert message in found.message and help in (found.help or "")
    assert invoke(["check", str(tmp_path / "m.yaml")]) == 1
    assert "m.yaml:6:46: " in capsys.readouterr().out


def test_a_copy_of_the_spec_finds_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file({"A": np.eye(2)}, tmp_path / "s.safetensors")
    (tmp_path / "m.yaml").write_text(SPEC + "data: {random: true}\ntrain: {steps: 1}\n")
    monkeypatch.chdir(tmp_path)
    assert invoke(["run", "m.yaml", "--backend=reference", "--runs=there/runs"]) == 0
    copy = tmp_path / "there/runs/started-1/spec.yaml"
    assert "file: ../../../s.safetensors" in copy.read_text()
    assert invoke(["check", str(copy)]) == 0


def test_numbers_too_large_for_the_type_are_refused(tmp_path: Path) -> None:
    save_file({"A": np.full((2, 2), 1e39)}, tmp_path / "s.safetensors")
    assert (started(tmp_path) == 1e39).all()
    with pytest.raises(DataError, match=r"A\[0, 0\] of .* is 1e\+39, not a number of float32"):
        unfold.load(tmp_path / "m.yaml").init(dtype="float32")
