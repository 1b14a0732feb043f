"""Hostile files: a clear message after little work in little memory, and nothing is executed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import unfold
from tests.hostile.cases import CANARY, CASES, FILES
from tests.work import work

ROOT = Path(__file__).parent.parent
CALLS, MEGABYTES = 4_000_000, 100  # so many calls take half a second on a quiet machine
HARMLESS = {"a chain of comparisons", "float of 10000 digits"}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Load every hostile file, once."""
    folder = tmp_path_factory.mktemp("hostile")
    names = list(CASES)
    for position, name in enumerate(names):
        data = CASES[name].encode("utf-8", "surrogatepass")
        (folder / f"{position}.case").write_bytes(data)
    for name, content in FILES.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)
    os.mkfifo(folder / "pipe")
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile", str(folder)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert not (folder / CANARY).exists() and not (ROOT / CANARY).exists()
    return {names[int(k)]: found for k, found in json.loads(done.stdout).items()}


@pytest.mark.parametrize("name", CASES)
def test_a_clear_error_quickly(name: str, outcomes: dict[str, dict[str, Any]]) -> None:
    found = outcomes[name]
    if name in HARMLESS:
        assert found["outcome"] == "model", found
    else:
        assert found["outcome"] == "mistake", found
        assert found["said"] and "Traceback" not in found["said"]
        assert all(len(line) < 600 for line in found["said"].split("\n")), found["said"]
    assert found["calls"] < CALLS, found
    assert found["megabytes"] < MEGABYTES, found


def test_a_thousand_equations_are_fine() -> None:
    """Elaboration takes about a thousand calls per equation: its work grows with their number."""
    calls = {}
    for count in (250, 1000):
        lines = [f"  h{i}[t]: tanh(W @ h{i - 1}[t] + W @ h{i}[t-1])" for i in range(1, count)]
        head = "unfold: 1\nname: m\naxes: {t: 5}\nsizes: {n: 4}\ninputs:\n  x[t]: [n]\n"
        text = f"{head}parameters:\n  W: [n, n]\nnodes:\n  h0[t]: x[t]\n" + "\n".join(lines)
        with work(20_000_000) as done:
            model = unfold.loads(text)
        assert sum(v.is_named for v in model.program) == count + 2
        calls[count] = done.calls
    assert calls[1000] < 5 * calls[250], calls


def test_a_deep_stack_is_fine() -> None:
    head = "unfold: 1\nname: m\naxes: {t: 5}\nsizes: {n: 4}\ninputs:\n  x[t]: [n]\n"
    model = unfold.loads(f"{head}nodes:\n  h[t]: {{is: lstm(x[t], hidden=n), stack: 200}}\n")
    assert len(model.program.parameters) == 600
