"""The page docs/generation.md: its examples run, and every key of `generate` is on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_generation import DECODER, LANGUAGE, drawn

import unfold
from unfold.settings.generate import GenerateSettings

PAGE = (Path(__file__).parent.parent / "docs" / "generation.md").read_text(encoding="utf-8")
YAML = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
HEAD = """\
unfold: 1
name: page
axes: {t: 6}
sizes: {vocab: 4, hidden: 3}
"""
READER = """\
inputs: {x[t]: {category: vocab}}
parameters: {V: [vocab, vocab]}
nodes: {"o[t]": "V @ x[t]"}
"""
WEIGHTS = "parameters: {W: [hidden, hidden], U: [hidden, vocab], V: [vocab, hidden]}\n"


@pytest.mark.parametrize("example", YAML)
def test_specs_of_the_page_write(example: str) -> None:
    rest = WEIGHTS if "nodes:" in example else READER
    if "feed" not in example and "nodes:" not in example:
        example = example.replace("}", ", feed: {x: o}}")
    model = unfold.loads(HEAD + rest + example)
    prompt = None if rest == WEIGHTS else [1]
    assert model.generate(drawn(model), prompt=prompt, length=3).values.shape == (1, 3)


def test_python_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    reader, decoder = unfold.loads(LANGUAGE), unfold.loads(DECODER.replace("FREE", "choice[t-1]"))
    plain, contexts = PYTHON[0].split("\n\n")
    known: dict[str, Any] = {"model": reader, "params": drawn(reader)}
    exec(plain + "\n" + PYTHON[1], known)
    assert known["written"].values.shape == (5, 100)
    assert len(capsys.readouterr().out.splitlines()) == 4
    more: dict[str, Any] = {"model": decoder, "params": drawn(decoder), "v": np.ones((3, 3))}
    exec(contexts, more)
    assert more["best"].log_probability.shape == (6,)


def test_every_key_is_on_the_page() -> None:
    missing = [name for name in GenerateSettings.model_fields if f"| `{name}` |" not in PAGE]
    assert not missing


def test_every_option_is_on_the_page() -> None:
    from unfold.cli import load

    options = [o for p in load("generate").params for o in p.opts if o[:2] == "--"]
    assert "--beam" in options
    assert not [o for o in options if o not in PAGE and o not in ("--output", "--help")]
