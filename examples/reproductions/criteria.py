"""The criteria of the papers for learning, on predictions and on trained models.

In: a trained model, strings. Out: shares and numbers. A prediction is right by rank where the k
symbols that may follow have the k highest outputs ("always the most active ones", Hochreiter &
Schmidhuber 1997); a string is right where all of its predictions are.

    B T B T S … E T E       reads B, must find T and P the highest two; … reads the E of the inner
                            string, must find T alone the highest: the last prediction but one
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import unfold
from examples.reproductions.experiment import BACKEND
from unfold.training.data import judge, make
from unfold.training.data.columns import Examples
from unfold.training.tasks.grammars import counting_legal, counting_string

Array = np.ndarray


@dataclass(frozen=True)
class Strings:
    """Strings in which every symbol predicts the next.

    Attributes:
        symbol, next: classes, [strings, steps]; -1 beyond the end of a string.
        legal: 1 for every symbol that may follow, [strings, steps, symbols].
        lengths: predictions of each string, [strings].
    """

    symbol: Array
    next: Array
    legal: Array
    lengths: Array


def draw_strings(task: str, generator: np.random.Generator, count: int) -> Strings:
    """Draw strings of a built-in task."""
    columns = make.task(task).draw(generator, count).columns
    symbol, following, legal = (columns[n].padded() for n in ("symbol", "next", "legal"))
    return Strings(symbol, following, legal, np.asarray(columns["symbol"].lengths))


def counting_strings(most: int, letters: str = "ab") -> Strings:
    """Return aⁿbⁿ (aⁿbⁿcⁿ) for every n from 1 to `most`, each between two boundaries."""
    alphabet = "$" + letters
    texts = [counting_string(letters, n) for n in range(1, most + 1)]
    lengths = np.array([len(text) - 1 for text in texts])
    codes = np.full((most, lengths[-1] + 1), -1)
    legal = np.zeros((most, lengths[-1], len(alphabet)))
    for row, text in enumerate(texts):
        codes[row, : len(text)] = [alphabet.index(symbol) for symbol in text]
        legal[row, : lengths[row]] = counting_legal(letters, row + 1)
    return Strings(codes[:, :-1], codes[:, 1:], legal, lengths)


def predictions_right(model: unfold.Model, params: Mapping[str, Any], strings: Strings) -> Array:
    """Say which predictions are right by rank, [strings, steps]; beyond the end nothing is said."""
    run = model.forward(
        params, {"x": strings.symbol}, lengths={"t": strings.lengths}, backend=BACKEND
    )
    return judge.right_by_rank(run["y"], strings.legal)


def all_right(model: unfold.Model, params: Mapping[str, Any], *sets: Strings) -> bool:
    """Say whether every symbol of every string of all sets is predicted right by rank."""
    return all(
        judge.right_sequences(predictions_right(model, params, strings), strings.lengths).all()
        for strings in sets
    )


def last_but_one(right: Array, lengths: Array) -> float:
    """Return the share of strings whose last prediction but one is right.

    In the embedded Reber grammar it is the one that needs the second symbol of the string.
    """
    return float(right[np.arange(len(lengths)), lengths - 2].mean())


def all_others(right: Array, lengths: Array) -> float:
    """Return the share of right predictions among all except the last but one."""
    steps = np.arange(right.shape[1])
    counted = (steps < lengths[:, None]) & (steps != lengths[:, None] - 2)
    return float(right[counted].mean())


def largest_run(right: Sequence[bool] | Array) -> int:
    """Return the largest n such that the strings 1 to n are all right.

    >>> largest_run([True, True, False, True])
    2
    """
    wrong = np.flatnonzero(~np.asarray(right, dtype=bool))
    return int(wrong[0]) if len(wrong) else len(right)


def sequences_until(
    losses: Sequence[float], below: float, *, batch: int, window: int
) -> int | None:
    """Return how many sequences were seen when the mean loss of the last `window` fell below.

    Arguments:
        losses: of every step.
        below: the bound of the mean.
        batch: sequences per step.
        window: the number of sequences in the mean; a multiple of `batch`.

    Returns:
        the number, or None where it never did.
    """
    steps = window // batch
    if len(losses) < steps:
        return None
    means = np.convolve(losses, np.ones(steps) / steps, mode="valid")
    reached = np.flatnonzero(means < below)
    return int(reached[0] + steps) * batch if len(reached) else None


def written_right(written: Array, ends: Array, wanted: Array, lengths: Array) -> float:
    """Return the share of sequences that are written as expected, with the right end."""
    pairs = zip(written, ends, wanted, lengths, strict=True)
    return float(np.mean([list(w[:n]) == list(v[:m]) for w, n, v, m in pairs]))


def unlike(examples: Examples, known: Examples, name: str) -> Examples:
    """Return the sequences that are not among the known ones."""

    def keys(some: Examples) -> list[tuple[int, ...]]:
        column = some.columns[name]
        assert column.lengths is not None
        rows = zip(column.padded(), column.lengths, strict=True)
        return [tuple(row[:n]) for row, n in rows]

    old = set(keys(known))
    return examples.select(np.array([n for n, key in enumerate(keys(examples)) if key not in old]))
