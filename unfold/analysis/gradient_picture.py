"""A picture of gradient flow: gains over the distance, and the spectrum of a step.

Left, a curve for each part of the state on a scale of powers of ten: a straight line is a gradient
that vanishes or explodes at a constant rate, a level one lasts. Right, the median singular values
of the Jacobian of a step, largest first, and Lyapunov exponents as factors for each step.
"""

from __future__ import annotations

import numpy as np

from unfold.analysis.gradient_flow import GradientFlow
from unfold.analysis.picture import GRID, INK, Format, saved

COLOURS = ("#1f6fb4", "#e08a1e", "#2e8b57", "#c0392b", "#7d5ba6", "#5a6b7b")


def draw_gradients(title: str, found: GradientFlow, *, format: Format = "svg") -> bytes:
    """Return a picture.

    Args:
        title: the headline.
        found: what to draw.
        format: of the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.2, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    gains, spectrum = figure.subplots(1, 2, width_ratios=(3, 2))
    gains.axhline(0.0, color=GRID, linewidth=1.0)
    for number, (name, own) in enumerate(found.gains.items()):
        colour = COLOURS[number % len(COLOURS)]
        gains.plot(own / np.log(10), color=colour, linewidth=1.8, label=name)
    gains.set(
        xlabel=f"distance in steps along {found.axis}",
        ylabel="largest gain of a gradient, power of 10",
    )
    gains.legend(frameon=False, fontsize="small")
    numbers = np.arange(1, len(found.singular) + 1)
    size = 5 if len(numbers) < 40 else 2
    spectrum.axhline(1.0, color=GRID, linewidth=1.0)
    spectrum.plot(numbers, found.singular, "o", color=INK, markersize=size, label="singular values")
    factors = np.exp(found.exponents)
    spectrum.plot(
        numbers, factors, "s", color=COLOURS[3], fillstyle="none", markersize=size,
        label="exp of Lyapunov exponents",
    )  # fmt: skip
    spectrum.set(xlabel="number, largest first", ylabel="factor for a step")
    spectrum.set_ylim(bottom=0)
    spectrum.legend(frameon=False, fontsize="small")
    for axes in (gains, spectrum):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize="large")
    return saved(figure, format)
