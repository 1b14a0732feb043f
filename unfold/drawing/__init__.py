"""Pictures of a Program: folded, unfolded, backward, gradient norms, and side by side.

In: a Program (and, for some views, its adjoint, gradient norms or the arrays of a run). Out: a
`Figure`, which shows itself in notebooks and writes SVG, PNG, PDF and DOT. How a picture comes
about:

    Program ── scheme ──▶ boxes and lines ── fold, unroll ──▶ sketch ── place, connect ──▶ picture
    ── render ──▶ SVG

    draw_unfolded(model.program, steps=4, extents={"t": 1000000}).save("unfolded.svg")
"""

from __future__ import annotations

from unfold.drawing.options import Options, read_options
from unfold.drawing.render import FORMATS, Figure
from unfold.drawing.views import (
    check_options,
    draw_backward,
    draw_compare,
    draw_folded,
    draw_gradients,
    draw_modes,
    draw_unfolded,
)

__all__ = [
    "FORMATS",
    "Figure",
    "Options",
    "check_options",
    "draw_backward",
    "draw_compare",
    "draw_folded",
    "draw_gradients",
    "draw_modes",
    "draw_unfolded",
    "read_options",
]
