"""A model on a backend: the interface that training uses.

    Learner(model, "numba").step(parameters, inputs, carry=carry, seed=3)

`model` is anything with the methods of `Model` below; `unfold.Model` has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from unfold.core.program import Program
from unfold.core.random import stream
from unfold.core.rule import Applied, Rule
from unfold.training.rules.teaching import Mode

Array = np.ndarray
Arrays = dict[str, Array]


class StepResult(Protocol):
    """The result of a model's step: the loss, gradients, the state for the next chunk."""

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


class Run(Protocol):
    """The result of a model's forward run."""

    @property
    def loss(self) -> float | None:
        """The loss of the batch."""
        ...

    @property
    def carry(self) -> Mapping[str, Array]:
        """The recurrent state after the last step."""
        ...

    def __getitem__(self, name: str) -> Array: ...

    def __iter__(self) -> Iterator[str]: ...


class Binding(Protocol):
    """The part of a backend that training uses directly."""

    def bind(self, *rules: tuple[Rule, Mapping[str, Array]]) -> tuple[Applied, ...]:
        """Return functions that apply rules to flat arrays."""
        ...


class Model(Protocol):
    """The part of a model that training uses."""

    @property
    def program(self) -> Program:
        """Its equations."""
        ...

    def init(self, seed: int = 0, dtype: str = "float64") -> Arrays:
        """Return fresh parameters."""
        ...

    @property
    def step(self) -> Callable[..., StepResult]:
        """Runs forward and backward over one chunk."""
        ...

    @property
    def forward(self) -> Callable[..., Run]:
        """Runs forward over one chunk."""
        ...

    @property
    def backend(self) -> Callable[[str | None], Binding]:
        """Returns a backend by name."""
        ...


@dataclass(frozen=True)
class Learner:
    """A model and its backend.

    Attributes:
        model: the model.
        backend: its name, or None for the default.
    """

    model: Model
    backend: str | None = None

    @cached_property
    def trained(self) -> tuple[str, ...]:
        """The parameters that are not frozen."""
        return tuple(v.name for v in self.model.program.parameters if not v.attributes["frozen"])

    def decayed(self, *, biases: bool) -> tuple[str, ...]:
        """The parameters that weight decay shrinks: those of rank 2 and more, or all."""
        parameters = self.model.program.parameters
        return tuple(v.name for v in parameters if biases or len(v.type.shape) > 1)

    @cached_property
    def _draws(self) -> bool:
        """Whether a run draws random numbers in any mode; otherwise its seed does not matter."""
        return any(v.row.is_random for v in self.model.program)

    def seed(self, seed: int, step: int, mode: Mode) -> int:
        """Return the seed of all draws in one step of a run."""
        if self._draws or not isinstance(mode, str):
            return stream(seed, f"step {step}") >> 1
        return 0

    def init(self, seed: int = 0, dtype: str = "float64") -> Arrays:
        """Return fresh parameters."""
        return self.model.init(seed=seed, dtype=dtype)

    def step(self, params: Mapping[str, Array], inputs: Arrays, **options: Any) -> StepResult:
        """Run forward and backward; options as in `unfold.Model.step`."""
        return self.model.step(params, inputs, backend=self.backend, **options)

    def forward(self, params: Mapping[str, Array], inputs: Arrays, **options: Any) -> Any:
        """Run forward; options as in `unfold.Model.forward`."""
        return self.model.forward(params, inputs, backend=self.backend, **options)

    def bind(self, *rules: tuple[Rule, Mapping[str, Array]]) -> tuple[Applied, ...]:
        """Return functions that apply rules to flat arrays, on the backend."""
        return self.model.backend(self.backend).bind(*rules)
