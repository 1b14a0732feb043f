"""The time of runs: the seconds of every block of a Plan, and of the code around them.

    clock = Clock()            an engine like every other
    clock.run(plan, ...)       any number of times
    clock.profiles()           (Profile(plan, runs=40, threads=2, total=0.0821, blocks=[...]),)

Its driver reads the clock after every block, which costs some ten nanoseconds. Threads work at the
same time, as usual; a block's time is the mean over them. The rest of the total is Python: feeding
arrays, starting threads and waiting for the slowest, gathering results.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from unfold.backends.native.engine import Engine
from unfold.backends.native.host import Request
from unfold.backends.native.protocol import Block, Machine, Memory, Products
from unfold.backends.profiles import Profile, Timing
from unfold.core.plan import Plan


class Clocked:
    """A machine that reads a clock after every block, and delegates the rest to another machine.

    Attributes:
        calls: of tables, in the order in which they ended.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.calls: list[Timing] = []

    @property
    def memory(self) -> Memory:
        """The memory of the other machine."""
        return self._machine.memory

    def blocks(self, plan: Plan, dtype: str) -> tuple[Block, ...]:
        """Return the blocks of a Plan."""
        return self._machine.blocks(plan, dtype)

    def functions(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Return the address of the function of each text."""
        return self._machine.functions(texts)

    def products(self, dtype: str) -> Products:
        """Return the products of an element type."""
        return self._machine.products(dtype)

    def timed(self, table: int, count: int) -> Any:
        """Call the functions of a table, with the clock of the other machine."""
        return self._machine.timed(table, count)

    def call(self, table: int, count: int) -> None:
        """Call the functions of a table."""
        read = self.timed(table, count)
        start, end = (1e-9 * float(read[i]) for i in (0, -1))
        self.calls.append(Timing(start, end, tuple((1e-9 * np.diff(read)).tolist())))

    def caller(self, table: int, count: int) -> Callable[[], None]:
        """Return a call that is not timed: no run of a Plan is in it."""
        return self._machine.caller(table, count)


class Clock(Engine):
    """An engine that records its times."""

    def __init__(self, engine: Engine) -> None:
        self._clocked = Clocked(engine.machine)
        self._found: dict[tuple[Plan, str], Profile] = {}
        super().__init__(self._clocked, engine.threads, engine.room)

    def run(
        self, plan: Plan, arrays: Mapping[str, Any], run: Request, *, dtype: str
    ) -> dict[str, Any]:
        """Compute the results of a Plan; see `Engine.run`."""
        self._clocked.calls.clear()
        began = time.perf_counter()
        values = super().run(plan, arrays, run, dtype=dtype)
        seconds = time.perf_counter() - began
        key = (plan, dtype)
        if key in self._found:
            self._found[key].add(seconds, self._clocked.calls)
        else:
            self._found[key] = Profile(plan, Counter(), dtype, seconds)
        self._found[key].extents[tuple(run.extents.items())] += 1
        return values

    def profiles(self) -> tuple[Profile, ...]:
        """Return the times of the runs, by Plan."""
        return tuple(self._found.values())
