"""The specs that come with the package: their folder, their families, and a search by name.

    library() -> [specs/unfolding/pattern-hidden.yaml, specs/unfolding/pattern-last.yaml, ...]
    find("hello") -> specs/architectures/hello.yaml
    find("mine.yaml") -> mine.yaml

The folder of a spec is its family; names are unique over all of them.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from unfold.errors import UnfoldError

# In the order of a textbook: unfolding, depth, cells, architectures, learning.
FAMILIES = ("unfolding", "depth", "cells", "architectures", "learning")


def folder() -> Path:
    """Return the folder of the specs: the checkout's, or the installed package's."""
    here = Path(__file__).parent
    checkout = here.parent / "specs"
    return checkout if checkout.is_dir() else here / "library"


def library() -> list[Path]:
    """Return the specs that come with the package, by family and then by name."""
    found = folder().glob("*/*.yaml")
    return sorted(found, key=lambda path: (FAMILIES.index(path.parent.name), path.stem))


def find(name: str | Path) -> Path:
    """Return the path of a spec: the file itself, or the packaged spec of that name.

    Raises:
        UnfoldError: there is neither; the message gives the nearest names.
    """
    path = Path(name)
    if path.exists():
        return path
    shipped = {found.stem: found for found in library()}
    if str(name) in shipped:
        return shipped[str(name)]
    if path.suffix in (".yaml", ".yml") and path.stem not in shipped:
        return path  # reading it reports the mistake
    close = get_close_matches(path.stem, shipped, n=1)
    hint = f"did you mean {close[0]}?" if close else "`unfold specs` lists the names it knows"
    raise UnfoldError(
        f"{name}: there is no such file and no bundled spec of this name\n  help: {hint}"
    )
