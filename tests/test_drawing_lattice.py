"""Pictures of losses over two axes, and of lattices that are drawn in part."""

from __future__ import annotations

import unfold
from unfold.drawing.picture import Node


def nodes(model: unfold.Model, **options: object) -> dict[str, Node]:
    """Return the nodes of an unfolded picture by their labels."""
    picture = model.draw("unfolded", **options).picture  # type: ignore[arg-type]
    return {node.label.partition("\n")[0]: node for node in picture.nodes}


def test_the_loss_spans_the_frames_and_the_labels_stand_above_it() -> None:
    found = nodes(unfold.load("ctc"))
    loss, first, last = found["loss"], found["x[0]"], found["x[19]"]
    assert loss.shape == "bar"
    assert loss.x - loss.width / 2 < first.x < last.x < loss.x + loss.width / 2
    labels = [found[f"y[{u}]"] for u in range(3)]
    assert all(y.y > loss.y > found["o[0]"].y for y in labels)
    assert abs(labels[1].x - loss.x) < loss.width / 10


def test_beside_points_that_are_not_drawn_there_is_no_boundary() -> None:
    model = unfold.loads(
        """
unfold: 1
name: lattice
axes: {t: 10, u: 3}
inputs:
  x[t]: []
nodes:
  a[t,u]: {is: "a[t-1,u] + a[t-1,u-1] + x[t]", shape: []}
initial:
  a: 1
loss: a[last,last]
"""
    )
    found = nodes(model, steps={"t": 4})
    assert {"a[-1,0]", "a[-1,-1]", "a[0,-1]", "a[9,2]"} <= set(found)
    assert "a[8,-1]" not in found, "t = 8 is among the dots"
