"""Forward–backward over the lattice of alignments of one sequence, in log space (NumPy).

Graves et al. (2006) put a blank before, between and after the labels: z has S = 2 L + 1 positions.
A path moves through them with the frames: it stays, takes one step, or skips a blank that lies
between two different labels. With e[t,s] the log-probability of z[s] at frame t:

    α[t,s] = e[t,s] + log of the sum of exp over α[t-1,s], α[t-1,s-1] and, where z[s] is a label
             other than z[s-2], α[t-1,s-2]     paths that end here
    β[t,s]                                     paths that go on from here, without e[t,s]
    log p(labels) = log of the sum of exp over α[T-1,S-1], α[T-1,S-2]
    γ[t,k] = sum over the s with z[s] = k of exp(α[t,s] + β[t,s] - log p)

γ is the gradient of log p by the log-probabilities: how likely frame t says k, given the labels.
If nothing explains the labels (too few frames), log p is minus infinity and γ zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Array = Any


@dataclass(frozen=True)
class Lattice:
    """The alignments of one sequence.

    Attributes:
        log_probs: [T, K].
        labels: [L], without those of class -1.
        blank: the class between labels.
    """

    log_probs: Array
    labels: Array
    blank: int

    @cached_property
    def symbols(self) -> Array:
        """The labels with blanks around them, [S]."""
        found = np.full(2 * len(self.labels) + 1, self.blank)
        found[1::2] = self.labels
        return found

    @cached_property
    def skips(self) -> Array:
        """Whether a path may come from two positions before, [S]."""
        found = np.zeros(len(self.symbols), dtype=bool)
        found[3::2] = self.labels[1:] != self.labels[:-1]
        return found

    @cached_property
    def possible(self) -> bool:
        """Whether no label is the blank, which paths never leave as a label."""
        return not np.any(self.labels == self.blank)

    @cached_property
    def emitted(self) -> Array:
        """The log-probability of each position at each frame, [T, S]."""
        return self.log_probs[:, self.symbols]

    @cached_property
    def alpha(self) -> Array:
        """The log-probability of all paths up to a frame that end at a position, [T, S]."""
        found = np.full(self.emitted.shape, -np.inf)
        for t, here in enumerate(self.emitted):
            if t == 0:
                found[t, :2] = here[:2]
            else:
                found[t] = here + _sum(self._before(found[t - 1], -np.inf))
        return found

    @cached_property
    def beta(self) -> Array:
        """The log-probability of all continuations from a position, without its own emission."""
        found = np.full(self.emitted.shape, -np.inf)
        found[-1:, -2:] = 0.0
        for t in range(len(found) - 2, -1, -1):
            found[t] = _sum(self._after(self.emitted[t + 1] + found[t + 1], -np.inf))
        return found

    @cached_property
    def log_probability(self) -> float:
        """The log-probability of the labels."""
        if not self.possible:
            return -np.inf
        if not len(self.log_probs):
            return -np.inf if len(self.labels) else 0.0
        return float(_sum(self.alpha[-1, -2:][:, None])[0])

    @cached_property
    def visits(self) -> Array:
        """The probability that a path of these labels is at a position, [T, S]."""
        total = self.log_probability
        if total == -np.inf:
            return np.zeros(self.emitted.shape)
        return np.exp(self.alpha + self.beta - total)

    def occupancy(self) -> Array:
        """Return γ, [T, K]."""
        return self._by_class(self.visits)

    def curvature(self, direction: Array) -> Array:
        """Return the change of γ with the log-probabilities moving in a direction, [T, K]."""
        if self.log_probability == -np.inf:
            return np.zeros(self.log_probs.shape)
        moved = direction[:, self.symbols]
        ahead, back = np.zeros(moved.shape), np.zeros(moved.shape)
        for t in range(len(moved)):
            if t == 0:
                ahead[t] = moved[t]
            else:
                shares = _shares(self._before(self.alpha[t - 1], -np.inf))
                ahead[t] = moved[t] + (shares * self._before(ahead[t - 1], 0.0)).sum(0)
        for t in range(len(moved) - 2, -1, -1):
            shares = _shares(self._after(self.emitted[t + 1] + self.beta[t + 1], -np.inf))
            back[t] = (shares * self._after(moved[t + 1] + back[t + 1], 0.0)).sum(0)
        total = (_shares(self.alpha[-1, -2:][:, None])[:, 0] * ahead[-1, -2:]).sum()
        return self._by_class(self.visits * (ahead + back - total))

    def _before(self, row: Array, empty: float) -> Array:
        """Return the values at the positions from which each position may be entered, [3, S]."""
        padded = np.concatenate([[empty, empty], row])
        return np.stack([row, padded[1:-1], np.where(self.skips, padded[:-2], empty)])

    def _after(self, row: Array, empty: float) -> Array:
        """Return the values at the positions to which each position may be left, [3, S]."""
        entered = np.concatenate([np.where(self.skips, row, empty), [empty, empty]])
        return np.stack([row, np.concatenate([row[1:], [empty]]), entered[2:]])

    def _by_class(self, values: Array) -> Array:
        found = np.zeros(self.log_probs.shape)
        np.add.at(found.T, self.symbols, values.T)
        return found


def _sum(terms: Array) -> Array:
    """Return the log of the sum of exp over the first dimension."""
    return np.logaddexp.reduce(terms, axis=0)


def _shares(terms: Array) -> Array:
    """Return the share of each term in the sum of exp over the first dimension."""
    total = _sum(terms)
    return np.where(total == -np.inf, 0.0, np.exp(terms - np.where(total == -np.inf, 0.0, total)))


def lattices(operands: Sequence[Array], blank: int) -> Iterator[tuple[tuple[int, ...], Lattice]]:
    """Yield the lattice of every (sequence, index point).

    Args:
        operands: log-probabilities [batch, points, T, K], labels [batch, points, L], numbers of
            frames and of labels [batch, points, 1].
        blank: the class between labels.
    """
    log_probs, labels, frames, count = operands[:4]
    for at in np.ndindex(*log_probs.shape[:2]):
        own = labels[at][: int(count[at][0])]
        yield at, Lattice(log_probs[at][: int(frames[at][0])], own[own >= 0], blank)


def together(operands: Sequence[Array]) -> list[Array]:
    """Repeat operands, so that all have the same sequences and index points."""
    lead = np.broadcast_shapes(*(x.shape[:2] for x in operands))
    return [np.broadcast_to(x, (*lead, *x.shape[2:])) for x in operands]
