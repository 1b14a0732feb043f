"""`unfold generate`: runs of each kind are trained for a few steps, and write."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unfold
from unfold.cli import invoke
from unfold.commands import generate as command
from unfold.training.checkpoint import newest

HEAD = """\
unfold: 1
name: NAME
axes: {t: 6}
sizes: {hidden: 5, vocab: 3}
"""
READER = """\
inputs: {x[t]: {category: vocab}, y[t]: {category: vocab}}
parameters: {W: [hidden, hidden], U: [hidden, vocab], V: [vocab, hidden]}
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t])
  o[t]: V @ h[t]
loss: mean[t](cross_entropy(o[t], y[t]))
"""
SPECS = {
    "text": f"""{HEAD}{READER}
data: {{text: {{file: words.txt}}, input: x, target: y, batch: 2}}
train: {{steps: 4, optimizer: {{adam: {{rate: 0.05}}}}}}
generate: {{length: 9, temperature: 0.9, prompt: he}}
""",
    "lines": f"""{HEAD}{READER}
data: {{lines: {{string: "anna\\nbob\\nhanna\\n"}}, input: x, target: y, batch: 2}}
train: {{steps: 4, optimizer: {{adam: {{rate: 0.05}}}}}}
""",
    "task": f"""{HEAD}{READER}
data: {{task: reber, inputs: {{x: symbol, y: next}}, batch: 4}}
train: {{steps: 4, optimizer: {{adam: {{rate: 0.05}}}}}}
""",
    "series": f"""{HEAD}
inputs: {{x[t]: [1], y[t]: [1]}}
parameters: {{W: [hidden, hidden], U: [hidden, 1], V: [1, hidden]}}
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t])
  o[t]: V @ h[t]
loss: mean[t](mse(o[t], y[t]))
data:
  series: sunspots
  inputs: {{x: sunspots}}
  targets: {{y: sunspots}}
  batch: 2
  validation: 40
train: {{steps: 4, optimizer: {{adam: {{rate: 0.05}}}}, validation: {{every: 2}}}}
""",
    "context": f"""{HEAD}
inputs: {{v: [3], y[t]: {{category: vocab}}}}
parameters: {{K: [hidden, 3], W: [hidden, hidden], R: [hidden, vocab], V: [vocab, hidden]}}
nodes:
  prev[t]: feedback(teacher=y[t-1], free=argmax(o[t-1]))
  h[t]: tanh(W @ h[t-1] + K @ v + R @ prev[t])
  o[t]: V @ h[t]
loss: mean[t](cross_entropy(o[t], y[t]))
stop: {{when: argmax(o[t]) == 1, at_most: 8}}
data: {{arrays: {{file: set.npz}}, batch: 4}}
train: {{steps: 4, optimizer: {{adam: {{rate: 0.05}}}}}}
""",
    "mute": f"""{HEAD}
inputs: {{x[t]: [2], y[t]: [1]}}
parameters: {{U: [1, 2]}}
nodes:
  o[t]: U @ x[t]
loss: mean[t](mse(o[t], y[t]))
data: {{random: true}}
train: {{steps: 2}}
""",
    "untrained": f"{HEAD}{READER}",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run of every kind in `runs`."""
    folder = tmp_path_factory.mktemp("generate")
    (folder / "words.txt").write_text("hello hello hello yellow jello " * 3)
    generator = np.random.default_rng(0)
    np.savez(
        folder / "set.npz", v=generator.normal(size=(9, 3)), y=generator.integers(0, 3, (9, 6))
    )
    for name, text in SPECS.items():
        (folder / f"{name}.yaml").write_text(text.replace("NAME", name))
        assert invoke(["run", str(folder / f"{name}.yaml"), "--runs", str(folder / "runs")]) == 0
    return folder / "runs"


@pytest.fixture
def run(trained: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs the command: code, stdout, stderr."""

    def call(name: str, *options: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = invoke(["generate", str(trained / f"{name}-1"), *options])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


Runner = Callable[..., tuple[int, str, str]]


def outputs(run: Runner, *arguments: str) -> list[dict[str, Any]]:
    """Return what the command writes as JSON."""
    code, out, err = run(*arguments, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["ok"]
    return document["outputs"]


def test_a_run_writes_what_its_sample_says(run: Runner, trained: Path) -> None:
    code, out, err = run("text")
    assert (code, err) == (0, "")
    assert out == (trained / "text-1" / "sample.txt").read_text()
    assert out.startswith("he")
    assert len(out) == len("he") + 9 + 1
    assert run("text")[1] == out


def test_the_data_need_not_be_there(run: Runner, trained: Path) -> None:
    before = run("text")[1]
    file = trained.parent / "words.txt"
    aside = file.rename(file.with_suffix(".aside"))
    try:
        assert run("text")[1] == before
    finally:
        aside.rename(file)


def test_options_are_those_of_python(run: Runner, trained: Path) -> None:
    folder = trained / "text-1"
    model = unfold.load(folder / "spec.yaml")
    found = newest(folder / "checkpoint")
    assert found is not None
    symbols = " ehjlowy"
    asked: dict[str, Any] = {"length": 7, "top_k": 3, "temperature": 2.0, "seed": 5, "number": 3}
    options = ["--length=7", "--top-k=3", "--temperature=2", "--seed=5", "--number=3"]
    written = model.generate(
        found.state.parameters, prompt=[symbols.index(c) for c in "low"], **asked
    )
    lines = outputs(run, "text", "--prompt=low", *options)
    assert [line["values"] for line in lines] == written.values.tolist()
    assert [line["text"] for line in lines] == [
        "".join(symbols[c] for c in row) for row in written.values
    ]
    best = model.generate(
        found.state.parameters, prompt=[symbols.index(c) for c in "he"], length=9, beam=4
    )
    (line,) = outputs(run, "text", "--beam=4")
    assert line["values"] == best[0].tolist()
    assert best.log_probability is not None
    np.testing.assert_allclose(line["log_probability"], best.log_probability[0])


def test_on_a_terminal_text_comes_in_pieces(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run("text", "--length=50")[1]
    monkeypatch.setattr(command, "_is_live", lambda output, json: True)
    assert run("text", "--length=50")[1] == whole


def test_several_texts_are_numbered_and_go_to_a_file(run: Runner, tmp_path: Path) -> None:
    code, out, _ = run("text", "--number=2")
    lines = out.splitlines()
    assert code == 0
    assert (lines[0], lines[3]) == ("1", "2")
    assert lines[1].startswith("he")
    file = tmp_path / "two.txt"
    code, shown, err = run("text", "--number=2", "-o", str(file))
    assert (code, shown) == (0, "")
    assert "wrote" in err
    assert file.read_text() == out


def test_lines_end(run: Runner) -> None:
    code, out, _ = run("lines", "--number=6", "--prompt=an", "--length=12")
    assert code == 0
    written = out.splitlines()
    assert len(written) == 6
    assert all(line.startswith("an") and len(line) <= 14 for line in written)
    found = outputs(run, "lines", "--number=6", "--prompt=an", "--length=12")
    assert ["an" + line["text"] for line in found] == written
    assert any(line["length"] < 12 for line in found)


def test_a_language_of_a_task_is_written(run: Runner) -> None:
    code, out, _ = run("task", "--length=5", "--prompt=BT")
    assert code == 0
    assert out.startswith("BT")
    assert set(out.strip()) <= set("BTSXPVE")


def test_a_series_goes_on(run: Runner, trained: Path, tmp_path: Path) -> None:
    code, out, _ = run("series", "--length=4")
    assert code == 0
    header, *rows = out.splitlines()
    assert header == "sequence,step,sunspots"
    assert [row.split(",")[:2] for row in rows] == [["1", str(i)] for i in range(1, 5)]
    picture = tmp_path / "on.svg"
    code, out, _ = run("series", "--length=4", "-o", str(picture))
    assert (code, out) == (0, "")
    assert "</svg>" in picture.read_text()
    numbers = tmp_path / "numbers.npz"
    given = np.linspace(0.0, 90.0, 12).reshape(2, 6, 1)
    np.savez(numbers, x=given)
    found = np.array(
        [line["values"] for line in outputs(run, "series", "--length=3", "--inputs", str(numbers))]
    )
    kept = newest(trained / "series-1" / "checkpoint")
    assert kept is not None
    assert kept.state.best is not None
    scale = kept.facts["data"]["normalisation"]["sunspots"]
    model = unfold.load(trained / "series-1" / "spec.yaml")
    prompt = (given - scale["subtract"]) / scale["divide"]
    written = model.generate(kept.state.best.parameters, prompt=prompt, length=3)
    np.testing.assert_allclose(found, written.values * scale["divide"] + scale["subtract"])


def test_contexts_come_from_the_data_or_from_a_file(run: Runner, tmp_path: Path) -> None:
    found = outputs(run, "context", "--number=6")
    assert len(found) == 6
    assert all(line["length"] <= 8 for line in found)
    assert all(1 not in line["values"][:-1] for line in found)
    code, out, _ = run("context", "--number=2")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["y", "y"]
    file = tmp_path / "some.npz"
    np.savez(file, v=np.ones((2, 3)))
    alike = outputs(run, "context", "--inputs", str(file))
    assert len(alike) == 2
    assert alike[0]["values"] == alike[1]["values"]
    assert len(outputs(run, "context", "--inputs", str(file), "--number=3", "--beam=3")) == 6


MISTAKES = [
    ("text", ["--prompt=heX"], "has the character 'X' at position 3"),
    ("text", ["--prompt=HE"], "help: write 'h'"),
    ("text", ["--beam=2", "--top-k=3"], "remove --top-k or --beam"),
    ("text", ["--beam=2", "--number=3"], "2 beams cannot give 3 sequences"),
    ("text", ["--top-p=0"], "generate.top_p: expected a number above 0"),
    ("text", ["-o", "x.svg"], "only numbers can be plotted"),
    ("text", ["-o", "nowhere/x.txt"], "--output nowhere/x.txt: cannot be written"),
    ("texd", [], "this is not the folder of a run: there is no such folder"),
    ("untrained", [], "has no checkpoint, so it has no weights"),
    ("mute", [], "help: feed it back in the spec, as in  prev[t]: feedback(teacher=y[t-1]"),
    ("series", ["--prompt=a"], "generates numbers, so a text cannot be its prompt"),
    ("series", ["--temperature=1"], "no scores to draw from"),
    ("context", ["--inputs=none.npz"], "--inputs none.npz: cannot be read"),
    ("context", ["--inputs=none.csv"], "expected a file .npz or .safetensors"),
]


@pytest.mark.parametrize(("name", "options", "message"), MISTAKES)
def test_mistakes_are_named(
    run: Runner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(name, *options)
    assert (code, out) == (1, "")
    assert message in err
    assert "Traceback" not in err


def test_a_file_of_other_arrays_is_refused(run: Runner, tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", w=np.ones((2, 3)))
    code, _, err = run("context", "--inputs", str(tmp_path / "w.npz"))
    assert code == 1
    assert "there is no input w; the inputs are v, y" in err


def test_a_damaged_checkpoint_is_not_used(run: Runner, trained: Path) -> None:
    folder = trained / "text-1" / "checkpoint" / "000004"
    copy = folder.with_name("000005")
    shutil.copytree(folder, copy)
    before = run("text")[1]
    with (copy / "parameters.safetensors").open("r+b") as file:
        file.seek(-3, 2)
        file.write(b"xyz")
    try:
        code, out, err = run("text")
        assert (code, out) == (0, before)
        assert "is damaged" in err
        assert "using the previous one, 000004" in err
    finally:
        shutil.rmtree(copy)
