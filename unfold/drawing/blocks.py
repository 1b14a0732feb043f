"""Choose the axis that runs across the page: group the boxes of a scheme into blocks of columns.

In: a scheme. Out: for every box its `Home`: its block, the axes that number the block's columns
(and, in a grid, rows), and the axes that are stacked inside a column. A box without the block's
axis is a bar that spans the columns (a loss, a context), or stands in one column (`o: V @ h[last]`
above the last one).

    x[s], h[s] | c[t], d[t], e[t,s]        blocks "s" and "t"; s is stacked inside a column of e
    h[i,j] with h[i-1,j] and h[i,j-1]      one block, a grid of rows i and columns j
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from unfold.core.affine import Affine
from unfold.core.dependence import Dependence, components
from unfold.core.program import Ref
from unfold.drawing.scheme import Scheme
from unfold.unfolded.lines import Line

Role = Literal["column", "bar", "fixed"]
GIVEN = ("input", "target")


@dataclass(frozen=True)
class Home:
    """The place of a box.

    Attributes:
        block: name of the block.
        outer: axes that choose the column, or row and column of a grid.
        inner: axes that are stacked inside the column.
        role: "column" (in every column), "bar" (spans them), or "fixed" (in one column).
        at: for "fixed", the index of that column, or None for the middle.
    """

    block: str
    outer: tuple[str, ...]
    inner: tuple[str, ...]
    role: Role = "column"
    at: Affine | None = None


@dataclass(frozen=True)
class Plan:
    """The division of the page.

    Attributes:
        blocks: from left to right, with the axes that number their columns.
        homes: of every box.
        above: the block below, by the block above it.
        parallel: boxes whose inner points do not depend on one another; they get a frame.
    """

    blocks: Mapping[str, tuple[str, ...]]
    homes: Mapping[str, Home]
    above: Mapping[str, str]
    parallel: frozenset[str]


def plan_blocks(scheme: Scheme, columns: Iterable[str] = ()) -> Plan:
    """Group the boxes of a scheme.

    Args:
        scheme: to draw.
        columns: axes that the user wants across the page.
    """
    wanted = tuple(columns)
    arcs = [_arc(x.target, x.source) for x in _all(scheme)]
    groups = components(list(scheme.boxes), arcs)
    homes: dict[str, Home] = {}
    parallel: list[str] = []
    grids = _grids(scheme, wanted)
    for group in groups:
        carried = _carried(scheme, set(group))
        for name in group:
            axes = scheme.boxes[name].axes
            grid = next((g for g in grids if set(g) <= set(axes)), None)
            if grid:
                homes[name] = Home(",".join(grid), grid, _without(axes, grid))
            elif axes:
                outer = min(axes, key=lambda a: (a not in wanted, a not in carried, axes.index(a)))
                homes[name] = Home(outer, (outer,), _without(axes, (outer,)))
            if name in homes and homes[name].inner and not carried & set(homes[name].inner):
                parallel.append(name)
    order = [n for group in groups for n in group]
    blocks = {homes[n].block: homes[n].outer for n in order if n in homes}
    _place_scalars(scheme, order, homes)
    in_order = _block_order(scheme, order, homes)
    above = _stacked(scheme, homes, in_order)
    for name, below in above.items():  # a block must be placed before the one above it
        if in_order.index(name) < in_order.index(below):
            in_order.remove(name)
            in_order.insert(in_order.index(below) + 1, name)
    blocks = {b: blocks.get(b, ()) for b in in_order}
    return Plan(blocks, homes, above, frozenset(parallel))


def plan_adjoint(forward: Plan, scheme: Scheme) -> Plan:
    """Give every adjoint the home of its value, so that both pictures have one layout.

    Args:
        forward: the plan of the forward picture.
        scheme: the adjoints' boxes; gradients of parameters become bars where they are summed.
    """
    own = {n: b.forward for n, b in scheme.boxes.items() if b.forward is not None}
    homes = {n: forward.homes[f] for n, f in own.items() if f in forward.homes}
    rest = [n for n in scheme.boxes if n not in homes]
    for name in rest:
        axes = scheme.boxes[name].axes
        if axes:
            outer = min(axes, key=lambda a: (a not in forward.blocks, axes.index(a)))
            homes[name] = Home(outer, (outer,), _without(axes, (outer,)))
    _place_scalars(scheme, rest, homes)
    used = {h.block for h in homes.values()}
    blocks = {b: axes for b, axes in forward.blocks.items() if b in used}
    blocks |= {h.block: h.outer for h in homes.values() if h.block not in blocks}
    above = {a: b for a, b in forward.above.items() if a in used and b in used}
    parallel = frozenset(n for n, f in own.items() if f in forward.parallel)
    return Plan(blocks, homes, above, parallel)


def _arc(reader: str, source: str) -> Dependence:
    return Dependence(reader, Ref(source), {})


def _without(axes: tuple[str, ...], drop: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(a for a in axes if a not in drop)


def _all(scheme: Scheme) -> list[Line]:
    return [*scheme.lines, *scheme.starts]


def _carried(scheme: Scheme, group: set[str]) -> set[str]:
    """Return the axes along which a group of boxes depends on itself."""
    inside = [x for x in _all(scheme) if x.source in group and x.target in group]
    return {a for x in inside for a, o in x.offsets(scheme.boxes).items() if o}


def _grids(scheme: Scheme, wanted: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return pairs of axes of images: an input has both, and a box recurs along each alone."""
    found: dict[tuple[str, str], None] = {}
    inputs = [set(b.axes) for b in scheme.boxes.values() if b.kind in ("input", "target")]
    for name, box in scheme.boxes.items():
        alone: list[str] = []
        for line in scheme.lines:
            if line.source == name and set(scheme.boxes[line.target].axes) == set(box.axes):
                moves = [a for a, o in line.offsets(scheme.boxes).items() if o]
                alone += moves if len(moves) == 1 else []
        axes = tuple(a for a in box.axes if a in alone)
        if len(axes) == 2 and any(set(axes) <= i for i in inputs):
            rows, columns = axes if axes[0] not in wanted else (axes[1], axes[0])
            found[rows, columns] = None
    return list(found)


def _place_scalars(scheme: Scheme, order: list[str], homes: dict[str, Home]) -> None:
    """Give a home to the boxes without axes: by the boxes they read, then by their readers."""
    lines = _all(scheme)
    scalars = [n for n in order if n not in homes]
    readers = {
        n: [homes[x.target] for x in lines if x.source == n and x.target in homes] for n in scalars
    }
    for name in scalars:
        reads = [x for x in lines if x.target == name and x.source in homes]
        spread = [x for x in reads if _spreads(x, homes[x.source])]
        broadcast = [h for h in readers[name] if h.outer and h.role == "column"]
        if spread:  # over computed boxes rather than over inputs
            computed = [x for x in spread if scheme.boxes[x.source].kind not in GIVEN]
            home = homes[(computed or spread)[-1].source]
            homes[name] = _scalar(home, "bar", None)
        elif broadcast:
            homes[name] = _scalar(broadcast[0], "bar", None)
        elif reads:
            home = homes[reads[-1].source]
            at = _column(reads[-1], home, scheme) if home.role == "column" else home.at
            moves = at is not None and at.axes  # with an axis that is inside of a cell
            homes[name] = _scalar(home, "bar", None) if moves else _scalar(home, "fixed", at)
    for name in reversed(scalars):
        if name not in homes:
            near = [homes[x.target] for x in lines if x.source == name and x.target in homes]
            homes[name] = (
                _scalar(near[0], "fixed", near[0].at) if near else Home("", (), (), "fixed")
            )


def _scalar(home: Home, role: Role, at: Affine | None) -> Home:
    if len(home.outer) == 2:  # beside a grid, not inside it
        return Home(home.block + " after", (), (), "fixed")
    return Home(home.block, home.outer, (), role if home.outer else "fixed", at)


def _spreads(line: Line, home: Home) -> bool:
    return home.role == "column" and any(axis in home.outer for _, axis in line.bound)


def _column(line: Line, home: Home, scheme: Scheme) -> Affine:
    axes = scheme.boxes[line.source].axes
    return line.index[axes.index(home.outer[0])] if home.outer else Affine()


def _block_order(scheme: Scheme, order: list[str], homes: Mapping[str, Home]) -> list[str]:
    """Return blocks in an order in which each stands before its readers."""
    names = list(dict.fromkeys(homes[n].block for n in order))
    arcs = [
        _arc(homes[x.target].block, homes[x.source].block)
        for x in _all(scheme)
        if homes[x.target].block != homes[x.source].block
    ]
    return [b for group in components(names, arcs) for b in group]


def _stacked(scheme: Scheme, homes: Mapping[str, Home], blocks: list[str]) -> dict[str, str]:
    """Return the blocks that stand above others: their columns read many columns of the other."""
    found: dict[str, str] = {}
    computed = {homes[b.name].block for b in scheme.boxes.values() if b.kind not in GIVEN}
    given = {b for b in blocks if b not in computed}  # labels without places stand above the loss
    for line in scheme.lines:
        source, target = homes[line.source], homes[line.target]
        if (
            source.block == target.block
            or "column" not in (source.role, target.role)
            or len(source.outer) != 1
        ):
            continue
        if source.role == target.role == "column" and len(target.outer) == 1:
            index = line.index[scheme.boxes[line.source].axes.index(source.outer[0])]
            moving = bool(index.axes)
            if moving and blocks.index(source.block) < blocks.index(target.block):
                found.setdefault(target.block, source.block)
        elif source.role == "column" and target.role == "bar" and source.block in given:
            found.setdefault(source.block, target.block)
    return found
