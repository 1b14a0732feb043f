"""The script and the style of pages were built from the sources beside them: `make page`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import unfold.page

FOLDER = Path(unfold.page.__file__).parent
BROWSER = FOLDER / "browser"


def sources_hash() -> str:
    """Return the hash of the sources, as `build.mjs` computes it."""
    names = ["build.mjs", "package-lock.json", "tsconfig.json"]
    names += [f"src/{p.name}" for p in (BROWSER / "src").iterdir()]
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(f"{name}\0".encode() + (BROWSER / name).read_bytes() + b"\0")
    return digest.hexdigest()


@pytest.mark.parametrize("name", ["page.js", "page.css"])
def test_the_asset_is_that_of_the_sources(name: str) -> None:
    first = (FOLDER / "asset" / name).read_text(encoding="utf-8").partition("\n")[0]
    assert first == f"/* sources {sources_hash()} */", "run  make page"


def test_the_script_can_stand_inside_of_a_document() -> None:
    script = (FOLDER / "asset" / "page.js").read_text(encoding="utf-8")
    style = (FOLDER / "asset" / "page.css").read_text(encoding="utf-8")
    assert "</script" not in script and "<!--" not in script and "\r" not in script
    assert "</style" not in style and "url(" not in style and "@import" not in style
    assert "Observable" in script.partition("*/\n(")[0], "the licences of what is bundled"


def test_every_source_says_what_it_is_for() -> None:
    for file in (BROWSER / "src").glob("*.ts"):
        text = file.read_text(encoding="utf-8")
        assert text.startswith("// ") and len(text.splitlines()) <= 400, file.name
