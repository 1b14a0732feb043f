"""Write a page: one HTML file with its data, one script and one style, and no way to the network.

In: a `Page`, and the asset that `make page` builds from `unfold/page/browser/`. Out: an HTML file,
or the JSON document alone, as the suffix says.

    <meta Content-Security-Policy: script-src 'sha256-…'; style-src 'sha256-…'; default-src 'none'>
    <style> page.css </style>
    <script type="application/json" id="document"> the page </script>
    <script> page.js </script>
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path

from unfold.errors import UnfoldError, UnsupportedError
from unfold.files import explain, write_whole
from unfold.page.document import Page
from unfold.page.encode import as_json, plain

SUFFIXES = (".html", ".json")
LARGEST = 3_000_000
ICON = (
    "data:image/svg+xml,"
    "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath d='M2 8h12' stroke='%230072B2' stroke-width='2'/%3E"
    "%3Ccircle cx='3' cy='8' r='3' fill='%230072B2'/%3E%3Ccircle cx='13' cy='8' r='3'"
    " fill='%23D55E00'/%3E%3C/svg%3E"
)
TEMPLATE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="unfold">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="{icon}">
<style>{style}</style>
</head>
<body>
<noscript>This page draws itself with JavaScript, which is switched off.</noscript>
<div id="page"></div>
<script type="application/json" id="document">{document}</script>
<script>{script}</script>
</body>
</html>
"""


def write_page(page: Page, file: Path) -> int:
    """Write a page, complete or not at all, and return its size in bytes.

    Args:
        page: to write.
        file: ends with .html, or with .json for the data alone.

    Raises:
        UnfoldError: another suffix, a page that is too large, or a file that cannot be written.
    """
    check_suffix(file)
    content = to_html(page) if file.suffix.lower() == ".html" else as_json(page) + "\n"
    data = content.encode("utf-8")
    if len(data) > LARGEST:
        raise UnsupportedError(
            f"{file}: the page would have {len(data):,} bytes; at most {LARGEST:,} open quickly\n"
            "  help: draw fewer steps, as in  --steps 100"
        )
    try:
        write_whole(file, data)
    except OSError as error:
        raise UnfoldError(f"-o {file}: cannot be written: {explain(error)}") from None
    return len(data)


def check_suffix(file: Path) -> None:
    """Refuse a file that is neither a page nor its data.

    Raises:
        UnfoldError: another suffix.
    """
    if file.suffix.lower() not in SUFFIXES:
        raise UnfoldError(f"-o {file}: expected a file that ends with {' or '.join(SUFFIXES)}")


def to_html(page: Page) -> str:
    """Return the document."""
    script, style = asset("page.js"), asset("page.css")
    return TEMPLATE.format(
        policy=escape(policy(script, style)),
        title=escape(str(plain(page.title))),
        icon=ICON,
        style=style,
        document=as_json(page),
        script=script,
    )


@cache
def asset(name: str) -> str:
    """Return a file of the asset, which `make page` builds."""
    return files("unfold.page").joinpath("asset", name).read_text(encoding="utf-8")


def policy(script: str, style: str) -> str:
    """Return the Content-Security-Policy that allows these two texts and nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()
