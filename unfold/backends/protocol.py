"""The interface of a backend: it prepares a Program for a domain, and runs it any number of times.

    backend = Backend(planner, room)
    prepared = backend.prepare(program, domain, "float32")
    values = prepared.run(arrays, seed=0, origin={})

The arrays have been checked: inputs [batch, *extents, *stored], parameters [*extents, *stored].
It returns arrays [batch or 1, *extents, *stored] by name: at least the Program's outputs and its
loss. Prepared Programs are kept for the next run as far as memory allows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from unfold.backends.hardware import Hardware
from unfold.backends.profiles import Profile
from unfold.core.plan import Plan
from unfold.core.program import Program
from unfold.core.rule import Applied, Rule
from unfold.core.target import Target
from unfold.runs.domain import Domain

Arrays = Mapping[str, Any]
Room = Callable[[int], float]  # from the bytes held to those that may be taken beside them


Planner = Callable[[Program, Domain, Target], Plan]


class Prepared(Protocol):
    """A Program that is ready to run over a domain."""

    def run(self, arrays: Arrays, *, seed: int, origin: Mapping[str, int]) -> dict[str, Any]:
        """Compute the results of the Program.

        Args:
            arrays: inputs and parameters by name; others are ignored.
            seed: of random values.
            origin: per axis, the point of a longer run that this one begins at; default 0.

        Raises:
            MemoryLimitError: it would not fit.
            BackendError: what was generated does not compile.
        """
        ...


class Clock(Protocol):
    """Measurements of runs, block by block."""

    def profiles(self) -> tuple[Profile, ...]:
        """Return the times of the runs, by Plan."""
        ...


class Backend(Protocol):
    """Runs Programs.

    Attributes:
        target: the machine that its Plans are for; None if it runs Programs without a Plan.
        takes_parts: whether a run may be a part of a longer one, so that segments can be
            recomputed; a training run then starts by telling the memory that a step needs.
    """

    target: Target | None
    takes_parts: bool

    def __init__(self, planner: Planner, room: Room) -> None: ...

    @property
    def held(self) -> int:
        """The bytes that are kept for the next run."""
        ...

    def prepare(self, program: Program, domain: Domain, dtype: str) -> Prepared:
        """Return a Program that is ready to run; nothing large is allocated yet.

        Args:
            program: what is meant, boundaries included.
            domain: its extents and lengths.
            dtype: of the arrays, "float32" or "float64"; a backend may compute more exactly.
        """
        ...

    def needs(self, program: Program, domain: Domain, dtype: str) -> int:
        """Return the bytes that a run takes; nothing is allocated or compiled."""
        ...

    def bind(self, *rules: tuple[Rule, Arrays]) -> tuple[Applied, ...]:
        """Return functions that apply rules to flat arrays in place.

        Args:
            rules: each with its arrays [n] by name, all of one type.

        Raises:
            BackendError: what was generated does not compile.
        """
        ...

    def hardware(self) -> Hardware | None:
        """Describe the processor that code is generated for, if any is."""
        ...

    def clocked(self) -> AbstractContextManager[Clock]:
        """Time all runs in this context block by block, if there are blocks."""
        ...
