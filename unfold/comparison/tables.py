"""A comparison as text: a table for each group of measures, that fits a width.

Few variants are columns, and many are rows. A table holds what differs; a line below it says what
is equal for all. A table that is too wide is continued in further ones.

    depth, counting layers: products with weights
                   zhang-td  zhang-st
    d_r along t           2         1
    equal for all: d_f along t 3, s along t 1
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from fractions import Fraction
from html import escape

from unfold.comparison.comparison import Comparison, Measure, Value

WIDTH = 100
HEADING = 8  # characters, above which a heading of measures is wrapped
GAP = "  "
PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def as_text(comparison: Comparison, width: int = WIDTH, *, everything: bool = False) -> str:
    """Return all tables.

    Args:
        comparison: to show.
        width: in characters.
        everything: whether tables also hold what is equal for all.
    """
    everything = everything or len(comparison.variants) == 1
    parts = [
        "\n".join(_group(comparison, title, measures, width, everything))
        for title, measures in comparison.groups.items()
    ]
    return "\n\n".join(parts)


def as_html(comparison: Comparison) -> str:
    """Return all tables as HTML; names are escaped."""
    parts: list[str] = []
    for title, measures in comparison.groups.items():
        names = [v for v in comparison.variants if any(v in m.values for m in measures)]
        told = [m for m in measures if is_told(m, names)]
        heads = "".join(f"<th>{escape(v)}</th>" for v in ("", *names))
        rows = "".join(
            f"<tr><th>{escape(m.name)}</th>"
            + "".join(f"<td>{escape(shown(m.values.get(v), m.unit))}</td>" for v in names)
            + "</tr>"
            for m in told
        )
        same = equal([m for m in measures if m not in told])
        parts += [
            f"<p>{escape(comparison.notes.get(title, title))}</p>",
            *([f"<table><tr>{heads}</tr>{rows}</table>"] if told else ()),
            *([f"<p>equal for all: {escape(same)}</p>"] if same else ()),
        ]
    return "".join(parts)


def shown(value: Value, unit: str = "") -> str:
    """Return a value as tables show it."""
    if value is None:
        return "–"
    if value == float("inf"):
        return "∞"
    if isinstance(value, str | Fraction):
        return str(value)
    if unit == "seconds":
        return f"{_digits(1e3 * value)} ms"
    for size, prefix in PREFIXES if unit == "bytes" or abs(value) >= 1e7 else ():
        if abs(value) >= size:
            return f"{_digits(value / size)} {prefix}{'B' if unit == 'bytes' else ''}".rstrip()
    number = f"{value:,}" if isinstance(value, int) else _digits(value)
    return f"{number} B" if unit == "bytes" else number


def _digits(number: float) -> str:
    """Return three significant digits."""
    decimals = next((d for d, limit in ((3, 1), (2, 10), (1, 100)) if abs(number) < limit), 0)
    return f"{number:.{decimals}f}"


def _group(
    comparison: Comparison,
    title: str,
    measures: Sequence[Measure],
    width: int,
    everything: bool,
) -> Iterator[str]:
    names = [v for v in comparison.variants if any(v in m.values for m in measures)]
    some = len(names) < len(comparison.variants)
    part = f" ({len(names)} of {len(comparison.variants)} variants)" if some else ""
    yield from textwrap.wrap(comparison.notes.get(title, title) + part, width)
    rows = [m for m in measures if everything or is_told(m, names)]
    if rows:
        cells = [[shown(m.values.get(v), m.unit) for m in rows] for v in names]
        heads = [m.name for m in rows]
        if _width(heads, names, cells) <= width:
            turned = [list(column) for column in zip(*cells, strict=True)]
            yield from _table(heads, names, turned)
        else:
            yield from _wide(names, heads, cells, width)
    if told := equal([m for m in measures if m not in rows]):
        yield from textwrap.wrap(f"equal for all: {told}", width)


def equal(measures: Sequence[Measure]) -> str:
    """Return what is equal for all, as in `layers: d_f 3; layers: s 1`."""
    values = ((m, next(iter(m.values.values()))) for m in measures)
    return "; ".join(f"{m.name} {shown(value, m.unit)}" for m, value in values)


def is_told(measure: Measure, variants: Sequence[str]) -> bool:
    """Whether a measure is told for each variant: not all of them have the same."""
    return len(variants) == 1 or measure.differs or len(measure.values) < len(variants)


def _width(heads: Sequence[str], names: Sequence[str], cells: Sequence[Sequence[str]]) -> int:
    """Return the width of a table of variants as columns."""
    columns = (max(len(n), *map(len, own)) for n, own in zip(names, cells, strict=True))
    return max(map(len, heads)) + sum(len(GAP) + c for c in columns)


def _wide(names: list[str], heads: list[str], cells: list[list[str]], width: int) -> Iterator[str]:
    """Yield tables of variants as rows, with as many columns each as fit."""
    first, start = max(map(len, names)), 0
    folded = [_folded(h, [row[i] for row in cells]) for i, h in enumerate(heads)]
    while start < len(heads):
        used, end = first, start
        while end < len(heads):
            own = max(*map(len, folded[end]), *(len(row[end]) for row in cells))
            if end > start and used + len(GAP) + own > width:
                break
            used, end = used + len(GAP) + own, end + 1
        if start:
            yield ""
        part = [row[start:end] for row in cells]
        yield from _table(names, heads[start:end], part, folded[start:end])
        start = end


def _folded(heading: str, column: Sequence[str]) -> list[str]:
    """Return the lines of a heading: as narrow as its words and its column are."""
    longest = max(map(len, (*heading.split(), *column)))
    return textwrap.wrap(heading, max(longest, HEADING))


def _table(
    names: Sequence[str],
    heads: Sequence[str],
    cells: Sequence[Sequence[str]],
    folded: Sequence[Sequence[str]] | None = None,
) -> Iterator[str]:
    """Yield the lines of a table; columns are aligned at the right."""
    folded = folded or [[h] for h in heads]
    high = max(map(len, folded))
    above = [[*[""] * (high - len(f)), *f] for f in folded]
    wide = [max(*map(len, lines), *(len(row[i]) for row in cells)) for i, lines in enumerate(above)]
    first = max(map(len, names))
    for line in range(high):
        yield _line("", [lines[line] for lines in above], first, wide)
    yield "─" * (first + sum(len(GAP) + w for w in wide))
    for name, row in zip(names, cells, strict=True):
        yield _line(name, row, first, wide)


def _line(name: str, cells: Sequence[str], first: int, wide: Sequence[int]) -> str:
    padded = (f"{c:>{w}}" for c, w in zip(cells, wide, strict=True))
    return GAP.join((f"{name:<{first}}", *padded)).rstrip()
