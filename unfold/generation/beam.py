"""Beam search: the most probable sequence among those that a few beams follow.

    beams of a row   ──one step, compiled, all beams as a batch──▶   scores of every next symbol
    beam × symbol    ──sum of log-probabilities, / length ** penalty──▶   the best W go on

A sequence that has ended stays among the W with its own value until no better one is left to
follow. One beam is greedy decoding; a beam for every possible sequence is an exhaustive search.
Equal values keep the order of the beams, then that of the symbols.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from unfold.generation.machine import Given, Machine, State

Array = np.ndarray


@dataclass(frozen=True)
class Best:
    """The best sequences of every row.

    Attributes:
        said: [rows, best, steps]; beyond a sequence's own length it is -1.
        lengths: [rows, best].
        log_probability: the sum over the symbols, [rows, best].
    """

    said: Array
    lengths: Array
    log_probability: Array


def search(
    machine: Machine,
    given: Given,
    state: State,
    steps: int,
    *,
    width: int,
    end: int | None,
    penalty: float = 0.0,
    best: int = 1,
) -> Best:
    """Return the best sequences that a beam search finds.

    Args:
        machine: that writes symbols.
        given: parameters and inputs of the rows.
        state: after the prompt.
        steps: the largest length.
        width: the number of beams of a row.
        end: a symbol that ends a sequence, in addition to the stopping rule of the spec.
        penalty: the value of a sequence is its log-probability / length ** penalty.
        best: the number of sequences of a row to return, at most `width`.
    """
    rows, symbols = given.rows, machine.symbols
    assert symbols is not None
    contexts = given
    said = np.full((rows, 1, steps), -1, np.int64)
    total = np.zeros((rows, 1))
    lengths = np.zeros((rows, 1), np.int64)
    limit = np.full((rows, 1), steps, np.int64)
    ended = np.zeros((rows, 1), bool)
    for step in range(steps):
        beams = said.shape[1]
        noise = np.zeros((rows * beams, 1, symbols), _element(given))
        piece = machine.write(given, noise, 1, state, scores=True)
        if step == 0 and piece.extent is not None:
            limit = np.minimum(piece.extent, steps)[:, None]
        scores = np.asarray(piece.scores)[:, 0].reshape(rows, beams, symbols)
        halts = _halts(machine, piece.ends).reshape(rows, beams)
        value, raw = _values(scores, total, ended)
        length = np.where(ended, lengths, step + 1)
        judged = value / length[:, :, None] ** penalty
        chosen = _best(judged, raw, width)
        beam, symbol = chosen // symbols, chosen % symbols
        at = np.arange(rows)[:, None]
        was = ended[at, beam]
        said = said[at, beam]
        said[:, :, step] = np.where(was, -1, symbol)
        total = value[at, beam, symbol]
        lengths = length[at, beam]
        limit = np.broadcast_to(limit, (rows, beams))[at, beam]
        ended = was | halts[at, beam] | (lengths >= limit)
        for last in {end, machine.end} - {None}:
            ended |= symbol == last
        if ended.all():
            break
        flat = (at * beams + beam).reshape(-1)
        state = piece.state.take(flat).saying(machine.loop.said, symbol.reshape(-1, 1))
        given = contexts.take(np.repeat(np.arange(rows), beam.shape[1]))
    return Best(said[:, :best], lengths[:, :best], total[:, :best])


def _values(scores: Array, total: Array, ended: Array) -> tuple[Array, Array]:
    """Return the log-probability of every candidate, and keys that order equal ones.

    A sequence that has ended is one candidate, at symbol 0.
    """
    raw = scores.astype(np.float64)
    top = raw.max(axis=2, keepdims=True)
    below = np.log(np.exp(raw - top).sum(axis=2, keepdims=True)) + top
    value = total[:, :, None] + (raw - below)
    only = np.full(raw.shape, -np.inf)
    only[:, :, 0] = total
    return np.where(ended[:, :, None], only, value), raw


def _best(judged: Array, raw: Array, width: int) -> Array:
    """Return the best candidates of every row, the best one first, as beam * symbols + symbol."""
    rows = judged.shape[0]
    flat, tie = judged.reshape(rows, -1), raw.reshape(rows, -1)
    order = np.stack([np.lexsort((-t, -f)) for f, t in zip(flat, tie, strict=True)])
    there = int(np.isfinite(np.take_along_axis(flat, order, axis=1)).sum(axis=1).min())
    return order[:, : max(1, min(width, there))]


def _halts(machine: Machine, ends: Array) -> Array:
    """Return where the spec's own condition ends a sequence, whatever the symbol."""
    return ends[:, 0] if machine.end is None else np.zeros(len(ends), bool)


def _element(given: Given) -> Any:
    return np.result_type(*(np.asarray(a).dtype for a in given.params.values()))
