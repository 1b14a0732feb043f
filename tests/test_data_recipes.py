"""A family of data and a task, added as CONTRIBUTING.md says, here at run time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import Field

import unfold
from unfold.cli import invoke
from unfold.core.program import Program
from unfold.errors import SpecError
from unfold.settings import data as settings
from unfold.settings.data import SetData
from unfold.settings.schema import json_schema
from unfold.settings.tasks import TASKS, Task
from unfold.spec.file.model import Section
from unfold.training.data.columns import Column, Examples
from unfold.training.data.dataset import SetDataset
from unfold.training.data.open import READERS, Reader
from unfold.training.tasks import tasks

SPEC = """unfold: 1
name: sums
axes: {t: 5}
inputs: {x[t]: [], y: []}
parameters: {w: []}
nodes:
  s[t]: s[t-1] + w * x[t]
loss: (s[last] - y) ** 2
data: DATA
train: {steps: 150, optimizer: {adam: {rate: 0.05}}}
"""


class DoubledData(SetData):
    """Numbers, and the sum of their doubles.

    Attributes:
        doubled: the number of sequences.
        inputs: by input of the spec, `x` or `y`; default: the same name.
    """

    doubled: int = Field(ge=1)
    inputs: dict[str, str] = Field(default={})


def doubled(given: DoubledData, section: Section, folder: Path) -> SetDataset:
    steps = np.random.default_rng(0).random((given.doubled, 5))
    examples = Examples({"x": Column(steps), "y": Column(2 * steps.sum(axis=1))})

    def read(program: Program) -> Examples:
        return examples

    return SetDataset(given, section, "doubled", given.inputs, read, "doubled numbers")


class Doubled(Task):
    """Add up twice the numbers."""


def draw_doubled(task: Doubled, generator: Any, count: int) -> dict[str, Column]:
    steps = generator.random((count, 5))
    return {"x": Column(steps), "y": Column(2 * steps.sum(axis=1))}


def learnt(text: str, folder: Path) -> float:
    """Check a spec on the command line and train it in Python; return the weight it has learnt."""
    (folder / "sums.yaml").write_text(text)
    assert invoke(["check", str(folder / "sums.yaml")]) == 0
    return float(unfold.train(unfold.loads(text)).params["w"])


def test_a_family_of_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.FAMILIES, "doubled", DoubledData)
    monkeypatch.setitem(READERS, DoubledData, Reader(doubled))
    assert "doubled" in str(json_schema())
    spec = SPEC.replace("DATA", "{doubled: 64, batch: 8}")
    assert learnt(spec, tmp_path) == pytest.approx(2, abs=0.1)
    with pytest.raises(SpecError, match="doubled"):
        unfold.train(unfold.loads(spec.replace("doubled: 64", "doubled: 0")))


@pytest.fixture
def added_task() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS, "doubled", Doubled)
        patch.setitem(tasks.DRAW, Doubled, draw_doubled)
        settings.TaskData.model_rebuild(force=True)  # it was built from the table
        yield
    settings.TaskData.model_rebuild(force=True)


@pytest.mark.usefixtures("added_task")
def test_a_task(tmp_path: Path) -> None:
    spec = SPEC.replace("DATA", "{task: doubled, batch: 8}")
    assert learnt(spec, tmp_path) == pytest.approx(2, abs=0.1)
