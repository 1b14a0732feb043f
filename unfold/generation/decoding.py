"""The choice of the next symbol: checked options, and the random numbers they need.

Decoding()                               the rule of the spec: its argmax, or its sample
Decoding(temperature=0)                  greedy: the symbol with the largest score
Decoding(temperature=0.7, top_k=40)      drawn from softmax(scores / 0.7) of the best 40
Decoding(top_p=0.9)                      drawn from the fewest that have 0.9 of the probability
Decoding(beam=5, length_penalty=0.6)     the most probable whole sequence that 5 beams find
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from unfold.errors import DataError


@dataclass(frozen=True)
class Decoding:
    """A rule.

    Attributes:
        temperature: divides the scores before a symbol is drawn; 0 takes the largest one. None is
            the spec's own rule, or 1 where only the best few take part.
        top_k: only this many symbols with the largest scores take part.
        top_p: only the fewest symbols with at least this share of the probability take part.
        beam: the number of sequences to follow at a time; None draws or is greedy.
        length_penalty: the value of a sequence is log-probability / length ** length_penalty.
    """

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    beam: int | None = None
    length_penalty: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            DataError: one is out of range, or two exclude one another.
        """
        warm = self.temperature
        if warm is not None and not (np.isfinite(warm) and warm >= 0):
            raise DataError(f"temperature {warm}: expected a number of at least 0; 0 is greedy")
        if self.top_k is not None and self.top_k < 1:
            raise DataError(f"top-k {self.top_k}: expected at least 1 symbol")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise DataError(f"top-p {self.top_p}: expected a share above 0 and at most 1")
        if self.beam is not None and self.beam < 1:
            raise DataError(f"beam {self.beam}: expected at least 1 sequence")
        if not np.isfinite(self.length_penalty):
            raise DataError(f"length penalty {self.length_penalty}: expected a finite number")
        if self.beam is not None and (warm or self.narrows):
            what = "top-k" if self.top_k else "top-p" if self.top_p else "a temperature"
            raise DataError(f"a beam search does not draw: remove {what}, or remove the beam")

    @property
    def narrows(self) -> bool:
        """Whether only the best few symbols take part."""
        return self.top_k is not None or self.top_p is not None

    def warmth(self, own: float) -> float:
        """Return the temperature; `own` is that of the spec, 0 for its argmax."""
        if self.temperature is not None:
            return self.temperature
        return own or (1.0 if self.narrows else 0.0)


class Noise:
    """Gumbel's numbers times the temperature, in the order of the steps, separate for every row.

    The numbers of a text depend neither on its division into pieces nor on the texts beside it.

    Args:
        seed: of all rows.
        rows: their number.
        temperature: 0 gives zeros.
    """

    def __init__(self, seed: int, rows: int, temperature: float) -> None:
        self.temperature = temperature
        self.rows = rows
        self._drawn = [np.random.Generator(np.random.PCG64([seed, r])) for r in range(rows)]

    def next(self, steps: int, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return the numbers of the next steps, [rows, steps, *shape]."""
        if not self.temperature:
            return np.zeros((self.rows, steps, *shape), dtype)
        drawn = np.stack([g.gumbel(size=(steps, *shape)) for g in self._drawn])
        return (drawn * self.temperature).astype(dtype)
