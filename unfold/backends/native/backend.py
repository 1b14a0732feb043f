"""A compiled backend: Plans on an engine with any machine.

class Numba(Native):
    target = Target(…)

    def __init__(self, planner: Planner, room: Room) -> None:
        super().__init__(planner, Engine(Compiled(), room=room))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from unfold.backends.hardware import Hardware
from unfold.backends.native.engine import Engine
from unfold.backends.native.host import Request
from unfold.backends.native.profile import Clock
from unfold.backends.native.rules import bind
from unfold.backends.protocol import Arrays, Planner
from unfold.core.plan import Plan
from unfold.core.program import BATCH, Program
from unfold.core.rule import Applied, Rule
from unfold.core.target import Target
from unfold.runs.domain import Domain


class Native:
    """Runs Plans.

    Args:
        planner: makes them.
        engine: runs them.

    Attributes:
        target: the machine that Plans are for.
        takes_parts: it does, so that segments can be recomputed.
        engine: the present one; another one while a clock is read.
    """

    target: Target
    takes_parts = True

    def __init__(self, planner: Planner, engine: Engine) -> None:
        self.planner, self.engine = planner, engine

    @property
    def held(self) -> int:
        """The bytes of the arenas that are kept for the next run."""
        return self.engine.held

    def prepare(self, program: Program, domain: Domain, dtype: str) -> Ready:
        """Return a Program that is ready to run; it is compiled at its first run."""
        return Ready(self, self.planner(program, domain, self.target), domain, dtype)

    def needs(self, program: Program, domain: Domain, dtype: str) -> int:
        """Return the bytes that a run takes."""
        plan = self.planner(program, domain, self.target)
        return self.engine.needs(plan, over(domain, 0, {}), dtype)

    def bind(self, *rules: tuple[Rule, Arrays]) -> tuple[Applied, ...]:
        """Return functions that apply rules, compiled together."""
        return bind(self.engine.machine, rules)

    def hardware(self) -> Hardware | None:
        """Return nothing: it is not known."""
        return None

    @contextmanager
    def clocked(self) -> Iterator[Clock]:
        """Run Plans in this context on an engine that reads the clock."""
        before, self.engine = self.engine, (clock := Clock(self.engine))
        try:
            yield clock
        finally:
            self.engine = before


class Ready:
    """A Plan for a domain, and the domain of its last run."""

    def __init__(self, backend: Native, plan: Plan, domain: Domain, dtype: str) -> None:
        self.backend, self.plan, self.domain, self.dtype = backend, plan, domain, dtype
        self._over = over(domain, 0, {})

    def run(self, arrays: Arrays, *, seed: int, origin: Mapping[str, int]) -> dict[str, Any]:
        """Compute the results of the Plan."""
        if (self._over.seed, self._over.origin) != (seed, origin):
            self._over = over(self.domain, seed, origin)
        return self.backend.engine.run(self.plan, arrays, self._over, dtype=self.dtype)


def over(domain: Domain, seed: int, origin: Mapping[str, int]) -> Request:
    """Return the extents, lengths and seed of a run."""
    lengths = {a: domain.length(a) for a in domain.extents if a != BATCH}
    return Request(domain.extents, lengths, seed, origin)
