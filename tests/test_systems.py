"""docs/systems.md: every system has specs, every spec a system, and every part of all is right."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

from systems import PARTS, ROWS

import unfold

DOCS = Path(__file__).parent.parent / "docs"
LIBRARY = [path.stem for path in unfold.library()]


def test_every_spec_is_in_a_row_and_every_row_has_specs() -> None:
    named = [name for row in ROWS for name in row.specs]
    assert set(named) == set(LIBRARY)
    assert all(row.specs for row in ROWS)


def test_the_table_is_complete_and_up_to_date() -> None:
    """docs/systems.md is what docs/systems.json says, and there every part of all is right."""
    recorded = json.loads((DOCS / "systems.json").read_text(encoding="utf-8"))
    assert recorded == {name: dict.fromkeys(PARTS, "passed") for name in LIBRARY}
    page = runpy.run_path(str(DOCS / "make_systems.py"))["page"](recorded)
    assert page == (DOCS / "systems.md").read_text(encoding="utf-8"), "run  make systems"


def test_the_gallery_shows_every_spec() -> None:
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    for name in LIBRARY:
        assert f"### {name}\n" in page, "run  make gallery"
        for view in ("folded", "unfolded"):
            assert (DOCS / "gallery" / f"{name}-{view}.svg").is_file(), "run  make gallery"
