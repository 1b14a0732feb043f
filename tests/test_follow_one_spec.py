"""The page that follows one spec is what its script writes."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.usefixtures("compiled")
def test_the_page_is_up_to_date() -> None:
    script = runpy.run_path(str(DOCS / "follow_one_spec.py"))
    written = (DOCS / "follow-one-spec.md").read_text(encoding="utf-8")
    assert written == script["page"](), "run  python docs/follow_one_spec.py"
