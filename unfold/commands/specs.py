"""List the bundled specs, or those that meet conditions.

    unfold specs lstm
    unfold specs family=depth "d_r>=2"

A word matches names, families and descriptions. All conditions must hold.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from unfold.errors import UnfoldError
from unfold.terminal.depth import as_text, measured
from unfold.terminal.options import JsonOption
from unfold.terminal.report import first_sentence, print_json, table
from unfold.terminal.screen import echo

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
CONDITION = re.compile(r"([A-Za-z_]+)(<=|>=|=|<|>)(.+)")
WORDS = ("family", "axis", "name")
NUMBERS = ("parameters", "d_r", "d_f", "s")
DEPTHS = {"d_r": "recurrent_depth", "d_f": "feedforward_depth", "s": "recurrent_skip"}
HEADINGS = ("name", "axes", "weights", *DEPTHS, "about")
EXAMPLE = "as in  family=depth, axis=i, d_r>=2, s=inf, parameters<1000, or a word such as  lstm"


@dataclass(frozen=True)
class Entry:
    """A spec of the library.

    Attributes:
        about: all of its description; `summary` is the first sentence, without the source it names.
        parameters: how many numbers it learns.
        depths: d_r, d_f and s in layers, as text, by axis.
    """

    name: str
    family: str
    path: str
    axes: dict[str, int]
    parameters: int
    depths: dict[str, dict[str, str]]
    summary: str
    about: str

    @property
    def row(self) -> tuple[str, ...]:
        """Its line of the table; of several axes, the measures of each."""
        along = [
            ", ".join(own[short] for own in self.depths.values()) if self.depths else "–"
            for short in DEPTHS
        ]
        return (self.name, ", ".join(self.axes), f"{self.parameters:,}", *along, self.summary)


def specs(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CONDITION]...",
            help="Filter by a word, or family=depth, axis=i, 'd_r>=2', 's=inf', 'parameters<1000'.",
        ),
    ] = None,
    json: JsonOption = False,
) -> int:
    """List the packaged specs that meet every condition: how large, how deep, and what they are."""
    wanted = [_condition(word) for word in words or ()]
    found = [entry for entry in _entries() if all(holds(entry) for holds in wanted)]
    if json:
        print_json({"ok": True, "specs": [asdict(entry) for entry in found]})
        return 0
    if not found:
        echo(f"no bundled spec matches  {' '.join(words or ())}\n  help: ask {EXAMPLE}")
        return 0
    rows: list[tuple[str, ...]] = []
    for family in dict.fromkeys(entry.family for entry in found):
        gap = [("",) * len(HEADINGS)] if rows else []
        rows += [*gap, (family.upper(), *[""] * (len(HEADINGS) - 1))]
        rows += [entry.row for entry in found if entry.family == family]
    table(HEADINGS, rows, right=[2, 3, 4, 5], width=140)
    echo(
        "\nd_r, d_f: recurrent and feedforward depth in layers, s: recurrent skip, along "
        "each axis with a recurrence\nFind some with  unfold specs lstm 'd_r>=2' axis=t"
        f"   Run one with  unfold run {found[0].name}"
    )
    return 0


@cache
def _entries() -> tuple[Entry, ...]:
    import unfold

    return tuple(map(_entry, unfold.library()))


def _entry(path: Path) -> Entry:
    import unfold

    model = unfold.load(path)
    summary = model.summary()
    depths = {
        axis: {short: as_text(getattr(own["layers"], key)) for short, key in DEPTHS.items()}
        for axis, own in measured(model, counts=("layers",)).items()
    }
    about = " ".join(model.about.split())
    return Entry(
        name=path.stem,
        family=path.parent.name,
        path=str(path),
        axes=summary["axes"],
        parameters=summary["parameter_count"],
        depths=depths,
        summary=re.sub(r" \([^)]*\)?$", "", first_sentence(about)),
        about=about,
    )


def _condition(word: str) -> Callable[[Entry], bool]:
    """Read one condition.

    Raises:
        UnfoldError: for a field that no spec has, or a number that is none.
    """
    parts = CONDITION.fullmatch(word)
    if parts is None:
        text = word.lower()
        return lambda e: text in f"{e.name} {e.family} {e.about}".lower()
    key, sign, value = parts.groups()
    if key in WORDS and sign == "=":
        return lambda e: value in {"family": [e.family], "axis": e.axes, "name": [e.name]}[key]
    if key not in NUMBERS:
        raise UnfoldError(f"{word}: unknown condition {key}\n  help: {EXAMPLE}")
    number, holds = _number(word, value), COMPARE[sign]
    if key == "parameters":
        return lambda e: holds(e.parameters, number)
    return lambda e: any(holds(_number(word, own[key]), number) for own in e.depths.values())


def _number(word: str, text: str) -> Fraction | float:
    """Read 2, 1/2, inf or ∞; what is not defined (–) is not equal to, below or above anything."""
    if text in ("inf", "∞"):
        return float("inf")
    try:
        return float("nan") if text == "–" else Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise UnfoldError(f"{word}: {text!r} is not a number\n  help: {EXAMPLE}") from None
