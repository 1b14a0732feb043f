"""What no picture may have: shapes or words that cover one another, lines through shapes.

list(overlaps(picture)), list(run_through(picture)), list(hidden_words(picture))   all empty
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from unfold.drawing import palette
from unfold.drawing.curves import Outline, sample
from unfold.drawing.picture import Edge, Node, Picture

Box = tuple[str, float, float, float, float]


def overlaps(picture: Picture) -> Iterator[tuple[str, str]]:
    """Yield pairs of nodes that cover one another."""
    solid = [n for n in picture.nodes if n.shape in ("circle", "box", "bar")]
    for a, b in itertools.combinations(solid, 2):
        across = abs(a.x - b.x) < (a.width + b.width) / 2 - 1
        if across and abs(a.y - b.y) < (a.height + b.height) / 2 - 1:
            yield a.id, b.id


def run_through(picture: Picture) -> Iterator[tuple[str, str, str]]:
    """Yield edges that run through a node that is not one of their ends (bars may be crossed)."""
    frames = {n.id: n for n in picture.nodes if n.shape == "frame"}
    for edge in picture.edges:
        points = sample(edge.curve)
        for node in picture.nodes:
            if node.shape not in ("circle", "box") or node.id in (edge.source, edge.target):
                continue
            ends = [frames[i] for i in (edge.source, edge.target) if i in frames]
            if any(
                abs(f.x - node.x) < f.width / 2 and abs(f.y - node.y) < f.height / 2 for f in ends
            ):
                continue
            shape = Outline(node.x, node.y, node.width, node.height, node.shape == "circle")
            if shape.covers(points, -1.0).any():
                yield edge.source, edge.target, node.id


def hidden_words(picture: Picture) -> Iterator[tuple[str, str]]:
    """Yield labels of edges that cover one another or a shape."""
    labels = [_label(e) for e in picture.edges if e.label and e.label_at]
    shapes = [_shape(n) for n in picture.nodes if n.shape in ("circle", "box", "bar", "words")]
    pairs = [*itertools.combinations(labels, 2), *itertools.product(labels, shapes)]
    for a, b in pairs:
        across = abs(a[1] - b[1]) < (a[3] + b[3]) / 2 - 1
        if across and abs(a[2] - b[2]) < (a[4] + b[4]) / 2 - 1:
            yield a[0], b[0]


def _label(edge: Edge) -> Box:
    assert edge.label_at is not None
    width = palette.text_width(edge.label, palette.NOTE_SIZE)
    return (
        f"{edge.label} of {edge.source}-{edge.target}",
        *edge.label_at,
        width,
        palette.NOTE_SIZE,
    )


def _shape(node: Node) -> Box:
    return node.id, node.x, node.y, node.width, node.height
