"""Norms of gradients over the forward picture, on a logarithmic scale.

If gradients vanish or explode, colours and widths change along the steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from unfold.drawing import palette
from unfold.drawing.finish import finish
from unfold.drawing.legend import notes
from unfold.drawing.picture import Edge, Node, Patch, Picture, Words
from unfold.drawing.render import Figure
from unfold.drawing.scene import Scene

BAR_WIDTH = 240.0
STOPS = 48
NARROW, WIDE = 0.8, 4.5


def draw(scene: Scene) -> Figure:
    """Draw the norm of the gradient that arrives at each node."""
    unrolling = scene.unrolled()
    title = f"{scene.program.name}, gradient norms"
    sketch = unrolling.sketch(title, scene.styles, scene.options.rows)
    legend = tuple(notes(unrolling.scheme, ()))  # no parameters: the colours are norms
    picture = finish(replace(sketch, legend=legend))
    return Figure(with_norms(picture, scene.norms()))


def with_norms(picture: Picture, norms: Mapping[str, Any]) -> Picture:
    """Colour a forward picture by the norm of the gradient that arrives at each node.

    At a cell it is the joint norm of the gradients of all its equations.

    Args:
        picture: of the forward pass, without a legend.
        norms: for each value an array of norms over its axes, [*axes].
    """
    arrays = {name: np.asarray(array, dtype=np.float64) for name, array in norms.items()}
    found: dict[str, float] = {}
    for node in picture.nodes:
        own = [
            float(arrays[name][point])
            for name, point in node.members
            if point is not None and name in arrays and arrays[name].ndim == len(point)
        ]
        if own:
            found[node.id] = math.hypot(*own)
    scale = _Scale.of(found.values())
    nodes = tuple(
        _tinted(n, found[n.id], scale) if n.id in found else replace(n, fill=palette.PAPER)
        for n in picture.nodes
    )
    edges = tuple(_weighted(e, found, scale) for e in picture.edges)
    painted = replace(picture, nodes=nodes, edges=edges)
    return _with_bar(painted, scale) if found else painted


class _Scale:
    """A logarithmic scale from the least to the largest norm."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    @classmethod
    def of(cls, norms: Any) -> _Scale:
        """Take in every norm that is finite and not zero, in whole decades, at least one."""
        logs = [math.log10(n) for n in norms if n > 0 and math.isfinite(n)]
        low, high = (math.floor(min(logs)), math.ceil(max(logs))) if logs else (-1, 0)
        return cls(low, max(high, low + 1))

    def share(self, norm: float) -> float:
        """Return the place of a norm on the scale, 0 to 1."""
        if not norm > 0:
            return 0.0
        if not math.isfinite(norm):
            return 1.0
        return min(max((math.log10(norm) - self.low) / (self.high - self.low), 0.0), 1.0)


def _tinted(node: Node, norm: float, scale: _Scale) -> Node:
    text = f"{norm:.0e}".replace("e-0", "e-").replace("e+0", "e") if norm else "0"
    return replace(
        node,
        label=f"{node.label.partition(chr(10))[0]}\n{text}",
        fill=palette.norm_colour(scale.share(norm)),
        tooltip=(*node.tooltip, f"gradient norm: {norm:.3e}"),
    )


def _weighted(edge: Edge, norms: Mapping[str, float], scale: _Scale) -> Edge:
    """Draw an edge in the style of the gradient that flows back to its source."""
    if edge.source not in norms or edge.target not in norms:
        return replace(edge, colour=palette.FAINT_LINE, dash="solid", label="")
    share = scale.share(norms[edge.source])
    colour = palette.norm_colour(share)
    width = NARROW + (WIDE - NARROW) * share
    return replace(edge, colour=colour, dash="solid", width=width, label="")


def _with_bar(picture: Picture, scale: _Scale) -> Picture:
    """Add the colour bar below a picture, with a tick at every decade (at most seven)."""
    left, bottom, _, _ = picture.box
    y = bottom - 34.0
    width = BAR_WIDTH / STOPS
    patches = [
        Patch(
            x=left + (i + 0.5) * width, y=y, width=width + 0.4, height=12.0,
            fill=palette.norm_colour((i + 0.5) / STOPS),
        )
        for i in range(STOPS)
    ]  # fmt: skip
    decades = range(
        int(scale.low), int(scale.high) + 1, max(1, math.ceil((scale.high - scale.low) / 6))
    )
    words = [
        Words(text=f"1e{d}", x=left + BAR_WIDTH * scale.share(10.0**d), y=y - 15.0) for d in decades
    ]
    words.append(
        Words(
            text="norm of the gradient that arrives",
            x=left,
            y=y + 14.0,
            align="left",
            colour=palette.INK,
        )
    )
    return replace(
        picture, patches=picture.patches + tuple(patches), words=picture.words + tuple(words)
    )
