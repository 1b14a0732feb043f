"""A picture before it has places: nodes that know their block, column and row, and edges.

In: the results of `fold` and `unroll`. Out: the input of `place`. A block is a run of equal columns
(the steps of one axis, or the cells of a grid of two); a node's `key` names its place inside a
column, so nodes with equal keys stand in one row of the picture.

    block "t":   column 0      column 1      column 2
    key h:       h[0]     ->   h[1]     ->   h[2]
    key x:       x[0]          x[1]          x[2]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from unfold.drawing.palette import LineStyle
from unfold.drawing.picture import Member

Key = tuple[str, ...]
Kind = Literal["data", "delay", "feedback", "boundary", "gap", "spread"]


@dataclass(frozen=True, kw_only=True)
class Spot:
    """The place of a node: a block, a key inside its columns, and a column (and row)."""

    block: str
    key: Key
    column: float = 0.0
    row: float = 0.0
    spans: bool = False


@dataclass(frozen=True, kw_only=True)
class SketchNode:
    """A node without a place; fields as in `picture.Node`.

    A node that `frames` others (their ids) is an outline around them; an edge to it goes to all of
    them.
    """

    id: str
    label: str
    kind: str
    spot: Spot
    small: bool = False
    frames: tuple[str, ...] = ()
    tooltip: tuple[str, ...] = ()
    members: tuple[Member, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SketchEdge:
    """An edge without a curve.

    Attributes:
        parameter: key of the shared parameter that it multiplies by; edges of one key look alike.
        label: words beside it.
        delay: in a folded picture, the words beside the black square, or None where nothing is
            delayed.
    """

    source: str
    target: str
    kind: Kind = "data"
    parameter: str | None = None
    label: str = ""
    delay: str | None = None
    tooltip: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A run of columns.

    Attributes:
        name: unique in the sketch.
        headers: words under each column, by column.
        grid: whether columns also have rows.
        above: the block that this one stands above of, or None where it stands to the right of the
            one before.
    """

    name: str
    headers: tuple[tuple[float, str], ...] = ()
    row_headers: tuple[tuple[float, str], ...] = ()
    grid: bool = False
    above: str | None = None


@dataclass(frozen=True, kw_only=True)
class LegendEntry:
    """Words below the picture: a parameter with its line, which edges call by its `key`, or a note.

    A note tells of parameters that no line stands for.
    """

    text: str
    key: str = ""
    style: LineStyle | None = None
    tooltip: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sketch:
    """A whole picture without places; `rows` lists boxes from the bottom, if the user does."""

    title: str
    blocks: tuple[Stretch, ...]
    nodes: tuple[SketchNode, ...]
    edges: tuple[SketchEdge, ...]
    legend: tuple[LegendEntry, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    direction: Literal["up", "right"] = "up"
