"""Optimisers: from weights, a gradient and slots to the next weights and slots.

An optimiser is a small frozen dataclass. Its fields are the constants that a spec may set. It names
the arrays that it keeps beside the weights (its slots), and gives its equations and their numbers
at a step. All arrays are flat and of one length, see `weights`. The backend of a run computes the
equations (`unfold.core.rule`), so a new optimiser is one class and its place in `OPTIMIZERS`.

    Adagrad(rate=0.1):   s' = s + g²,   p' = p - rate g / (√s' + ε)

Weight decay acts on the weights, not on the gradient (Loshchilov & Hutter 2019); the loop applies
it after any of these rules.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from unfold.core.rule import Lines, Rule, interpret
from unfold.core.scalar import X, sqrt

Array = np.ndarray
P, G, RATE = X("p"), X("g"), X("rate")


@dataclass(frozen=True)
class Optimizer(ABC):
    """The shell around a formula.

    Attributes:
        rate: the learning rate, before a schedule.
        key: its name in a spec.
    """

    rate: float
    key: ClassVar[str]

    def __post_init__(self) -> None:
        for field in fields(self):
            number = getattr(self, field.name)
            if isinstance(number, float) and not math.isfinite(number):
                raise ValueError(f"{field.name} must be a finite number, got {number}")
        if not self.rate > 0:
            raise ValueError(f"rate must be above 0, got {self.rate:g}")
        self.check()

    @abstractmethod
    def check(self) -> None:
        """Raise ValueError for an invalid constant."""

    @property
    @abstractmethod
    def slots(self) -> tuple[str, ...]:
        """The arrays that are kept beside the weights, by name."""

    @property
    @abstractmethod
    def lines(self) -> Lines:
        """The equations of p and the slots, from these, the gradient g and the constants."""

    @abstractmethod
    def constants(self, rate: float, step: int) -> Mapping[str, float]:
        """Return the numbers of the equations at a step, counted from 1, by name."""

    @property
    def decay(self) -> float:
        """The weight decay that is part of the rule."""
        return 0.0

    def start(self, weights: Array) -> list[Array]:
        """Return the slots before the first step."""
        return [np.zeros_like(weights) for _ in self.slots]

    @property
    def rule(self) -> Rule:
        """The equations over p, g and the slots."""
        numbers = tuple(self.constants(self.rate, 1))
        return Rule(self.key, ("p", "g", *self.slots), numbers, self.lines)

    def update(
        self,
        weights: Array,
        gradient: Array,
        slots: Sequence[Array],
        *,
        step: int,
        rate: float | None = None,
    ) -> tuple[Array, list[Array]]:
        """Return new weights and slots, for custom training loops.

        Arguments:
            weights, gradient, slots: flat arrays [n].
            step: of this update, counted from 1.
            rate: default: the optimiser's own.
        """
        own = {"p": weights.copy(), **{n: s.copy() for n, s in zip(self.slots, slots, strict=True)}}
        numbers = self.constants(self.rate if rate is None else rate, step)
        interpret(self.rule, {**own, "g": gradient})(*numbers.values())
        return own["p"], [own[n] for n in self.slots]


@dataclass(frozen=True)
class Sgd(Optimizer):
    """Gradient descent: p' = p - rate g.

    With momentum (Polyak 1964) v' = μ v - rate g, p' = p + v'; Nesterov's (in the form of Sutskever
    et al. 2013) looks ahead, p' = p + μ v' - rate g.
    """

    rate: float = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    key: ClassVar[str] = "sgd"

    def check(self) -> None:
        """Check the constants."""
        _require_share("momentum", self.momentum)
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")

    @property
    def slots(self) -> tuple[str, ...]:
        """The velocity, if there is momentum."""
        return ("velocity",) if self.momentum else ()

    @property
    def lines(self) -> Lines:
        """One of three rules."""
        v, share, pull = X("velocity"), X("momentum"), RATE * G
        if not self.momentum:
            return (("p", P - pull),)
        moved = P + share * v - pull if self.nesterov else P + v
        return ("velocity", share * v - pull), ("p", moved)

    def constants(self, rate: float, step: int) -> Mapping[str, float]:
        """Return rate, μ."""
        return {"rate": rate, "momentum": self.momentum}


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Duchi, Hazan & Singer 2011, diagonal form: s' = s + g², p' = p - rate g / (√s' + ε).

    The sum s begins at `start_at`: with 1e-8 and ε = 0 this is the rule of min-char-rnn, whose
    constant is inside the root.
    """

    rate: float = 0.1
    epsilon: float = 1e-8
    start_at: float = 0.0
    key: ClassVar[str] = "adagrad"

    @property
    def slots(self) -> tuple[str, ...]:
        """The sums."""
        return ("squares",)

    @property
    def lines(self) -> Lines:
        """s' and p'."""
        s = X("squares")
        return ("squares", s + G * G), ("p", P - RATE * G / (sqrt(s) + X("epsilon")))

    def check(self) -> None:
        """Check the constants."""
        if min(self.epsilon, self.start_at) < 0 or not self.epsilon + self.start_at > 0:
            raise ValueError(
                "epsilon and start_at must be at least 0, and one of them above 0, got "
                f"{self.epsilon} and {self.start_at}"
            )

    def start(self, weights: Array) -> list[Array]:
        """Return the sums before the first step."""
        return [np.full_like(weights, self.start_at)]

    def constants(self, rate: float, step: int) -> Mapping[str, float]:
        """Return rate, ε."""
        return {"rate": rate, "epsilon": self.epsilon}


@dataclass(frozen=True)
class RmsProp(Optimizer):
    """Tieleman & Hinton 2012: s' = ρ s + (1-ρ) g², p' = p - rate g / (√s' + ε).

    With momentum, v' = μ v - rate g / (√s' + ε), p' = p + v'.
    """

    rate: float = 0.001
    rho: float = 0.9
    epsilon: float = 1e-8
    momentum: float = 0.0
    key: ClassVar[str] = "rmsprop"

    def check(self) -> None:
        """Check the constants."""
        _require_share("rho", self.rho)
        _require_share("momentum", self.momentum)
        _require_positive("epsilon", self.epsilon)

    @property
    def slots(self) -> tuple[str, ...]:
        """The mean square, and the velocity if there is momentum."""
        return ("square", "velocity") if self.momentum else ("square",)

    @property
    def lines(self) -> Lines:
        """s', v' if there is momentum, and p'."""
        s, v = X("square"), X("velocity")
        square = ("square", X("rho") * s + X("rest") * (G * G))
        pull = RATE * G / (sqrt(s) + X("epsilon"))
        if not self.momentum:
            return square, ("p", P - pull)
        return square, ("velocity", X("momentum") * v - pull), ("p", P + v)

    def constants(self, rate: float, step: int) -> Mapping[str, float]:
        """Return rate, ρ, 1-ρ, ε, μ."""
        rest, momentum = 1 - self.rho, self.momentum
        own = {"rho": self.rho, "rest": rest, "epsilon": self.epsilon, "momentum": momentum}
        return {"rate": rate, **own}


@dataclass(frozen=True)
class Adam(Optimizer):
    """Kingma & Ba 2015, algorithm 1: moving averages m, v of g and g², bias-corrected."""

    rate: float = 0.002
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    key: ClassVar[str] = "adam"

    @property
    def slots(self) -> tuple[str, ...]:
        """The two averages."""
        return ("mean", "square")

    @property
    def lines(self) -> Lines:
        """m', v' and p'."""
        m, v = X("mean"), X("square")
        return (
            ("mean", X("beta1") * m + X("rest1") * G),
            ("square", X("beta2") * v + X("rest2") * (G * G)),
            ("p", P - RATE * m / (X("root") * sqrt(v) + X("epsilon"))),
        )

    def check(self) -> None:
        """Check the constants."""
        _require_share("beta1", self.beta1)
        _require_share("beta2", self.beta2)
        _require_positive("epsilon", self.epsilon)

    def constants(self, rate: float, step: int) -> Mapping[str, float]:
        """Return rate / (1-β₁ⁿ), β₁, 1-β₁, β₂, 1-β₂, 1 / √(1-β₂ⁿ), ε."""
        first, second = self.beta1, self.beta2
        return {
            "rate": rate / (1 - first**step),
            "beta1": first,
            "rest1": 1 - first,
            "beta2": second,
            "rest2": 1 - second,
            "root": 1 / math.sqrt(1 - second**step),
            "epsilon": self.epsilon,
        }


@dataclass(frozen=True)
class AdamW(Adam):
    """Loshchilov & Hutter 2019: Adam, and beside it p' = p' - rate λ p for weights, not biases."""

    weight_decay: float = 0.01
    key: ClassVar[str] = "adamw"

    def check(self) -> None:
        """Check the constants."""
        super().check()
        _require_share("weight_decay", self.weight_decay)

    @property
    def decay(self) -> float:
        """λ."""
        return self.weight_decay


OPTIMIZERS: dict[str, type[Optimizer]] = {
    rule.key: rule for rule in (Sgd, Adagrad, RmsProp, Adam, AdamW)
}


def _require_positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name} must be above 0, got {value:g}")


def _require_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, got {value:g}")
