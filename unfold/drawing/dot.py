"""Graphviz, in-process: lay out one step with `dot`, and draw finished pictures with `nop2`.

The libraries come inside pygraphviz's wheels, so the system needs no installation. `dot` is
superlinear, so it gets only the nodes of one step; everything else is copied (see `place`).

    layered([Item("x", 40, 40), Item("h", 40, 40)], [("x", "h")])   {"x": (20, 20), "h": (20, 100)}
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import graphviz
import pygraphviz

from unfold.drawing.picture import Point
from unfold.errors import UnfoldError

POINTS_PER_INCH = 72.0
HARMLESS = ("Fontconfig warning", "too small for label", "is too large for cairo")


@dataclass(frozen=True)
class Item:
    """A node to lay out, with its size in points."""

    name: str
    width: float
    height: float


def layered(
    items: Sequence[Item],
    edges: Iterable[tuple[str, str]],
    *,
    ranks: Sequence[Sequence[str]] = (),
    level: Sequence[Sequence[str]] = (),
    gap_across: float = 26.0,
    gap_up: float = 40.0,
) -> dict[str, Point]:
    """Place nodes in layers with `dot`, sources at the bottom.

    Args:
        items: to place.
        edges: (below, above) pairs of names.
        ranks: groups of names that form a layer each, from the bottom.
        level: groups of names that stand side by side, in this order.
        gap_across: least distance between neighbours of a layer, in points.
        gap_up: distance between layers.
    """
    names = {item.name: f"n{i}" for i, item in enumerate(items)}
    graph = graphviz.Digraph(
        graph_attr={
            "rankdir": "BT",
            "nodesep": f"{gap_across / POINTS_PER_INCH:.3f}",
            "ranksep": f"{gap_up / POINTS_PER_INCH:.3f}",
        },
        node_attr={"fixedsize": "true", "shape": "box", "label": ""},
    )
    for item in items:
        size = {
            "width": f"{item.width / POINTS_PER_INCH:.4f}",
            "height": f"{item.height / POINTS_PER_INCH:.4f}",
        }
        graph.node(names[item.name], **size)
    height = {name: i for i, layer in enumerate(ranks) for name in layer}
    for below, above in edges:
        if below in height and above in height and height[below] >= height[above]:
            below, above = above, below  # layers that are asked for go before the edges' direction
        graph.edge(names[below], names[above])
    for layer in ranks:
        group = graphviz.Digraph(graph_attr={"rank": "same"})
        for name in layer:
            group.node(names[name])
        graph.subgraph(group)
    for layer in level:
        group = graphviz.Digraph(graph_attr={"rank": "same"})
        for one, other in pairwise(layer):
            group.edge(names[one], names[other], style="invis")
        graph.subgraph(group)
    for lower, upper in pairwise(ranks):
        graph.edge(names[lower[0]], names[upper[0]], style="invis")
    with quiet():
        drawn: Any = pygraphviz.AGraph(string=graph.source)
        drawn.layout(prog="dot")
    found: dict[str, Point] = {}
    for item in items:
        x, y = str(drawn.get_node(names[item.name]).attr["pos"]).split(",")
        found[item.name] = (float(x), float(y))
    drawn.close()
    return found


def drawn(source: str, form: str) -> bytes:
    """Draw DOT text whose nodes and edges have their places.

    Args:
        source: DOT text with `pos` attributes in points.
        form: a Graphviz format: svg, png:cairo, pdf ...
    """
    with quiet():
        graph: Any = pygraphviz.AGraph(string=source)
        graph.has_layout = True  # draw() then uses the given places, with the engine nop2
        try:
            return bytes(graph.draw(format=form))
        except (ValueError, OSError) as problem:
            raise UnfoldError(
                f"Graphviz could not draw the picture as {form}: {problem}"
            ) from problem
        finally:
            graph.close()


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the native libraries' remarks about fonts from the terminal; pass on the rest."""
    sys.stderr.flush()
    try:
        scratch = tempfile.TemporaryFile()  # noqa: SIM115
    except OSError:  # no folder for it, or a full disk: let them be seen
        yield
        return
    with scratch as held:
        saved = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            for text in held.read().decode("utf-8", "replace").splitlines():
                if text.strip() and not any(h in text for h in HARMLESS):
                    print(text, file=sys.stderr)
