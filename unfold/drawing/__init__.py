"""Pictures of a Program: folded, unfolded, backward, gradient norms, and side by side.

In: a Program (and, for some views, its adjoint, gradient norms or the arrays of a run). Out: a
`Figure`, which notebooks display, and which writes SVG, PNG, PDF and DOT. A picture is made in
these steps:

    Program ── scheme ──▶ boxes and lines ── fold, unroll ──▶ sketch ── place, connect ──▶ picture
    ── render ──▶ SVG

    VIEWS["unfolded"].draw(Scene(model.program, steps=4, extents={"t": 1000000})).save("a.svg")
"""

from __future__ import annotations

from unfold.drawing.options import Options, read_options
from unfold.drawing.render import FORMATS, Figure
from unfold.drawing.scene import DETAILS, Scene, check_options
from unfold.drawing.views import VIEWS

__all__ = [
    "DETAILS",
    "FORMATS",
    "VIEWS",
    "Figure",
    "Options",
    "Scene",
    "check_options",
    "read_options",
]
