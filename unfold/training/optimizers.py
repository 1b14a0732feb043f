"""Optimisers: from weights, a gradient and slots to the next weights and slots.

Every rule is a small frozen dataclass whose fields are its constants; it names the arrays that it
keeps beside the weights (its slots), the compiled formula, and the numbers the formula needs at a
step. All arrays are flat and of one length, see `weights`.

    Adagrad(rate=0.1):   s' = s + g²,   p' = p - rate g / (√s' + ε)

Weight decay is not a matter of the gradient but of the weights (Loshchilov & Hutter 2019), and is
applied by the loop after any of these rules.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import isfinite, sqrt
from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    from unfold.training.kernels import Kernel

Array = np.ndarray


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
            if isinstance(number, float) and not isfinite(number):
                raise ValueError(f"{field.name} must be a finite number, got {number}")
        if not self.rate > 0:
            raise ValueError(f"rate must be above 0, got {self.rate}")
        self.check()

    @abstractmethod
    def check(self) -> None:
        """Raise ValueError for a constant that makes no sense."""

    @property
    @abstractmethod
    def slots(self) -> tuple[str, ...]:
        """The arrays that are kept beside the weights, by name."""

    @property
    @abstractmethod
    def kernel(self) -> str:
        """The formula, a function of `unfold.training.kernels`."""

    @abstractmethod
    def constants(self, rate: float, step: int) -> tuple[float, ...]:
        """Return the formula's numbers at a step, counted from 1."""

    @property
    def decay(self) -> float:
        """The weight decay that is part of the rule."""
        return 0.0

    def start(self, weights: Array) -> list[Array]:
        """Return the slots before the first step."""
        return [np.zeros_like(weights) for _ in self.slots]

    def compiled(self) -> Kernel:
        """Return the formula: f(weights, gradient, *slots, old weights, *old slots, constants)."""
        from unfold.training import kernels

        kernel: Kernel = getattr(kernels, self.kernel)
        return kernel

    def update(
        self,
        weights: Array,
        gradient: Array,
        slots: Sequence[Array],
        *,
        step: int,
        rate: float | None = None,
    ) -> tuple[Array, list[Array]]:
        """Return new weights and slots, for those who write their own loop.

        Arguments:
            weights, gradient, slots: flat arrays [n].
            step: of this update, counted from 1.
            rate: default: the optimiser's own.
        """
        arrays = [weights.copy(), *(s.copy() for s in slots)]
        old = [np.empty_like(a) for a in arrays]
        numbers = self.constants(self.rate if rate is None else rate, step)
        constants = np.array(numbers, weights.dtype)
        self.compiled()(arrays[0], gradient, *arrays[1:], *old, constants)
        return arrays[0], arrays[1:]


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
        """The velocity, where there is momentum."""
        return ("velocity",) if self.momentum else ()

    @property
    def kernel(self) -> str:
        """One of three formulas."""
        if not self.momentum:
            return "sgd"
        return "nesterov" if self.nesterov else "momentum"

    def constants(self, rate: float, step: int) -> tuple[float, ...]:
        """Return rate, μ."""
        return (rate, self.momentum)


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Duchi, Hazan & Singer 2011, diagonal form: s' = s + g², p' = p - rate g / (√s' + ε).

    The sum s begins at `start_at`: with 1e-8 and ε = 0 this is the rule of min-char-rnn, whose
    constant is inside of the root.
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
    def kernel(self) -> str:
        """The formula."""
        return "adagrad"

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

    def constants(self, rate: float, step: int) -> tuple[float, ...]:
        """Return rate, ε."""
        return (rate, self.epsilon)


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
        """The mean square, and the velocity where there is momentum."""
        return ("square", "velocity") if self.momentum else ("square",)

    @property
    def kernel(self) -> str:
        """One of two formulas."""
        return "rmsprop_momentum" if self.momentum else "rmsprop"

    def constants(self, rate: float, step: int) -> tuple[float, ...]:
        """Return rate, ρ, 1-ρ, ε, μ."""
        return (rate, self.rho, 1 - self.rho, self.epsilon, self.momentum)


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
    def kernel(self) -> str:
        """The formula."""
        return "adam"

    def check(self) -> None:
        """Check the constants."""
        _require_share("beta1", self.beta1)
        _require_share("beta2", self.beta2)
        _require_positive("epsilon", self.epsilon)

    def constants(self, rate: float, step: int) -> tuple[float, ...]:
        """Return rate / (1-β₁ⁿ), β₁, 1-β₁, β₂, 1-β₂, 1 / √(1-β₂ⁿ), ε."""
        first, second = self.beta1, self.beta2
        root = 1 / sqrt(1 - second**step)
        corrected = rate / (1 - first**step)
        return (corrected, first, 1 - first, second, 1 - second, root, self.epsilon)


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
        raise ValueError(f"{name} must be above 0, got {value}")


def _require_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, got {value}")
