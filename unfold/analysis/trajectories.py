"""The paths of the state through sequences, and the plane that shows them best.

    paths = trajectories(flow, model.forward(params, inputs, lengths=lengths))
    plane = plane_of(paths[np.isfinite(paths).all(axis=-1)])

In: a forward run of whole sequences. Out: the states after each step, [batch, steps, n], and not a
number beyond a sequence's end and before the first whole state; a `Plane`, which is the state space
itself if that has one or two components, and the first two principal components otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unfold.analysis.state_map import StateMap
from unfold.errors import DataError
from unfold.runs.results import Run

Array = np.ndarray


@dataclass(frozen=True)
class Plane:
    """Two (or one) directions in the state space.

    Attributes:
        origin: of the plane, [n].
        directions: of length 1, [n, 2] (or [1, 1]).
        share: of the variance that each shows, or None if the plane is the whole space.
    """

    origin: Array
    directions: Array
    share: tuple[float, ...] | None

    def show(self, states: Array) -> Array:
        """Return the coordinates of states in the plane, [..., 2]."""
        return (states - self.origin) @ self.directions


def trajectories(flow: StateMap, run: Run) -> Array:
    """Return the states that sequences go through, [batch, steps, n].

    Args:
        flow: defines the parts of the state.
        run: of whole sequences, from their beginning.

    Raises:
        DataError: the run lacks a part of the state.
    """
    axis = flow.how.axis
    pieces: list[Array] = []
    for part in flow.parts:
        if part.name not in run.arrays:
            raise DataError(f"the run has no {part.name}, which is part of the state along {axis}")
        where = [a for a in flow.how.forward[part.name].axes if a != "batch"].index(axis) + 1
        values = np.moveaxis(np.asarray(run[part.name], dtype=np.float64), where, 1)
        batch, steps, delay = values.shape[0], values.shape[1], part.shape[0]
        kept = np.full((batch, steps, delay, part.size // delay), np.nan)
        flat = values.reshape(batch, steps, -1)
        if flat.shape[2] != part.size // delay:
            raise DataError(f"{part.name} has different extents in the run and in the map")
        for back in range(delay):
            kept[:, back:, delay - 1 - back] = flat[:, : steps - back]
        pieces.append(kept.reshape(batch, steps, -1))
    found = np.concatenate(pieces, axis=2)
    beyond = np.arange(found.shape[1]) >= np.asarray(run.lengths[axis])[:, None]
    found[beyond | np.isnan(found).any(axis=2)] = np.nan
    return found


def plane_of(states: Array) -> Plane:
    """Return the plane that shows states best.

    Args:
        states: [M, n], M at least 1.
    """
    n = states.shape[1]
    if n <= 2:
        return Plane(np.zeros(n), np.eye(n), None)
    origin = states.mean(axis=0)
    _, sizes, rows = np.linalg.svd(states - origin, full_matrices=len(states) < 2)
    directions = rows[:2].T
    # The sign of a principal component is arbitrary: its largest entry is positive here.
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.where(directions[largest, [0, 1]] < 0, -1.0, 1.0)
    whole = float((sizes**2).sum())
    share = tuple(float(s**2) / whole if whole else 0.0 for s in (*sizes, 0.0)[:2])
    return Plane(origin, directions, share)
