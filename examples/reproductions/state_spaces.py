"""State spaces: fixed points against known ones, and those of a network that counts.

In: the specs `latch` and `anbn-srn`. Out: states, eigenvalues, residuals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from examples.reproductions.criteria import counting_strings, largest_run, predictions_right
from examples.reproductions.experiment import Experiment, Finding, learn, spec
from unfold import analysis
from unfold.training.data import judge

EXACT = "reference"
LONGEST, TEST = 60, 7


def _known_points(seed: int) -> Finding:
    """Find the fixed points of h = tanh(2 h) and of a linear map, which are known."""
    latch = spec("latch")
    params = {n: np.zeros_like(a) for n, a in latch.init().items()} | {"w": np.array([[2.0]])}
    flow = analysis.state_map(latch, params)
    generator = np.random.default_rng([seed, TEST])
    found = analysis.fixed_points(flow, generator.uniform(-1.5, 1.5, (50, 1)))
    states = sorted((float(p.state[0]), p.kind) for p in found.points)
    root = _bisected(lambda h: np.tanh(2 * h) - h, 0.5, 1.5)
    expected = [(-root, "attractor"), (0.0, "repeller"), (root, "attractor")]
    reached = [kind for _, kind in states] == [kind for _, kind in expected]
    gap = max(abs(a - b) for (a, _), (b, _) in zip(states, expected, strict=False))
    slopes = max(
        abs(float(p.eigenvalues[0].real) - 2 * (1 - float(p.state[0]) ** 2)) for p in found.points
    )
    residual = max(p.residual for p in found.points)
    shown = ", ".join(f"{state:.4f}" for state, _ in states)
    cells = (shown, f"{gap:.1e}", f"{slopes:.1e}", f"{residual:.1e}")
    return Finding(reached and max(gap, slopes, residual) < 1e-12, cells)


def _bisected(function: Callable[[float], Any], low: float, high: float) -> float:
    """Return where a function that falls from `low` to `high` is zero."""
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return low


def _counting_points(seed: int, **settings: Any) -> Finding:
    """Train two units on aⁿbⁿ, and find the fixed points that counting approaches and leaves."""
    model = spec("anbn-srn")
    outcome = learn(model, seed, **settings)
    params = {n: np.asarray(a, dtype=np.float64) for n, a in outcome.params.items()}
    strings = counting_strings(LONGEST)
    right = predictions_right(model, params, strings)
    largest = largest_run(judge.right_sequences(right, strings.lengths))
    string = np.array([[0] + [1] * 10 + [2] * 10])
    run = model.forward(params, {"x": string}, backend=EXACT)
    end = {1: run["h"][0, 10], 2: run["h"][0, 11]}
    told: list[str] = []
    leading: list[float] = []
    for symbol in (1, 2):
        flow = analysis.state_map(model, params, {"x": symbol})
        points = analysis.fixed_points(flow, analysis.starts(run["h"][0], 200, seed=seed)).points
        kinds = ("attractor",) if symbol == 1 else ("saddle", "repeller")
        near = sorted(
            (p for p in points if p.kind in kinds),
            key=lambda p, at=end[symbol]: float(np.linalg.norm(p.state - at)),
        )
        if not near:
            return Finding(False, (str(largest), *told, *["none"] * (3 - len(told))), largest)
        leading.append(float(near[0].eigenvalues[0].real))
        told.append(f"{near[0].kind}, {leading[-1]:.3f}")
    product = leading[0] * leading[1]
    return Finding(0.8 < product < 1.25, (str(largest), *told, f"{product:.3f}"), largest)


EXPERIMENTS = (
    Experiment(
        name="known-fixed-points",
        systems=("E6",),
        title="the search finds the known fixed points",
        criterion="h = tanh(2 h) has the attractors ±0.9575 and the repeller 0; states, eigenvalues"
        " and residuals are right to 1e-12",
        columns=("fixed points", "error of states", "of eigenvalues", "residual"),
        measure=_known_points,
        specs=("latch",),
        quick=True,
    ),
    Experiment(
        name="counting-fixed-points",
        systems=("E6", "E5"),
        title="two units count aⁿbⁿ by approaching one fixed point and leaving another",
        criterion="with the best seed, the state approaches an attractor during a and leaves a"
        " saddle (or a repeller) during b at matching rates: the product of the leading"
        " eigenvalues is between 0.8 and 1.25",
        columns=("right up to n", "a: nearest attractor", "b: nearest unstable", "product"),
        measure=_counting_points,
        seeds=5,
        specs=("anbn-srn",),
        published=(
            "an attractor for a, a saddle for b, eigenvalues about inversely proportional"
            " (Rodriguez, Wiles & Elman 1999)"
        ),
    ),
)
