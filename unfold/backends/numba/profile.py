"""Where the time of runs goes: the seconds of every block of a Plan, and of what is around them.

    clock = Clock()            an engine like every other
    clock.run(plan, ...)       as often as one likes
    clock.profiles()           (Profile(plan, runs=40, threads=2, total=0.0821, blocks=[...]),)

Its machine calls the blocks one by one and looks at the clock in between, which costs a microsecond
or two per block. Threads work at the same time, as they always do; a block's time is the mean over
them. What is left of the total is Python: feeding arrays, starting threads, gathering results.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from unfold.backends.numba import gemm
from unfold.backends.numba.engine import Engine
from unfold.backends.numba.host import Run
from unfold.backends.numba.machine import Compiled, Machine
from unfold.core.plan import Plan
from unfold.core.program import Program

ENTRY = 16  # bytes of a table's entry: function, slots


@dataclass
class Profile:
    """What the runs of one Plan took.

    Attributes:
        plan: what ran.
        program: what it was made from.
        extents: of its axes.
        dtype: element type.
        runs: how many there were.
        threads: shares of the batch.
        total: seconds of all runs, from arrays to arrays.
        blocks: seconds of each statement of the top level in all runs, the mean over threads.
    """

    plan: Plan
    program: Program
    extents: Mapping[str, int]
    dtype: str
    runs: int = 0
    threads: int = 1
    total: float = 0.0
    blocks: list[float] = field(default_factory=list[float])

    def add(self, seconds: float, calls: Sequence[Sequence[float]]) -> None:
        """Add a run: its seconds, and those of the blocks in each call of a table."""
        shares, last = (calls[:-1], calls[-1]) if self.plan.late else (calls, ())
        self.runs, self.threads, self.total = self.runs + 1, len(shares), self.total + seconds
        times = [sum(each) / len(shares) for each in zip_longest(*shares, fillvalue=0.0)]
        times += last
        self.blocks = [a + b for a, b in zip_longest(self.blocks, times, fillvalue=0.0)]


class Clocked:
    """A machine that calls blocks one by one and keeps their times.

    Attributes:
        calls: the seconds of each block, for every call of a table.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.calls: list[list[float]] = []

    def functions(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Return the address of the function of each module."""
        return self._machine.functions(texts)

    def library(self, dtype: str) -> gemm.Library:
        """Return the products of an element type."""
        return self._machine.library(dtype)

    def call(self, table: int, count: int) -> None:
        """Call the functions of a table."""
        times: list[float] = []
        for position in range(count):
            began = time.perf_counter()
            self._machine.call(table + ENTRY * position, 1)
            times.append(time.perf_counter() - began)
        self.calls.append(times)


class Clock(Engine):
    """An engine that knows where its time went."""

    def __init__(self) -> None:
        self._clocked = Clocked(Compiled())
        self._found: dict[tuple[object, ...], Profile] = {}
        super().__init__(machine=self._clocked)

    def run(
        self, plan: Plan, program: Program, arrays: Mapping[str, Any], run: Run, *, dtype: str
    ) -> dict[str, Any]:
        """Compute the results of a Plan; see `Engine.run`."""
        self._clocked.calls.clear()
        began = time.perf_counter()
        values = super().run(plan, program, arrays, run, dtype=dtype)
        seconds = time.perf_counter() - began
        key = (id(plan), dtype, *run.extents.items())
        if key not in self._found:
            self._found[key] = Profile(plan, program, dict(run.extents), dtype)
        self._found[key].add(seconds, self._clocked.calls)
        return values

    def reset(self) -> None:
        """Forget the times so far: first runs compile, and touch memory that nobody has used."""
        self._found.clear()

    def profiles(self) -> tuple[Profile, ...]:
        """Return what the runs took, by Plan and extents."""
        return tuple(self._found.values())
