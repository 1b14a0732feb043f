"""The training loop: a pure step from state to state, and the walk over it.

A step is three parts, and the middle one is the seam for what comes after one machine:

    gradients of a shard  →  reduce  →  update
    (model, one batch)       (mean)     (clip, optimiser)

With one shard `reduce` does nothing; a data-parallel run has many shards and puts its all-reduce
there. The recurrent state that is carried to the next chunk stays with its shard.

Invariant: `step` depends on nothing but its arguments (the batch and all random draws come from the
step's number), so a run that goes on from a checkpoint equals one that was never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from unfold.training.checkpoint import TrainingState
from unfold.training.clip import Clipped, clip_by_norm, clip_by_value, keep
from unfold.training.data import Batch, Source
from unfold.training.settings import ClipNorm, ClipValue, Mode, TrainSettings

Array = np.ndarray
Arrays = dict[str, Array]


class Gradients(Protocol):
    """What a model's step gives: the loss, gradients by parameter, the state for the next chunk."""

    @property
    def loss(self) -> float:
        """The loss of the batch."""
        ...

    @property
    def grads(self) -> Mapping[str, Array]:
        """By parameter, frozen ones excepted."""
        ...

    @property
    def carry(self) -> Mapping[str, Array]:
        """The recurrent state after the last step."""
        ...


class Model(Protocol):
    """What training needs of a model."""

    def init(self, seed: int = 0, dtype: str = "float64") -> Arrays:
        """Return fresh parameters."""
        ...

    def step(
        self,
        params: Arrays,
        inputs: Arrays,
        *,
        carry: Arrays | None = None,
        mode: Mode = "teacher",
        seed: int = 0,
    ) -> Gradients:
        """Run forward and backward over one chunk."""
        ...


@dataclass(frozen=True)
class Shard:
    """The result of one part of a batch, weighted by its number of sequences."""

    loss: float
    gradients: Mapping[str, Array]
    carry: Arrays | None
    sequences: int


@dataclass(frozen=True)
class Metrics:
    """What is known of one step.

    Attributes:
        step: its number, counted from 1.
        loss: of the batch, before the update.
        gradient_norm: of all gradients together, before clipping.
        clipped: the share of gradient entries that clipping changed.
        steps_per_second: over the time since the run (or its continuation) began.
    """

    step: int
    loss: float
    gradient_norm: float
    clipped: float
    steps_per_second: float = math.nan

    @property
    def finite(self) -> bool:
        """Whether training can go on from here."""
        return math.isfinite(self.loss) and math.isfinite(self.gradient_norm)


def start(model: Model, settings: TrainSettings, dtype: str = "float64") -> TrainingState:
    """Return the state before the first step."""
    parameters = model.init(seed=settings.seed, dtype=dtype)
    return TrainingState(0, parameters, settings.optimizer.start(parameters))


def shard_gradients(
    model: Model, state: TrainingState, batch: Batch, settings: TrainSettings
) -> Shard:
    """Run one part of a batch forward and backward."""
    carry = None if batch.fresh else state.carry
    draws = int(np.random.SeedSequence([settings.seed, state.step]).generate_state(1)[0])
    found = model.step(state.parameters, batch.inputs, carry=carry, mode=settings.mode, seed=draws)
    sequences = next(iter(batch.inputs.values())).shape[0]
    return Shard(float(found.loss), found.grads, dict(found.carry) or None, sequences)


def reduce(shards: Sequence[Shard]) -> tuple[float, Arrays]:
    """Return the mean loss and gradients over all sequences of all shards."""
    total = sum(s.sequences for s in shards)
    weights = [s.sequences / total for s in shards]
    loss = sum(w * s.loss for w, s in zip(weights, shards, strict=True))
    gradients = {
        name: sum(
            (w * s.gradients[name] for w, s in zip(weights[1:], shards[1:], strict=True)),
            start=weights[0] * gradient,
        )
        for name, gradient in shards[0].gradients.items()
    }
    return loss, gradients


def clip(gradients: Arrays, how: ClipNorm | ClipValue | None) -> Clipped:
    """Clip as the settings say."""
    match how:
        case ClipNorm(norm=limit):
            return clip_by_norm(gradients, limit)
        case ClipValue(value=limit):
            return clip_by_value(gradients, limit)
        case None:
            return keep(gradients)


def step(
    model: Model, source: Source, state: TrainingState, settings: TrainSettings
) -> tuple[TrainingState, Metrics]:
    """Take one step; where the loss or a gradient is not finite, the state stays as it was."""
    shard = shard_gradients(model, state, source.batch(state.step), settings)
    loss, gradients = reduce([shard])
    clipped = clip(gradients, settings.clip)
    metrics = Metrics(state.step + 1, loss, clipped.norm, clipped.share)
    if not metrics.finite:
        return state, metrics
    parameters, optimizer = settings.optimizer.update(
        state.parameters, clipped.gradients, state.optimizer
    )
    count = state.clipped + (clipped.share > 0)
    return TrainingState(state.step + 1, parameters, optimizer, shard.carry, count), metrics


def train(
    model: Model,
    source: Source,
    state: TrainingState,
    settings: TrainSettings,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[TrainingState, Metrics]]:
    """Yield the state and the metrics after every step, up to `settings.steps`.

    Ends early when `stopped()` is true after a step, and after a step that is not finite (its
    metrics say so; its state is the last good one).
    """
    first, began = state.step, time.perf_counter()
    while state.step < settings.steps:
        state, metrics = step(model, source, state, settings)
        rate = (metrics.step - first) / max(time.perf_counter() - began, 1e-9)
        yield state, replace(metrics, steps_per_second=rate)
        if not metrics.finite or stopped():
            return
