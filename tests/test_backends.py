"""A backend is one folder and one line: a third one is registered, and everything runs on it.

The third one interprets the text of blocks (`tests.differential.interpreted`) and keeps its texts
in the store of kernels. Nothing but the registry learns of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import unfold
from tests.differential.interpreted import Interpreted, Interpreting
from unfold import backends
from unfold.backends import kept
from unfold.backends.protocol import Planner, Room
from unfold.cli import invoke
from unfold.errors import OK, UnsupportedError

SPEC = """\
unfold: 1
name: small
axes: {t: 4}
sizes: {n: 3}
inputs:
  x[t]: [2]
parameters:
  W: [n, n]
  U: [n, 2]
  b: [n]
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t] + b)
loss: mean[t](sum(h[t] * h[t]))
data: {random: true, batch: 3}
train: {steps: 3}
"""


class Third(Interpreting):
    """A backend of the tests, which adds up gradients of parameters after loops."""

    target = replace(Interpreting.target, fuses=False)

    def __init__(self, planner: Planner, room: Room) -> None:
        super().__init__(planner, room, machine=Interpreted(kept=True))


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Register the backend, with an empty store of kernels; give a file with a spec."""
    monkeypatch.setitem(backends.BACKENDS, "third", f"{__name__}:Third")
    monkeypatch.setenv("UNFOLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    kept.kernels.cache_clear()
    (tmp_path / "small.yaml").write_text(SPEC)
    yield tmp_path / "small.yaml"
    kept.kernels.cache_clear()


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    """Return what a command prints on stdout and stderr."""
    assert invoke(list(words)) == OK
    return capsys.readouterr()


def test_the_python_interface_runs_on_it(spec: Path) -> None:
    model = unfold.load(spec)
    params = model.init(seed=1)
    inputs = {"x": np.random.default_rng(0).standard_normal((3, 4, 2))}
    found, expected = (model.forward(params, inputs, backend=b) for b in ("third", "reference"))
    np.testing.assert_allclose(found["h"], expected["h"], rtol=1e-12)
    found, expected = (model.step(params, inputs, backend=b) for b in ("third", "reference"))
    np.testing.assert_allclose(found.grads["W"], expected.grads["W"], rtol=1e-10)
    held = model.backend("third").held
    assert model.needs(batch=3, backend="third")[0] <= held


def test_it_can_be_the_default(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNFOLD_BACKEND", "third")
    model = unfold.load(spec)
    model.forward(model.init(), {"x": np.zeros((1, 4, 2))})
    assert isinstance(model.backend(), Third)


def test_a_run_names_it_and_says_its_memory(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = told(capsys, "run", str(spec), "--backend", "third")
    assert "for a step, in one run" in out + err
    assert "kernels, kept for the next run" in err
    assert json.loads(Path("runs/small-1/run.json").read_text())["backend"] == "third"


def test_its_blocks_are_timed(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = told(capsys, "run", str(spec), "--backend", "third", "--profile")
    assert "model, compiled code" in out and "forward and backward" in out
    document = json.loads(Path("runs/small-1/profile.json").read_text())
    (plan,) = document["plans"]
    assert plan["threads"] == 2
    assert all(row["seconds"] > 0 for row in plan["rows"])


def test_its_kernels_are_shown_and_removed(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "run", str(spec), "--backend", "third")
    before = json.loads(told(capsys, "cache", "--json")[0])
    assert before["kernels"] > 0 and before["folder"].endswith("cache/kernels")
    removed = json.loads(told(capsys, "cache", "--clear", "--json")[0])["removed"]
    assert removed == before["kernels"]
    assert json.loads(told(capsys, "cache", "--json")[0])["kernels"] == 0


def test_the_plan_is_explained_as_it_is_made_for_it(
    spec: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[str, str] = {}
    for name in ("numba", "third"):
        monkeypatch.setenv("UNFOLD_BACKEND", name)
        shown[name] = told(capsys, "explain", str(spec), "--plan")[0]
    assert "adds to ∂b  for batch" in shown["numba"], "in the loop over t"
    assert "adds to ∂b  for t, batch" in shown["third"]


def test_gradients_are_checked_and_times_compared_on_it(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(capsys, "grad", str(spec), "--backend", "third")
    out, _ = told(capsys, "bench", str(spec), "--backend", "third", "--seconds", "0.01", "--json")
    rows = json.loads(out)["rows"]
    assert {(r["backend"], r["what"]) for r in rows} == {
        ("third", "forward"),
        ("third", "forward + backward"),
    }


def test_another_name_is_refused_with_those_there_are(spec: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"unknown backend fourth; choose .* or third"):
        unfold.load(spec).backend("fourth")


def test_what_is_not_asked_for_is_not_imported() -> None:
    """Neither the command line nor the reference loads a compiler."""
    program = (
        "import sys, numpy as np, unfold, unfold.cli;"
        "m = unfold.load('hello');"
        "m.forward(m.init(), {'x': np.zeros((1, 4), int)}, backend='reference');"
        "print(*(n for n in ('numba', 'llvmlite', 'unfold.backends.native') if n in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
