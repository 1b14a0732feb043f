"""Measure models, one group of measures after another.

Each group is a function from a model and a `Question` to (name, unit, value). Groups of depth and
paths are those along one axis, and hold the models that have a recurrence along it. Measures are
exact, but for those of the group "time".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from unfold.analysis.gradient_flow import GradientFlow, gradient_flow
from unfold.comparison.comparison import Comparison, Measure, Value
from unfold.comparison.timing import timed
from unfold.core.program import BATCH
from unfold.errors import DataError, UnsupportedError
from unfold.training.data import random_inputs
from unfold.unfolded.distances import formula, paths

if TYPE_CHECKING:
    from unfold import Model

Found = Iterator[tuple[str, str, Value]]
COUNTS = ("layers", "nodes", "ops")
DISTANCE = 100
GAINS = (1, 10, 100)  # distances
SEQUENCES = 4


@dataclass(frozen=True)
class Question:
    """What is asked about every model.

    Attributes:
        distance: steps of a dependency, for the lengths of paths.
        batch: sequences, for costs and times.
        mode: of output feedback.
        backends: to measure times on; none are measured without any.
        seconds: to time each variant for.
        seeds: initial parameters whose gradients are followed.
    """

    distance: int = DISTANCE
    batch: int = 1
    mode: Any = "teacher"
    backends: tuple[str, ...] = ()
    seconds: float = 1.0
    seeds: int = 0


class _Table:
    """Measures while they are found."""

    def __init__(self, asked: Question) -> None:
        self.asked = asked
        self.notes: dict[str, str] = {}
        self.found: dict[tuple[str, str], tuple[str, dict[str, Value]]] = {}

    def add(self, kind: str, variant: str, measures: Found, axis: str = "") -> None:
        """Add measures of a variant to a group: of a kind, and along an axis if there is one."""
        group = f"{kind} along {axis}" if axis else kind
        self.notes[group] = NOTES[kind].format(asked=self.asked, axis=axis)
        for name, unit, value in measures:
            self.found.setdefault((group, name), (unit, {}))[1][variant] = value

    def comparison(self, variants: tuple[str, ...]) -> Comparison:
        """Return the comparison."""
        measures = [Measure(*key, unit, values) for key, (unit, values) in self.found.items()]
        return Comparison(variants, tuple(measures), self.notes)


def compare(
    models: Mapping[str, Model] | Sequence[Model],
    *,
    distance: int = DISTANCE,
    batch: int = 1,
    mode: Any = "teacher",
    backends: Iterable[str] = (),
    seconds: float = 1.0,
    seeds: int = 0,
    tell: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Compare models.

    Args:
        models: to compare, by name; by default their own names.
        distance: steps of a dependency, whose longest and shortest paths are measured.
        batch: sequences, for costs and times.
        mode: "teacher", "free" or ("scheduled", p).
        backends: to measure the time of a run on, in turns; default: no times.
        seconds: to time each model for.
        seeds: how many initial parameters to follow gradients with; default: none.
        tell: is told what is being measured.

    Raises:
        DataError: no models, or two of one name.
        UnsupportedError: a model cannot be measured.
    """
    named = models if isinstance(models, Mapping) else _by_name(models)
    if not named:
        raise DataError("there is nothing to compare; name at least one spec")
    asked = Question(distance, batch, mode, tuple(backends), seconds, seeds)
    table = _Table(asked)
    axes = {variant: _measured_axes(model, asked) for variant, model in named.items()}
    for axis in dict.fromkeys(a for own in axes.values() for a in own):
        for group, measure in ALONG.items():
            for variant in (v for v in named if axis in axes[v]):
                tell(f"{group} of {variant} along {axis}")
                table.add(group, variant, measure(named[variant], asked, axis), axis)
    for variant, model in named.items() if seeds else ():
        tell(f"gradients of {variant}")
        table.add("gradients", variant, _gradients(model, asked))
    for variant, model in named.items():
        tell(f"cost of {variant}")
        table.add("cost", variant, _cost(model, asked))
    for variant, name, value in timed(named, asked, tell):
        table.add("time", variant, iter([(name, "seconds", value)]))
    return table.comparison(tuple(named))


def _by_name(models: Sequence[Model]) -> dict[str, Model]:
    found = {m.name: m for m in models}
    if len(found) < len(models):
        raise DataError("two models have one name; give names, as in  compare({'a': …, 'b': …})")
    return found


def _depth(model: Model, asked: Question, axis: str) -> Found:
    """Yield d_r, d_f and s along an axis, by each way of counting."""
    for count in COUNTS:
        measures = model.measures(axis, count, mode=asked.mode)
        yield f"{count}: d_r", "", measures.recurrent_depth
        yield f"{count}: d_f", "", measures.feedforward_depth
        yield f"{count}: s", "", measures.recurrent_skip


def _measured_axes(model: Model, asked: Question) -> list[str]:
    found: dict[str, bool] = {}
    for axis in (a for a in model.program.axes if a != BATCH):
        try:
            found[axis] = bool(model.measures(axis, mode=asked.mode).recurrent_depth)
        except UnsupportedError:  # a window's own axis, for one, is none to measure along
            continue
    return [a for a, recurrent in found.items() if recurrent] or list(found)[:1]


def _paths(model: Model, asked: Question, axis: str) -> Found:
    """Yield the lengths of the longest and the shortest path of a dependency."""
    program = model.pipeline.resolved(mode=asked.mode)
    own = paths(program, axis, asked.distance, outputs=model.program.outputs)
    n = asked.distance
    yield "longest, at most", "", formula(own.depth, own.limit)
    yield f"longest, n = {n}", "", own.longest[n]
    known = None if own.rise is None or own.least is None else (own.rise, own.least)
    yield "shortest, at least", "", formula(*known) if known else None
    yield f"shortest, n = {n}", "", own.shortest[n]


def _gradients(model: Model, asked: Question) -> Found:
    """Yield how gradients flow at initialisation, the means and spreads over seeds."""
    flows = list(_flows(model, asked))
    if not flows:
        return
    exponents = [float(f.exponents[0]) for f in flows]
    yield "Lyapunov exponent, mean", "", fmean(exponents)
    yield "Lyapunov exponent, spread", "", stdev(exponents) if len(flows) > 1 else None
    for k in GAINS:
        logs = [float(f.norms[k]) / log(10) for f in flows if k <= f.steps]
        if logs:
            yield f"gain over {k} steps, power of 10", "", fmean(logs)
    for name in flows[0].gains:
        yield f"rate along {name}", "", fmean(f.rates[name] for f in flows)


def _flows(model: Model, asked: Question) -> Iterator[GradientFlow]:
    """Yield the flow of gradients for each seed; nothing if a step is not a map of the state."""
    for seed in range(asked.seeds):
        inputs = random_inputs(model.program, batch=SEQUENCES, seed=seed)
        try:
            yield gradient_flow(model, model.init(seed=seed), inputs, mode=asked.mode)
        except (DataError, UnsupportedError):
            return


def _cost(model: Model, asked: Question) -> Found:
    """Yield what a run takes, and a step of it along the axis of time."""
    cost = model.cost(batch=asked.batch, mode=asked.mode)
    axis = model.pipeline.carry_axis
    steps = model.program.axes[axis].extent.constant if axis else 1
    yield "parameters", "", cost.parameters
    yield "state per sequence", "", cost.state
    yield "steps", "", steps
    yield "operations per step, forward", "", round(cost.flops / steps)
    yield "bytes moved per step, forward", "bytes", round(cost.bytes / steps)
    if cost.backward_flops is not None and cost.backward_bytes is not None:
        yield "operations per step, backward", "", round(cost.backward_flops / steps)
        yield "bytes moved per step, backward", "bytes", round(cost.backward_bytes / steps)
        yield "memory of training", "bytes", cost.training_bytes
    yield "span: nodes in sequence", "", cost.span
    yield "nodes at once, on average", "", round(cost.parallelism, 2)


ALONG: dict[str, Callable[[Model, Question, str], Found]] = {"depth": _depth, "paths": _paths}
NOTES = {
    "depth": "depth along {axis}: layers are products with weights, nodes are equations",
    "paths": "layers on a path of the gradient that crosses n steps along {axis}",
    "gradients": "gradients at initialisation on random inputs, {asked.seeds} seeds; "
    "a rate is the change of the logarithm of a gain for each step",
    "cost": "cost of a run over a batch of {asked.batch}, float32",
    "time": "time of a run over a batch of {asked.batch}, float32",
}
