"""Schedules of the learning rate: factors of the base rate, as functions of the step.

    schedule: cosine                                    from 1 to 0 over the whole run
    schedule: [{warmup: 500}, {cosine: {to: 0.1}}]      up in 500 steps, then down to a tenth
    schedule: [{warmup: 500}, {step: {every: 10000, times: 0.5}}]

The factors of a list are multiplied. A piece that is not a warm-up begins at the end of the
warm-ups and, unless it has a number of steps, ends with the run. Warm-up follows Goyal et al. 2017,
cosine Loshchilov & Hutter 2017, without restarts.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from unfold.training.rules.steps import StepRule, power, require_steps


@dataclass(frozen=True)
class Piece(StepRule):
    """One factor."""

    @abstractmethod
    def factor(self, step: int, steps: int) -> float:
        """Return the factor of a step, counted from 0, of a run of `steps`."""


@dataclass(frozen=True)
class Constant(Piece):
    """The same at every step."""

    times: float = 1.0
    key: ClassVar[str] = "constant"

    def __post_init__(self) -> None:
        _require_factor("times", self.times)

    def factor(self, step: int, steps: int) -> float:
        """Return the factor."""
        return self.times


@dataclass(frozen=True)
class WarmUp(Piece):
    """From 1/steps up to 1, in a straight line."""

    steps: int
    key: ClassVar[str] = "warmup"

    def __post_init__(self) -> None:
        require_steps("steps", self.steps)

    def factor(self, step: int, steps: int) -> float:
        """Return the factor."""
        return min(1.0, (step + 1) / self.steps)


@dataclass(frozen=True)
class Linear(Piece):
    """From 1 to `to` in a straight line, then no further."""

    to: float = 0.0
    over: int | None = None
    key: ClassVar[str] = "linear"

    def __post_init__(self) -> None:
        _require_end(self.to, self.over)

    def factor(self, step: int, steps: int) -> float:
        """Return the factor."""
        return 1.0 + (self.to - 1.0) * _share(step, self.over or steps)


@dataclass(frozen=True)
class Cosine(Piece):
    """From 1 to `to` along half a period of a cosine, then no further."""

    to: float = 0.0
    over: int | None = None
    key: ClassVar[str] = "cosine"

    def __post_init__(self) -> None:
        _require_end(self.to, self.over)

    def factor(self, step: int, steps: int) -> float:
        """Return the factor."""
        wave = (1.0 + math.cos(math.pi * _share(step, self.over or steps))) / 2
        return self.to + (1.0 - self.to) * wave


@dataclass(frozen=True)
class Step(Piece):
    """Times `times` after every `every` steps."""

    every: int
    times: float = 0.5
    key: ClassVar[str] = "step"

    def __post_init__(self) -> None:
        require_steps("every", self.every)
        _require_factor("times", self.times)

    def factor(self, step: int, steps: int) -> float:
        """Return the factor."""
        return power(self.times, step // self.every)


@dataclass(frozen=True)
class Exponential(Piece):
    """Times `times` after every `every` steps, and in between along the curve."""

    times: float
    every: int = 1
    key: ClassVar[str] = "exponential"

    def __post_init__(self) -> None:
        _require_factor("times", self.times)
        require_steps("every", self.every)

    def factor(self, step: int, steps: int) -> float:
        """Return the factor."""
        return power(self.times, step / self.every)


PIECES: dict[str, type[Piece]] = {
    piece.key: piece for piece in (Constant, WarmUp, Linear, Cosine, Step, Exponential)
}


@dataclass(frozen=True)
class Schedule:
    """The product of some pieces."""

    pieces: tuple[Piece, ...] = ()

    @property
    def begin(self) -> int:
        """The step at which all warm-ups have ended."""
        return max((p.steps for p in self.pieces if isinstance(p, WarmUp)), default=0)

    def factor(self, step: int, steps: int) -> float:
        """Return the factor of a step, counted from 0, of a run of `steps`."""
        product, begin = 1.0, self.begin
        for piece in self.pieces:
            if isinstance(piece, WarmUp):
                product *= piece.factor(step, steps)
            else:
                product *= piece.factor(max(step - begin, 0), max(steps - begin, 1))
        return product


def _share(step: int, over: int) -> float:
    return min(1.0, step / over)


def _require_factor(name: str, number: float) -> None:
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} must be a finite number of at least 0, got {number:g}")


def _require_end(to: float, over: int | None) -> None:
    _require_factor("to", to)
    if over is not None:
        require_steps("over", over)
