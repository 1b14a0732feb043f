"""Gradient clipping, in place on a flat gradient, and how much was cut.

By norm, the whole gradient is scaled down so that its Euclidean norm is at most the limit (Pascanu,
Mikolov & Bengio 2013): the direction stays. By value, every entry is cut to [-limit, limit], as in
min-char-rnn: the direction may change.

    ClipNorm(1)    [3, 4]  →  [0.6, 0.8],  share 1
    ClipValue(3)   [3, 4]  →  [3, 3],      share 1/2
"""

from __future__ import annotations

from functools import cache
from math import isfinite, sqrt
from typing import Any

import numpy as np
from pydantic import Field

from unfold.training.sections import Settings

Array = np.ndarray


@cache
def compiled() -> Any:
    """Return the compiled loops, which are loaded when they are needed first."""
    from unfold.training import kernels

    return kernels


class ClipNorm(Settings):
    """Scale all gradients down together to this norm."""

    norm: float = Field(gt=0, allow_inf_nan=False)

    def clip(self, gradient: Array, norm: float) -> float:
        """Scale a gradient of a known norm; return 1 where that changed it, else 0."""
        if not norm > self.norm:
            return 0.0
        compiled().scale(gradient, np.array([self.norm / norm], gradient.dtype))
        return 1.0


class ClipValue(Settings):
    """Cut every gradient entry to this size."""

    value: float = Field(gt=0, allow_inf_nan=False)

    def clip(self, gradient: Array, norm: float) -> float:
        """Cut a gradient; return the share of its entries that were changed."""
        if gradient.size == 0:
            return 0.0
        changed: int = compiled().cut(gradient, np.array([self.value], gradient.dtype))
        return changed / gradient.size


def euclidean(gradient: Array) -> float:
    """Return the Euclidean norm of a flat array, without overflow or underflow on the way."""
    total: float = compiled().sum_of_squares(gradient)
    if isfinite(total) and total > 1e-280:
        return sqrt(total)
    peak = float(np.abs(gradient).max(initial=0))
    if peak == 0 or not isfinite(peak):
        return peak
    return peak * sqrt(compiled().sum_of_squares(gradient.astype(np.float64) / peak))
