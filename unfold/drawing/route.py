"""Choose a curve for an edge, and a place for its label: the least bad of few candidates wins.

In: the outlines in the way, the existing curves and labels, the ends of the edge. Out: a curve that
keeps clear of nodes and, if possible, of other curves and labels. Candidates range from the plain
to the far-fetched: straight, S-shaped, arcs on both sides, around everything between the ends.

A cost counts sampled points: inside a foreign node (worst), along another curve, and the length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import hypot

import numpy as np
from numpy.typing import NDArray

from unfold.drawing import palette
from unfold.drawing.curves import SAMPLES, Outline, Points, cut, line, moved, sample
from unfold.drawing.picture import Curve, Point

CLEAR = 7.0
ALONG = 5.0
CROSSING = 0.4
FARFETCHED = 0.8
REACH = 120.0
FAR = 300.0
GRID = 9
BESIDE = 60.0
BETWEEN = 6
BULGES = (12.0, 20.0, 30.0, 42.0, 56.0, 75.0, 100.0, 135.0, 180.0, 240.0)
Rectangle = tuple[float, float, float, float]


@dataclass
class Surroundings:
    """The obstacles of a new curve; every curve is stored with the same number of points."""

    outlines: list[Outline] = field(default_factory=list)
    curves: list[Points] = field(default_factory=list)
    labels: list[Rectangle] = field(default_factory=list)

    def add_curve(self, curve: Curve, shifts: Iterable[Point]) -> None:
        """Remember a curve and its copies."""
        points = thinned(sample(curve))
        self.curves += [points + shift for shift in shifts]

    def add_label(self, label: Rectangle, shifts: Iterable[Point]) -> None:
        """Remember a label and its copies."""
        self.labels += [(label[0] + x, label[1] + y, label[2], label[3]) for x, y in shifts]


def thinned(points: Points) -> Points:
    """Return SAMPLES + 1 of the points of a curve, ends included."""
    return points[np.linspace(0, len(points) - 1, SAMPLES + 1).round().astype(int)]


@dataclass(frozen=True)
class Routed:
    """A chosen curve with its arrow's point."""

    curve: Curve
    tip: Point


def route(
    source: Outline,
    target: Outline,
    around: Surroundings,
    *,
    sideways: bool = False,
    daring: bool = True,
    thorough: bool = True,
    clear: float = CLEAR,
) -> Routed:
    """Return the best curve from one shape to another.

    Args:
        source: outline the curve leaves.
        target: outline the arrow points at.
        around: the obstacles; the two ends may be among them.
        sideways: whether the two are in different columns, so that curves that leave to the side
            read better.
        daring: whether to try wide arcs, too.
        thorough: whether to search a detour if all of these run through nodes.
        clear: the distance to keep from obstacles.
    """
    loop = (source.x, source.y) == (target.x, target.y)
    candidates = _loops(source) if loop else _candidates(source, target, sideways, daring)
    best: tuple[float, Routed] | None = None
    others = [o for o in around.outlines if not o.within(source) and not o.within(target)]
    ends = np.array([(source.x, source.y), (target.x, target.y)])
    costs = _Costs.of(ends, others, around, clear)
    for rank, candidate in enumerate(candidates):
        if loop:
            body, tip = _cut_loop(candidate, source)
        else:
            body, tip = cut(candidate, source, target)
        cost = rank * FARFETCHED + costs.cost(body, tip)
        if best is None or cost < best[0]:
            best = (cost, Routed(body, tip))
        if best[0] <= (rank + 1) * FARFETCHED:  # every later candidate costs more
            break
    assert best is not None
    if thorough and not loop and costs.blocked(best[1].curve):
        best = min([best, *_detours(source, target, costs)], key=lambda found: found[0])
    return best[1]


def _detours(source: Outline, target: Outline, costs: _Costs) -> Iterator[tuple[float, Routed]]:
    """Yield curves by way of one point of a grid around the two ends, with their costs."""
    xs = np.linspace(*_wider(source.x, target.x), GRID)
    ys = np.linspace(*_wider(source.y, target.y), GRID)
    start, end = np.array([source.x, source.y]), np.array([target.x, target.y])
    for x in xs:
        for y in ys:
            via = np.array([x, y])
            out, back = np.hypot(*(via - start)), np.hypot(*(end - via))
            ahead = (end - start) / (np.hypot(*(end - start)) or 1.0)
            points = (
                start, start + (via - start) * 0.4, via - ahead * out * 0.35, via,
                via + ahead * back * 0.35, end - (end - via) * 0.4, end,
            )  # fmt: skip
            body, tip = cut(tuple((float(a), float(b)) for a, b in points), source, target)
            yield FARFETCHED + costs.cost(body, tip), Routed(body, tip)


def _wider(a: float, b: float) -> tuple[float, float]:
    return min(a, b) - REACH / 2, max(a, b) + REACH / 2


@dataclass(frozen=True)
class _Costs:
    """All obstacles, as arrays."""

    outlines: Points  # [outlines, 4]: x, y, half width, half height
    round: NDArray[np.bool_]
    curves: Points  # [curves, samples, 2]
    labels: Points  # [labels, 4]
    direct: float
    clear: float

    @classmethod
    def of(
        cls, ends: Points, outlines: Sequence[Outline], around: Surroundings, clear: float
    ) -> _Costs:
        """Collect the obstacles of an edge between two points [2, 2]."""
        direct = float(np.hypot(*(ends[1] - ends[0])))
        low, high = np.min(ends, axis=0), np.max(ends, axis=0)
        near = [
            o
            for o in outlines
            if low[0] - FAR < o.x + o.width / 2
            and o.x - o.width / 2 < high[0] + FAR
            and low[1] - FAR < o.y < high[1] + FAR
        ]
        boxes = [(o.x, o.y, o.width / 2, o.height / 2) for o in near]
        labels = [(x, y, w / 2 + 1, h / 2 + 1) for x, y, w, h in around.labels]
        curves = np.stack(around.curves) if around.curves else np.zeros((0, 1, 2))
        inside = (curves >= low - REACH) & (curves <= high + REACH)
        curves = curves[inside.all(axis=2).any(axis=1)]
        rounds = np.array([o.round for o in near], dtype=bool)
        return cls(
            np.array(boxes).reshape(-1, 4),
            rounds,
            curves,
            np.array(labels).reshape(-1, 4),
            direct,
            clear,
        )

    def cost(self, body: Curve, tip: Point) -> float:
        """Return the cost of a curve; 0 is perfect."""
        points = np.concatenate([sample(body), np.asarray([tip])])
        hits, deep = self._hits(points, self.clear), self._hits(points, 1.0)
        steps = np.hypot(*np.diff(points, axis=0).T)
        detour = max(0.0, float(steps.sum()) - self.direct) / max(self.direct, 40.0)
        cost = 60.0 * deep + 20.0 * hits + 6.0 * max(0.0, detour - 0.05)
        if len(self.curves):
            few = thinned(points)
            apart = few[None, :, None, :] - self.curves[:, None, :, :]
            near = (np.hypot(apart[..., 0], apart[..., 1]).min(axis=2) < ALONG).sum(axis=1)
            cost += float(1.5 * np.maximum(near - 2, 0).sum() + CROSSING * (near > 0).sum())
        if len(self.labels):
            inside = (
                np.abs(points[:, None, :] - self.labels[None, :, :2]) < self.labels[None, :, 2:]
            )
            cost += 2.0 * int(inside.all(axis=2).sum())
        return cost

    def blocked(self, body: Curve) -> bool:
        """Whether a curve runs through a foreign node."""
        return self._hits(sample(body), 0.0) > 0

    def _hits(self, points: Points, margin: float) -> int:
        if not len(self.outlines):
            return 0
        away = np.abs(points[:, None, :] - self.outlines[None, :, :2]) / (
            self.outlines[None, :, 2:] + margin
        )
        inside = np.where(self.round, (away**2).sum(axis=2) < 1.0, (away < 1.0).all(axis=2))
        return int(inside.sum())


def _candidates(source: Outline, target: Outline, sideways: bool, daring: bool) -> list[Curve]:
    start, end = (source.x, source.y), (target.x, target.y)
    found = [line(start, end)]
    across, up = end[0] - start[0], end[1] - start[1]
    length = hypot(across, up) or 1.0
    normal = (-up / length, across / length)
    if sideways and abs(up) > 1:
        for share in (0.5, 0.35, 0.7, 0.9):
            found.append(
                (
                    start,
                    (start[0] + across * share, start[1]),
                    (end[0] - across * share, end[1]),
                    end,
                )
            )
    elif abs(across) > 1 and not sideways:
        for share in (0.5, 0.75):
            found.append(
                (start, (start[0], start[1] + up * share), (end[0], end[1] - up * share), end)
            )
    for bulge in BULGES if daring else BULGES[:4]:
        for side in (1, -1):
            shift = (normal[0] * bulge * side, normal[1] * bulge * side)
            for hold in (0.3, 0.12):
                first = (start[0] + across * hold + shift[0], start[1] + up * hold + shift[1])
                second = (end[0] - across * hold + shift[0], end[1] - up * hold + shift[1])
                found.append((start, first, second, end))
    if sideways:
        found += _gutters(source, target)
    return found


def _gutters(source: Outline, target: Outline) -> list[Curve]:
    """Return curves that turn into the gap beside the source or the target and run along it."""
    found: list[Curve] = []
    sign = 1.0 if target.x > source.x else -1.0
    for gap in (26.0, 36.0, 48.0):
        for out_first in (True, False):
            x = (
                source.x + sign * (source.width / 2 + gap)
                if out_first
                else target.x - sign * (target.width / 2 + gap)
            )
            up = target.y - source.y
            if abs(up) < 30:
                continue
            turn = min(abs(up) / 2, 24.0) * (1 if up > 0 else -1)
            a, b = (x, source.y + turn), (x, target.y - turn)
            found.append(
                (
                    (source.x, source.y), (x, source.y), (x, source.y), a,
                    (a[0], a[1] + (b[1] - a[1]) / 3), (b[0], b[1] - (b[1] - a[1]) / 3), b,
                    (x, target.y), (x, target.y), (target.x, target.y),
                )
            )  # fmt: skip
    return found


def _loops(shape: Outline) -> list[Curve]:
    """Return loops on the right, on the left, above and below a shape, larger and larger."""
    found: list[Curve] = []
    wide, tall = shape.width / 2, shape.height / 2
    for reach in (52.0, 78.0, 106.0, 136.0, 168.0):
        for side in (1, -1):
            spread = 0.55 * tall + reach * 0.34
            x = shape.x + side * (wide + reach * 4 / 3 - wide * 0.3)
            found.append(
                (
                    (shape.x, shape.y + tall * 0.35),
                    (x, shape.y + spread),
                    (x, shape.y - spread),
                    (shape.x, shape.y - tall * 0.35),
                )
            )
        for side in (1, -1):
            spread = 0.55 * wide + reach * 0.34
            y = shape.y + side * (tall + reach * 4 / 3 - tall * 0.3)
            found.append(
                (
                    (shape.x - wide * 0.35, shape.y),
                    (shape.x - spread, y),
                    (shape.x + spread, y),
                    (shape.x + wide * 0.35, shape.y),
                )
            )
    return found


def _cut_loop(curve: Curve, shape: Outline) -> tuple[Curve, Point]:
    """Cut a loop in its middle, each half at the shape, and join the halves again."""
    points = np.asarray(curve)
    a = points[:-1] + (points[1:] - points[:-1]) / 2
    b = a[:-1] + (a[1:] - a[:-1]) / 2
    middle = (b[0] + b[1]) / 2
    first = tuple((float(x), float(y)) for x, y in (points[0], a[0], b[0], middle))
    second = tuple((float(x), float(y)) for x, y in (middle, b[1], a[2], points[3]))
    far = Outline(float(middle[0]), float(middle[1]), 0.01, 0.01)
    out = cut(first, shape, far)[0]
    back, tip = cut(second, far, shape)
    return (*out[:-1], (float(middle[0]), float(middle[1])), *back[1:]), tip


def place_label(
    text: str, curve: Curve, around: Surroundings, *, size: float = palette.NOTE_SIZE
) -> Rectangle:
    """Return the best place of a label: beside the curve, clear of nodes, labels and other curves.

    Returns:
        centre x, centre y, width and height.
    """
    points = sample(curve)
    curves = _near(points, around.curves)
    width, height = palette.text_width(text, size) + 3, size + 1
    best: tuple[float, Rectangle] | None = None
    for order, share in enumerate((0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.2, 0.8)):
        index = round(share * (len(points) - 1))
        ahead = points[min(index + 1, len(points) - 1)] - points[max(index - 1, 0)]
        length = hypot(*ahead) or 1.0
        normal = (-ahead[1] / length, ahead[0] / length)
        reach = abs(normal[0]) * width / 2 + abs(normal[1]) * height / 2 + 2
        for which, side in enumerate(_sides(normal)):
            x, y = (
                points[index][0] + side * normal[0] * reach,
                points[index][1] + side * normal[1] * reach,
            )
            spot = (float(x), float(y), width, height)
            cost = 0.6 * order + 0.4 * which + _label_cost(spot, curves, around)
            if best is None or cost < best[0]:
                best = (cost, spot)
    assert best is not None
    return best[1]


def place_square(curve: Curve, around: Surroundings, size: float) -> Point:
    """Return the place of a square on a curve: near its middle, but not on another curve."""
    points = sample(curve)
    others = _near(points, around.curves, own=False)
    best: tuple[float, Point] | None = None
    for order, share in enumerate((0.5, 0.45, 0.55, 0.4, 0.6, 0.35, 0.65, 0.3, 0.7)):
        x, y = points[round(share * (len(points) - 1))]
        touched = (np.abs(others - (x, y)) < size / 2 + 2).all(axis=1).sum()
        cost = order + 3.0 * float(touched)
        if best is None or cost < best[0]:
            best = (cost, (float(x), float(y)))
    assert best is not None
    return best[1]


def place_beside(
    text: str,
    square: Rectangle,
    curve: Curve,
    around: Surroundings,
    *,
    size: float = palette.NOTE_SIZE,
) -> Rectangle:
    """Return the best place of words beside a square on a curve, preferably outside its bend."""
    x, y, across, _ = square
    width, height = palette.text_width(text, size) + 2, size
    aside, over = across / 2 + width / 2 + 2, across / 2 + height / 2 + 1
    points = sample(curve)
    curves = _near(points, around.curves)
    away = x - (points[0][0] + points[-1][0]) / 2
    first = 1 if away >= 0 else -1
    spots = [(x + first * aside, y), (x - first * aside, y), (x, y - over), (x, y + over)]
    costs = [
        _label_cost((a, b, width, height), curves, around) + 0.3 * i
        for i, (a, b) in enumerate(spots)
    ]
    a, b = spots[costs.index(min(costs))]
    return a, b, width, height


def _near(curve: Points, others: Sequence[Points], *, own: bool = True) -> Points:
    """Return points of curves that come too close to a curve for a label between them."""
    if not others:
        return curve if own else curve[:0]
    low, high = curve.min(axis=0) - BESIDE, curve.max(axis=0) + BESIDE
    stacked = np.stack(others)
    meets = (stacked.min(axis=1) < high).all(axis=1) & (stacked.max(axis=1) > low).all(axis=1)
    a, b = stacked[meets, :-1, None], stacked[meets, 1:, None]
    dense = (a + (b - a) * np.arange(BETWEEN)[:, None] / BETWEEN).reshape(-1, 2)
    return np.concatenate([curve, dense]) if own else dense


def _sides(normal: Point) -> tuple[int, int]:
    """Prefer labels above a level line, and to the right of a steep one."""
    upwards = normal[1] > 0.35 or (abs(normal[1]) <= 0.35 and normal[0] > 0)
    return (1, -1) if upwards else (-1, 1)


def _label_cost(spot: Rectangle, curves: Points, around: Surroundings) -> float:
    x, y, width, height = spot
    cost = 0.0
    for o in around.outlines:
        over_x = (o.width + width) / 2 + 1 - abs(o.x - x)
        over_y = (o.height + height) / 2 + 1 - abs(o.y - y)
        if over_x > 0 and over_y > 0:
            cost += 12.0 if o.round and min(over_x, over_y) < 3 else 40.0
    for a, b, w, h in around.labels:
        if abs(a - x) < (w + width) / 2 and abs(b - y) < (h + height) / 2:
            cost += 30.0
    near = (np.abs(curves - (x, y)) < (width / 2, height / 2)).all(axis=1)
    return cost + 3.0 * int(near.sum())


def shifted(routed: Routed, x: float, y: float) -> Routed:
    """Return a copy of a routed curve elsewhere."""
    return Routed(moved(routed.curve, x, y), (routed.tip[0] + x, routed.tip[1] + y))
