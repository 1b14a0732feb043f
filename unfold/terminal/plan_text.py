"""A Plan in words as lines of text that fit a terminal, for `explain --plan` and `run --profile`.

      7  for t, forwards, 25 steps                        16.24   22.1    2.61
           product  h: W_hh @ h[t-1] · 32 × 100 × 100     16.00   21.8    1.64
           kernel   h · for batch, 100 wide                0.24    0.3    0.97

In: a `Description`. Out: `StyledLine`s; only `echo_lines`, the last step, knows of colours.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap as wrap_words
from typing import TYPE_CHECKING, Any

from unfold.terminal.report import named
from unfold.terminal.screen import echo, paint

if TYPE_CHECKING:
    from unfold.explain.describe import Description, Row
    from unfold.explain.fates import Fate

WIDTH = 100
NARROW, WIDE = 60, 120
KIND = 9
TIE = "\u00a0"
UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
Styles = Mapping[str, Any]


@dataclass(frozen=True)
class StyledLine:
    """A line in up to three pieces, each with a style of its own."""

    pieces: tuple[tuple[str, Styles], ...]

    def __str__(self) -> str:
        return "".join(text for text, _ in self.pieces).rstrip()


PLAIN: Styles = {}
BOLD: Styles = {"bold": True}
DIM: Styles = {"dim": True}


def line(text: str = "", style: Styles = PLAIN) -> StyledLine:
    """Return a line of one style."""
    return StyledLine(((text, style),))


def echo_lines(lines: Iterable[StyledLine], *, err: bool = False) -> None:
    """Print lines."""
    for each in lines:
        echo("".join(paint(text, **style) for text, style in each.pieces), err=err)


def wrap(text: str, width: int, hanging: str = "") -> list[str]:
    """Return a text in lines; sizes (32 × 64 × 16) and what stands in brackets stay together."""
    tied = re.sub(r" × |\[[^\]]{1,30}\]", lambda found: found[0].replace(" ", TIE), text)
    lines = wrap_words(tied, width, subsequent_indent=hanging, break_on_hyphens=False)
    return [piece.replace(TIE, " ") for piece in lines]


def terminal_width(stream: Any = None) -> int:
    """Return how wide lines may be: the terminal's width within limits, 100 without one."""
    if not (stream or sys.stdout).isatty():
        return WIDTH
    return max(NARROW, min(WIDE, shutil.get_terminal_size((WIDTH, 40)).columns))


def unit(largest: float) -> tuple[float, str]:
    """Return what to divide numbers by so that the largest has few digits, and the letter."""
    return next(((size, letter) for size, letter in UNITS if largest >= size), (1.0, ""))


def amount(number: float, what: str) -> str:
    """Return `16.5 Mflop`."""
    size, letter = unit(number)
    return f"{number / size:.3g} {letter}{what}" if letter else f"{number:g} {what}"


@dataclass(frozen=True)
class Column:
    """Numbers to the right of the statements.

    Attributes:
        heading: of the column.
        cells: one text per row.
    """

    heading: str
    cells: Sequence[str]

    @property
    def width(self) -> int:
        """The characters it takes."""
        return max(map(len, (self.heading, *self.cells)))


def cost_columns(rows: Sequence[Row], flops: int, moved: int) -> list[Column]:
    """Return operations, their share of all, and bytes."""
    size, letter = unit(flops)
    weight, prefix = unit(moved)
    return [
        Column(f"{letter}flop", [_number(r.flops / size) for r in rows]),
        Column("%", [_number(100 * r.flops / flops, 1) if flops else "" for r in rows]),
        Column(f"{prefix}B", [_number(r.bytes / weight) for r in rows]),
    ]


def _number(value: float, digits: int = 2) -> str:
    text = f"{value:.{digits}f}"
    return "" if not value else text if float(text) else f"<{10**-digits:.{digits}f}"


def statement_lines(
    rows: Sequence[Row], columns: Sequence[Column], width: int
) -> Iterator[StyledLine]:
    """Yield the statements of a Plan, with columns of numbers beside them.

    Args:
        rows: of a description.
        columns: one cell per row each.
        width: of the terminal.
    """
    right = sum(c.width + 2 for c in columns)
    numbers = max((len(_blocks(r)) for r in rows), default=1)
    room = width - right - numbers - 2
    headings = "".join(f"  {c.heading:>{c.width}}" for c in columns)
    yield line(f"{'':{numbers}}  {'':{room}}{headings}", DIM)
    for position, row in enumerate(rows):
        cells = "".join(f"  {c.cells[position]:>{c.width}}" for c in columns)
        first = f"{_blocks(row):>{numbers}}  "
        for text, told, style in _statement(row, room):
            padding = " " * (room - len(text) - len(told)) if cells.strip() else ""
            numbers_text = cells if cells.strip() else ""
            yield StyledLine(
                ((first, DIM), (text, style), (told + padding, DIM), (numbers_text, style))
            )
            first, cells = " " * (numbers + 2), ""


def _blocks(row: Row) -> str:
    if row.blocks is None:
        return ""
    first, last = row.blocks
    return str(first) if first == last else f"{first}–{last}"


def _statement(row: Row, room: int) -> Iterator[tuple[str, str, Styles]]:
    """Yield (text, dim text, style) per line: the details follow, or begin a line of their own."""
    indent = "  " * row.depth
    if row.kind in ("loop", "nest", "shards"):
        head = {"loop": f"for {row.text}", "nest": row.text}.get(row.kind)
        text = head or f"added up over all threads: {row.text}"
        style = PLAIN if row.kind == "nest" else BOLD
        for piece in wrap(text, room - len(indent), "  "):
            yield indent + piece, "", style
        return
    lead = f"{indent}{row.kind:<{KIND}}"
    hanging = " " * len(lead)
    details = " · ".join(row.details)
    pieces = wrap(row.text, room - len(lead)) or [""]
    joined = f"  {details}" if details else ""
    together = len(lead) + len(pieces[-1]) + len(joined) <= room
    for number, piece in enumerate(pieces):
        final = number == len(pieces) - 1
        start = lead if number == 0 else hanging
        yield start + piece, joined if final and together else "", PLAIN
    if details and not together:
        for piece in wrap(details, room - len(lead) - 2):
            yield "", f"{hanging}  {piece}", PLAIN


def summary_lines(found: Description, title: str, width: int) -> Iterator[StyledLine]:
    """Yield what is said before the statements.

    Args:
        found: the Plan in words.
        title: which program it is, as in `forward and backward`.
        width: of the terminal.
    """
    yield StyledLine(((found.name, BOLD), (f"  {title}", PLAIN)))
    extents = {a: n for a, n in found.extents.items() if "." not in a}
    products = [r for r in found.rows if r.kind == "product"]
    share = sum(r.flops for r in products) / max(found.flops, 1)
    count = f"{len(products)} product{'' if len(products) == 1 else 's'}"
    facts = [
        f"{named(extents)}, {found.dtype}",
        f"{amount(found.flops, 'flop')}, {100 * share:.0f} % of it in {count}",
        f"{amount(found.bytes, 'B')} moved",
    ]
    if not found.parallel:
        facts.append("in one thread: the equations mix the sequences of a batch")
    for piece in wrap(" · ".join(facts), width):
        yield line(piece, DIM)


def fate_lines(fates: Sequence[Fate], width: int) -> Iterator[StyledLine]:
    """Yield the form of each equation; those with one fate stand together."""
    groups: dict[tuple[str, ...], list[str]] = {}
    kinds = {f.name: f.kind for f in fates}
    for fate in fates:
        told = (*fate.became, *_kept(fate, kinds))
        if told:
            groups.setdefault(told, []).append(fate.name)
    longest = max((len(", ".join(n)) for n in groups.values()), default=0)
    left = min(longest, width // 4)
    for told, names in groups.items():
        heads = wrap(", ".join(names), left) or [""]
        bodies = [p for t in told for p in wrap(t, width - left - 2, "  ")]
        for number in range(max(len(heads), len(bodies))):
            head = heads[number] if number < len(heads) else ""
            body = bodies[number] if number < len(bodies) else ""
            yield StyledLine(((f"{head:<{left}}  ", BOLD), (body, PLAIN)))


def _kept(fate: Fate, kinds: Mapping[str, str]) -> list[str]:
    """Return what is kept of an equation and what for; nothing where all of it is.

    A reader without a fate of its own hands a state on.
    """
    if not fate.kept or fate.kept.startswith("whole"):
        return []
    others = [n for n in fate.readers if kinds.get(n) != "gradient"]
    names = list(dict.fromkeys(n if n in kinds else "the next chunk" for n in others))
    if len(others) < len(fate.readers):
        names.append("the adjoint")
    text = f"kept: {fate.kept}"
    if not names:
        return [text]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return [f"{text}, for {listed}"]


def plan_lines(found: Description, title: str, width: int = WIDTH) -> Iterator[StyledLine]:
    """Yield a Plan in words: a summary, the statements, and what became of the equations."""
    yield from summary_lines(found, title, width)
    yield line()
    yield from statement_lines(
        found.rows, cost_columns(found.rows, found.flops, found.bytes), width
    )
    yield line()
    yield line("form of each equation", BOLD)
    yield from fate_lines(found.fates, width)
