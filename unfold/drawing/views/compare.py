"""Training beside use: the unfolded graphs of teacher forcing and of free running."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from unfold.drawing import palette
from unfold.drawing.picture import Picture, Words, joined
from unfold.drawing.render import Figure
from unfold.drawing.scene import Scene
from unfold.drawing.views import unfolded

NARROW_STEPS = 3
SIDE_GAP = 60.0
TITLES = {"teacher": "training (teacher forcing)", "free": "use (free running)"}


def draw(scene: Scene) -> Figure:
    """Draw both modes side by side."""
    scene = replace(scene, run=None)  # it was in one of them
    if scene.steps is None and not (scene.options.every or scene.options.steps):
        scene = replace(scene, steps=NARROW_STEPS)
    return side_by_side({t: unfolded.draw(replace(scene, mode=m)) for m, t in TITLES.items()})


def side_by_side(figures: Mapping[str, Figure]) -> Figure:
    """Return figures side by side, each below its title."""
    pictures = [figure.picture for figure in figures.values()]
    boxes = [p.box for p in pictures]
    base = max(b[3] for b in boxes)
    moved: list[Picture] = []
    x = 0.0
    for number, (picture, box, title) in enumerate(zip(pictures, boxes, figures, strict=True)):
        heading = Words(
            text=title, x=(box[0] + box[2]) / 2, y=box[3] + 26.0, size=palette.TITLE_SIZE,
            colour=palette.INK,
        )  # fmt: skip
        titled = replace(picture, words=(*picture.words, heading))
        moved.append(titled.shifted(x - box[0], base - box[3], prefix=f"{number}:"))
        x += box[2] - box[0] + SIDE_GAP
    return Figure(joined(" and ".join(figures), moved))
