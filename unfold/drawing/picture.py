"""A finished picture: every shape with its place, before any format is chosen.

In: the results of `place` (nodes, curves, words, bands, a legend), all in points with y upwards.
Out: data that `render` writes as DOT, SVG, PNG or PDF, and that can be joined side by side
(`shifted`, `beside`).

    Picture("rnn", nodes=(Node(id="h[0]", label="h[0]", kind="state", x=0, y=0, width=40,
    height=40),))
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from unfold.drawing import palette

Point = tuple[float, float]
Curve = tuple[Point, ...]
Shape = Literal["circle", "box", "square", "words", "bar", "frame"]
Member = tuple[str, tuple[int, ...] | None]
"""A value of the Program at an index point, or at all of them (None)."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A shape around a centre.

    Attributes:
        id: unique in the picture.
        label: the words in it; several lines are allowed.
        kind: a key of `palette.NODES`.
        shape: circle, box (rounded), square (a delay), words (no outline), bar (spans columns) or
            frame
            (an outline around other nodes).
        tooltip: lines for hovering.
        fill: a colour that replaces the kind's.
        members: what it shows; nothing for dots, and for points outside of a domain.
        frames: ids of the nodes inside of a frame; an edge to the frame goes to all of them.
    """

    id: str
    label: str
    kind: str
    x: float
    y: float
    width: float
    height: float
    shape: Shape = "circle"
    tooltip: tuple[str, ...] = ()
    fill: str | None = None
    members: tuple[Member, ...] = ()
    frames: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A curve from node to node.

    Attributes:
        source: id of the node where it starts; likewise `target`.
        kind: "data", "delay", "feedback", "boundary", "gap", "spread" (over an axis) or "legend".
        curve: cubic Bézier points, 3n + 1 of them, from outline to arrowhead.
        tip: the arrow's point.
        label: words beside it, with their centre in `label_at`.
        parameter: key of the shared parameter it multiplies by, if any.
    """

    source: str
    target: str
    kind: str
    curve: Curve
    tip: Point
    colour: str
    dash: str = "solid"
    width: float = 1.3
    label: str = ""
    label_at: Point | None = None
    parameter: str | None = None
    tooltip: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Words:
    """A line of text around a centre (or from its left or right end)."""

    text: str
    x: float
    y: float
    size: float = palette.NOTE_SIZE
    colour: str = palette.SOFT_INK
    align: Literal["centre", "left", "right"] = "centre"

    @property
    def width(self) -> float:
        """Estimated width in points."""
        return palette.text_width(self.text, self.size)


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A filled rectangle of the background."""

    x: float
    y: float
    width: float
    height: float
    fill: str = palette.BAND


@dataclass(frozen=True)
class Picture:
    """All drawn items; later items lie above earlier ones."""

    title: str
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    words: tuple[Words, ...] = ()
    patches: tuple[Patch, ...] = ()

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Return left, bottom, right and top of everything, a margin included."""
        xs: list[float] = []
        ys: list[float] = []
        for shape in (*self.nodes, *self.patches):
            xs += [shape.x - shape.width / 2, shape.x + shape.width / 2]
            ys += [shape.y - shape.height / 2, shape.y + shape.height / 2]
        for edge in self.edges:
            xs += [p[0] for p in edge.curve]
            ys += [p[1] for p in edge.curve]
        for words in self.words:
            left = (
                words.x
                - {"centre": words.width / 2, "left": 0.0, "right": words.width}[words.align]
            )
            xs += [left, left + words.width]
            ys += [words.y - words.size / 2, words.y + words.size / 2]
        if not xs:
            return 0.0, 0.0, 1.0, 1.0
        return min(xs), min(ys), max(xs), max(ys)

    def shifted(self, x: float, y: float, prefix: str = "") -> Picture:
        """Move everything, and put a prefix before every id."""

        def moved(p: Point) -> Point:
            return p[0] + x, p[1] + y

        def node(n: Node) -> Node:
            frames = tuple(prefix + f for f in n.frames)
            return replace(n, id=prefix + n.id, x=n.x + x, y=n.y + y, frames=frames)

        def edge(e: Edge) -> Edge:
            return replace(
                e,
                source=prefix + e.source,
                target=prefix + e.target,
                curve=tuple(moved(p) for p in e.curve),
                tip=moved(e.tip),
                label_at=moved(e.label_at) if e.label_at else None,
            )

        return Picture(
            self.title,
            tuple(map(node, self.nodes)),
            tuple(edge(e) for e in self.edges),
            tuple(replace(w, x=w.x + x, y=w.y + y) for w in self.words),
            tuple(replace(p, x=p.x + x, y=p.y + y) for p in self.patches),
        )


def joined(title: str, pictures: Iterable[Picture]) -> Picture:
    """Lay pictures over one another; their ids must differ."""
    parts = tuple(pictures)
    return Picture(
        title,
        tuple(n for p in parts for n in p.nodes),
        tuple(e for p in parts for e in p.edges),
        tuple(w for p in parts for w in p.words),
        tuple(s for p in parts for s in p.patches),
    )
