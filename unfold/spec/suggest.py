"""Guess which name was meant by a misspelt one.

did_you_mean("hiden", ["hidden", "vocab"])   is   "did you mean hidden?"
did_you_mean("zzz", ["hidden", "vocab"])     is   None
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

MAX_GUESSED_LENGTH = 60
MAX_CANDIDATES = 2000


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate most like `name`, letter case aside, or None where none is close."""
    if len(name) > MAX_GUESSED_LENGTH:
        return None
    folded: dict[str, str] = {}
    for candidate in candidates:
        if len(folded) >= MAX_CANDIDATES:
            break
        folded.setdefault(candidate.casefold(), candidate)
    found = get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str | None:
    """Return the question that names the closest candidate, or None where none is close."""
    found = closest(name, candidates)
    return f"did you mean {found}?" if found else None


def listing(names: Iterable[str], *, most: int = 20) -> str:
    """Return names as "a, b, c", cut after `most` of them."""
    names = list(names)
    shown = ", ".join(names[:most])
    return f"{shown}, … ({len(names)} in all)" if len(names) > most else shown


def shortened(text: str, most: int = 60) -> str:
    """Return a piece of a spec in one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
