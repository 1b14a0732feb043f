"""Optimisers: from parameters, gradients and a state to the next parameters and state.

Every rule is a small frozen dataclass whose fields are its constants and whose `change` is its
formula for one array. Nothing is updated in place, so a step either happened or it did not, and
the state is plain arrays that a checkpoint can hold. A parameter without a gradient (a frozen one)
stays as it is.

    Adagrad(rate=0.1):   s' = s + g²,   p' = p - rate g / (√s' + ε)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

Array = np.ndarray
Arrays = dict[str, Array]


@dataclass(frozen=True)
class OptimizerState:
    """What an optimiser remembers: steps taken, and its slots by name and parameter."""

    step: int
    slots: Mapping[str, Arrays]


@dataclass(frozen=True)
class Optimizer(ABC):
    """The shell around a formula; `slots` names the arrays it keeps beside every parameter."""

    slots: ClassVar[tuple[str, ...]]

    @abstractmethod
    def change(self, gradient: Array, slots: Arrays, step: int) -> tuple[Array, Arrays]:
        """Return what is added to the parameter, and the new slots; `step` counts from 1."""

    def start(self, parameters: Mapping[str, Array]) -> OptimizerState:
        """Return the state before the first step: every slot zero."""
        slots = {s: {n: np.zeros_like(p) for n, p in parameters.items()} for s in self.slots}
        return OptimizerState(0, slots)

    def update(
        self, parameters: Arrays, gradients: Mapping[str, Array], state: OptimizerState
    ) -> tuple[Arrays, OptimizerState]:
        """Return the parameters and the state after one step; no array is changed in place."""
        step = state.step + 1
        moved = dict(parameters)
        slots = {s: dict(arrays) for s, arrays in state.slots.items()}
        for name, gradient in gradients.items():
            mine = {s: slots[s][name] for s in self.slots}
            change, mine = self.change(gradient, mine, step)
            moved[name] = parameters[name] + change
            for slot in self.slots:
                slots[slot][name] = mine[slot]
        return moved, OptimizerState(step, slots)


@dataclass(frozen=True)
class Sgd(Optimizer):
    """Gradient descent with classical momentum (Polyak 1964): v' = μ v - rate g, p' = p + v'."""

    rate: float = 0.1
    momentum: float = 0.0
    slots: ClassVar[tuple[str, ...]] = ("velocity",)

    def __post_init__(self) -> None:
        _require_positive("rate", self.rate)
        _require_share("momentum", self.momentum)

    def change(self, gradient: Array, slots: Arrays, step: int) -> tuple[Array, Arrays]:
        """Return v' and v'."""
        velocity = self.momentum * slots["velocity"] - self.rate * gradient
        return velocity, {"velocity": velocity}


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Duchi, Hazan & Singer 2011, diagonal form: s' = s + g², p' = p - rate g / (√s' + ε)."""

    rate: float = 0.1
    epsilon: float = 1e-8
    slots: ClassVar[tuple[str, ...]] = ("squares",)

    def __post_init__(self) -> None:
        _require_positive("rate", self.rate)
        _require_positive("epsilon", self.epsilon)

    def change(self, gradient: Array, slots: Arrays, step: int) -> tuple[Array, Arrays]:
        """Return -rate g / (√s' + ε) and s'."""
        squares = slots["squares"] + gradient * gradient
        return -self.rate * gradient / (np.sqrt(squares) + self.epsilon), {"squares": squares}


@dataclass(frozen=True)
class Adam(Optimizer):
    """Kingma & Ba 2015, algorithm 1: moving averages m, v of g and g², bias-corrected."""

    rate: float = 0.002
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    slots: ClassVar[tuple[str, ...]] = ("mean", "square")

    def __post_init__(self) -> None:
        _require_positive("rate", self.rate)
        _require_share("beta1", self.beta1)
        _require_share("beta2", self.beta2)
        _require_positive("epsilon", self.epsilon)

    def change(self, gradient: Array, slots: Arrays, step: int) -> tuple[Array, Arrays]:
        """Return -rate m̂ / (√v̂ + ε) and m', v'."""
        mean = self.beta1 * slots["mean"] + (1 - self.beta1) * gradient
        square = self.beta2 * slots["square"] + (1 - self.beta2) * gradient * gradient
        corrected = mean / (1 - self.beta1**step)
        scale = np.sqrt(square / (1 - self.beta2**step)) + self.epsilon
        return -self.rate * corrected / scale, {"mean": mean, "square": square}


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": Sgd, "adagrad": Adagrad, "adam": Adam}


def _require_positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name} must be above 0, got {value}")


def _require_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, got {value}")
