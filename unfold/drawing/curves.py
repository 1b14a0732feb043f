"""Cubic Bézier curves: straight lines, arcs and chains, sampled, and cut at the outlines of shapes.

cut(line((0, 0), (100, 0)), circle at (0, 0), circle at (100, 0))   starts and ends on them
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unfold.drawing.picture import Curve, Point

Points = NDArray[np.float64]
SAMPLES = 24
ARROW = 8.0


@dataclass(frozen=True)
class Outline:
    """The outline of a shape: a circle or ellipse where `round`, else a rectangle."""

    x: float
    y: float
    width: float
    height: float
    round: bool = True

    def covers(self, points: Points, margin: float = 0.0) -> NDArray[np.bool_]:
        """Tell which points [n, 2] lie inside, a margin included."""
        across = np.abs(points[:, 0] - self.x) / (self.width / 2 + margin)
        up = np.abs(points[:, 1] - self.y) / (self.height / 2 + margin)
        return across**2 + up**2 < 1.0 if self.round else (across < 1.0) & (up < 1.0)

    def within(self, other: Outline) -> bool:
        """Whether the middle of this shape lies inside another one."""
        return abs(self.x - other.x) < other.width / 2 and abs(self.y - other.y) < other.height / 2

    def moved(self, x: float, y: float) -> Outline:
        """Return the same outline elsewhere."""
        return Outline(self.x + x, self.y + y, self.width, self.height, self.round)


def line(start: Point, end: Point) -> Curve:
    """Return a straight line as a cubic."""
    (a, b), (c, d) = start, end
    return (
        start,
        (a + (c - a) / 3, b + (d - b) / 3),
        (a + 2 * (c - a) / 3, b + 2 * (d - b) / 3),
        end,
    )


_T = np.linspace(0.0, 1.0, SAMPLES + 1)
_BASIS = np.stack([(1 - _T) ** 3, 3 * _T * (1 - _T) ** 2, 3 * _T**2 * (1 - _T), _T**3], axis=1)


def sample(curve: Curve) -> Points:
    """Return points along a curve, [SAMPLES per piece + 1, 2]."""
    control = np.asarray(curve, dtype=np.float64)
    pieces = [_BASIS @ control[i : i + 4] for i in range(0, len(curve) - 1, 3)]
    return np.concatenate([pieces[0], *(p[1:] for p in pieces[1:])])


def _split(piece: Points, t: float) -> tuple[Points, Points]:
    """Cut one cubic at t (de Casteljau)."""
    a = piece[:-1] + (piece[1:] - piece[:-1]) * t
    b = a[:-1] + (a[1:] - a[:-1]) * t
    c = b[0] + (b[1] - b[0]) * t
    return np.stack([piece[0], a[0], b[0], c]), np.stack([c, b[1], a[2], piece[3]])


def _crossing(curve: Curve, shape: Outline, margin: float) -> float:
    """Return the place at which a curve last leaves a shape, in pieces from its start."""
    inside = shape.covers(sample(curve), margin)
    if not inside.any():
        return 0.0
    low = int(np.flatnonzero(inside)[-1])
    if low == len(inside) - 1:
        return (len(curve) - 1) / 3
    left, right = low / SAMPLES, (low + 1) / SAMPLES
    for _ in range(12):
        middle = (left + right) / 2
        inner = shape.covers(at(curve, middle)[None], margin)[0]
        left, right = (middle, right) if inner else (left, middle)
    return left


def at(curve: Curve, place: float) -> Points:
    """Return the point of a curve at `place`, counted in pieces."""
    piece = min(int(place), (len(curve) - 1) // 3 - 1)
    control = np.asarray(curve[3 * piece : 3 * piece + 4], dtype=np.float64)
    t = place - piece
    weights = np.array([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    return weights @ control


def _after(curve: Curve, place: float) -> Curve:
    """Return the part of a curve after a place."""
    piece = min(int(place), (len(curve) - 1) // 3 - 1)
    control = np.asarray(curve[3 * piece : 3 * piece + 4], dtype=np.float64)
    rest = _split(control, place - piece)[1]
    return (*((float(x), float(y)) for x, y in rest), *curve[3 * piece + 4 :])


def cut(curve: Curve, source: Outline, target: Outline) -> tuple[Curve, Point]:
    """Cut a curve to run from the outline of one shape to an arrowhead at another.

    Returns:
        the curve, ending where the arrowhead begins, and the arrow's point on the outline.
    """
    curve = _after(curve, _crossing(curve, source, 0.5))
    backwards = curve[::-1]
    tip = at(backwards, _crossing(backwards, target, 0.5))
    body = _after(backwards, _crossing(backwards, target, ARROW))[::-1]
    return body, (float(tip[0]), float(tip[1]))


def moved(curve: Curve, x: float, y: float) -> Curve:
    """Return a curve elsewhere."""
    return tuple((a + x, b + y) for a, b in curve)
