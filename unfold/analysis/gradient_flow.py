"""How gradients flow back over steps: gains by distance, Lyapunov exponents, a verdict in words.

    found = gradient_flow(model, params, inputs)
    found.gains["h"][k]      log of how much a change of h at step T - k can move the state at T
    found.exponents[0]       the largest Lyapunov exponent, per step

With J_t the Jacobian of step t at the states and inputs of real sequences, the gradient of anything
after step T by the state k steps before is a row times P_k = J_T J_{T-1} ... J_{T-k+1}. The gain of
a part of the state is the largest singular value of its columns of P_k: the gradient is at most
that much larger. Gains are kept as logarithms, which neither vanish nor overflow, and are means
over sequences. Exponents are the mean logarithms of the diagonal of R in the QR method (Benettin et
al. 1980; Engelken, Wolf & Abbott 2023 for networks).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfold.analysis.state_map import Model, StateMap, state_map
from unfold.analysis.trajectories import trajectories
from unfold.backends import MEANING
from unfold.errors import DataError
from unfold.passes.modes import Mode

Array = np.ndarray
Arrays = Mapping[str, Any]
MOST_NUMBERS = 1 << 24  # of all Jacobians
STEADY = 0.01  # change of the log of a gain for each step, below which it is said to last
SMALLEST = 1e-290


@dataclass(frozen=True)
class GradientFlow:
    """What gradients become on their way back.

    Attributes:
        axis: of the steps.
        sequences, steps: how many sequences were followed, and over how many steps.
        gains: logarithms, by part of the state, for distances k = 0, 1, ...; -inf: nothing passes.
        norms: the logarithm of the largest singular value of all of P_k, likewise.
        singular: the singular values of a step's Jacobian, their medians, largest first.
        radius: the median spectral radius of a step's Jacobian.
        exponents: Lyapunov exponents per step, largest first.
    """

    axis: str
    sequences: int
    steps: int
    gains: Mapping[str, Array]
    norms: Array
    singular: Array
    radius: float
    exponents: Array

    def __str__(self) -> str:
        return "\n".join(self.verdict)

    @property
    def rates(self) -> dict[str, float]:
        """The change of the gain for each step, by part of the state."""
        return {name: rate(gains) for name, gains in self.gains.items()}

    @property
    def verdict(self) -> tuple[str, ...]:
        """What happens along each part of the state, in words."""
        return tuple(f"the gradient along {n} {_said(r)}" for n, r in self.rates.items())


def gradient_flow(
    model: Model,
    params: Arrays,
    inputs: Arrays,
    *,
    lengths: Arrays | None = None,
    axis: str | None = None,
    mode: Mode = "teacher",
    steps: int | None = None,
    backend: str = MEANING,
) -> GradientFlow:
    """Follow gradients back through sequences.

    Args:
        model: an `unfold.Model`.
        params: of the model.
        inputs: sequences, [batch, *axes, *shape] by name.
        lengths: per axis, the length of each sequence, [batch].
        axis: of the steps; default: the first axis with a delay.
        mode: the active branch of an output feedback.
        steps: the most to follow, counted from the end; default: all.
        backend: runs the steps.

    Raises:
        UnsupportedError: a step is not a map from state to state.
        DataError: no sequence has two states, or a number is not finite.
    """
    flow = state_map(model, params, axis=axis, mode=mode, backend=backend)
    run = model.forward(params, inputs, lengths=lengths, mode=mode, backend=backend, state=False)
    paths = trajectories(flow, run)
    rows = _followed(paths, flow, steps)
    jacobians = _jacobians(flow, paths, inputs, rows)
    gains, norms = _gains(flow, jacobians)
    flat = jacobians.reshape(-1, flow.size, flow.size)
    return GradientFlow(
        flow.how.axis,
        len(jacobians),
        jacobians.shape[1],
        gains,
        norms,
        np.median(np.linalg.svd(flat, compute_uv=False), axis=0),
        float(np.median(np.abs(np.linalg.eigvals(flat)).max(axis=1))),
        lyapunov(jacobians),
    )


def _followed(paths: Array, flow: StateMap, steps: int | None) -> Array:
    """Return the steps of each sequence that are followed, [sequences, steps + 1] of (b, t)."""
    whole: Any = np.isfinite(paths).all(axis=2)
    counts = whole.sum(axis=1)
    most = int(counts.max(initial=0)) - 1 if steps is None else steps
    long = np.flatnonzero(counts > max(min(most, int(counts.max(initial=0)) - 1), 0))
    if most < 1 or not len(long):
        raise DataError(
            f"no sequence passes a state from one step along {flow.how.axis} to the next"
            " with finite numbers"
        )
    most = min(most, int(counts[long].min()) - 1)
    each = max(1, MOST_NUMBERS // (most * flow.size**2))
    if each * most * flow.size**2 > MOST_NUMBERS:
        most = max(1, MOST_NUMBERS // flow.size**2)
    chosen = long[:each]
    ends = np.array([np.flatnonzero(whole[b])[-1] for b in chosen])
    times = ends[:, None] + np.arange(-most, 1)
    return np.stack([np.broadcast_to(chosen[:, None], times.shape), times], axis=2)


def _jacobians(flow: StateMap, paths: Array, inputs: Arrays, rows: Array) -> Array:
    """Return the Jacobians of steps, [sequences, steps, n, n]."""
    before, after = rows[:, :-1].reshape(-1, 2), rows[:, 1:].reshape(-1, 2)
    states = paths[before[:, 0], before[:, 1]]
    driven = flow.along(inputs, (after[:, 0], after[:, 1]))
    found = driven.jacobian(states)
    if not np.isfinite(found).all():
        raise DataError("a Jacobian has numbers that are not finite")
    return found.reshape(len(rows), rows.shape[1] - 1, flow.size, flow.size)


def _gains(flow: StateMap, jacobians: Array) -> tuple[dict[str, Array], Array]:
    """Return the gain of each part, and of the whole state, by distance."""
    count, steps, n, _ = jacobians.shape
    product, scale = np.broadcast_to(np.eye(n), (count, n, n)), np.zeros(count)
    found: dict[str, list[float]] = {p.name: [] for p in flow.parts}
    norms: list[float] = []
    for k in range(steps + 1):
        if k:
            product = product @ jacobians[:, steps - k]
            size = np.abs(product).max(axis=(1, 2))
            size[size == 0] = 1.0
            product, scale = product / size[:, None, None], scale + np.log(size)
        for part in flow.parts:
            columns = product[:, :, part.start : part.start + part.size]
            found[part.name].append(_mean_log(columns, scale))
        norms.append(_mean_log(product, scale))
    return {name: np.array(own) for name, own in found.items()}, np.array(norms)


def _mean_log(matrices: Array, scale: Array) -> float:
    """Return the mean logarithm of the largest singular values of scaled matrices."""
    with np.errstate(divide="ignore"):
        return float((np.log(np.linalg.norm(matrices, 2, axis=(1, 2))) + scale).mean())


def lyapunov(jacobians: Array) -> Array:
    """Return the Lyapunov exponents of sequences of maps, the means over sequences, [n].

    Args:
        jacobians: [sequences, steps, n, n].
    """
    count, steps, n, _ = jacobians.shape
    if steps == 0:
        raise DataError("exponents need at least one step")
    frame, total = np.broadcast_to(np.eye(n), (count, n, n)), np.zeros((count, n))
    for t in range(steps):
        frame, upper = np.linalg.qr(jacobians[:, t] @ frame)
        grown = np.abs(np.diagonal(upper, axis1=1, axis2=2))
        total += np.log(np.maximum(grown, SMALLEST))
    return np.sort(total.mean(axis=0) / steps)[::-1]


def rate(gains: Array) -> float:
    """Return the slope of the logarithms of gains over the distance, by least squares."""
    kept = np.flatnonzero(np.isfinite(gains))
    if len(kept) < 2:
        return -np.inf
    return float(np.polyfit(kept, gains[kept], 1)[0])


def _said(slope: float) -> str:
    """Return what a gradient does that changes at a rate, in words."""
    if slope == -np.inf:
        return "is zero"
    if abs(slope) < STEADY:
        return "neither vanishes nor explodes"
    many = np.log(2) / abs(slope)
    word = "vanishes: it halves" if slope < 0 else "explodes: it doubles"
    every = "every step" if round(many, 1) == 1 else f"every {many:.2g} steps"
    if many < 0.95:
        every = f"{1 / many:.2g} times in a step"
    return f"{word} {every}"
