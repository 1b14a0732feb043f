"""A picture of dynamics: a panel for each input, with trajectories, fixed points and directions.

    one component     F(s) over s, with the diagonal; fixed points lie where they cross
    two               the plane, with arrows from s to F(s), and the speed |F(s) - s| as background
    more              the plane of the first two principal components of the visited states

A filled dot is a fixed point that attracts, an open dot one that repels, and a half-filled dot one
that does both. Its eigenvectors with real eigenvalues are lines: solid if states move away along
them, dashed if they approach.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from unfold.analysis.fixed_points import FixedPoint, FixedPoints
from unfold.analysis.state_map import StateMap
from unfold.analysis.trajectories import Plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray
Format = Literal["svg", "png", "pdf"]
INK, PATH, GRID = "#222222", "#5a6b7b", "#c8ccd0"
COLOURS = {
    "attractor": "#1f6fb4",
    "saddle": "#e08a1e",
    "repeller": "#c0392b",
    "neutral": "#7d5ba6",
}
FILLS = {"attractor": "full", "saddle": "left", "repeller": "none", "neutral": "right"}
FIELD, CURVE = 17, 201
MOST_PATHS, MOST_POINTS, MOST_DIRECTIONS, ACROSS = 40, 60, 4, 3


@dataclass(frozen=True)
class Panel:
    """One input, and the map that it defines.

    Attributes:
        title: names the input.
        flow: the map.
        found: its fixed points.
    """

    title: str
    flow: StateMap
    found: FixedPoints


def draw_dynamics(
    title: str, panels: Sequence[Panel], paths: Array, plane: Plane, *, format: Format = "svg"
) -> bytes:
    """Return a picture.

    Args:
        title: the headline.
        panels: at least one; all maps have the same state.
        paths: states of sequences, [batch, steps, n], not a number if there is none.
        plane: of the drawing.
        format: of the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(len(panels), ACROSS)
    down = -(-len(panels) // across)
    figure = Figure(figsize=(4.4 * across, 4.2 * down + 0.7), layout="constrained")
    FigureCanvasAgg(figure)
    grid = np.atleast_1d(figure.subplots(down, across, squeeze=False)).ravel()
    box = _box(panels, paths, plane)
    for axes, panel in zip(grid, panels, strict=False):
        if len(plane.origin) == 1:
            _draw_curve(axes, panel, paths, box)
        else:
            _draw_plane(axes, panel, paths, plane, box)
        axes.set_title(panel.title, fontsize="medium")
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    figure.suptitle(title, fontsize="large")
    figure.legend(
        handles=_legend(panels), loc="outside lower center", ncols=6, frameon=False,
        fontsize="small",
    )  # fmt: skip
    return saved(figure, format)


def saved(figure: Figure, format: Format) -> bytes:
    """Return a figure as a file, the same every time."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(format)
    with rc_context({"svg.hashsalt": "unfold", "svg.fonttype": "none"}):
        figure.savefig(buffer, format=format, dpi=120, metadata=metadata)
    return buffer.getvalue()


def _box(panels: Sequence[Panel], paths: Array, plane: Plane) -> Array:
    """Return the least and the largest drawn coordinate, [2, 1 or 2], with a margin."""
    visited = paths[np.isfinite(paths).all(axis=-1)]
    low, high = _bounds(plane.show(visited))
    # A distant fixed point would shrink everything else to a dot.
    reach = 1.5 * (high - low + 1e-3)
    near = [
        place
        for panel in panels
        for place in (plane.show(p.state) for p in panel.found.points)
        if (place >= low - reach).all() and (place <= high + reach).all()
    ]
    low, high = _bounds(np.array([low, high, *near]))
    margin = 0.08 * (high - low) + 1e-3
    return np.array([low - margin, high + margin])


def _bounds(places: Array) -> tuple[Array, Array]:
    return places.min(axis=0), places.max(axis=0)


def _draw_curve(axes: Axes, panel: Panel, paths: Array, box: Array) -> None:
    """Draw F(s) over s, and the states of sequences as ticks along the lower edge."""
    low, high = float(box[0, 0]), float(box[1, 0])
    states = np.linspace(low, high, CURVE)[:, None]
    axes.plot([low, high], [low, high], color=GRID, linewidth=1.0)
    axes.plot(states, panel.flow(states), color=INK, linewidth=1.6)
    visited = paths[np.isfinite(paths)]
    edge = axes.get_xaxis_transform()
    axes.plot(
        visited, np.zeros_like(visited), "|", color=INK, alpha=0.5, markersize=9, transform=edge
    )
    for point in panel.found.points[:MOST_POINTS]:
        axes.plot(point.state, point.state, **_marker(point.kind))
    name = panel.flow.labels[0]
    axes.set(xlabel=f"{name} before", ylabel=f"{name} after", xlim=(low, high))
    axes.margins(y=0.05)


def _draw_plane(axes: Axes, panel: Panel, paths: Array, plane: Plane, box: Array) -> None:
    (left, bottom), (right, top) = box
    if plane.share is None:
        _draw_field(axes, panel, box)
        names = panel.flow.labels
    else:
        names = tuple(f"component {i + 1} ({s:.0%})" for i, s in enumerate(plane.share))
    for path in paths[:MOST_PATHS]:
        places = plane.show(path)
        axes.plot(*places.T, color=INK, linewidth=0.8, marker=".", markersize=4, alpha=0.6)
    for point in panel.found.points[:MOST_POINTS]:
        place = plane.show(point.state)
        _draw_directions(axes, point, place, plane, 0.11 * (box[1] - box[0]))
        axes.plot(*place, **_marker(point.kind))
    axes.set(xlabel=names[0], ylabel=names[1], xlim=(left, right), ylim=(bottom, top))


def _draw_field(axes: Axes, panel: Panel, box: Array) -> None:
    """Draw the speed as background, and arrows in the direction of a step."""
    (left, bottom), (right, top) = box
    fine = _grid(box, 81)
    speed = np.linalg.norm(panel.flow(fine) - fine, axis=1).reshape(81, 81)
    axes.imshow(
        np.log10(np.maximum(speed, 1e-4)), extent=(left, right, bottom, top), origin="lower",
        aspect="auto", cmap="Greys", alpha=0.35, interpolation="bilinear",
    )  # fmt: skip
    states = _grid(box, FIELD)
    moves = panel.flow(states) - states
    # Long arrows would hide one another: beyond a cell of the grid they show only a direction.
    cell = (box[1] - box[0]) / FIELD
    lengths = np.linalg.norm(moves / cell, axis=1, keepdims=True)
    moves = moves / np.maximum(lengths, 1.0)
    axes.quiver(
        *states.T, *moves.T, angles="xy", scale_units="xy", scale=1.0, width=0.003, color=PATH,
        alpha=0.7,
    )  # fmt: skip


def _grid(box: Array, count: int) -> Array:
    """Return points of a box, row by row from the bottom, [count * count, 2]."""
    first, second = (np.linspace(box[0, i], box[1, i], count) for i in (0, 1))
    across, up = np.meshgrid(first, second)
    return np.stack([across.ravel(), up.ravel()], axis=1)


def _draw_directions(axes: Axes, point: FixedPoint, place: Array, plane: Plane, reach: Any) -> None:
    """Draw the eigenvectors of the real eigenvalues that matter most."""
    drawn = 0
    order = np.argsort(-np.abs(point.eigenvalues), kind="stable")
    for number in order:
        value = point.eigenvalues[number]
        if abs(np.imag(value)) > 1e-9 or drawn == MOST_DIRECTIONS:
            continue
        drawn += 1
        direction = plane.directions.T @ np.real(point.eigenvectors[:, number])
        size = math.hypot(*(direction / reach))
        if size < 0.05 / max(float(np.linalg.norm(reach)), 1e-12):
            continue
        ends = np.stack([place - direction / size, place + direction / size])
        style = "-" if abs(value) > 1 else (0, (2, 1.5))
        axes.plot(*ends.T, color=COLOURS[point.kind], linewidth=1.3, linestyle=style)


def _marker(kind: str) -> dict[str, Any]:
    return {
        "marker": "o",
        "markersize": 8,
        "color": COLOURS[kind],
        "fillstyle": FILLS[kind],
        "markerfacecoloralt": "white",
        "markeredgewidth": 1.4,
        "linestyle": "none",
        "zorder": 5,
    }


def _legend(panels: Sequence[Panel]) -> list[Any]:
    from matplotlib.lines import Line2D

    kinds = {p.kind for panel in panels for p in panel.found.points}
    shown = [Line2D([], [], label=k, **_marker(k)) for k in COLOURS if k in kinds]
    path = Line2D([], [], color=INK, linewidth=0.8, marker=".", label="states of sequences")
    return [*shown, path]
