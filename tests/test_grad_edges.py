"""`unfold grad` at zeros, ties and bounds of conditions finds what is wrong, and no conventions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import unfold
from unfold.cli import invoke
from unfold.passes.absence import Absence

RATE = """
unfold: 1
name: rate
axes: {t: 4}
inputs: {x[t]: [], dt[t]: [], y[t]: []}
parameters: {w: {shape: [], init: ones}}
nodes:
  rate[t]: where(dt[t] > 0, w * x[t] / dt[t], 0)
loss: mean[t](mse(rate[t], y[t]))
"""
CONVENTIONS = """
unfold: 1
name: conventions
axes: {t: 4}
inputs: {x[t]: [3], z[t]: []}
parameters: {w: [3], a: []}
nodes:
  straight[t]: relu(x[t]) - relu(-x[t])
  sharp[t]: abs(w * x[t]) + maximum(x[t], 2 * x[t]) - minimum(x[t], 0)
  top[t]: max(x[t]) + a * z[t]
  jump[t]: where(z[t] > 0, z[t] + 1, z[t]) + z[t] % 1
  root[t]: sqrt(z[t] * z[t]) + norm(x[t] * w)
loss: mean[t](sum(straight[t] + sharp[t]) + top[t] + jump[t] + root[t]) + max[t](z[t])
"""
SMOOTH = """
unfold: 1
name: smooth
axes: {t: 4}
inputs: {x[t]: [3]}
parameters: {w: [3]}
nodes:
  h[t]: tanh(w * x[t] + 0.3)
loss: mean[t](h[t] @ h[t])
"""


def run(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
    code = invoke(["grad", str(tmp_path / "spec.yaml"), "--backend", "reference", "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_gradient_that_only_an_edge_spoils_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, found = run(RATE, tmp_path, capsys)
    assert code == 0 and found["ok"]
    assert {"dt = 0", "ties in x", "parameters = 0"} <= {e["edge"] for e in found["edges"]}
    monkeypatch.setattr(Absence, "least", lambda self, name: 9)  # as if all were read
    code, found = run(RATE, tmp_path, capsys)
    assert code == 1 and all(row["ok"] for row in found["gradients"])
    (wrong,) = (e["wrong"] for e in found["edges"] if e["edge"] == "dt = 0")
    assert any(w.startswith("∂w is not finite in 1 of 1 entries; differences") for w in wrong)


def test_conventions_are_no_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = run(CONVENTIONS, tmp_path, capsys)
    assert code == 0, found["edges"]


def test_a_wrong_number_at_an_edge_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = unfold.Model.value_and_grad

    def wrong(self: unfold.Model, params: Any, inputs: Any, **options: Any) -> Any:
        loss, grads = right(self, params, inputs, **options)
        return loss, {n: g * 1.5 if (inputs["x"] == 0).any() else g for n, g in grads.items()}

    monkeypatch.setattr(unfold.Model, "value_and_grad", wrong)
    code, found = run(SMOOTH, tmp_path, capsys)
    assert code == 1 and all(row["ok"] for row in found["gradients"])
    assert [e["edge"] for e in found["edges"] if not e["ok"]][:1] == ["x = 0"]
