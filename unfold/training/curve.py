"""The loss curve of a run as an SVG file.

The raw losses are drawn faintly, their running mean over a fortieth of the run strongly, and where
it is known the loss of guessing (ln V for V symbols) as a dashed line: the distance below it is
what was learnt.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

INK, FAINT, GUIDE = "#1f4e79", "#a9c4de", "#8a8a8a"


def draw_losses(losses: Sequence[float], *, title: str, guess: float | None = None) -> str:
    """Return an SVG of the loss per step.

    Arguments:
        losses: one per step, the first step first.
        title: the headline.
        guess: the loss of knowing nothing, drawn as a dashed line.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    values = np.asarray(losses, dtype=float)
    steps = np.arange(1, len(values) + 1)
    window = max(1, len(values) // 40)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, values, color=FAINT, linewidth=0.8, label="loss of each step")
    if len(values) > 1:
        smooth = np.convolve(values, np.ones(window) / window, mode="valid")
        axes.plot(steps[window - 1 :], smooth, color=INK, linewidth=1.8, label="running mean")
    if guess is not None:
        axes.axhline(
            guess, color=GUIDE, linestyle="--", linewidth=1, label=f"guessing: {guess:.3f}"
        )
    axes.set(title=title, xlabel="step", ylabel="loss", xlim=(0, len(values) + 1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": "unfold", "svg.fonttype": "none"}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    return buffer.getvalue()
