"""Guess the intended name of a misspelt one.

did_you_mean("hiden", ["hidden", "vocab"])   is   "did you mean hidden?"
did_you_mean("zzz", ["hidden", "vocab"])     is   None
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

MAX_GUESSED_LENGTH = 60
MAX_CANDIDATES = 150


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate most like `name`, ignoring case, or None if none is close."""
    if len(name) > MAX_GUESSED_LENGTH:
        return None
    wanted = name.casefold()
    alike: dict[str, str] = {}
    others: dict[str, str] = {}
    for candidate in candidates:
        if 0.4 * len(name) <= len(candidate) <= 2.4 * len(name):  # others cannot be close enough
            folded = candidate.casefold()
            near = alike if folded[:1] == wanted[:1] else others
            near.setdefault(folded, candidate)
            if len(alike) >= MAX_CANDIDATES:  # comparing all names of a large file takes long
                break
    near = {**alike, **others}
    found = get_close_matches(wanted, list(near)[:MAX_CANDIDATES], n=1, cutoff=0.6)
    return near[found[0]] if found else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str | None:
    """Return the question that names the closest candidate, or None if none is close."""
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
