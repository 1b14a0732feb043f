"""Colours, fonts and sizes of every picture, as data in one place.

Parameters get hues that people with any common colour blindness tell apart (Okabe & Ito 2008, and
Tol's muted scheme after them); where there are more parameters than hues, dashes tell them apart.
Nodes are dark text on light fills. The norm scale gets darker all the way, so what vanishes fades
and what explodes is dark.

    parameter_style(0) == LineStyle("#0072B2", "solid")
"""

from __future__ import annotations

from dataclasses import dataclass

FONT = "Helvetica,Arial,DejaVu Sans,sans-serif"
INK = "#1a1a1a"
SOFT_INK = "#6b6b6b"
PAPER = "#ffffff"
BAND = "#f5f6f8"
PLAIN_LINE = "#4a4a4a"
FAINT_LINE = "#9c9c9c"
FEEDBACK_LINE = "#D00060"

LABEL_SIZE = 13.0
NOTE_SIZE = 10.5
TITLE_SIZE = 15.0

HUES = (
    "#0072B2", "#D55E00", "#009E73", "#AA4499", "#B8860B", "#2AA1C4", "#882255",
    "#6A7A12", "#5B4FC4", "#A0522D", "#E0559A", "#117733",
)  # fmt: skip
DASHES = ("solid", "dashed", "dotted")


@dataclass(frozen=True)
class LineStyle:
    """How a line is drawn: a colour and a dash (a Graphviz style)."""

    colour: str
    dash: str = "solid"


@dataclass(frozen=True)
class NodeStyle:
    """How a kind of node is drawn: fill, outline with its width in points, Graphviz style."""

    fill: str
    outline: str = INK
    width: float = 1.2
    dash: str = "solid"


NODES = {
    "input": NodeStyle("#FFF3CF", "#8a6d1d"),
    "target": NodeStyle("#FFE3E0", "#9c4a3f"),
    "state": NodeStyle("#D6E8FA", "#1f4e79", 1.8),
    "node": NodeStyle("#FFFFFF"),
    "output": NodeStyle("#DDF2E3", "#23693f"),
    "loss": NodeStyle("#FBD9D5", "#96281b", 1.6),
    "feedback": NodeStyle("#FFFFFF", FEEDBACK_LINE, 1.6),
    "boundary": NodeStyle("#FFFFFF", "#8a8a8a", 1.1, "dashed"),
    "parameter": NodeStyle("#F0F0F0", "#555555"),
    "adjoint": NodeStyle("#F1E6F7", "#5d3a75", 1.6),
    "delay": NodeStyle(INK, INK),
    "frame": NodeStyle("none", "#9a9a9a", 1.0, "dashed"),
    "gap": NodeStyle("none", "none", 0.0),
}

NORM_SCALE = ("#FFFBEA", "#FBDF9B", "#F5AE5F", "#E2734B", "#B83F62", "#7A2A7C", "#36175A")


def parameter_style(position: int) -> LineStyle:
    """Return the line of the parameter at a position; no two of the first 36 are alike."""
    return LineStyle(HUES[position % len(HUES)], DASHES[position // len(HUES) % len(DASHES)])


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def norm_colour(share: float) -> str:
    """Return the colour at `share` (0 to 1) of the norm scale, linear between its stops."""
    place = min(max(share, 0.0), 1.0) * (len(NORM_SCALE) - 1)
    low = min(int(place), len(NORM_SCALE) - 2)
    mixed = (
        round(a + (b - a) * (place - low))
        for a, b in zip(_channels(NORM_SCALE[low]), _channels(NORM_SCALE[low + 1]), strict=True)
    )
    return "#" + "".join(f"{c:02X}" for c in mixed)


def ink_on(fill: str) -> str:
    """Return the text colour that reads on a fill: dark, or white on a dark fill."""
    if not fill.startswith("#"):
        return INK
    red, green, blue = _channels(fill)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 130 else PAPER


# Advance widths of Helvetica, in thousandths of its size, from space to tilde (Adobe's metrics).
_WIDTHS = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556,
    556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722,
    722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722,
    667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556,
    556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500,
    500, 334, 260, 334, 584,
)  # fmt: skip


def text_width(text: str, size: float = LABEL_SIZE) -> float:
    """Return the width of a line of text, in points; characters beyond ASCII count as wide."""
    total = sum(_WIDTHS[ord(c) - 32] if " " <= c <= "~" else 620 for c in text)
    return total * size / 1000.0


def shortened(text: str, limit: int = 28) -> str:
    """Return the text, or its start and end where it is longer than `limit` characters."""
    return text if len(text) <= limit else text[: limit - 9] + "…" + text[-8:]
