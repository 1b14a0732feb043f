"""A page from a comparison: a section for each group of measures, with its table and its chart.

`unfold compare A B -o page.html` writes it; every number of a chart is also in its table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

from unfold.comparison.comparison import Comparison, Measure, Value
from unfold.comparison.tables import equal, is_told, shown
from unfold.page import Chart, Page, Section, Series, Table
from unfold.version import VERSION

DEPTHS = {"layers: d_r": "recurrent depth", "layers: d_f": "feedforward depth"}


def comparison_page(comparison: Comparison, title: str) -> Page:
    """Return the page.

    Args:
        comparison: to show.
        title: of the page.
    """
    sections = [
        _section(comparison, name, measures) for name, measures in comparison.groups.items()
    ]
    facts = {"variants": str(len(comparison.variants)), "unfold": VERSION}
    return Page(title, "", facts, sections)


def _section(comparison: Comparison, name: str, measures: Sequence[Measure]) -> Section:
    variants = [v for v in comparison.variants if any(v in m.values for m in measures)]
    told = [m for m in measures if is_told(m, variants)]
    rows = [[m.name, *(shown(m.values.get(v), m.unit) for v in variants)] for m in told]
    text = _sentence(comparison.notes.get(name, ""))
    if same := equal([m for m in measures if m not in told]):
        text += f"\n\nEqual for all: {same}."
    charts = _charts(name, measures, variants)
    blocks = (*([Table(("", *variants), rows)] if rows else ()), *charts)
    return Section(name[:1].upper() + name[1:], text, blocks)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _charts(name: str, measures: Sequence[Measure], variants: Sequence[str]) -> Iterator[Chart]:
    """Yield the charts of a group whose numbers are better looked at."""
    own = {m.name: m for m in measures}
    if name.startswith("depth"):
        series = [
            Series(
                title, variants, [_number(own[key].values.get(v)) for v in variants], mark="dots"
            )
            for key, title in DEPTHS.items()
            if key in own
        ]
        yield Chart("Depth in layers", "", "layers", series)
    elif name == "time":
        fastest = [m for m in measures if m.name.endswith("fastest")]
        series = [
            Series(m.name, variants, [_number(m.values.get(v), 1e3) for v in variants], mark="bars")
            for m in fastest
        ]
        yield Chart("Time of a run", "", "ms", series)
    elif name == "training":
        yield from _losses(own, variants)
    elif name == "gradients":
        gains = [m for m in measures if m.name.startswith("gain over")]
        places = [int(m.name.split()[2]) for m in gains]
        series = [
            Series(v, places, [_number(m.values.get(v)) for m in gains], mark="line")
            for v in variants
        ]
        note = "The largest factor by which a gradient can change, as a power of ten."
        yield Chart("Gain over the distance", "steps", "power of 10", series, note=note)


def _losses(own: dict[str, Measure], variants: Sequence[str]) -> Iterator[Chart]:
    """Yield the mean scores, with their spread."""
    mean = next((m for n, m in own.items() if n.endswith("mean")), None)
    if mean is None:
        return
    spread, kept = own["spread"].values, [v for v in variants if v in mean.values]
    means = [_number(mean.values[v]) or 0.0 for v in kept]
    wide = [_number(spread.get(v)) or 0.0 for v in kept]
    bounds = [[m + sign * w for m, w in zip(means, wide, strict=True)] for sign in (-1, 1)]
    series = Series(mean.name, kept, means, bounds[0], bounds[1], mark="dots")
    yield Chart("Loss", "", "loss", (series,), note="The bars are one standard deviation.")


def _number(value: Value, factor: float = 1.0) -> float | None:
    """Return a finite number, None for anything else."""
    if not isinstance(value, int | float | Fraction) or not math.isfinite(value):
        return None
    return float(value) * factor
