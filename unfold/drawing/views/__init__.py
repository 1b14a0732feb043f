"""The views that users can request: one file and one line each.

Every file defines `draw`, a function from a `Scene` to a `Figure`.
"""

from __future__ import annotations

from collections.abc import Mapping

from unfold.drawing.scene import View
from unfold.drawing.views import backward, compare, folded, gradients, unfolded

VIEWS: Mapping[str, View] = {
    "folded": View(folded.draw),
    "unfolded": View(unfolded.draw),
    "backward": View(backward.draw),
    "gradients": View(gradients.draw, values=True),
    "compare": View(compare.draw),
}
