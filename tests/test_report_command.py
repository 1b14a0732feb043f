"""`unfold report`: pages of runs and of specs, their data, and what is said of mistakes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unfold.cli import invoke
from unfold.errors import MISTAKE

WRITER = r"""
unfold: 1
name: writer
about: "</script><script>alert(1)</script> ]]> <!--"
axes: {t: 4}
sizes: {vocab: 8, hidden: 3}
inputs: {x[t]: {category: vocab}, y[t]: {category: vocab}}
parameters:
  W: {shape: [hidden, hidden], init: orthogonal}
  U: [hidden, vocab]
  V: [vocab, hidden]
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t])
  o[t]: V @ h[t]
loss: mean[t](cross_entropy(o[t], y[t]))
draw: {labels: {h: "<script>alert(2)</script>"}}
data: {text: {string: "<script>]]><!--<script>]]><!--<script>]]><!--<script>]]>"}, input: x,
       target: y, batch: 2, validation: 10}
train: {steps: 6, save: 3, clip: {norm: 0.1}, validation: {every: 2}}
generate: {length: 20}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    file = tmp_path / "writer.yaml"
    file.write_text(WRITER, encoding="utf-8")
    return file


@pytest.fixture
def reported(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def call(*arguments: str) -> str:
        capsys.readouterr()
        code = invoke(["report", *arguments])
        said = capsys.readouterr()
        assert code == 0, said.err
        return said.out

    return call


def data(file: Path) -> dict[str, Any]:
    text = file.read_text(encoding="utf-8")
    found = re.findall(r'<script type="application/json" id="document">([^<]*)</script>', text)
    return json.loads(found[0])


def blocks(page: dict[str, Any], title: str) -> list[dict[str, Any]]:
    (found,) = [s["blocks"] for s in page["sections"] if s["title"] == title]
    return found


def test_a_run_is_one_page(spec: Path, tmp_path: Path, reported: Callable[..., str]) -> None:
    assert invoke(["run", str(spec), "--runs", str(tmp_path / "runs")]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert reported(str(run)).startswith(f"{run}/report.html")
    page = data(run / "report.html")
    assert page["about"] == "</script><script>alert(1)</script> ]]> <!--"
    assert page["facts"]["shown at"].startswith("parameters after step ")
    titles = [s["title"] for s in page["sections"]]
    assert titles == [
        "Unfolding", "Training", "Gradients", "Samples", "Measures", "Spec", "Program",
        "Environment",
    ]  # fmt: skip
    records = [json.loads(x) for x in (run / "metrics.jsonl").read_text().splitlines()]
    loss, *_ = blocks(page, "Training")
    shown = {s["name"]: s for s in loss["series"]}
    losses = [r["loss"] for r in records if "loss" in r]
    assert shown["loss of a step"]["y"] == pytest.approx(losses, rel=1e-5)
    validated = [r["validation_loss"] for r in records if "validation_loss" in r]
    assert shown["validation"]["y"] == pytest.approx(validated, rel=1e-5)
    (sample,) = blocks(page, "Samples")
    text = "\n".join("".join(t for _, t in line) for line in sample["lines"])
    assert text == (run / "sample.txt").read_text().rstrip("\n")
    sessions, versions = blocks(page, "Environment")
    assert sessions["rows"][0][1:3] == [0, 6] and versions["rows"][0][0] == "unfold"
    (graph,) = blocks(page, "Unfolding")
    assert [p["title"] for p in graph["pictures"]] == ["unfolded", "folded", "backward"]
    assert "<script>alert(2)</script>[1]" in graph["pictures"][0]["label"]
    assert "<" in graph["values"][graph["names"].index("x")]["symbols"]
    first = (run / "report.html").read_bytes()
    reported(str(run), "-o", str(tmp_path / "again.html"))
    assert (tmp_path / "again.html").read_bytes() == first


@pytest.mark.usefixtures("compiled")
def test_a_spec_is_shown_with_fresh_parameters(
    spec: Path, tmp_path: Path, reported: Callable[..., str]
) -> None:
    file = tmp_path / "page.json"
    out = reported(str(spec), "--steps", "2", "--json", "-o", str(file))
    answer = json.loads(out)
    assert answer == {
        "ok": True,
        "name": "writer",
        "file": str(file),
        "bytes": file.stat().st_size,
    }
    page = json.loads(file.read_text())
    assert page["facts"]["shown at"] == "fresh parameters, seed 0"
    titles = [s["title"] for s in page["sections"]]
    assert "Training" not in titles and "Plan" in titles
    (graph,) = blocks(page, "Unfolding")
    steps = [label for label in graph["pictures"][0]["label"] if label.startswith("o[")]
    assert steps == ["o[0]", "o[3]"]
    measures, _ = blocks(page, "Measures")
    assert measures["rows"][0] == ["recurrent depth", "1", "1", "3"]
    chart, parameters = blocks(page, "Gradients")
    assert {s["name"] for s in chart["series"]} == {"h", "o"}
    assert [r[0] for r in parameters["rows"]] == ["W", "U", "V"]


PLAIN = """
unfold: 1
name: plain
axes: {t: 3}
inputs: {x[t]: [2]}
parameters: {W: [2, 2]}
nodes: {h[t]: W @ x[t]}
"""


def test_a_spec_without_loss_or_data_has_a_page(
    tmp_path: Path, reported: Callable[..., str]
) -> None:
    file = tmp_path / "plain.yaml"
    file.write_text(PLAIN, encoding="utf-8")
    reported(str(file), "-o", str(tmp_path / "plain.html"))
    page = data(tmp_path / "plain.html")
    assert "random inputs" in page["facts"]["shown at"]
    (graph,) = blocks(page, "Unfolding")
    assert [p["title"] for p in graph["pictures"]] == ["unfolded", "folded"]
    assert set(graph["backward"]) == {-1} and graph["points"]["0"]["norm"] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-o", "page.pdf"], "-o page.pdf: expected a file that ends with .html or .json"),
        (["--detail", "atom"], "--detail: expected one of cell, node, op, got 'atom'"),
        (["--mode", "scheduled:0.5"], "--mode scheduled:0.5: a page shows teacher or free"),
        (["-o", "none/page.html"], "-o none/page.html: cannot be written: no such file"),
    ],
)
def test_mistakes(
    spec: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["report", str(spec), *arguments]) == MISTAKE
    assert told in capsys.readouterr().err
