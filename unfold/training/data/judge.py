"""Criteria of correctness that no loss shows: legal answers, and distances to right ones.

Arrays are [batch, steps, symbols]; beyond its length a sequence has no answers to judge.

    legal 1 0 1 0    scores .8 .1 .4 .3    right by rank (the two highest are the two legal ones),
                                           wrong by threshold 0.5 (one of the legal is below)
    frames a - a b -    labels a a b       (- is the blank)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray


def right_by_rank(scores: Array, legal: Array) -> Array:
    """Tell where the k legal symbols are the k with the highest scores, [batch, steps].

    The criterion for Reber strings of Hochreiter & Schmidhuber (1997), section 5.1.
    """
    illegal = legal == 0
    lowest_legal = np.where(illegal, np.inf, scores).min(axis=-1)
    highest_illegal = np.where(illegal, scores, -np.inf).max(axis=-1)
    return np.asarray(lowest_legal > highest_illegal)


def right_by_threshold(scores: Array, legal: Array, threshold: float = 0.5) -> Array:
    """Tell where exactly the legal symbols score above a threshold, [batch, steps].

    The criterion for counting languages of Gers & Schmidhuber (2001), where scores are between 0
    and 1.
    """
    return np.asarray(((scores > threshold) == (legal > 0)).all(axis=-1))


def right_sequences(right: Array, lengths: Array | None = None) -> Array:
    """Tell which sequences are right at all of their steps, [batch].

    Arguments:
        right: [batch, steps].
        lengths: of the sequences, [batch]; default: all steps count.
    """
    if lengths is None:
        return np.asarray(right.all(axis=1))
    beyond = np.arange(right.shape[1]) >= np.asarray(lengths)[:, None]
    return np.asarray((right | beyond).all(axis=1))


def best_path(scores: Array, lengths: Array | None = None, *, blank: int = 0) -> list[Array]:
    """Return the labels of the most likely path, one array for each sequence.

    It takes the likeliest class of every frame, merges repeats, then drops blanks (best path
    decoding, Graves et al. 2006).

    Arguments:
        scores: [batch, frames, classes], larger for likelier classes.
        lengths: how many frames each sequence has, by default all.
        blank: the class that is not a label; -1 for the last one.
    """
    path = scores.argmax(axis=-1)
    blank %= scores.shape[-1]
    ends = np.full(len(path), path.shape[1]) if lengths is None else lengths
    found: list[Array] = []
    for own, end in zip(path, ends, strict=True):
        said = own[: int(end)]
        new = np.diff(said, prepend=blank) != 0
        found.append(said[new & (said != blank)])
    return found


def edit_distance(found: Sequence[int] | Array, wanted: Sequence[int] | Array) -> int:
    """Return the number of labels to insert, delete or change (Levenshtein 1966).

    >>> edit_distance([1, 2, 4], [1, 3, 2, 5])
    2
    """
    row = list(range(len(wanted) + 1))
    for i, label in enumerate(found, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(wanted, 1):
            changed = before + (label != other)
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, changed)
    return row[-1]


def label_error_rate(found: Sequence[Array], wanted: Array, lengths: Array | None = None) -> float:
    """Return the sum of edit distances over the number of expected labels.

    Arguments:
        found: labels of each sequence.
        wanted: [batch, labels], -1 where there is none.
        lengths: how many labels each sequence has, by default all.
    """
    ends = np.full(len(wanted), wanted.shape[1]) if lengths is None else lengths
    right = [w[: int(n)][w[: int(n)] >= 0] for w, n in zip(wanted, ends, strict=True)]
    errors = sum(edit_distance(f, w) for f, w in zip(found, right, strict=True))
    return errors / max(sum(map(len, right)), 1)
