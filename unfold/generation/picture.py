"""A picture of generated numbers: the given ones and the written ones.

given ─────────╮┄┄┄┄┄┄ written
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Literal

import numpy as np

Array = np.ndarray
Format = Literal["svg", "png", "pdf"]
GIVEN = "#8a8a8a"
COLOURS = ("#1f4e79", "#c0504d", "#4f8a4f", "#8064a2", "#d98e2b", "#3b8ea5")


def draw_numbers(
    title: str,
    columns: Sequence[str],
    given: Array | None,
    written: Array,
    *,
    format: Format = "svg",
) -> bytes:
    """Return a picture of numbers over steps.

    Arguments:
        title: the headline.
        columns: their names.
        given: the numbers that were read, [steps, columns]; None if there are none.
        written: the numbers that were written, [steps, columns].
        format: of the picture.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    read = 0 if given is None else len(given)
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    steps = np.arange(read, read + len(written))
    for number, column in enumerate(columns):
        colour = COLOURS[number % len(COLOURS)]
        if given is not None:
            label = "given" if not number else None
            axes.plot(np.arange(read), given[:, number], color=GIVEN, linewidth=1.2, label=label)
            joint = (given[-1, number], written[0, number])
            axes.plot([read - 1, read], joint, color=colour, linewidth=1.6, linestyle=":")
        axes.plot(
            steps, written[:, number], color=colour, linewidth=1.6, label=f"written: {column}"
        )
    if read:
        axes.axvline(read - 0.5, color=GIVEN, linewidth=0.8, linestyle="--")
    axes.set(title=title, xlabel="step")
    axes.margins(x=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")
    buffer = io.BytesIO()
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(format)
    with rc_context({"svg.hashsalt": "unfold", "svg.fonttype": "none"}):
        figure.savefig(buffer, format=format, dpi=120, metadata=metadata)
    return buffer.getvalue()
