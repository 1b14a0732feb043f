"""The circuit diagram: a delay is a black square on its edge, with its length beside it."""

from __future__ import annotations

from unfold.drawing.finish import finish
from unfold.drawing.fold import fold
from unfold.drawing.render import Figure
from unfold.drawing.scene import Scene


def draw(scene: Scene) -> Figure:
    """Draw the equations once, and their delays on the edges."""
    options, name = scene.options, scene.program.name
    return Figure(finish(fold(scene.scheme(), name, scene.styles, options.rows, options.direction)))
