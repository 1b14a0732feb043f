"""Colours, fonts and sizes of every picture, as data in one place.

Parameters get hues that people with any common colour blindness can distinguish (Okabe & Ito 2008,
and Tol's muted scheme after them). If there are more parameters than hues, dashes distinguish them.
Nodes are dark text on light fills. The norm scale darkens throughout, so vanishing norms fade and
exploding norms are dark.

    Styles(("W", "U")).of("W") == LineStyle("#0072B2", "solid")
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, reduce

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
SPARE = (
    "#00429D", "#E67300", "#5FA055", "#7B1FA2", "#8C7B00", "#00838F", "#C62828",
    "#5D4037", "#8C9EFF", "#C77CCB", "#455A8C", "#A8A030",
)  # fmt: skip
"""Replacements for hues that are close to a user's own colours."""
NEAR = 0.08
DASHES = ("solid", "dashed", "dotted")


@dataclass(frozen=True)
class LineStyle:
    """The style of a line: a colour and a dash (a Graphviz style)."""

    colour: str
    dash: str = "solid"


@dataclass(frozen=True)
class NodeStyle:
    """The style of a kind of node: fill, outline with its width in points, Graphviz style."""

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


@dataclass(frozen=True)
class Styles:
    """The lines of a spec's parameters, which are the same in every picture of it.

    Attributes:
        names: of all parameters of the spec, in its order.
        chosen: colours that the user gave to some of them; others keep away from these.
        indexed: the names of those that have an axis, and therefore several parts.
    """

    names: Sequence[str] = ()
    chosen: Mapping[str, str] = field(default_factory=dict)
    indexed: Sequence[str] = ()

    def of(self, name: str, index: Sequence[int] = ()) -> LineStyle:
        """Return the line of a parameter, or of its part at an index.

        No two of the first 36 are alike, parts counted. Those of a colour that the user chose
        differ by their dashes.
        """
        part = reduce(lambda a, b: (a + b) * (a + b + 1) // 2 + b, index) if index else 0
        if name in self.chosen:
            return LineStyle(self.chosen[name], DASHES[part % len(DASHES)])
        place = self._places.get(name, 0)
        if part and name in self._later:  # all parts except the first come after the names
            place = len(self._places) + (part - 1) * len(self._later) + self._later[name]
        dash = place // len(self._hues) % len(DASHES)
        return LineStyle(self._hues[place % len(self._hues)], DASHES[dash])

    @cached_property
    def _places(self) -> dict[str, int]:
        return {n: i for i, n in enumerate(n for n in self.names if n not in self.chosen)}

    @cached_property
    def _later(self) -> dict[str, int]:
        return {n: i for i, n in enumerate(n for n in self.indexed if n not in self.chosen)}

    @cached_property
    def _hues(self) -> list[str]:
        """The remaining hues; if the user took all of them, the most distant one."""
        chosen = list(self.chosen.values())
        found: list[str] = []
        for hue in (*HUES, *SPARE):
            if len(found) < len(HUES) and all(distance(hue, c) >= NEAR for c in chosen + found):
                found.append(hue)
        return found or [max(HUES, key=lambda h: min(distance(h, c) for c in chosen))]


@lru_cache(maxsize=4096)
def distance(one: str, other: str) -> float:
    """Return the visible difference of two colours, their distance in Oklab (Ottosson 2020)."""
    return math.dist(_oklab(one), _oklab(other))


@lru_cache(maxsize=256)
def _oklab(colour: str) -> tuple[float, float, float]:
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (channel / 255 for channel in _channels(colour))
    )
    long = math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    middle = math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    short = math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    return (
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )


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


# Advance widths of DejaVu Sans, the widest of `FONT`, in thousandths of its size: space to tilde.
_WIDTHS = (
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636,
    636, 636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698,
    770, 632, 575, 775, 752, 295, 295, 656, 557, 863, 748, 787, 603, 787, 695, 635, 611, 732,
    684, 989, 685, 611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635, 615, 352, 635,
    634, 278, 278, 579, 278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592,
    525, 636, 337, 636, 838,
)  # fmt: skip
_SMALL, _OTHER = 450, 1000


def text_width(text: str, size: float = LABEL_SIZE) -> float:
    """Return the width of a line of text, in points, or a little more."""
    return sum(map(_width, text)) * size / 1000.0


def _width(character: str) -> int:
    if " " <= character <= "~":
        return _WIDTHS[ord(character) - 32]
    plain = unicodedata.normalize("NFKD", character)
    if plain != character:
        form = unicodedata.decomposition(character)
        return _SMALL if form.startswith(("<super>", "<sub>")) else sum(map(_width, plain))
    return 0 if unicodedata.combining(character) else 650 if character in "∂·" else _OTHER
