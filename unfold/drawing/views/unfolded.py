"""The unfolded graph: columns are steps, rows are values, one colour per shared parameter."""

from __future__ import annotations

from unfold.drawing.finish import finish
from unfold.drawing.render import Figure
from unfold.drawing.scene import Scene


def draw(scene: Scene) -> Figure:
    """Draw every equation at every index point."""
    unrolling = scene.unrolled(scene.run)
    sketch = unrolling.sketch(scene.program.name, scene.styles, scene.options.rows)
    return Figure(finish(sketch))
