"""Scheduled sampling: the share of reads of the teacher's output in the course of training.

    mode: {scheduled: 0.75}                                 the same share at every step
    mode: {scheduled: {linear: {to: 0.2, over: 5000}}}      from 1 down to 0.2 in 5,000 steps
    mode: {scheduled: {exponential: 0.9995}}                0.9995^i
    mode: {scheduled: {inverse_sigmoid: 1000}}              k / (k + exp(i / k)) with k = 1000

A coin is thrown for every sequence and every index point of a `feedback`: with the probability of
the share it reads the teacher, else the model's own output. The schedules are those of Bengio,
Vinyals, Jaitly & Shazeer 2015, "Scheduled Sampling for Sequence Prediction with Recurrent Neural
Networks"; i is the number of steps taken.

Invariant: a share is a function of the step, so that a resumed run throws the same coins.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from unfold.training.rules.steps import StepRule, require_steps

Mode = str | tuple[str, float]


@dataclass(frozen=True)
class Share(StepRule):
    """The probability of the teacher."""

    @abstractmethod
    def share(self, step: int, steps: int) -> float:
        """Return the share at a step, counted from 0, of a run of `steps`."""


@dataclass(frozen=True)
class Constant(Share):
    """The same at every step."""

    p: float
    key: ClassVar[str] = "constant"

    def __post_init__(self) -> None:
        _require_share("p", self.p)

    def share(self, step: int, steps: int) -> float:
        """Return the share."""
        return self.p


@dataclass(frozen=True)
class Linear(Share):
    """From `start` to `to` in a straight line, then no further: max(to, start - c i)."""

    to: float = 0.0
    start: float = 1.0
    over: int | None = None
    key: ClassVar[str] = "linear"

    def __post_init__(self) -> None:
        _require_share("to", self.to)
        _require_share("start", self.start)
        if self.over is not None:
            require_steps("over", self.over)

    def share(self, step: int, steps: int) -> float:
        """Return the share."""
        return self.start + (self.to - self.start) * min(1.0, step / (self.over or steps))


@dataclass(frozen=True)
class Exponential(Share):
    """max(to, times^i)."""

    times: float
    to: float = 0.0
    key: ClassVar[str] = "exponential"

    def __post_init__(self) -> None:
        _require_share("times", self.times)
        _require_share("to", self.to)

    def share(self, step: int, steps: int) -> float:
        """Return the share."""
        return max(self.to, self.times**step)


@dataclass(frozen=True)
class InverseSigmoid(Share):
    """max(to, k / (k + exp(i / k))): near 1 for long, then down, ever more slowly, to `to`."""

    k: float
    to: float = 0.0
    key: ClassVar[str] = "inverse_sigmoid"

    def __post_init__(self) -> None:
        if not 1 <= self.k < math.inf:
            raise ValueError(f"k must be a finite number of at least 1, got {self.k:g}")
        _require_share("to", self.to)

    def share(self, step: int, steps: int) -> float:
        """Return the share."""
        small = self.k * math.exp(-step / self.k)  # exp(i / k) may be too large for a number
        return max(self.to, small / (small + 1.0))


SHARES: dict[str, type[Share]] = {
    rule.key: rule for rule in (Constant, Linear, Exponential, InverseSigmoid)
}


@dataclass(frozen=True)
class Scheduled:
    """A mode whose share of the teacher changes from step to step."""

    rule: Share

    def at(self, step: int, steps: int) -> Mode:
        """Return the mode of a step, counted from 0, of a run of `steps`."""
        return ("scheduled", self.rule.share(step, steps))


def share_of(mode: Mode) -> float | None:
    """Return the share of the teacher, if that is scheduled."""
    return None if isinstance(mode, str) else mode[1]


def _require_share(name: str, number: float) -> None:
    if not 0 <= number <= 1:
        raise ValueError(f"{name} must be from 0 to 1, got {number:g}")
