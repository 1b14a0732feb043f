"""The longest and the shortest path that crosses a number of steps, from an input to an output.

In: a Program, an axis, a distance n. Out: `Paths`: the lengths of the longest and of the shortest
path whose delays add up to each σ = 0 … n. A gradient of a dependency over n steps is a sum over
such paths, so their lengths tell between how many factors it lies.

    h[t] = tanh(W @ h[t-1] + U @ x[t]), o[t] = V @ h[t]      both n + 2

The lengths grow by d_r and by 1/s for each step (`measures`): n d_r + d_f is never exceeded, and is
reached for some n, and the shortest path is never below n/s + c. Components of the folded graph are
visited in the order of reads. Inside of one, all delays have one sign; what goes from one to
another may also lead back, as a window over later inputs does.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from unfold.core.program import Program
from unfold.errors import DataError
from unfold.unfolded.folded import Arc, FoldedGraph, fold
from unfold.unfolded.measures import by_step, connected, measures, sign_of

MOST = 100_000  # steps


@dataclass(frozen=True)
class Paths:
    """Lengths of paths by the steps that they cross.

    Attributes:
        longest, shortest: for n = 0, 1, …; None where no path crosses n steps.
        depth: d_r, by which the longest path grows for each step.
        limit: d_f: no path is longer than n d_r + d_f.
        rise: 1/s, by which the shortest path grows for each step; None without recurrence.
    """

    longest: tuple[int | None, ...]
    shortest: tuple[int | None, ...]
    depth: Fraction
    limit: Fraction
    rise: Fraction | None

    @property
    def least(self) -> Fraction | None:
        """The number c: among the distances here, no path is shorter than n/s + c."""
        if self.rise is None:
            return None
        found = [x - n * self.rise for n, x in enumerate(self.shortest) if x is not None]
        return min(found, default=None)


def paths(
    program: Program,
    axis: str,
    distance: int,
    count: str = "layers",
    *,
    extents: Mapping[str, int] | None = None,
    outputs: Collection[str] | None = None,
) -> Paths:
    """Return the lengths of the paths that cross up to a number of steps.

    Args:
        program, axis, count, extents, outputs: as in `measures`.
        distance: the most steps that a path crosses.

    Raises:
        DataError, UnsupportedError: as in `measures`; or the distance is no number of steps.
    """
    if not 0 <= distance <= MOST:
        raise DataError(f"a distance is from 0 to {MOST:,} steps, found {distance:,}")
    graph = fold(program, axis=axis, count=count, extents=extents, outputs=outputs)
    found = measures(program, axis, count, extents=extents, outputs=outputs)
    longest: list[float] = [-math.inf] * (distance + 1)
    shortest: list[float] = [math.inf] * (distance + 1)
    for direction in found.directions or (1,):
        lengths = _Lengths(graph, direction, distance)
        longest = list(map(max, longest, lengths.extreme(1)))
        shortest = list(map(min, shortest, lengths.extreme(-1)))
    skip = found.recurrent_skip
    return Paths(
        _whole(longest),
        _whole(shortest),
        found.recurrent_depth,
        found.feedforward_depth,
        None if skip is None else Fraction(0) if skip == math.inf else 1 / Fraction(skip),
    )


def _whole(lengths: Sequence[float]) -> tuple[int | None, ...]:
    return tuple(int(x) if math.isfinite(x) else None for x in lengths)


class _Lengths:
    """Paths in one direction of an axis; recurrences in the other one are cut."""

    def __init__(self, graph: FoldedGraph, direction: int, distance: int) -> None:
        self.graph, self.direction, self.distance = graph, direction, distance
        parts = connected(graph)
        self.steps: list[tuple[Sequence[Arc], Sequence[Arc]]] = []
        for within, into in zip(parts.within, parts.into, strict=True):
            own = [a for a in within if sign_of(within) in (0, direction) or not a.delay]
            # What comes from earlier steps is there before what a step makes of it.
            ordered = sorted(by_step(graph, own), key=lambda a: a.delay == 0)
            self.steps.append((into, ordered))
        # A path may lead back before it leads on: between two components at most once.
        back = [max((-self._delay(a) for a in into), default=0) for into, _ in self.steps]
        self.before = sum(b for b in back if b > 0)

    def extreme(self, sign: int) -> list[float]:
        """Return the length of the longest (sign 1) or shortest (-1) path by the steps crossed."""
        width = self.distance + 2 * self.before + 1
        reached = {node: self._nothing(width) for node in range(len(self.graph.names))}
        for node in self.graph.inputs:
            reached[node][self.before] = 0.0
        for into, within in self.steps:
            for arc in into:
                delay, here, there = self._delay(arc), reached[arc.target], reached[arc.source]
                to, of = here[max(delay, 0) :], there[max(-delay, 0) :]
                size = min(len(to), len(of))
                np.maximum(to[:size], of[:size] + sign * arc.length, out=to[:size])
            self._inside(reached, within, sign)
        best = self._nothing(width)
        for node in self.graph.outputs:
            np.maximum(best, reached[node], out=best)
        return [sign * float(x) for x in best[self.before : self.before + self.distance + 1]]

    def _inside(self, reached: dict[int, np.ndarray], arcs: Sequence[Arc], sign: int) -> None:
        """Lengthen paths along the edges of a component, step by step."""
        lengths = {n: reached[n].tolist() for a in arcs for n in (a.source, a.target)}
        edges = [
            (lengths[a.source], lengths[a.target], self._delay(a), sign * a.length) for a in arcs
        ]
        for position in range(self.distance + 2 * self.before + 1 if arcs else 0):
            for source, target, delay, more in edges:
                if position >= delay and source[position - delay] + more > target[position]:
                    target[position] = source[position - delay] + more
        for node, own in lengths.items():
            reached[node][:] = own

    def _delay(self, arc: Arc) -> int:
        return arc.delay * self.direction

    def _nothing(self, width: int) -> np.ndarray:
        return np.full(width, -np.inf)


def formula(rate: Fraction, rest: Fraction) -> str:
    """Return a number that grows with the distance n, as in `2 n + 3`."""
    return " + ".join(_terms(rate, rest)) or "0"


def _terms(rate: Fraction, rest: Fraction) -> Iterator[str]:
    if rate:
        yield "n" if rate == 1 else f"{rate} n" if rate.denominator == 1 else f"({rate}) n"
    if rest:
        yield str(rest)
