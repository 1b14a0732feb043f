"""Every example of docs/language.md loads, and its table of operators is what the op table says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

import unfold
from unfold.errors import SpecError
from unfold.spec.file.sections import parse_spec

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "language.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
BASE = """unfold: 1
name: example
axes: {t: 5, s: 4, k: 3}
sizes: {n: 4, m: 3}
inputs:
  x[t]: [n]
  z[s]: [n]
  y[t]: {category: m}
"""


def sections(text: str) -> dict[str, str]:
    """Split a file into its top-level sections, by key."""
    found: dict[str, str] = {}
    key = ""
    for line in text.splitlines(keepends=True):
        if line.strip() and not line[0].isspace():
            key = line.partition(":")[0]
        found[key] = found.get(key, "") + line
    return found


def whole(example: str) -> str:
    """Put an example into the file that the page says stands around it."""
    if example.startswith("unfold: 1"):
        return example
    base, own = sections(BASE), sections(example)
    if "inputs" in own:
        own["inputs"] = base["inputs"] + own["inputs"].partition("\n")[2]
    if "axes" in own:  # inputs over axes that the example does not have are left out
        lines = base["inputs"].splitlines(keepends=True)
        kept = [n for n in lines if "[s]" not in n or re.search(r"\bs:", own["axes"])]
        base["inputs"] = "".join(kept)
    return "".join((base | own).values())


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) > 20


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.strip().splitlines()[-1][:40])
def test_example(example: str) -> None:
    text = whole(example)
    if "\ncell:" in text:
        assert parse_spec(text, "example.yaml").kind == "cell"
        return
    model = unfold.loads(text)
    assert model.pipeline.nodes


def test_an_example_can_fail() -> None:
    with pytest.raises(SpecError, match="unknown name W"):
        unfold.loads(whole("nodes:\n  h[t]: tanh(W @ h[t-1])\n"))


def test_the_operators_are_up_to_date() -> None:
    script = runpy.run_path(str(DOCS / "operators.py"))
    assert script["written"](PAGE) == PAGE, "run  python docs/operators.py"
