"""Rules that give a number for every step, such as a factor of the learning rate."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass(frozen=True)
class StepRule(ABC):
    """A rule that gives a number for every step.

    Attributes:
        key: its name in a spec.
    """

    key: ClassVar[str]


def power(base: float, exponent: float) -> float:
    """Return base to the power of exponent as IEEE 754 has it: infinite where it is too large."""
    with np.errstate(all="ignore"):
        return float(np.float64(base) ** np.float64(exponent))


def require_steps(name: str, number: int) -> None:
    """Refuse a number of steps below 1."""
    if number < 1:
        raise ValueError(f"{name} must be at least 1, got {number}")
