"""Was the answer legal? Criteria for tasks in which several symbols may follow.

Arrays are [batch, steps, symbols]; beyond its length a sequence has no answers to judge.

    legal 1 0 1 0    scores .8 .1 .4 .3    right by rank (the two highest are the two legal ones),
                                           wrong by threshold 0.5 (one of the legal is below)
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def right_by_rank(scores: Array, legal: Array) -> Array:
    """Say where the k legal symbols are the k with the highest scores, [batch, steps].

    The criterion for Reber strings of Hochreiter & Schmidhuber (1997), section 5.1.
    """
    illegal = legal == 0
    lowest_legal = np.where(illegal, np.inf, scores).min(axis=-1)
    highest_illegal = np.where(illegal, scores, -np.inf).max(axis=-1)
    return np.asarray(lowest_legal > highest_illegal)


def right_by_threshold(scores: Array, legal: Array, threshold: float = 0.5) -> Array:
    """Say where just the legal symbols score above a threshold, [batch, steps].

    The criterion for counting languages of Gers & Schmidhuber (2001), where scores are between 0
    and 1.
    """
    return np.asarray(((scores > threshold) == (legal > 0)).all(axis=-1))


def right_sequences(right: Array, lengths: Array | None = None) -> Array:
    """Say which sequences are right at every step that they have, [batch].

    Arguments:
        right: [batch, steps].
        lengths: of the sequences, [batch]; default: all steps count.
    """
    if lengths is None:
        return np.asarray(right.all(axis=1))
    beyond = np.arange(right.shape[1]) >= np.asarray(lengths)[:, None]
    return np.asarray((right | beyond).all(axis=1))
