"""The changes that a step makes to arrays: the norm, clipping, the optimiser, weight decay.

    update = Update(settings, weights, gradient, learner.bind)
    norm = update.norm()        of the gradient as it is
    update.clip(norm)           in place
    update.take(rate, step=1)   new weights and slots; the old ones are kept in `weights.before`

Each is a rule over flat arrays, and the backend of the run computes all of them. They are bound on
first use: the first step then loads compiled code, as it does for the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np

from unfold.core.rule import Applied, Rule, before
from unfold.core.scalar import X
from unfold.settings.train import TrainSettings
from unfold.training.rules.clip import SQUARES, euclidean
from unfold.training.weights import Weights

Array = np.ndarray
Task = tuple[Rule, Mapping[str, Array]]
SHRINK = Rule("shrink", ("p", "old"), ("share",), (("p", X("p") - X("share") * X("old")),))


class Update:
    """The rules of a run, bound to its arrays.

    Args:
        settings: the optimiser, clipping, weight decay.
        weights: weights and slots.
        gradient: flat.
        bind: makes functions of rules and arrays.
    """

    def __init__(
        self,
        settings: TrainSettings,
        weights: Weights,
        gradient: Array,
        bind: Callable[..., tuple[Applied, ...]],
    ) -> None:
        self._settings, self._weights = settings, weights
        self._gradient, self._bind = gradient, bind

    def norm(self) -> float:
        """Return the gradient's Euclidean norm."""
        return euclidean(self._gradient, self._applied["squares"])

    def clip(self, norm: float) -> float:
        """Clip the gradient, whose norm is known; return the share of entries that changed."""
        clip = self._settings.clip
        return 0.0 if clip is None else clip.clip(self._applied["clip"], norm, self._gradient.size)

    def take(self, rate: float, step: int) -> None:
        """Change weights and slots; weight decay follows.

        Arguments:
            rate: by the schedule.
            step: of this update, counted from 1.
        """
        self._applied["take"](*self._settings.optimizer.constants(rate, step).values())
        if "shrink" in self._applied:
            self._applied["shrink"](rate * self._settings.decay)

    @cached_property
    def _applied(self) -> dict[str, Applied]:
        tasks = self._tasks()
        return dict(zip(tasks, self._bind(*tasks.values()), strict=True))

    def _tasks(self) -> dict[str, Task]:
        clip, gradient = self._settings.clip, {"g": self._gradient}
        tasks: dict[str, Task] = {"squares": (SQUARES, gradient)}
        tasks["take"] = self._settings.optimizer.rule.keeping(), self._arrays()
        if clip is not None:
            tasks["clip"] = clip.rule, gradient
        if self._settings.decay and self._weights.layout.decaying:
            tasks["shrink"] = SHRINK, self._decaying()
        return tasks

    def _arrays(self) -> dict[str, Array]:
        names = ("p", *self._settings.optimizer.slots)
        pairs = zip(names, self._weights.now, self._weights.before, strict=True)
        arrays = {"g": self._gradient}
        for name, now, old in pairs:
            arrays |= {name: now, before(name): old}
        return arrays

    def _decaying(self) -> dict[str, Array]:
        weights, part = self._weights, slice(0, self._weights.layout.decaying)
        return {"p": weights.now[0][part], "old": weights.before[0][part]}
