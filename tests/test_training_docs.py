"""docs/training.md: every example is read, and every key and constant is in it."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from unfold.settings.data import read_data
from unfold.settings.train import TrainSettings, read_train
from unfold.spec.file.model import Section
from unfold.training.rules.optimizers import OPTIMIZERS
from unfold.training.rules.schedules import PIECES

PAGE = (Path(__file__).parent.parent / "docs" / "training.md").read_text(encoding="utf-8")
EXAMPLES: list[dict[str, Any]] = [
    yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_examples_are_read(example: dict[str, Any]) -> None:
    read_train(Section.at(None, example["train"]))
    if "data" in example:
        read_data(Section.at(None, example["data"]))


def test_every_key_is_described() -> None:
    keys = set(TrainSettings.model_fields)
    used = {key for example in EXAMPLES for key in example.get("train", {})}
    described = {key for key in keys if f"| `{key}`" in PAGE} | used
    assert keys - described == set()


def test_every_rule_is_described_with_its_defaults() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE, re.M))
    for name, rule in OPTIMIZERS.items():
        for field in fields(rule):
            inherited = name == "adamw" and field.name != "weight_decay"
            assert inherited or f"`{field.name}`" in rows[name], (name, field.name)
            assert inherited or _shown(field.default) in rows[name], (name, field.default)
    for name in PIECES:
        assert re.search(rf"^\| `\{{?{name}", PAGE, re.M), name


def _shown(default: object) -> str:
    """Return a default as the page has it."""
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}".replace("1e-08", "1e-8")
