"""The loss curve of a run as a picture.

The picture shows the raw losses faintly, their running mean over a fortieth of the run strongly,
the losses on validation data as dots, and, if it is known, the loss of guessing (ln V for V
symbols) as a dashed line: the distance below it is the progress. A long run is drawn with at most a
few thousand points, each the mean of several steps.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

INK, FAINT, GUIDE, DOT = "#1f4e79", "#a9c4de", "#8a8a8a", "#c0504d"
MOST = 4000


@dataclass(frozen=True)
class Curve:
    """The content of the picture.

    Attributes:
        title: the headline.
        steps, losses: one for every record, the first step first.
        validated: (steps, losses) on validation data.
        guess: the loss of knowing nothing, drawn as a dashed line.
        unit: of the loss.
    """

    title: str
    steps: Sequence[int]
    losses: Sequence[float]
    validated: tuple[Sequence[int], Sequence[float]] = ((), ())
    guess: float | None = None
    unit: str = ""


def draw_losses(curve: Curve, *, format: Literal["svg", "png"] = "svg") -> bytes:
    """Return a picture of the loss per step."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    steps, losses = _thinned(np.asarray(curve.steps), np.asarray(curve.losses, dtype=float))
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, losses, color=FAINT, linewidth=0.8, label="loss")
    window = max(1, len(losses) // 40)
    if window > 1:
        smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
        axes.plot(steps[window - 1 :], smooth, color=INK, linewidth=1.8, label="running mean")
    if len(curve.validated[0]):
        axes.plot(*curve.validated, color=DOT, marker="o", markersize=3.5, linewidth=1.2,
                  label="validation")  # fmt: skip
    if curve.guess is not None:
        label = f"guessing: {curve.guess:.3f}"
        axes.axhline(curve.guess, color=GUIDE, linestyle="--", linewidth=1, label=label)
    last = int(curve.steps[-1]) if len(curve.steps) else 1
    loss = f"loss ({curve.unit})" if curve.unit else "loss"
    axes.set(title=curve.title, xlabel="step", ylabel=loss, xlim=(0, last + 1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "unfold", "svg.fonttype": "none"}):
        if format == "svg":
            FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
        else:
            FigureCanvasAgg(figure)
            figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _thinned(steps: np.ndarray, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return means of groups of points, so that there are not too many."""
    group = -(-len(losses) // MOST)
    if group <= 1:
        return steps, losses
    whole = len(losses) // group * group
    return steps[:whole].reshape(-1, group)[:, -1], losses[:whole].reshape(-1, group).mean(1)
