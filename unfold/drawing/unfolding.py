"""The unfolded graph with its picture, which `model.unfold(t=5)` returns.

    graph = model.unfold(t=5, mode="free")
    graph.number_of_nodes(); graph.to_networkx(); graph.to_svg()

It is an `UnfoldedGraph` with methods that draw it; notebooks display it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import final

from unfold.core.program import Program
from unfold.drawing.render import Figure
from unfold.runs.domain import Domain
from unfold.unfolded.graph import UnfoldedGraph


@final
class Unfolding(UnfoldedGraph):
    """An unfolded graph that can be drawn.

    Args:
        program, domain, detail, feedback: as in `UnfoldedGraph`.
        draw: makes the picture.
    """

    def __init__(
        self,
        program: Program,
        domain: Domain,
        *,
        detail: str,
        feedback: Collection[str],
        draw: Callable[[], Figure],
    ) -> None:
        super().__init__(program, domain, detail=detail, feedback=feedback)
        self._draw = draw

    def figure(self) -> Figure:
        """Return the picture."""
        return self._draw()

    def to_svg(self) -> str:
        """Return the picture as SVG."""
        return self._draw().to_svg()

    def to_dot(self) -> str:
        """Return the picture as a Graphviz graph whose nodes have places."""
        return self._draw().to_dot()

    def save(self, path: str | Path) -> Path:
        """Write the picture in the format of the file's suffix (svg, png, pdf, dot)."""
        return self._draw().save(path)

    def _repr_svg_(self) -> str:
        return self.to_svg()
