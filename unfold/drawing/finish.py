"""From a sketch to a finished picture: places, curves, bands with their headers, and the legend.

In: a `Sketch`. Out: a `Picture`. Every view ends here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from unfold.drawing import palette
from unfold.drawing.connect import connect
from unfold.drawing.curves import ARROW, line
from unfold.drawing.legible import legible
from unfold.drawing.picture import Edge, Node, Patch, Picture, Words, joined
from unfold.drawing.place import BlockPlace, Placed, place
from unfold.drawing.sketch import LegendEntry, Sketch

HEADER_GAP = 17.0
SWATCH = 26.0
LEGEND_GAP = 18.0
LEGEND_WIDTH = 420.0
FEEDBACK = "output feedback"


def finish(sketch: Sketch) -> Picture:
    """Return the picture of a sketch."""
    return finish_placed(place(sketch))


def finish_placed(placed: Placed) -> Picture:
    """Return the picture of a sketch whose nodes have places."""
    connected = connect(placed)
    nodes = (*placed.nodes.values(), *connected.squares)
    body = Picture(placed.sketch.title, nodes, legible(nodes, connected.edges))
    patches: list[Patch] = []
    words: list[Words] = list(connected.words)
    for block in placed.blocks.values():
        band, header = _headers(block, placed, body)
        patches += band
        words += header
    body = replace(body, patches=tuple(patches), words=tuple(words))
    return with_legend(body, placed)


def _headers(block: BlockPlace, placed: Placed, body: Picture) -> tuple[list[Patch], list[Words]]:
    """Return a light band behind every drawn step, and its index below."""
    members = [
        (placed.nodes[i], n) for i, n in placed.members.items() if n.spot.block == block.block.name
    ]
    own = [node for node, n in members if n.spot.key in block.regular]
    if not block.block.headers or not own:
        return [], []
    ids = {n.id for n in own}
    inside = [e for e in body.edges if e.source in ids and e.target in ids]
    bottom = min([n.y - n.height / 2 for n in own] + [p[1] for e in inside for p in e.curve]) - 8.0
    # Edges from the block below would run through headers at the bottom.
    lowest = min([bottom] + [node.y - node.height / 2 - 4.0 for node, _ in members])
    if block.block.above is not None:
        lowest = max(node.y + node.height / 2 for node, _ in members) + HEADER_GAP + 4.0
    top = max(n.y + n.height / 2 for n in own) + 8.0
    left, _, right, _ = _band(block)
    patches: list[Patch] = []
    words: list[Words] = []
    for column, text in block.block.headers:
        middle = block.x + column * block.pitch
        if text != "⋯" and not block.block.grid:
            patches.append(
                Patch(
                    x=middle + (left + right) / 2,
                    y=(top + bottom) / 2,
                    width=right - left,
                    height=top - bottom,
                )
            )
        words.append(Words(text=text, x=middle + (left + right) / 2, y=lowest - HEADER_GAP + 6))
    edge = min(n.x - n.width / 2 for n in own) - 10.0
    for row, text in block.block.row_headers:
        y = block.y - row * block.row_pitch + block.level
        words.append(Words(text=text, x=edge, y=y, align="right"))
    return patches, words


def _band(block: BlockPlace) -> tuple[float, float, float, float]:
    keys = [
        k for k in block.local if k not in block.bars and (k in block.regular or not block.regular)
    ]
    keys = keys or list(block.local)
    left = min(block.local[k][0] - block.sizes[k].width / 2 for k in keys) - 8.0
    right = max(block.local[k][0] + block.sizes[k].width / 2 for k in keys) + 8.0
    return left, 0.0, right, 0.0


def with_legend(body: Picture, placed: Placed) -> Picture:
    """Add one line sample per parameter below the picture."""
    entries = [e for e in placed.sketch.legend if e.style]
    notes = [e for e in placed.sketch.legend if not e.style]
    if any(e.kind == "feedback" for e in body.edges):
        style = palette.LineStyle(palette.FEEDBACK_LINE)
        entries.append(LegendEntry(key=FEEDBACK, text=FEEDBACK, style=style))
    if not entries and not notes:
        return body
    left, bottom, right, _ = body.box
    parts = [body]
    y = bottom - 22.0
    limit = max(right - left, LEGEND_WIDTH)
    rows = [row for some in (entries, notes) if some for row in _rows(some, limit)]
    widest = max(sum(map(_width, row)) for row in rows) - LEGEND_GAP
    start = min(left, (left + right - widest) / 2)  # a narrow picture stands over its middle
    for row in rows:
        x = start
        for entry in row:
            parts.append(_sample(entry, entry.style, x, y) if entry.style else _note(entry, x, y))
            x += _width(entry)
        y -= 17.0
    return replace(joined(body.title, parts), patches=body.patches)


def _width(entry: LegendEntry) -> float:
    swatch = SWATCH + 6.0 if entry.style else 0.0
    return swatch + palette.text_width(entry.text, palette.NOTE_SIZE) + LEGEND_GAP


def _rows(entries: Sequence[LegendEntry], limit: float) -> list[list[LegendEntry]]:
    """Break a legend into lines."""
    rows: list[list[LegendEntry]] = [[]]
    for entry in entries:
        if rows[-1] and sum(map(_width, (*rows[-1], entry))) > limit:
            rows.append([])
        rows[-1].append(entry)
    return rows


def _note(entry: LegendEntry, x: float, y: float) -> Picture:
    """Write a note; `x` is its left end."""
    return Picture(entry.text, words=(Words(text=entry.text, x=x, y=y, align="left"),))


def _sample(entry: LegendEntry, style: palette.LineStyle, x: float, y: float) -> Picture:
    """Draw one line sample with its words; `x` is its left end."""
    start, end = (x, y), (x + SWATCH, y)
    nodes = [
        Node(
            id=f"{name} {entry.key}",
            label="",
            kind="gap",
            x=a,
            y=b,
            width=1,
            height=1,
            shape="words",
        )
        for name, (a, b) in (("legend from", start), ("legend to", end))
    ]
    edge = Edge(
        source=nodes[0].id,
        target=nodes[1].id,
        kind="legend",
        curve=line(start, (x + SWATCH - ARROW, y)),
        tip=end,
        colour=style.colour,
        dash=style.dash,
        width=2.4,
        parameter=entry.key,
        tooltip=entry.tooltip,
    )
    text = Words(text=entry.text, x=x + SWATCH + 6, y=y, align="left", colour=palette.INK)
    return Picture(entry.text, tuple(nodes), (edge,), (text,))
