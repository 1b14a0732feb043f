"""Data on their way through the command: sizes set from them, runs taken up again, mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from unfold.cli import invoke

SPEC = """\
unfold: 1
name: {name}
axes: {{t: 4}}
sizes: {{n: 3, m: 3, hidden: 2}}
inputs:
  x[t]: {x}
  y{over}: {y}
parameters:
  W: [hidden, hidden]
  U: [hidden, n]
  V: [m, hidden]
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t])
  o{over}: V @ h[{at}]
loss: {loss}
data: {data}
train: {{steps: 6, optimizer: {{adam: {{rate: 0.05}}}}}}
"""
LABELS = {"x": "[n]", "over": "", "y": "{category: m}", "at": "last", "loss": "cross_entropy(o, y)"}
STEPS = {
    "x": "{category: n}",
    "over": "[t]",
    "y": "{category: m}",
    "at": "t",
    "loss": "mean[t](cross_entropy(o[t], y[t]))",
}
NUMBERS = {"x": "[n]", "over": "[t]", "y": "[m]", "at": "t", "loss": "mean[t](mse(o[t], y[t]))"}

RUNS = {
    "labels": (LABELS, "{arrays: {file: ../set.npz}, lengths: {t: n}, batch: 3, validation: 2}"),
    "names": (STEPS, "{lines: {file: ../names.txt}, input: x, target: y, batch: 2}"),
    "days": (
        NUMBERS,
        "{series: {file: ../w.csv}, inputs: {x: [a, b]}, targets: {y: a}, batch: 2, validation: 8}",
    ),
    "kinds": (LABELS, "{sequences: {file: ../kinds.jsonl}, batch: 2}"),
    "pets": (
        LABELS,
        "{images: {folder: ../pets}, inputs: {x: image, y: label}, batch: 2, validation: 0.25}",
    ),
    "strings": (STEPS, "{task: anbn, inputs: {x: symbol, y: next}, batch: 2, validation: 3}"),
}
SIZES = {
    "labels": {"n": 5, "m": 3},  # m stays as the spec says: whole numbers have no largest class
    "names": {"n": 6, "m": 6},
    "days": {"n": 2, "m": 1},
    "kinds": {"n": 2, "m": 2},
    "pets": {"n": 3, "m": 2},
    "strings": {"n": 3, "m": 3},
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the data, and specs in a folder beside them; work in a third one."""
    from PIL import Image

    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 5, 7)
    arrays = {"x": generator.normal(size=(7, 4, 5)), "y": np.arange(7) % 3, "n": lengths}
    np.savez(tmp_path / "set.npz", **arrays)
    (tmp_path / "names.txt").write_text("anna\nbob\nal\n")
    (tmp_path / "w.csv").write_text("a,b\n" + "".join(f"{i % 5},{i}\n" for i in range(40)))
    records = [{"x": [[i, 1.5]] * (1 + i % 3), "y": "ab"[i % 2]} for i in range(5)]
    (tmp_path / "kinds.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    for number in range(4):
        folder = tmp_path / "pets" / ["cat", "dog"][number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        image = generator.integers(0, 255, (4, 3)).astype(np.uint8)
        Image.fromarray(image).save(folder / f"{number}.png")
    (tmp_path / "specs").mkdir()
    for name, (parts, data) in RUNS.items():
        (tmp_path / "specs" / f"{name}.yaml").write_text(SPEC.format(name=name, data=data, **parts))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("NO_COLOR", "1")
    return tmp_path


def run(*arguments: str) -> int:
    """Run a command on the reference."""
    return invoke(["run", *arguments, "--backend", "reference"])


@pytest.mark.parametrize("name", RUNS)
def test_a_run_on_every_family_and_its_continuation(
    name: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = f"../specs/{name}.yaml"
    assert invoke(["check", spec]) == 0
    assert run(spec) == 0
    whole = Path("runs") / f"{name}-1"
    printed = capsys.readouterr().out
    sizes = SIZES[name]
    assert f"n={sizes['n']}, m={sizes['m']}" in printed
    found = load_file(whole / "checkpoint" / "000006" / "parameters.safetensors")
    assert found["U"].shape == (2, sizes["n"])
    assert found["V"].shape == (sizes["m"], 2)
    # Three steps, and three more from the folder of the run, whose spec stands elsewhere.
    assert run(spec, "--set", "train.steps=3") == 0
    assert run("--resume", f"runs/{name}-2", "--set", "train.steps=6") == 0
    again = load_file(Path(f"runs/{name}-2/checkpoint/000006/parameters.safetensors"))
    for parameter, array in found.items():
        np.testing.assert_array_equal(again[parameter], array)
    losses = [
        [json.loads(line)["loss"] for line in file.read_text().splitlines()]
        for file in (whole / "metrics.jsonl", Path(f"runs/{name}-2/metrics.jsonl"))
    ]
    assert len(losses[0]) == 6
    assert losses[0] == losses[1]


def test_data_that_have_changed_since_are_noticed(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("../specs/days.yaml") == 0
    (files / "w.csv").write_text("a,b\n" + "".join(f"{i % 4},{i}\n" for i in range(40)))
    assert run("--resume", "runs/days-1", "--set", "train.steps=9") == 1
    assert "the data differ from those it was trained on" in capsys.readouterr().err


def change_arrays(files: Path, **changes: Any) -> None:
    """Write other arrays in place of some."""
    with np.load(files / "set.npz") as arrays:
        np.savez(files / "set.npz", **{**arrays, **changes})


@pytest.mark.parametrize("name", ["labels", "days", "kinds", "pets"])
def test_missing_files_are_a_mistake_of_the_user(
    name: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in ("set.npz", "w.csv", "kinds.jsonl", "pets"):
        (files / path).rename(files / f"not-{path}")
    assert run(f"../specs/{name}.yaml") == 1
    told = capsys.readouterr().err
    assert f"../specs/{name}.yaml:16:" in told
    assert "^" in told
    assert "a path is relative to the spec's folder" in told


def test_mistakes_exit_with_1_and_are_shown_at_the_key(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_arrays(files, y=np.arange(7))
    assert run("../specs/labels.yaml") == 1
    told = capsys.readouterr().err
    assert "array y of ../set.npz, sequence 4 is 3" in told
    assert "help: classes of y are 0 to 2" in told
    assert run("../specs/days.yaml", "--set", "data.inputs={x: c}") == 1
    assert "../w.csv has no column c" in capsys.readouterr().err
    assert invoke(["check", "../specs/days.yaml", "--set", "data.inputs={z: a}"]) == 1
    assert "the spec has no input z" in capsys.readouterr().out
    assert run("../specs/names.yaml", "--set", "size.n=4") == 1
    assert "has 6 classes, but x[t] is a category of n (4)" in capsys.readouterr().err
