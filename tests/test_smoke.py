"""The shortest path of a user, in an empty folder: write a spec, check it, train it, look at it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from unfold.cli import invoke

SPEC = """\
unfold: 1
name: hello
axes: {t: 4}
sizes: {vocab: 9, hidden: 5}
inputs:
  x[t]: {category: vocab}
  y[t]: {category: vocab}
parameters:
  W: [hidden, hidden]
  U: [hidden, vocab]
  V: [vocab, hidden]
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t])
  o[t]: V @ h[t]
initial: {h: learned}
loss: mean[t](cross_entropy(o[t], y[t]))
data: {text: {string: "hello hello hello hello."}, input: x, target: y, batch: 2}
train: {steps: 5, optimizer: {adam: {rate: 0.05}}}
generate: {length: 7}
"""


def test_check_run_render(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = tmp_path / "hello.yaml"
    spec.write_text(SPEC)
    assert invoke(["check", "hello.yaml"]) == 0
    assert invoke(["run", "hello.yaml"]) == 0
    assert invoke(["render", "hello.yaml", "-o", "folded.svg", "--view", "folded"]) == 0
    assert invoke(["render", "hello.yaml", "-o", "unfolded.png", "--steps", "3"]) == 0
    run = tmp_path / "runs" / "hello-1"
    made = {str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()}
    assert made >= {
        "spec.yaml",
        "metrics.jsonl",
        "sample.txt",
        "graph-folded.svg",
        "graph-unfolded.svg",
        "checkpoint/000005/parameters.safetensors",
    }
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 5
    assert "</svg>" in (tmp_path / "folded.svg").read_text()
    assert (tmp_path / "unfolded.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_is_installed(tmp_path: Path) -> None:
    (tmp_path / "hello.yaml").write_text(SPEC.replace("U @ x[t]", "V @ x[t]"))
    command = [sys.executable, "-m", "unfold", "check", "hello.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert "hello.yaml:13:27: shapes do not match in  V @ x[t]" in done.stdout
