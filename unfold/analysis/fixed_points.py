"""Fixed points of a map from states to states, their stability, and its directions.

    F(s*) = s*            found from many starts by the method of Levenberg & Marquardt on F(s) - s
    s* + v  →  s* + λ v   the image of a small step v along an eigenvector of dF/ds

After Sussillo & Barak, "Opening the black box: low-dimensional dynamics in high-dimensional
recurrent neural networks", Neural Computation 25, 2013, who minimise |F(s) - s|² from visited
states; the last steps here are Newton's, so residuals end at rounding errors. A start that ends
at a minimum of |F(s) - s| above zero has found no fixed point: the smallest such speed is reported.

In: a `StateMap`, states to start from, [N, n]. Out: `FixedPoints`.

Known weaknesses: there is no guarantee that all fixed points are found. Searches approach a point
slowly if it is neutral in some direction, and may report it as several that lie close together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

Array = np.ndarray
Kind = Literal["attractor", "saddle", "repeller", "neutral"]
NEUTRAL = 1e-6
"""The distance of a modulus to 1 below which stability is undecided."""
ROUNDING = 4e-16


class Map(Protocol):
    """A map with its derivatives, as `unfold.analysis.StateMap`."""

    def __call__(self, states: Array) -> Array:
        """Return the images of states, [N, n]."""
        ...

    def jacobian(self, states: Array) -> Array:
        """Return the derivatives, [N, n, n]."""
        ...


@dataclass(frozen=True)
class FixedPoint:
    """A state that the map leaves unchanged.

    Attributes:
        state: [n].
        residual: the largest |F(s) - s| of a component.
        eigenvalues: of dF/ds, complex, the largest modulus first, [n].
        eigenvectors: their columns, of length 1, [n, n].
        starts: the number of starts that ended here.
    """

    state: Array
    residual: float
    eigenvalues: Array
    eigenvectors: Array
    starts: int

    @property
    def expanding(self) -> int:
        """The number of directions in which nearby states move away."""
        return int((np.abs(self.eigenvalues) > 1 + NEUTRAL).sum())

    @property
    def kind(self) -> Kind:
        """Attractor, saddle, repeller, or neutral if the linear part decides nothing."""
        if 0 < self.expanding < len(self.eigenvalues):
            return "saddle"
        if self.expanding:
            return "repeller"
        neutral = (np.abs(self.eigenvalues) >= 1 - NEUTRAL).any()
        return "neutral" if neutral else "attractor"

    @property
    def turn(self) -> float:
        """The angle by which nearby states turn in a step, along the leading direction, 0 to π.

        0: they stay on one side; π: they change sides at every step; between: a spiral.
        """
        return abs(float(np.angle(self.eigenvalues[0])))

    @property
    def memory(self) -> float:
        """The steps in which the slowest contracting direction shrinks to 1/e; 0 at once."""
        moduli = np.abs(self.eigenvalues)
        slowest = float(moduli[moduli < 1 - NEUTRAL].max(initial=0.0))
        return -1 / math.log(slowest) if slowest > 0 else 0.0

    def as_data(self) -> dict[str, Any]:
        """Return everything as plain values; complex numbers as [real, imaginary]."""
        pairs = _pairs(self.eigenvalues)
        return {
            "kind": self.kind,
            "state": self.state.tolist(),
            "residual": self.residual,
            "eigenvalues": pairs.tolist(),
            "eigenvectors": _pairs(self.eigenvectors.T).tolist(),
            "expanding": self.expanding,
            "turn": self.turn,
            "memory": self.memory,
            "starts": self.starts,
        }


@dataclass(frozen=True)
class FixedPoints:
    """The result of a search.

    Attributes:
        points: in descending order of the starts that led to them.
        tried: the number of starts.
        slowest: the smallest |F(s) - s| of the starts that found no fixed point; None if all did.
    """

    points: tuple[FixedPoint, ...]
    tried: int
    slowest: float | None

    @property
    def found(self) -> int:
        """The number of starts that ended at a fixed point."""
        return sum(point.starts for point in self.points)


def fixed_points(
    flow: Map,
    starts: Array,
    *,
    tolerance: float = 1e-10,
    apart: float = 1e-5,
    rounds: int = 300,
) -> FixedPoints:
    """Search fixed points.

    Args:
        flow: the map.
        starts: states to start from, [N, n].
        tolerance: the largest |F(s) - s| of a component at a fixed point.
        apart: the least distance between two fixed points, relative to 1 + |s|.
        rounds: the largest number of steps of a search.
    """
    states, residuals = _search(flow, np.array(starts, dtype=np.float64), rounds)
    scale = 1 + np.abs(states).max(axis=1, initial=0.0)
    reached = residuals <= tolerance
    kept: list[int] = []
    counts: list[int] = []
    for row in np.flatnonzero(reached)[np.argsort(residuals[reached], kind="stable")]:
        gaps = np.abs(states[kept] - states[row]).max(axis=1, initial=0.0)
        near = np.flatnonzero(gaps <= apart * scale[row])
        if len(near):
            counts[near[0]] += 1
        else:
            kept.append(int(row))
            counts.append(1)
    points = [
        _point(states[row], residuals[row], derivative, count)
        for row, derivative, count in zip(kept, flow.jacobian(states[kept]), counts, strict=True)
    ]
    points.sort(key=lambda p: (-p.starts, *p.state.round(6)))
    missed = residuals[~reached & np.isfinite(residuals)]
    return FixedPoints(tuple(points), len(states), float(missed.min()) if len(missed) else None)


def starts(visited: Array, count: int, *, seed: int = 0) -> Array:
    """Return states to start from: the origin, visited states moved a little, and others around.

    Args:
        visited: states that trajectories went through, [M, n].
        count: the number of states, the origin included.
        seed: of the choice of states, and of the moves.

    Returns:
        [count, n]; half of them are uniform in a box three times as wide as the visited states,
        because trajectories do not visit repellers, and attractors may lie elsewhere, too.
    """
    generator = np.random.default_rng(seed)
    around = count // 2
    chosen = visited[generator.integers(len(visited), size=max(count - 1 - around, 0))]
    width = 0.1 * visited.std(axis=0) + 1e-3
    moved = chosen + width * generator.standard_normal(chosen.shape)
    low, high = visited.min(axis=0), visited.max(axis=0)
    reach = high - low + 1e-2
    box = generator.uniform(low - reach, high + reach, (around, visited.shape[1]))
    return np.concatenate([np.zeros((1, visited.shape[1])), moved, box])[:count]


def _search(flow: Map, states: Array, rounds: int) -> tuple[Array, Array]:
    """Minimise |F(s) - s|² from every start; return the end of each, and the largest component.

    The damping is proportional to |F(s) - s|², so that it vanishes at a fixed point and the last
    steps are Newton's, even if fixed points form a line (Yamashita & Fukushima 2001).
    """
    size = states.shape[1]
    identity, damping = np.eye(size), np.ones(len(states))
    gap = flow(states) - states
    squares = _squares(gap)
    for _ in range(rounds):
        floor = size * (ROUNDING * (1 + np.abs(states).max(axis=1, initial=0.0))) ** 2
        rows = np.flatnonzero(np.isfinite(squares) & (damping < 1e9) & (squares > floor))
        if not len(rows):
            break
        slope = flow.jacobian(states[rows]) - identity
        across = np.swapaxes(slope, 1, 2)
        shift = (damping * squares)[rows, None, None]
        move = _solve(across @ slope + shift * identity, across @ gap[rows, :, None])[:, :, 0]
        there = states[rows] - move
        new_gap = flow(there) - there
        new_squares = _squares(new_gap)
        better = new_squares < squares[rows]
        taken = rows[better]
        states[taken], gap[taken] = there[better], new_gap[better]
        squares[taken] = new_squares[better]
        damping[rows] *= np.where(better, 0.2, 5.0)
        damping = np.maximum(damping, 1e-8)
    return states, np.abs(gap).max(axis=1, initial=0.0)


def _pairs(numbers: Array) -> Array:
    return np.stack([np.real(numbers), np.imag(numbers)], axis=-1)


def _squares(gap: Array) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        found = np.einsum("ni,ni->n", gap, gap)
    return np.where(np.isfinite(found), found, np.inf)


def _solve(matrix: Array, right: Array) -> Array:
    """Solve symmetric systems, [N, n, 1]; a singular one by least squares."""
    try:
        return np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        return np.linalg.pinv(matrix, hermitian=True) @ right


def _point(state: Array, residual: float, derivative: Array, count: int) -> FixedPoint:
    values, vectors = np.linalg.eig(derivative)
    keys = (-np.imag(values), -np.real(values).round(9), -np.abs(values).round(9))
    order = np.lexsort(keys)
    values, vectors = values[order].astype(complex), vectors[:, order].astype(complex)
    return FixedPoint(state, float(residual), values, vectors, count)
