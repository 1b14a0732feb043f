"""The machine of the CPU: blocks written for Numba, compiled or from the store, and called.

Calls release the interpreter's lock, so that threads run in parallel.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from unfold.backends.native.memory import Host
from unfold.backends.native.protocol import Block
from unfold.backends.numba import gemm
from unfold.backends.numba.compiler import STORE
from unfold.backends.numba.generate import blocks
from unfold.core.plan import Plan

DRIVER = '''\
"""Call the blocks of a table, one after another."""

from numba import cfunc

from unfold.backends.numba.calls import call, load_i64


@cfunc("void(int64, int64)", cache=True)
def block(table, n):
    for i in range(n):
        call(load_i64(table, 2 * i), load_i64(table, 2 * i + 1))
'''

TIMED = '''\
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


class Compiled:
    """Numba's machine code.

    Attributes:
        memory: of the host; users' arrays are read in place.
    """

    def __init__(self) -> None:
        self.memory = Host()

    def blocks(self, plan: Plan, dtype: str) -> tuple[Block, ...]:
        """Return the blocks of a Plan."""
        return blocks(plan, dtype)

    def functions(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Compile modules, or find them in the store."""
        return tuple(k.address for k in STORE.load_all(texts))

    def products(self, dtype: str) -> gemm.Library:
        """Return the compiled products."""
        return gemm.library(dtype)

    def call(self, table: int, count: int) -> None:
        """Call the functions of a table."""
        self._driver(table, count)

    def caller(self, table: int, count: int) -> Callable[[], None]:
        """Return a function that calls them, without conversions."""
        return partial(self._driver, ctypes.c_int64(table), ctypes.c_int64(count))

    def timed(self, table: int, count: int) -> Any:
        """Call them and return nanoseconds, before the first and after each."""
        read = np.zeros((count + 1, 2), np.int64)  # struct timespec: seconds, nanoseconds
        self._timed(table, count, self._gettime, CLOCK, read.ctypes.data)
        return read @ np.array([10**9, 1])

    @cached_property
    def _driver(self) -> Any:
        return _function(DRIVER, 2)

    @cached_property
    def _timed(self) -> Any:
        return _function(TIMED, 5)

    @cached_property
    def _gettime(self) -> int | None:
        return ctypes.cast(self._clock, ctypes.c_void_p).value

    @cached_property
    def _clock(self) -> Any:
        """The C library's clock, or if it has none (Windows), Python's, which takes 1 µs."""
        try:
            return ctypes.CDLL(None).clock_gettime
        except (AttributeError, OSError, TypeError):
            return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 2)(_read_clock)


def _function(text: str, arguments: int) -> Any:
    """Return a driver as a function of a number of 64-bit integers."""
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * arguments)(STORE.load(text).address)


def _read_clock(_: int, address: int) -> None:
    """Write seconds and nanoseconds to an address, as `clock_gettime` does."""
    (ctypes.c_int64 * 2).from_address(address)[:] = divmod(time.perf_counter_ns(), 10**9)
