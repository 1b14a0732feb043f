"""The depth measures of a model along every axis where they say something, and how they are shown.

measured(model)["t"]["layers"]     Measures(recurrent_depth=2, feedforward_depth=3, ...)
as_text(Fraction(1, 2)), as_text(inf), as_text(None)     "1/2", "∞", "–"
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from unfold.errors import UnsupportedError

if TYPE_CHECKING:
    import unfold
    from unfold.unfolded.measures import Measures

COUNTS = ("layers", "nodes", "ops")
MEASURES = (
    ("recurrent depth", "recurrent_depth"),
    ("feedforward depth", "feedforward_depth"),
    ("recurrent skip", "recurrent_skip"),
)


def measured(
    model: unfold.Model, mode: Any = "teacher", counts: Sequence[str] = COUNTS
) -> dict[str, dict[str, Measures]]:
    """Return measures by axis and by way of counting: axes with a recurrence, else the first."""
    found: dict[str, dict[str, Measures]] = {}
    for axis in model.summary()["axes"]:
        try:
            first = model.measures(axis, counts[0], mode=mode)
        except UnsupportedError:  # a window's own axis, for one, is none to measure along
            continue
        rest = {count: model.measures(axis, count, mode=mode) for count in counts[1:]}
        found[axis] = {counts[0]: first, **rest}
    recurrent = {axis: own for axis, own in found.items() if own[counts[0]].recurrent_depth}
    return recurrent or dict(list(found.items())[:1])


def as_text(value: Any) -> str:
    """Return a measure as it is printed."""
    if value is None:
        return "–"
    return "∞" if value == float("inf") else str(value)
