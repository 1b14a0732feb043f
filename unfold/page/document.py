"""A page as data: a title, facts, and sections of blocks, which any command can make.

    Page("gru", sections=(
        Section("Loss", "On the training data.", (Chart("Loss", "step", "loss", series),)),
    ))

Nothing here knows of runs or of the browser. A block is one of `BLOCKS`; `encode` writes it as
JSON, and a file of the same name in `unfold/page/browser/src/` shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Cell = str | int | float | bool | None
Place = int | float | str
"""A position along an axis of a chart: a number, or a word of a scale of words."""

Mark = Literal["line", "dots", "bars"]


@dataclass(frozen=True)
class Table:
    """Rows of numbers and words.

    Attributes:
        heads: of the columns.
        rows: one cell per column; None is shown as a dash.
        title: above it.
        marked: rows and columns of cells that stand out.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    title: str = ""
    marked: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True)
class Series:
    """Points of a chart that belong together.

    Attributes:
        name: in the legend.
        x, y: one entry per point.
        low, high: the bounds of an interval around every y, if they are known.
        mark: how points are drawn.
        faint: whether it lies in the background.
    """

    name: str
    x: Sequence[Place]
    y: Sequence[float | int | None]
    low: Sequence[float | int | None] = ()
    high: Sequence[float | int | None] = ()
    mark: Mark = "line"
    faint: bool = False


@dataclass(frozen=True)
class Chart:
    """Series over common axes.

    Attributes:
        title: above it.
        x, y: labels of the axes, with units.
        series: in the order of the legend.
        log_x, log_y: whether an axis is logarithmic.
        levels: horizontal lines with their words, such as the loss of guessing.
        note: a sentence below it.
    """

    title: str
    x: str
    y: str
    series: Sequence[Series]
    log_x: bool = False
    log_y: bool = False
    levels: Sequence[tuple[float, str]] = ()
    note: str = ""


@dataclass(frozen=True)
class Heat:
    """Numbers over two axes, shown as colours.

    Attributes:
        title: above it.
        x, y: labels of the axes.
        columns, rows: the places along x and y.
        values: [rows, columns].
        of: what the numbers are.
        log: whether colours follow their logarithm.
        note: a sentence below it.
    """

    title: str
    x: str
    y: str
    columns: Sequence[Place]
    rows: Sequence[Place]
    values: Sequence[Sequence[float | int | None]]
    of: str
    log: bool = False
    note: str = ""


Role = str
"""What a piece of text is: "key", "comment", "number", "text", "sign", "function", "input",
"parameter", "node", or nothing."""


@dataclass(frozen=True)
class Code:
    """Text in a fixed width.

    Attributes:
        lines: pieces of text with their roles.
        title: above it.
        wrap: whether long lines are broken, as in prose.
    """

    lines: Sequence[Sequence[tuple[Role, str]]]
    title: str = ""
    wrap: bool = False


@dataclass(frozen=True)
class Repeated:
    """A column of texts of which few differ.

    Attributes:
        texts: the different ones.
        at: for every entry, its position in `texts`.
    """

    texts: Sequence[str]
    at: Sequence[int]


@dataclass(frozen=True)
class Drawing:
    """A finished picture in columns: entry i of a column belongs to node, or edge, i.

    Coordinates are in points, y downwards.

    Attributes:
        title: what it shows.
        box: left, top, width and height.
        label, kind, shape: of every node; fields as in `unfold.drawing.picture.Node`.
        x, y, width, height: its centre and size.
        members: what it shows: [value, *index point], or [value] for all points; the value is a
            position in `Graph.names`.
        source, target: the nodes of every edge, or -1.
        edge_kind, style: its kind, and its line as a position in `Graph.lines`.
        parameter: the name of the parameter it multiplies by, or an empty text.
        curve: cubic Bézier points and the tip of the arrow, as one list of coordinates; all points
            but the first are relative to it.
        edge_label: words beside it, and their place in `label_at`.
        words: lines of text: text, x, y, size, "ink" or "soft", and whether x is the "start", the
            "middle" or the "end".
        patches: x, y, width and height of the bands behind steps.
    """

    title: str
    box: tuple[float, float, float, float]
    label: Sequence[str]
    kind: Repeated
    shape: Repeated
    x: Sequence[float]
    y: Sequence[float]
    width: Sequence[float]
    height: Sequence[float]
    members: Sequence[Sequence[Sequence[int]]]
    source: Sequence[int]
    target: Sequence[int]
    edge_kind: Repeated
    style: Sequence[int]
    parameter: Repeated
    curve: Sequence[Sequence[float]]
    edge_label: Repeated
    label_at: Sequence[Sequence[float]]
    words: Sequence[tuple[str, float, float, float, str, str]]
    patches: Sequence[tuple[float, float, float, float]]


@dataclass(frozen=True)
class Named:
    """A value of a spec in words.

    Attributes:
        equation: as the spec writes it.
        shape: names and numbers of its dimensions.
        kind: "input", "state", …, a key of the palette.
        parameters: those it reads.
        symbols: the names of its classes, if the data have any.
    """

    equation: str
    shape: str
    kind: str
    parameters: Sequence[str] = ()
    symbols: Sequence[str] = ()


@dataclass(frozen=True)
class Points:
    """Numbers of a run at the drawn points of a value, in columns.

    Attributes:
        at: the index points.
        least, mean, most, deviation: of the value, over sequences and features.
        norm: of the loss's gradient by it, over sequences and features; empty without a loss.
        first: the features of the first sequence.
    """

    at: Sequence[Sequence[int]]
    least: Sequence[float | None]
    mean: Sequence[float | None]
    most: Sequence[float | None]
    deviation: Sequence[float | None]
    norm: Sequence[float | None] = ()
    first: Sequence[Sequence[float]] = ()


@dataclass(frozen=True)
class Line:
    """A style of edges: a colour, a dash ("solid", "dashed", "dotted") and a width in points."""

    colour: str
    dash: str
    width: float


@dataclass(frozen=True)
class Graph:
    """Linked pictures of one spec.

    Attributes:
        pictures: the first one leads: its nodes have the steps.
        names: of values, by their numbers in `Drawing.members`.
        values: what they are, in the order of `names`.
        points: numbers of a run, by the position of the value in `names`.
        forward, backward: the step in which each node of the first picture is computed, and in
            which it receives its gradient; -1 if there is none.
        lines: styles of edges.
        fills: fill, outline and width of the outline of every kind of node.
        scale: colours from the least to the largest number.
        about: what the numbers were computed from.
    """

    pictures: Sequence[Drawing]
    names: Sequence[str]
    values: Sequence[Named]
    points: Mapping[int, Points] = field(default_factory=dict[int, Points])
    forward: Sequence[int] = ()
    backward: Sequence[int] = ()
    lines: Sequence[Line] = ()
    fills: Mapping[str, tuple[str, str, float]] = field(default_factory=dict[str, Any])
    scale: Sequence[str] = ()
    about: str = ""


Block = Table | Chart | Heat | Code | Graph
BLOCKS = (Table, Chart, Heat, Code, Graph)


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: also in the table of contents.
        text: paragraphs, separated by empty lines.
        blocks: from top to bottom.
        folded: whether it is closed at first.
    """

    title: str
    text: str = ""
    blocks: Sequence[Block] = ()
    folded: bool = False


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        title: of the document.
        about: a description, below the title.
        facts: short facts by name, shown in one line.
        sections: from top to bottom.
    """

    title: str
    about: str = ""
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    sections: Sequence[Section] = ()
