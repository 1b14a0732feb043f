"""Give every node of a sketch its place: `dot` lays out one column, and the others are copies.

In: a `Sketch`. Out: `Placed`: nodes with coordinates, and per block the pitch of its columns. The
time is linear in the number of nodes; `dot` gets one node per row of the picture, for any number of
drawn steps.

        column 0   column 1            all columns have the rows of one layout;
    h     o          o                 bars span the columns; grids shift each cell to the
    x     o          o                 upper right, so that both recurrences stay free
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from unfold.drawing import palette
from unfold.drawing.dot import Item, layered
from unfold.drawing.picture import Node, Point, Shape
from unfold.drawing.sketch import Key, Sketch, SketchEdge, SketchNode, Stretch
from unfold.drawing.window import GAP

CIRCLE = 40.0
LARGEST_CIRCLE = 58.0
BOX_HEIGHT = 32.0
GAPS = (24.0, 40.0)  # across and up, in an unfolded picture
FOLDED_GAPS = (56.0, 54.0)
GUTTER = 52.0
BLOCK_GAP = 70.0
SHEAR = 0.75
BAR_HEIGHT = 28.0
FRAME_PAD = 6.0
WIDEST = 2.2


Inner = Sequence[tuple[SketchNode, SketchNode, SketchEdge]]


@dataclass(frozen=True)
class Size:
    """Width, height and shape of the nodes of one row."""

    width: float
    height: float
    shape: Shape


@dataclass
class BlockPlace:
    """A block's columns: the places of keys inside one, and the distance of columns (and rows)."""

    block: Stretch
    local: dict[Key, Point]
    sizes: dict[Key, Size]
    pitch: float
    row_pitch: float
    x: float = 0.0
    y: float = 0.0
    span: tuple[float, float] = (0.0, 0.0)
    bars: dict[Key, tuple[float, float]] = field(default_factory=dict)
    regular: frozenset[Key] = frozenset()
    frames: frozenset[Key] = frozenset()

    def at(self, key: Key, column: float, row: float = 0.0) -> Point:
        """Return the centre of a key in a column."""
        x, y = self.local[key]
        return self.x + column * self.pitch + x, self.y - row * self.row_pitch + y

    @property
    def depth(self) -> float:
        """The height of the last row of a grid relative to the first one (negative)."""
        rows = [row for row, _ in self.block.row_headers]
        return -max(rows, default=0.0) * self.row_pitch

    @property
    def level(self) -> float:
        """The height of the uppermost row of a column."""
        return max(self.local[k][1] for k in self.regular or self.local)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top of the keys inside one column."""
        return _bounds(self.local, self.sizes, self.local)


@dataclass(frozen=True)
class Placed:
    """A sketch with places."""

    sketch: Sketch
    nodes: Mapping[str, Node]
    blocks: Mapping[str, BlockPlace]
    members: Mapping[str, SketchNode] = field(default_factory=dict)


def place(sketch: Sketch) -> Placed:
    """Lay a sketch out."""
    members = {n.id: n for n in sketch.nodes}
    blocks = {b.name: _lay_block(b, sketch, members) for b in sketch.blocks}
    _arrange(list(blocks.values()))
    nodes = {n.id: _node(n, blocks[n.spot.block]) for n in sketch.nodes if not n.frames}
    frames = {n.id: _frame(n, [nodes[m] for m in n.frames]) for n in sketch.nodes if n.frames}
    return Placed(sketch, {**frames, **nodes}, blocks, members)


def size_of(labels: Iterable[str]) -> Size:
    """Return the size that the nodes of one row share."""
    widest = 0.0
    for label in labels:
        lines = label.split("\n")
        size = palette.NOTE_SIZE if len(lines) > 1 else palette.LABEL_SIZE
        widest = max(widest, *(palette.text_width(line, size) for line in lines))
    if widest + 10 <= LARGEST_CIRCLE:
        across = max(CIRCLE, widest + 10)
        return Size(across, across, "circle")
    return Size(widest + 18, BOX_HEIGHT, "box")


def _lay_block(block: Stretch, sketch: Sketch, members: Mapping[str, SketchNode]) -> BlockPlace:
    own = [n for n in sketch.nodes if n.spot.block == block.name and not n.frames]
    labels: dict[Key, list[str]] = defaultdict(list)
    columns: dict[Key, set[tuple[float, float]]] = defaultdict(set)
    for node in own:
        columns[node.spot.key].add((node.spot.column, node.spot.row))
        labels[node.spot.key] += [node.label] if not node.small else []
    sizes = {key: size_of(labels[key] or [""]) for key in columns}
    bars = frozenset(n.spot.key for n in own if n.spot.spans)
    inner = [
        (members[a], members[b], e)
        for e in sketch.edges
        if members[e.source].spot.block == members[e.target].spot.block == block.name
        for a in members[e.source].frames or (e.source,)
        for b in members[e.target].frames or (e.target,)
    ]
    folded = any(e.delay is not None for e in sketch.edges)
    gaps = FOLDED_GAPS if folded else GAPS
    local = _column(sizes, inner, bars, sketch.rows, _stacks(own), gaps)
    if sketch.direction == "right":
        local = _turned(local)
    if block.grid:
        local = {key: (x + SHEAR * y, y) for key, (x, y) in local.items()}
    regular = frozenset(k for k, places in columns.items() if len(places) > 1 and k not in bars)
    wide = regular or frozenset(columns)
    left, bottom, right, top = _bounds(local, sizes, wide)
    crossing = [e for a, b, e in inner if a.spot.column != b.spot.column and not a.spot.spans]
    label = max((palette.text_width(e.label, palette.NOTE_SIZE) for e in crossing), default=0.0)
    pitch = right - left + max(GUTTER, label + 30.0)
    spots = [n.spot.column for n in own]
    found = BlockPlace(block, local, sizes, pitch, top - bottom + GUTTER)
    found.span = (min(spots) * pitch + left, max(spots) * pitch + right)
    found.bars = {k: _reach(k, inner, found, left, right) for k in bars}
    found.regular = regular
    for frame in [n for n in sketch.nodes if n.spot.block == block.name and n.frames]:
        keys = {members[m].spot.key for m in frame.frames}
        low_x, low_y, high_x, high_y = _bounds(local, sizes, keys)
        local[frame.spot.key] = ((low_x + high_x) / 2, (low_y + high_y) / 2)
        sizes[frame.spot.key] = Size(
            high_x - low_x + 2 * FRAME_PAD, high_y - low_y + 2 * FRAME_PAD, "box"
        )
    found.frames = frozenset(n.spot.key for n in sketch.nodes if n.frames)
    return found


def _stacks(own: Sequence[SketchNode]) -> list[list[Key]]:
    """Return the rows of one box at several inner points, in the order of these points."""
    groups: dict[str, dict[Key, None]] = defaultdict(dict)
    for node in own:
        if len(node.spot.key) > 1:
            groups[node.spot.key[0]][node.spot.key] = None
    return [_dots_before_last(sorted(k, key=_inner_order)) for k in groups.values() if len(k) > 1]


def _dots_before_last(keys: list[Key]) -> list[Key]:
    """Move dots, which are sorted to the end, to before the last drawn point."""
    if GAP in keys[-1]:
        return [*keys[:-2], keys[-1], keys[-2]]
    return keys


def _inner_order(key: Key) -> tuple[float, ...]:
    return tuple(float(k) if k.lstrip("-").isdigit() else 1e8 for k in key[1:])


def _reach(
    bar: Key, inner: Inner, block: BlockPlace, left: float, right: float
) -> tuple[float, float]:
    """Return the extent of a bar: every column that it is joined to."""
    pairs = [(a.spot, b.spot) for a, b, _ in inner]
    joined = [b.column for a, b in pairs if a.key == bar] + [
        a.column for a, b in pairs if b.key == bar
    ]
    if not joined:
        return block.span
    return min(joined) * block.pitch + left, max(joined) * block.pitch + right


def _bounds(
    local: Mapping[Key, Point], sizes: Mapping[Key, Size], keys: Iterable[Key]
) -> tuple[float, float, float, float]:
    boxes = [(*local[k], sizes[k].width / 2, sizes[k].height / 2) for k in keys]
    return (
        min(x - w for x, _, w, _ in boxes),
        min(y - h for _, y, _, h in boxes),
        max(x + w for x, _, w, _ in boxes),
        max(y + h for _, y, _, h in boxes),
    )


def _column(
    sizes: Mapping[Key, Size],
    inner: Inner,
    bars: frozenset[Key],
    rows: Sequence[Sequence[str]],
    stacks: Sequence[Sequence[Key]],
    gaps: tuple[float, float],
) -> dict[Key, Point]:
    """Lay out the keys of one column; then clear the rows of recurrences and bars."""
    names = {key: str(i) for i, key in enumerate(sizes)}
    items = [
        Item(names[key], CIRCLE if key in bars else size.width, size.height)
        for key, size in sizes.items()
    ]
    order, recurrent = _relations(inner)
    pairs = [(names[a], names[b]) for a, b in order]
    ranks = _ranks(names, rows)
    level = [[names[k] for k in keys] for keys in stacks if _independent(keys, order)]
    found = layered(items, pairs, ranks=ranks, level=level, gap_up=gaps[1], gap_across=gaps[0])
    local = {key: found[name] for key, name in names.items()}
    for key in sorted(recurrent, key=lambda k: (local[k][1], local[k][0])):
        local = _alone(key, local, sizes)
    for key in sorted(bars, key=lambda k: local[k][1]):
        reads = any(b.spot.key == key for _, b, _ in inner)
        is_read = any(a.spot.key == key for a, _, _ in inner)
        hangs = any(_hangs(a, b) for a, b, _ in inner if key in (a.spot.key, b.spot.key))
        if hangs and not is_read:  # sums over the steps of the backward pass
            lowest = min(y for _, y in local.values())
            local[key] = (local[key][0], lowest - 2 * BAR_HEIGHT - 4.0)
        else:
            local = _own_row(key, local, sizes, below=reads == hangs)
    middle = sorted(x for x, _ in local.values())[len(local) // 2]
    return {key: (x - middle, y) for key, (x, y) in local.items()}


def _turned(local: Mapping[Key, Point]) -> dict[Key, Point]:
    """Turn a layout from upwards to the right."""
    return {key: (y, -x) for key, (x, y) in local.items()}


def _hangs(source: SketchNode, target: SketchNode) -> bool:
    """Whether an edge is laid out upside down: from targets to losses, and between adjoints."""
    return source.kind == "target" or (source.kind == target.kind == "adjoint")


def _relations(inner: Inner) -> tuple[list[tuple[Key, Key]], set[Key]]:
    """Return the pairs of rows below and above in a column, and the recurrent rows."""
    order: dict[tuple[Key, Key], None] = {}
    recurrent: set[Key] = set()
    for source, target, edge in inner:
        a, b = source.spot, target.spot
        if (a.column, a.row) != (b.column, b.row) and not a.spans and not b.spans:
            if a.key == b.key:
                recurrent.add(a.key)
            continue
        here = edge.kind not in ("gap", "boundary", "feedback") and edge.delay is None
        dots = GAP in (*a.key, *b.key)  # these stand beside the points they are left out from
        if here and a.key != b.key and not dots:
            order[(b.key, a.key) if _hangs(source, target) else (a.key, b.key)] = None
    return list(order), recurrent


def _independent(keys: Sequence[Key], order: Iterable[tuple[Key, Key]]) -> bool:
    """Whether no row of a group leads to another one."""
    readers: dict[Key, list[Key]] = defaultdict(list)
    for below, above in order:
        readers[below].append(above)
    own = set(keys)
    work = [r for key in keys for r in readers[key]]
    seen: set[Key] = set()
    while work:
        key = work.pop()
        if key in own:
            return False
        if key not in seen:
            seen.add(key)
            work += readers[key]
    return True


def _ranks(names: Mapping[Key, str], rows: Sequence[Sequence[str]]) -> list[list[str]]:
    found = [[names[k] for k in names if k[0] in row] for row in rows]
    return [layer for layer in found if layer]


def _alone(key: Key, local: Mapping[Key, Point], sizes: Mapping[Key, Size]) -> dict[Key, Point]:
    """Lift everything level with a row, or above it, so that the row is free."""
    level = local[key][1]
    beside = [k for k in local if k != key and abs(local[k][1] - level) < 4.0]
    if not beside:
        return dict(local)
    lift = max(sizes[k].height for k in (key, *beside)) / 2 + sizes[key].height / 2 + 14.0
    return {k: (x, y + lift if k != key and y > level - 4.0 else y) for k, (x, y) in local.items()}


def _own_row(
    key: Key, local: Mapping[Key, Point], sizes: Mapping[Key, Size], *, below: bool
) -> dict[Key, Point]:
    """Move a bar up or down, out of a row that it would share, and make room there."""
    x, level = local[key]
    beside = [k for k in local if k != key and abs(local[k][1] - level) < 4.0]
    if not beside:
        return dict(local)
    step = max(sizes[k].height for k in beside) / 2 + BAR_HEIGHT / 2 + 24.0
    if below:
        moved = {k: (a, b - step if b < level - 4.0 else b) for k, (a, b) in local.items()}
        return {**moved, key: (x, level - step)}
    moved = {k: (a, b + step if b > level + 4.0 else b) for k, (a, b) in local.items()}
    return {**moved, key: (x, level + step)}


def _arrange(blocks: list[BlockPlace]) -> None:
    """Put blocks side by side, or above the block that they name."""
    by_name = {b.block.name: b for b in blocks}
    right: float | None = None
    before: BlockPlace | None = None  # a grid: the next block stands beside its last row
    for place_ in blocks:
        below = by_name[place_.block.above] if place_.block.above is not None else None
        low, high = place_.span
        if below is not None:
            _widen(below, 0.7 * (high - low))
            centre = below.x + sum(below.span) / 2
            place_.x = centre - (low + high) / 2
            place_.y = below.y + below.bounds[3] - place_.bounds[1] + BLOCK_GAP
        elif right is not None:
            place_.x = right + BLOCK_GAP - low
            lowest = min(y for _, y in place_.local.values())
            place_.y = before.depth + before.level - lowest if before else 0.0
        right = max(right if right is not None else -1e9, place_.x + high)
        before = place_ if place_.block.grid else None


def _widen(block: BlockPlace, width: float) -> None:
    """Spread the columns of a block below a wider one."""
    low, high = block.span
    if width > high - low:
        factor = min(width / (high - low), WIDEST)
        block.bars = {k: (a * factor, b * factor) for k, (a, b) in block.bars.items()}
        block.pitch, block.span = block.pitch * factor, (low * factor, high * factor)


def _frame(frame: SketchNode, members: Sequence[Node]) -> Node:
    left = min(n.x - n.width / 2 for n in members) - FRAME_PAD
    right = max(n.x + n.width / 2 for n in members) + FRAME_PAD
    low = min(n.y - n.height / 2 for n in members) - FRAME_PAD
    high = max(n.y + n.height / 2 for n in members) + FRAME_PAD
    return Node(
        id=frame.id, label="", kind="frame", x=(left + right) / 2, y=(low + high) / 2,
        width=right - left, height=high - low, shape="frame", tooltip=frame.tooltip,
        frames=frame.frames,
    )  # fmt: skip


def _node(node: SketchNode, block: BlockPlace) -> Node:
    size = block.sizes[node.spot.key]
    x, y = block.at(node.spot.key, node.spot.column, node.spot.row)
    width, height, shape = size.width, size.height, size.shape
    if node.spot.spans:
        low, high = block.bars[node.spot.key]
        x, width, shape = block.x + (low + high) / 2, max(high - low, size.width), "bar"
        height = BAR_HEIGHT
    if node.small:
        width, height, shape = 20.0, 16.0, "words"
    return Node(
        id=node.id, label=node.label, kind=node.kind, x=x, y=y, width=width, height=height,
        shape=shape, tooltip=node.tooltip, members=node.members,
    )  # fmt: skip
