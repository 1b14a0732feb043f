"""Finished pictures as columns of numbers and words, which the browser paints.

In: a `Picture` of `unfold.drawing`. Out: a `Drawing`, with y downwards; values, kinds of nodes and
styles of edges become positions in lists that all pictures of a graph share.

    shared = Shared()
    drawn(figure.picture, "unfolded", shared);  shared.names == ["x", "h"]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from unfold.drawing import palette
from unfold.drawing.picture import Edge, Member, Picture, Words
from unfold.page.document import Drawing, Line, Repeated

MARGIN = 12.0
Place = Callable[[float], float]
ANCHORS = {"centre": "middle", "left": "start", "right": "end"}


@dataclass
class Shared:
    """What the pictures of one graph have in common.

    Attributes:
        aliases: the value that a member is shown as, such as its value for an adjoint.
        numbers: of values, in the order in which pictures show them.
        styles: the numbers of lines.
        kinds: of nodes.
    """

    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    numbers: dict[str, int] = field(default_factory=dict[str, int])
    styles: dict[Line, int] = field(default_factory=dict[Line, int])
    kinds: dict[str, None] = field(default_factory=dict[str, None])

    @property
    def names(self) -> list[str]:
        """The values, by number."""
        return list(self.numbers)

    @property
    def lines(self) -> list[Line]:
        """The styles, by number."""
        return list(self.styles)

    @property
    def fills(self) -> dict[str, tuple[str, str, float]]:
        """Fill and outline of every kind."""
        found = {kind: palette.NODES[kind] for kind in self.kinds}
        return {kind: (s.fill, s.outline, s.width) for kind, s in found.items()}

    def member(self, member: Member) -> list[int]:
        """Return a member as numbers."""
        name, point = member
        name = self.aliases.get(name, name)
        return [self.numbers.setdefault(name, len(self.numbers)), *(point or ())]

    def style(self, edge: Edge) -> int:
        """Return the number of the style of an edge."""
        line = Line(edge.colour, edge.dash, edge.width)
        return self.styles.setdefault(line, len(self.styles))


def drawn(picture: Picture, title: str, shared: Shared) -> Drawing:
    """Return a picture as columns.

    Args:
        picture: whose every shape has a place.
        title: what it shows.
        shared: receives its values, kinds and styles.
    """
    left, bottom, right, top = picture.box
    height = top - bottom + 2 * MARGIN
    nodes = [n for n in picture.nodes if n.label or n.shape != "words"]
    shared.kinds.update(dict.fromkeys(n.kind for n in nodes))
    number = {n.id: i for i, n in enumerate(nodes)}
    edges = picture.edges

    def x(value: float) -> float:
        return round(value - left + MARGIN, 1)

    def y(value: float) -> float:
        return round(top - value + MARGIN, 1)

    return Drawing(
        title=title,
        box=(0.0, 0.0, round(right - left + 2 * MARGIN, 1), round(height, 1)),
        label=[n.label for n in nodes],
        kind=repeated(n.kind for n in nodes),
        shape=repeated(n.shape for n in nodes),
        x=[x(n.x) for n in nodes],
        y=[y(n.y) for n in nodes],
        width=[round(n.width, 1) for n in nodes],
        height=[round(n.height, 1) for n in nodes],
        members=[[shared.member(m) for m in n.members] for n in nodes],
        source=[number.get(e.source, -1) for e in edges],
        target=[number.get(e.target, -1) for e in edges],
        edge_kind=repeated(e.kind for e in edges),
        style=[shared.style(e) for e in edges],
        parameter=repeated(e.parameter or "" for e in edges),
        curve=[_curve(e, x, y) for e in edges],
        edge_label=repeated(e.label if e.label_at else "" for e in edges),
        label_at=[[x(e.label_at[0]), y(e.label_at[1])] if e.label_at else [] for e in edges],
        words=[_words(w, x(w.x), y(w.y)) for w in picture.words],
        patches=[
            (x(p.x - p.width / 2), y(p.y + p.height / 2), round(p.width, 1), round(p.height, 1))
            for p in picture.patches
        ],
    )


def repeated(texts: Iterable[str]) -> Repeated:
    """Return a column in which every different text stands once."""
    found: dict[str, int] = {}
    at = [found.setdefault(text, len(found)) for text in texts]
    return Repeated(list(found), at)


def _curve(edge: Edge, x: Place, y: Place) -> list[float]:
    """Return the points of an edge, all but the first relative to it."""
    (left, top), *rest = (*edge.curve, edge.tip)
    relative = [d for a, b in rest for d in (round(a - left, 1), round(top - b, 1))]
    return [x(left), y(top), *relative]


def _words(words: Words, x: float, y: float) -> tuple[str, float, float, float, str, str]:
    ink = "ink" if words.colour == palette.INK else "soft"
    return words.text, x, y, words.size, ink, ANCHORS[words.align]
