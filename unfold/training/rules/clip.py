"""Gradient clipping, in place on a flat gradient, and the share of clipped entries.

By norm, the whole gradient is scaled down so that its Euclidean norm is at most the limit (Pascanu,
Mikolov & Bengio 2013): the direction stays. By value, every entry is cut to [-limit, limit], as in
min-char-rnn: the direction may change.

    ClipNorm(1)    [3, 4]  →  [0.6, 0.8],  share 1
    ClipValue(3)   [3, 4]  →  [3, 3],      share 1/2
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Annotated

import numpy as np
from pydantic import Field

from unfold.core.rule import Applied, Rule, interpret
from unfold.core.scalar import X, less, select

Array = np.ndarray
Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)]
SAFE = {"f": 1e-28, "d": 1e-298}  # sums of squares above have lost nothing to underflow


G, FACTOR, LIMIT = X("g"), X("factor"), X("limit")
ABOVE, BELOW = less(LIMIT, G), less(G, -LIMIT)
SQUARES = Rule("squares", ("g",), (), (("square", G * G),), sums=("square",))
SCALE = Rule("scale", ("g",), ("factor",), (("g", FACTOR * G),))
CUT = Rule(
    "cut",
    ("g",),
    ("limit",),
    (
        ("changed", select(ABOVE, 1.0, select(BELOW, 1.0, 0.0))),
        ("g", select(ABOVE, LIMIT, select(BELOW, -LIMIT, G))),
    ),
    sums=("changed",),
)


@dataclass(frozen=True)
class ClipNorm:
    """Scale all gradients down together to this norm."""

    norm: Limit

    @property
    def rule(self) -> Rule:
        """The operation on the gradient."""
        return SCALE

    def clip(self, apply: Applied, norm: float, size: int) -> float:
        """Scale a gradient of a known norm; return 1 where that changed it, else 0.

        Arguments:
            apply: does what the rule says.
            norm, size: of the gradient.
        """
        if not norm > self.norm:
            return 0.0
        apply(self.norm / norm)
        return 1.0


@dataclass(frozen=True)
class ClipValue:
    """Cut every gradient entry to this size."""

    value: Limit

    @property
    def rule(self) -> Rule:
        """The operation on the gradient."""
        return CUT

    def clip(self, apply: Applied, norm: float, size: int) -> float:
        """Cut a gradient; return the share of its entries that were changed."""
        (changed,) = apply(self.value)
        return changed / max(size, 1)


def euclidean(gradient: Array, squares: Applied | None = None) -> float:
    """Return the Euclidean norm of a flat array, without overflow or underflow on the way.

    Arguments:
        gradient: the array.
        squares: does what `SQUARES` says with it; default: NumPy does.
    """
    (total,) = (squares or interpret(SQUARES, {"g": gradient}))()
    if isfinite(total) and total > SAFE[gradient.dtype.char]:
        return sqrt(total)
    peak = float(np.abs(gradient).max(initial=0))
    if peak == 0 or not isfinite(peak):
        return peak
    return peak * sqrt(float(np.square(gradient.astype(np.float64) / peak).sum()))
