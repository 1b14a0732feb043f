"""The training step, from state to state.

A step has three parts; the middle one is the place to join several machines:

    gradients of a shard  →  reduce            →  update
    (model, one batch)       (mean, in place)     (noise, clip, optimiser, weight decay)

`Trainer` holds the weights, the optimiser's slots and the carried state between steps. With one
shard there is nothing to reduce; a data-parallel run gives every process its shard of the batches
and a `Reduce` that does an all-reduce over the flat gradient. The state that is carried to the next
chunk stays with its shard.

Invariant: a step depends only on the state and its own number (the batch and all random draws come
from that), so a run that resumes from a checkpoint equals one that was never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import numpy as np

from unfold.core.random import stream
from unfold.settings.train import TrainSettings
from unfold.training.checkpoint import Best, TrainingState
from unfold.training.data.batches import Batch, Source
from unfold.training.learner import Learner
from unfold.training.metrics import Metrics
from unfold.training.rules.steps import power
from unfold.training.rules.teaching import Mode, share_of
from unfold.training.update import Update
from unfold.training.weights import Layout, Weights

Array = np.ndarray
Arrays = dict[str, Array]
SMOOTH = 0.999


class Reduce(Protocol):
    """The function that joins the gradients of all shards."""

    def __call__(self, loss: float, gradient: Array, sequences: int) -> float:
        """Replace a shard's gradient by the mean over all sequences of all shards.

        Arguments:
            loss: of this shard, a mean over its sequences.
            gradient: flat, of this shard; changed in place.
            sequences: the number of this shard's.

        Returns:
            the mean loss over all sequences of all shards.
        """
        ...


def alone(loss: float, gradient: Array, sequences: int) -> float:
    """Reduce one shard: there is nothing to do."""
    return loss


def start(learner: Learner, settings: TrainSettings, dtype: str = "float64") -> TrainingState:
    """Return the state before the first step."""
    return TrainingState(0, learner.init(seed=settings.seed, dtype=dtype))


@dataclass(frozen=True)
class Failure:
    """The arguments of a step that could not be taken."""

    step: int
    parameters: Mapping[str, Array]
    batch: Batch
    carry: Arrays | None
    mode: Mode
    seed: int
    loss: float
    gradients: Mapping[str, Array]


@dataclass(slots=True)
class _Between:
    """The memory of a run between two steps beside its arrays: counters, and the carried state."""

    step: int
    carry: Arrays | None
    smoothed: float
    clipped_steps: float
    clipped_share: float


class Trainer:
    """A run, one step at a time.

    Args:
        learner: the model on a backend.
        source: of batches.
        settings: of the training.
        state: to begin with; its arrays are copied.
        guess: the loss of guessing, at which the smoothed loss begins.
        reduce: joins the gradients of all shards.

    Attributes:
        begun: the counters of the state it began with.
        best: the best weights so far, if there is validation.
        failure: the last step, if it could not be taken.
    """

    def __init__(
        self,
        learner: Learner,
        source: Source,
        settings: TrainSettings,
        state: TrainingState,
        *,
        guess: float | None = None,
        reduce: Reduce = alone,
    ) -> None:
        self.learner, self.source, self.settings = learner, source, settings
        self.best, self.failure = state.best, None
        self._reduce, self._optimizer = reduce, settings.optimizer
        trained = {n: state.parameters[n] for n in learner.trained}
        biases = settings.weight_decay is not None and settings.weight_decay.biases
        layout = Layout(trained, learner.decayed(biases=biases))
        frozen = {n: a for n, a in state.parameters.items() if n not in trained}
        flat = layout.gather(trained)
        slots = self._optimizer.start(flat)
        for name, slot in zip(self._optimizer.slots, slots, strict=True):
            if name in state.slots:
                layout.gather(state.slots[name], slot)
        self._weights = Weights(layout, [flat, *slots], frozen)
        self._gradient = np.empty_like(flat)
        self._update = Update(settings, self._weights, self._gradient, learner.bind)
        self.begun = counters = state.counters
        self._now = _Between(
            state.step,
            state.carry,
            counters.get("smoothed_loss", math.nan if guess is None else guess),
            counters.get("clipped_steps", 0),
            counters.get("clipped_share", 0.0),
        )
        self._before = self._now

    @property
    def taken(self) -> int:
        """The number of steps taken."""
        return self._now.step

    @property
    def parameters(self) -> Mapping[str, Array]:
        """The parameters, which the next step changes: copy what you keep."""
        return self._weights.views

    @property
    def clipped(self) -> tuple[int, float]:
        """The number of steps with clipped gradients, and the share of all their entries."""
        return int(self._now.clipped_steps), self._now.clipped_share / max(self._now.step, 1)

    def state(self) -> TrainingState:
        """Return the state, whose arrays the next step changes."""
        now, layout = self._now, self._weights.layout
        slots = zip(self._optimizer.slots, self._weights.now[1:], strict=True)
        return TrainingState(
            now.step,
            dict(self._weights.views),
            {name: layout.views(flat) for name, flat in slots},
            now.carry,
            {
                "smoothed_loss": now.smoothed,
                "clipped_steps": now.clipped_steps,
                "clipped_share": now.clipped_share,
            },
            self.best,
        )

    def step(self) -> Metrics:
        """Take a step.

        If the loss or the gradient is not finite, only `failure` changes.
        """
        settings, now = self.settings, self._now
        batch = self.source.batch(now.step)
        carry = None if batch.fresh or not settings.carries else now.carry
        mode = settings.mode_at(now.step)
        seed = self.learner.seed(settings.seed, now.step, mode)
        views = self._weights.views
        options = {**about(batch, settings), "mode": mode, "seed": seed}
        if batch.known is not None:
            options |= {"known": batch.known, "overlap": batch.overlap}
        found = self.learner.step(views, batch.inputs, carry=carry, **options)
        gradient = self._weights.layout.gather(found.grads, self._gradient)
        sequences = next(iter(batch.inputs.values())).shape[0] if batch.inputs else 1
        loss = self._reduce(float(found.loss), gradient, sequences)
        norm = self._update.norm()
        rate = self._optimizer.rate * settings.schedule.factor(now.step, settings.steps)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self.failure = Failure(now.step + 1, views, batch, carry, mode, seed, loss, found.grads)
            return Metrics(now.step + 1, loss, now.smoothed, norm, 0.0, rate, share_of(mode))
        if settings.noise is not None:
            self._add_noise()
        share = self._update.clip(norm)
        self._update.take(rate, now.step + 1)
        smoothed = now.smoothed if now.smoothed == now.smoothed else loss
        smoothed = SMOOTH * smoothed + (1 - SMOOTH) * loss
        self._before, self._now = (
            now,
            _Between(
                now.step + 1,
                dict(found.carry) or None,
                smoothed,
                now.clipped_steps + (share > 0),
                now.clipped_share + share,
            ),
        )
        return Metrics(now.step + 1, loss, smoothed, norm, share, rate, share_of(mode))

    def take_back(self) -> None:
        """Undo the last step: its loss is the last one known to be finite."""
        if self._before is not self._now:
            self._weights.take_back()
            self._now = self._before

    def _add_noise(self) -> None:
        noise, step = self.settings.noise, self._now.step
        assert noise is not None
        deviation = math.sqrt(noise.scale / power(1 + step, noise.decay))
        generator = np.random.default_rng(stream(self.settings.seed, f"noise {step}"))
        drawn = generator.standard_normal(self._gradient.size)
        self._gradient += (deviation * drawn).astype(self._gradient.dtype)


def about(batch: Batch, settings: TrainSettings) -> dict[str, Any]:
    """Return the options of a run for a batch; the state is computed only if it is read."""
    options: dict[str, Any] = {"lengths": batch.lengths} if batch.lengths else {}
    if batch.begins is not None:
        options["begins"] = batch.begins
    return options if settings.carries and not batch.alone else {**options, "state": False}


def once(source: Source) -> Iterator[Batch]:
    """Yield the batches of an epoch, as for validation."""
    for step in range(source.epoch or 1):
        yield source.batch(step)


def validate(trainer: Trainer, batches: Iterable[Batch]) -> tuple[float, bool]:
    """Measure the loss on validation data; keep the weights if it is the lowest so far.

    Arguments:
        trainer: of the weights.
        batches: from the beginning; `validation.batches` of them are used, or all.

    Returns:
        the mean loss over all sequences, and whether it is the best so far.
    """
    settings = trainer.settings
    rules = settings.validation
    assert rules is not None
    total, count, carry = 0.0, 0, None
    for number, batch in enumerate(islice(batches, rules.batches)):
        carry = None if batch.fresh or not settings.carries else carry
        mode = settings.mode_at(trainer.taken)
        seed = trainer.learner.seed(settings.seed, -1 - number, mode)
        options = {**about(batch, settings), "mode": mode, "seed": seed}
        run = trainer.learner.forward(trainer.parameters, batch.inputs, carry=carry, **options)
        sequences = next(iter(batch.inputs.values())).shape[0]
        assert run.loss is not None
        total, count, carry = total + run.loss * sequences, count + sequences, dict(run.carry)
    loss, best = total / max(count, 1), trainer.best
    if best is None or loss < best.loss - rules.improvement:
        copies = {n: a.copy() for n, a in trainer.parameters.items()}
        trainer.best = Best(trainer.taken, loss, 0, copies)
        return loss, True
    trainer.best = Best(best.step, best.loss, best.misses + 1, best.parameters)
    return loss, False
