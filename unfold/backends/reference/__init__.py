"""The reference as a backend: the unfolded graph, walked front by front in double precision.

It defines the meaning of a Program (`unfold.unfolded.reference`), and needs no Plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from unfold.backends.profiles import Profile
from unfold.backends.protocol import Arrays, Planner, Room
from unfold.core.program import Program
from unfold.core.rule import Applied, Rule, interpret
from unfold.runs.domain import Domain
from unfold.unfolded.needs import needs
from unfold.unfolded.running import Runner


class Reference:
    """Walks unfolded graphs.

    Attributes:
        target: it needs none.
        takes_parts: it does not; runs in segments must agree with it.
        runner: keeps walks for the next run.
    """

    target = None
    takes_parts = False

    def __init__(self, planner: Planner, room: Room) -> None:
        self.runner = Runner(room)

    @property
    def held(self) -> int:
        """The bytes of the walks that are kept for the next run."""
        return self.runner.held

    def prepare(self, program: Program, domain: Domain, dtype: str) -> Walked:
        """Return a Program that is ready to run, in double precision for arrays of any type."""
        return Walked(self, program, domain)

    def needs(self, program: Program, domain: Domain, dtype: str) -> int:
        """Return the bytes that a run takes."""
        found = needs(program, domain)
        return found.walk + found.run

    def bind(self, *rules: tuple[Rule, Arrays]) -> tuple[Applied, ...]:
        """Return functions that apply rules with NumPy."""
        return tuple(interpret(rule, arrays) for rule, arrays in rules)

    def hardware(self) -> None:
        """Return nothing: no code is generated."""

    @contextmanager
    def clocked(self) -> Iterator[Untimed]:
        """Run as usual in this context: there are no blocks to time."""
        yield Untimed()


@dataclass(frozen=True)
class Walked:
    """A Program that the reference can run over a domain."""

    backend: Reference
    program: Program
    domain: Domain

    def run(self, arrays: Arrays, *, seed: int, origin: Mapping[str, int]) -> dict[str, Any]:
        """Compute every value of the Program."""
        return self.backend.runner.walk(self.program, self.domain).run(arrays, seed=seed)


class Untimed:
    """A clock without blocks."""

    def profiles(self) -> tuple[Profile, ...]:
        """Return nothing."""
        return ()
