"""Leave out the words of edges that would lie under a shape or on other words.

In: the nodes and edges of a picture. Out: the edges, some without their label. If many lines meet,
the router finds no free place for every label; colour, legend and tooltip give the same facts.

    legible(nodes, edges)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from unfold.drawing import palette
from unfold.drawing.picture import Edge, Node

CELL = 80.0
OVERLAP = 1.0
"""Points by which boxes may overlap: the words are estimated a little too wide."""

Box = tuple[float, float, float, float]


def legible(nodes: Sequence[Node], edges: Sequence[Edge]) -> tuple[Edge, ...]:
    """Return the edges without the labels that are covered; of two on one place the first stays."""
    taken = _Taken()
    for node in nodes:
        if node.shape in ("circle", "box", "bar", "words"):
            taken.add((node.x, node.y, node.width, node.height))
    found = []
    for edge in edges:
        if edge.label and edge.label_at is not None:
            width = palette.text_width(edge.label, palette.NOTE_SIZE)
            box = (*edge.label_at, width, palette.NOTE_SIZE)
            if taken.meets(box):
                edge = replace(edge, label="", label_at=None)
            else:
                taken.add(box)
        found.append(edge)
    return tuple(found)


@dataclass
class _Taken:
    """Boxes (middle, width, height) that are there already, by the squares of a grid they touch."""

    cells: dict[tuple[int, int], list[Box]] = field(default_factory=lambda: defaultdict(list))

    def add(self, box: Box) -> None:
        for cell in _cells(box):
            self.cells[cell].append(box)

    def meets(self, box: Box) -> bool:
        x, y, width, height = box
        return any(
            abs(x - other[0]) < (width + other[2]) / 2 - OVERLAP
            and abs(y - other[1]) < (height + other[3]) / 2 - OVERLAP
            for cell in _cells(box)
            for other in self.cells.get(cell, ())
        )


def _cells(box: Box) -> Iterator[tuple[int, int]]:
    x, y, width, height = box
    for column in range(int((x - width / 2) // CELL), int((x + width / 2) // CELL) + 1):
        for row in range(int((y - height / 2) // CELL), int((y + height / 2) // CELL) + 1):
            yield column, row
