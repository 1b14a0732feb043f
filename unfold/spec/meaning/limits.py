"""Limits on the size of values, checked before anything is allocated.

W: [hidden, hidden] with hidden = 10**6     the parameter W would hold 1,000,000,000,000 numbers
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from unfold.core.bytes import MAX_ELEMENTS
from unfold.core.program import Axis, Program
from unfold.core.types import Type
from unfold.errors import Diagnostic, Location, SpecError
from unfold.spec.meaning.scope import Definition
from unfold.spec.text.problems import Problems, fail
from unfold.spec.text.text import Span

MAX_RANK = 12
GIGA = 2**30


def check_rank(type: Type, at: Span) -> None:
    """Refuse values with very many dimensions."""
    if len(type.shape) > MAX_RANK:
        raise fail(
            f"{at.source} has {len(type.shape)} dimensions",
            at.location,
            help=f"a value has at most {MAX_RANK}, not counting index axes",
        )


def check_total(what: str, type: Type, definition: Definition, axes: Mapping[str, Axis]) -> None:
    """Refuse a parameter or input that would be very large."""
    found = _too_large(what, type, definition.axes, axes, definition.at.location)
    if found is not None:
        raise SpecError(found)


def check_program(program: Program, problems: Problems) -> None:
    """Report computed values that would be very large, one for each equation."""
    seen: set[str] = set()
    for value in program:
        if value.node in seen:
            continue
        what = value.node if value.is_named else f"a part of {value.node}"
        found = _too_large(what, value.type, value.axes, program.axes, value.at)
        if found is not None:
            seen.add(value.node)
            problems.take(found)


def _too_large(
    what: str, type: Type, own: Iterable[str], axes: Mapping[str, Axis], place: Location | None
) -> Diagnostic | None:
    extents = {a: axes[a].extent.constant for a in own if axes[a].extent.is_constant}
    total = math.prod(map(int, type.stored)) * math.prod(extents.values())
    if total <= MAX_ELEMENTS:
        return None
    points = " x ".join(f"{a} = {n:,}" for a, n in extents.items() if n > 1)
    return Diagnostic(
        f"{what} would hold {total:,} numbers ({total * 8 / GIGA:,.0f} GiB in float64)",
        place,
        (
            (f"at one index point it is {type.show()}", f"index points: {points}")
            if points
            else (f"its shape is {type.show()}",)
        ),
        f"reduce its sizes or extents; a value can hold at most {MAX_ELEMENTS:,} numbers",
    )
