"""A comparison as data: variants, measures, and a value of each measure for each variant.

    Comparison(("zhang-td", "zhang-st"), (Measure("depth", "d_r along t, layers", ...), ...))

Values are numbers, exact fractions, infinity, texts, or None where a variant has no such measure.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

Value = int | float | Fraction | str | None


@dataclass(frozen=True)
class Measure:
    """Something that variants are compared by.

    Attributes:
        group: the table that it belongs to.
        name: unique in its group.
        unit: of its values: "" for counts, otherwise "bytes", "seconds" or another word.
        values: by variant; those that are not there have no such measure.
    """

    group: str
    name: str
    unit: str
    values: Mapping[str, Value]

    @property
    def differs(self) -> bool:
        """Whether two variants have different values."""
        return len(set(self.values.values())) > 1

    @property
    def title(self) -> str:
        """The measure with its group."""
        return f"{self.group}: {self.name}"


@dataclass(frozen=True)
class Comparison:
    """Variants side by side.

    Attributes:
        variants: their names, in the order of the question.
        measures: in the order of the tables.
        notes: what to know about the measures of a group, by group.
    """

    variants: tuple[str, ...]
    measures: tuple[Measure, ...]
    notes: Mapping[str, str]

    def __getitem__(self, variant: str) -> dict[str, Value]:
        """Return the values of a variant, by `group: name`."""
        if variant not in self.variants:
            raise KeyError(variant)
        own = (m for m in self.measures if variant in m.values)
        return {m.title: m.values[variant] for m in own}

    def __str__(self) -> str:
        from unfold.comparison.tables import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        """Return the tables as notebooks show them."""
        from unfold.comparison.tables import as_html

        return as_html(self)

    @property
    def groups(self) -> dict[str, tuple[Measure, ...]]:
        """The measures of each group."""
        names = dict.fromkeys(m.group for m in self.measures)
        return {name: tuple(m for m in self.measures if m.group == name) for name in names}

    @property
    def differing(self) -> Comparison:
        """The comparison without what is equal for all."""
        return replace(self, measures=tuple(m for m in self.measures if m.differs))

    def as_document(self) -> dict[str, Any]:
        """Return the comparison as JSON values; fractions and infinity are texts."""
        measures = [
            {
                "group": m.group,
                "name": m.name,
                "unit": m.unit,
                "differs": m.differs,
                "values": {v: _plain(value) for v, value in m.values.items()},
            }
            for m in self.measures
        ]
        return {"variants": list(self.variants), "notes": dict(self.notes), "measures": measures}

    def to_json(self) -> str:
        """Return the comparison as JSON."""
        return json.dumps(self.as_document(), indent=2, ensure_ascii=False)

    def to_csv(self) -> str:
        """Return the comparison as CSV: a line for each variant and measure."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("variant", "group", "measure", "unit", "value"))
        for variant in self.variants:
            for m in (m for m in self.measures if variant in m.values):
                value = _plain(m.values[variant])
                shown = "" if value is None else value
                writer.writerow((variant, m.group, m.name, m.unit, shown))
        return text.getvalue()


def _plain(value: Value) -> int | float | str | None:
    """Return a value as JSON has it."""
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else str(value)
    if isinstance(value, float) and value == float("inf"):
        return "inf"
    return value
