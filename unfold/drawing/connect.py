"""Draw the edges of a placed sketch: route each kind once, then copy it to every step.

In: a `Placed`. Out: `picture.Edge`s, the black squares of delays and their words. Two edges are of
one kind if they join the same rows over the same number of columns. Only edges between blocks are
routed one by one (very many of them become straight lines). Curves come first, then all labels.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from unfold.drawing import palette
from unfold.drawing.curves import Outline, cut, line, sample
from unfold.drawing.picture import Edge, Node, Point, Words
from unfold.drawing.place import BAR_HEIGHT, BlockPlace, Placed
from unfold.drawing.route import (
    CLEAR,
    Rectangle,
    Routed,
    Surroundings,
    place_beside,
    place_label,
    place_square,
    route,
    shifted,
    thinned,
)
from unfold.drawing.sketch import Key, SketchEdge

MOST_LABELS = 500
MOST_ROUTED = 300
MOST_THOROUGH = 60
SQUARE = 10.0
VERY_WIDE = 1e5
STACKED = 60.0


@dataclass(frozen=True)
class Template:
    """A kind of edge: its ends, their distance in columns (and rows), and its number of several."""

    block: str
    source: Key
    target: Key
    columns: float
    rows: float
    ordinal: int


@dataclass(frozen=True)
class Track:
    """A routed template at column 0 of its block, with the places of label, square and words."""

    routed: Routed
    label: Rectangle | None = None
    square: Point | None = None
    delay: Rectangle | None = None


@dataclass(frozen=True)
class Connected:
    """Edges, and the black squares and words of their delays."""

    edges: tuple[Edge, ...]
    squares: tuple[Node, ...]
    words: tuple[Words, ...]


def connect(placed: Placed) -> Connected:
    """Return every edge with its curve, style and label."""
    groups, between = _groups(placed)
    labelled = len(placed.sketch.edges) <= MOST_LABELS
    styles = edge_styles(placed)
    found: dict[int, Edge] = {}
    squares: list[Node] = []
    words: list[Words] = []
    for name, block in placed.blocks.items():
        own = {t: edges for t, edges in groups.items() if t.block == name}
        tracks = _lay(own, block, labelled)
        for template, edges in own.items():
            for edge in edges:
                spot = placed.members[edge.source].spot
                if spot.spans:
                    spot = placed.members[edge.target].spot
                x, y = block.x + spot.column * block.pitch, block.y - spot.row * block.row_pitch
                track = tracks[template]
                found[id(edge)] = _edge(edge, styles, track, x, y, labelled)
                if edge.delay is not None and track.square and track.delay:
                    at = (track.square[0] + x, track.square[1] + y)
                    squares.append(_square(edge, found[id(edge)], at, len(squares)))
                    at = (track.delay[0] + x, track.delay[1] + y)
                    words.append(Words(text=edge.delay, x=at[0], y=at[1], colour=palette.INK))
    found |= _between(placed, between, list(found.values()), styles, labelled)
    edges = tuple(found[id(e)] for e in placed.sketch.edges)
    return Connected(edges, tuple(squares), tuple(words))


def edge_styles(placed: Placed) -> dict[str, palette.LineStyle]:
    """Return the line of each parameter of the legend."""
    return {e.key: e.style for e in placed.sketch.legend if e.style is not None}


def _groups(placed: Placed) -> tuple[dict[Template, list[SketchEdge]], list[SketchEdge]]:
    """Sort edges by kind; those between blocks are apart."""
    groups: dict[Template, list[SketchEdge]] = defaultdict(list)
    between: list[SketchEdge] = []
    parallel: Counter[tuple[str, str]] = Counter()
    for edge in placed.sketch.edges:
        a, b = placed.members[edge.source].spot, placed.members[edge.target].spot
        if a.block != b.block:
            between.append(edge)
            continue
        ordinal = parallel[edge.source, edge.target]
        parallel[edge.source, edge.target] += 1
        spans = a.spans or b.spans
        columns, rows = (0.0, 0.0) if spans else (b.column - a.column, b.row - a.row)
        groups[Template(a.block, a.key, b.key, columns, rows, ordinal)].append(edge)
    return groups, between


def _priority(block: BlockPlace, template: Template) -> tuple[int, float]:
    """Route level recurrences first, then short edges, then long ones, and loops last."""
    if (template.source, template.columns, template.rows) == (template.target, 0.0, 0.0):
        return 2, 0.0
    (a, b), (c, d) = block.local[template.source], block.local[template.target]
    across = abs(c - a + template.columns * block.pitch)
    return int(template.source != template.target), across + abs(d - b) + abs(template.rows) * 50


def _lay(
    groups: Mapping[Template, Sequence[SketchEdge]], block: BlockPlace, labelled: bool
) -> dict[Template, Track]:
    """Route every kind of edge of a block, then place the labels."""
    around = Surroundings(_outlines(block))
    order = sorted(groups, key=lambda t: _priority(block, t))
    tracks: dict[Template, Track] = {}
    for template in order:
        start, end = _ends(template, block)
        delayed = groups[template][0].delay is not None
        near = _near(around, template, block)
        clear = CLEAR + SQUARE if delayed else CLEAR
        routed = route(
            start,
            end,
            near,
            sideways=bool(template.columns),
            thorough=len(order) <= MOST_THOROUGH,
            clear=clear,
        )
        square = place_square(routed.curve, near, SQUARE) if delayed else None
        tracks[template] = Track(routed, square=square)
        around.add_curve(routed.curve, _shifts(template, block))
        if square:
            around.outlines.append(Outline(*square, SQUARE, SQUARE, False))
    for template in order:
        tracks[template] = _with_words(tracks[template], groups[template][0], around)
    for template in order if labelled else ():
        text = max((e.label for e in groups[template]), key=len)
        if text:
            track = tracks[template]
            label = place_label(text, track.routed.curve, _near(around, template, block))
            tracks[template] = replace(track, label=label)
            around.add_label(label, _shifts(template, block))
    return tracks


def _with_words(track: Track, edge: SketchEdge, around: Surroundings) -> Track:
    """Place a delay's words beside its square."""
    if track.square is None:
        return track
    square = (*track.square, SQUARE, SQUARE)
    words = place_beside(edge.delay or "", square, track.routed.curve, around)
    around.add_label(words, [(0.0, 0.0)])
    return replace(track, delay=words)


def _shifts(template: Template, block: BlockPlace) -> list[Point]:
    """Return the shifts of those copies of a template that matter to one another."""
    regular = template.source in block.regular or template.target in block.regular
    columns = (-2, -1, 0, 1, 2) if regular or template.source in block.frames else (0,)
    rows = (-1, 0, 1) if block.block.grid else (0,)
    return [(c * block.pitch, r * block.row_pitch) for c in columns for r in rows]


def _outline(block: BlockPlace, key: Key, column: float = 0.0, row: float = 0.0) -> Outline:
    x, y = block.local[key]
    size = block.sizes[key]
    x, y = x + column * block.pitch, y - row * block.row_pitch
    if key in block.bars:
        return Outline(x, y, 24.0, BAR_HEIGHT, False)
    return Outline(x, y, size.width, size.height, size.shape == "circle")


def _outlines(block: BlockPlace) -> list[Outline]:
    """Return the outlines in a few columns around column 0; bars are endless."""
    found: list[Outline] = []
    rows = (-1, 0, 1) if block.block.grid else (0,)
    columns = range(-7, 8) if block.regular else (0,)
    for key in block.local:
        if key in block.bars:
            found.append(
                Outline(block.local[key][0], block.local[key][1], VERY_WIDE, BAR_HEIGHT, False)
            )
        elif (key in block.regular or not block.regular) and key not in block.frames:
            found += [_outline(block, key, c, r) for c in columns for r in rows]
    return found


def _ends(template: Template, block: BlockPlace) -> tuple[Outline, Outline]:
    start = _outline(block, template.source)
    end = _outline(block, template.target, template.columns, template.rows)
    if template.source in block.bars:
        start = Outline(end.x, start.y, start.width, start.height, False)
    if template.target in block.bars:
        end = Outline(start.x, end.y, end.width, end.height, False)
    return start, end


def _near(around: Surroundings, template: Template, block: BlockPlace) -> Surroundings:
    """Leave out distant outlines, and bars that the edge joins or must cross."""
    reach = (abs(template.columns) + 2) * block.pitch
    joins_bar = template.source in block.bars or template.target in block.bars
    low, high = sorted(end.y for end in _ends(template, block))
    bars = [] if joins_bar else [o for o in around.outlines if o.width == VERY_WIDE]
    outlines = [o for o in around.outlines if o.width != VERY_WIDE and abs(o.x) < reach]
    outlines += [o for o in bars if not low < o.y < high]
    return Surroundings(outlines, around.curves, around.labels)


def _edge(
    edge: SketchEdge,
    styles: Mapping[str, palette.LineStyle],
    track: Track,
    x: float,
    y: float,
    labelled: bool,
) -> Edge:
    style = styles.get(edge.parameter or "", palette.LineStyle(palette.PLAIN_LINE))
    if edge.kind == "feedback":
        style = palette.LineStyle(palette.FEEDBACK_LINE)
    elif edge.kind == "spread" and not edge.parameter:
        style = palette.LineStyle(palette.FAINT_LINE)
    routed = shifted(track.routed, x, y)
    return Edge(
        source=edge.source,
        target=edge.target,
        kind=edge.kind,
        curve=routed.curve,
        tip=routed.tip,
        colour=style.colour,
        dash=style.dash,
        width=2.0 if edge.kind == "feedback" else (1.6 if edge.parameter else 1.2),
        label=edge.label if labelled else "",
        label_at=(track.label[0] + x, track.label[1] + y) if track.label else None,
        parameter=edge.parameter,
        tooltip=edge.tooltip,
    )


def _square(sketched: SketchEdge, edge: Edge, at: Point, number: int) -> Node:
    """Return the black square of a delayed edge."""
    return Node(
        id=f"delay {number}", label="", kind="delay", x=at[0], y=at[1], width=SQUARE, height=SQUARE,
        shape="square", tooltip=(f"delay {sketched.delay}", *edge.tooltip),
    )  # fmt: skip


def _between(
    placed: Placed,
    edges: Sequence[SketchEdge],
    present: Sequence[Edge],
    styles: Mapping[str, palette.LineStyle],
    labelled: bool,
) -> dict[int, Edge]:
    """Route edges between blocks one by one; very many of them become straight lines."""
    if not edges:
        return {}
    many = len(edges) > MOST_ROUTED
    solid = [n for n in placed.nodes.values() if n.kind not in ("gap", "frame") and not many]
    around = Surroundings(
        [_node_outline(n) for n in solid], [thinned(sample(e.curve)) for e in present if not many]
    )
    tracks: dict[int, Track] = {}
    for edge in edges:
        start = _facing(placed.nodes[edge.source], placed.nodes[edge.target])
        end = _facing(placed.nodes[edge.target], placed.nodes[edge.source])
        if many:
            routed = Routed(*cut(line((start.x, start.y), (end.x, end.y)), start, end))
        else:
            sideways = abs(start.y - end.y) < STACKED
            thorough = len(edges) <= MOST_THOROUGH
            routed = route(start, end, around, sideways=sideways, daring=False, thorough=thorough)
            around.add_curve(routed.curve, [(0.0, 0.0)])
        tracks[id(edge)] = Track(routed)
    for edge in edges if labelled and not many else ():
        if edge.label:
            routed = tracks[id(edge)].routed
            label = place_label(edge.label, routed.curve, around)
            around.add_label(label, [(0.0, 0.0)])
            tracks[id(edge)] = Track(routed, label)
    return {id(e): _edge(e, styles, tracks[id(e)], 0.0, 0.0, labelled) for e in edges}


def _node_outline(node: Node) -> Outline:
    return Outline(node.x, node.y, node.width, node.height, node.shape == "circle")


def _facing(node: Node, other: Node) -> Outline:
    """Return a node's outline; of a bar or a frame, the part nearest to the other node."""
    if node.shape not in ("bar", "frame"):
        return _node_outline(node)
    half = max(node.width / 2 - 14.0, 0.0)
    x = min(max(other.x, node.x - half), node.x + half)
    if node.shape == "bar":
        return Outline(x, node.y, 28.0, node.height, False)
    half = max(node.height / 2 - 14.0, 0.0)
    return Outline(x, min(max(other.y, node.y - half), node.y + half), 28.0, 28.0, False)
