"""Where the time of runs goes: the seconds of every block of a Plan, and of what is around them.

    clock = Clock()            an engine like every other
    clock.run(plan, ...)       as often as one likes
    clock.profiles()           (Profile(plan, runs=40, threads=2, total=0.0821, blocks=[...]),)

Its driver reads the clock after every block, which costs some ten nanoseconds. Threads work at the
same time, as they always do; a block's time is the mean over them. What is left of the total is
Python: feeding arrays, starting threads and waiting for the slowest, gathering results.
"""

from __future__ import annotations

import ctypes
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from unfold.backends.numba import gemm, store
from unfold.backends.numba.engine import Engine
from unfold.backends.numba.host import Run
from unfold.backends.numba.machine import Compiled, Machine
from unfold.backends.profiles import Call, Profile
from unfold.core.plan import Plan
from unfold.core.program import Program

DRIVER = '''\
"""Call the blocks of a table, one after another, and read a clock in between."""

from numba import cfunc

from unfold.backends.numba.calls import call, load_i64


@cfunc("void(int64, int64, int64, int64, int64)", cache=True)
def block(table, n, gettime, clock, times):
    call(gettime, clock, times)
    for i in range(n):
        call(load_i64(table, 2 * i), load_i64(table, 2 * i + 1))
        call(gettime, clock, times + 16 * (i + 1))
'''


CLOCK = getattr(time, "CLOCK_MONOTONIC", 0)


def _read_clock(_: int, address: int) -> None:
    """Write seconds and nanoseconds to an address, as `clock_gettime` does."""
    (ctypes.c_int64 * 2).from_address(address)[:] = divmod(time.perf_counter_ns(), 10**9)


class Clocked:
    """A machine that reads a clock after every block; the rest of it is another one.

    Attributes:
        calls: of tables, in the order in which they ended.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.calls: list[Call] = []

    def functions(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Return the address of the function of each module."""
        return self._machine.functions(texts)

    def library(self, dtype: str) -> gemm.Library:
        """Return the products of an element type."""
        return self._machine.library(dtype)

    def call(self, table: int, count: int) -> None:
        """Call the functions of a table."""
        read = np.zeros((count + 1, 2), np.int64)  # struct timespec: seconds, nanoseconds
        self._driver(table, count, self._gettime, CLOCK, read.ctypes.data)
        passed = np.diff(read, axis=0) @ np.array([1.0, 1e-9])
        start, end = (float(read[i] @ np.array([1.0, 1e-9])) for i in (0, -1))
        self.calls.append(Call(start, end, tuple(passed.tolist())))

    @cached_property
    def _driver(self) -> Any:
        address = store.load(DRIVER).address
        return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 5)(address)

    @cached_property
    def _gettime(self) -> int | None:
        return ctypes.cast(self._clock, ctypes.c_void_p).value

    @cached_property
    def _clock(self) -> Any:
        """The C library's clock, or where it has none (Windows), Python's, which takes 1 µs."""
        try:
            return ctypes.CDLL(None).clock_gettime
        except (AttributeError, OSError, TypeError):
            return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 2)(_read_clock)


class Clock(Engine):
    """An engine that knows where its time went."""

    def __init__(self) -> None:
        self._clocked = Clocked(Compiled())
        self._found: dict[tuple[int, str], Profile] = {}
        super().__init__(machine=self._clocked)

    def run(
        self, plan: Plan, program: Program, arrays: Mapping[str, Any], run: Run, *, dtype: str
    ) -> dict[str, Any]:
        """Compute the results of a Plan; see `Engine.run`."""
        self._clocked.calls.clear()
        began = time.perf_counter()
        values = super().run(plan, program, arrays, run, dtype=dtype)
        seconds = time.perf_counter() - began
        key = (id(plan), dtype)
        if key in self._found:
            self._found[key].add(seconds, self._clocked.calls)
        else:
            self._found[key] = Profile(plan, program, Counter(), dtype, seconds)
        self._found[key].extents[tuple(run.extents.items())] += 1
        return values

    def profiles(self) -> tuple[Profile, ...]:
        """Return what the runs took, by Plan."""
        return tuple(self._found.values())
