"""Ways to make a value from windows of another, and the loss of an alignment.

Each is a production, as in `productions.py`, whose tables list them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.differential.case import Piece
from tests.differential.draft import Place, Shape

if TYPE_CHECKING:
    from tests.differential.expressions import Writer


def windowed(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Slide a kernel, or a maximum or mean, along the last dimension of a matrix."""
    d = w.draft
    channels, positions = shape
    form = d.weigh({"plain": 3, "same": 2, "stride": 1, "windows": 1, "image": 1.5, "pool": 2.5})
    if form == "image":
        width = d.size()
        M = w.tame(w.real((positions, width), place, depth), 2.0)
        K = d.parameter((channels, "1", "2", "3"), place, "K")
        image = f"reshape({{0}}, shape=[1, {positions}, {width}])"
        text = f'einsum("oij->oi", conv2d({image}, {{1}}, padding=same))'
        return Piece(text, (M, K), "conv2d", 9.0)
    size = 2 if form in ("stride", "pool") else d.rng.randint(1, 3)
    length = positions
    if form in ("stride", "pool"):
        length = d.derived(f"2 * {positions}")
    elif form != "same" and size > 1:
        length = d.derived(f"{positions} + {size - 1}")
    if form == "pool":
        x = w.real((channels, length), place, depth)
        name = d.pick(["max_pool1d", "mean_pool1d"])
        return Piece(f"{name}({{0}}, size=2)", (x,), name, x.bound)
    inner = d.size()
    x = w.tame(w.real((inner, length), place, depth), 2.0)
    K = d.parameter((channels, inner, str(size)), place, "K")
    if form == "windows":
        text = f'einsum("ock,ckl->ol", {{1}}, windows({{0}}, size=[{size}]))'
        return Piece(text, (x, K), "windows", 6.0)
    how = {"same": ", padding=same", "stride": ", stride=2"}.get(form, "")
    if d.chance(0.4):
        bias = d.parameter((channels,), place)
        return Piece(f"conv1d({{0}}, {{1}}, {{2}}{how})", (x, K, bias), "conv1d", 8.0)
    return Piece(f"conv1d({{0}}, {{1}}{how})", (x, K), "conv1d", 6.0)


def filtered(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Add up the channels of a convolution."""
    piece = windowed(w, (w.draft.size(), shape[0]), place, depth)
    return piece and Piece('einsum("ij->j", {0})', (w.tame(piece, 2.0),), "einsum of one", 5.0)


def aligned(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Align the labels along one axis with what another axis emits."""
    d = w.draft
    free = [a for a in d.axes if a not in place.all_axes]
    found = d.sources(place, lambda v: v.kind == "category" and not set(v.axes).isdisjoint(free))
    if not found or len(free) < 2 or place.bound:
        return None
    labels = d.pick(found)
    s = d.pick([a for a in labels.axes if a in free])
    t = d.pick([a for a in free if a != s])
    reads = (d.read(labels, place.inside(s)) for _ in range(9))
    read = next((r for r in reads if re.search(rf"\b{s}\b", r.text)), None)
    if read is None:
        return None
    classes = d.derived(f"{labels.shape[0]} + 1")
    emitted = w.depends(w.tame(w.real((classes,), place.inside(t), depth), 3.0), t)
    lost = d.weigh({", impossible=0": 6, "": 1})
    text = f"0.1 * ctc[{t},{s}](log_softmax({{0}}), {{1}}, blank=last{lost})"
    return Piece(text, (emitted, read), "ctc", 5.0)
