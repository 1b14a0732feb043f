"""Gradient clipping: from gradients to gradients no larger than a limit, and how much was cut.

By norm, all arrays together are scaled down so that their common Euclidean norm is at most the
limit (Pascanu, Mikolov & Bengio 2013): the direction stays. By value, every entry is cut to
[-limit, limit], as in min-char-rnn: the direction may change.

    clip_by_norm({"W": [3, 4]}, 1)   → [0.6, 0.8],  norm 5, share 1
    clip_by_value({"W": [3, 4]}, 3)  → [3, 3],      norm 5, share 1/2
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Clipped:
    """Gradients after clipping.

    Attributes:
        gradients: the arrays, by parameter.
        norm: the Euclidean norm of all of them *before* clipping.
        share: the part of the entries that was changed, 0 to 1.
    """

    gradients: dict[str, Array]
    norm: float
    share: float


def global_norm(gradients: Mapping[str, Array]) -> float:
    """Return the Euclidean norm of all arrays taken as one vector, without overflow on the way."""
    peak = float(np.max([np.abs(g).max(initial=0) for g in gradients.values()], initial=0))
    if peak == 0 or not np.isfinite(peak):
        return peak
    squares = (np.square(g.astype(np.float64) / peak).sum() for g in gradients.values())
    return peak * float(np.sqrt(sum(squares)))


def keep(gradients: Mapping[str, Array]) -> Clipped:
    """Return the gradients as they are, with their norm."""
    return Clipped(dict(gradients), global_norm(gradients), 0.0)


def clip_by_norm(gradients: Mapping[str, Array], limit: float) -> Clipped:
    """Scale all gradients by one factor so that their common norm is at most `limit`."""
    norm = global_norm(gradients)
    if not norm > limit:
        return Clipped(dict(gradients), norm, 0.0)
    factor = limit / norm
    return Clipped({n: g * factor for n, g in gradients.items()}, norm, 1.0)


def clip_by_value(gradients: Mapping[str, Array], limit: float) -> Clipped:
    """Cut every entry to [-limit, limit]."""
    total = sum(g.size for g in gradients.values())
    cut = sum(int(np.count_nonzero(np.abs(g) > limit)) for g in gradients.values())
    clipped = {n: np.clip(g, -limit, limit) for n, g in gradients.items()}
    return Clipped(clipped, global_norm(gradients), cut / total if total else 0.0)
