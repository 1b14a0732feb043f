"""What runs blocks: the compiled machine; tests have another one that interprets the same text."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

from unfold.backends.numba import gemm, store

DRIVER = '''\
"""Call the blocks of a table, one after another."""

from numba import cfunc

from unfold.backends.numba.calls import call, load_i64


@cfunc("void(int64, int64)", cache=True)
def block(table, n):
    for i in range(n):
        call(load_i64(table, 2 * i), load_i64(table, 2 * i + 1))
'''


class Machine(Protocol):
    """Makes functions of generated text, and calls them."""

    def functions(self, texts: Sequence[str], /) -> tuple[int, ...]:
        """Return the address of the function `block` of each module."""
        ...

    def library(self, dtype: str, /) -> gemm.Library:
        """Return the products of an element type."""
        ...

    def call(self, table: int, count: int, /) -> None:
        """Call the functions of a table of (function, slots), one after another."""
        ...


class Compiled:
    """Numba's machine code. Calls hold no lock of the interpreter, so that threads run at once."""

    def call(self, table: int, count: int) -> None:
        """Call the functions of a table."""
        self._driver(table, count)

    @cached_property
    def _driver(self) -> Any:
        address = store.load(DRIVER).address
        return ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(address)

    def functions(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Compile modules, or find them in the store."""
        return tuple(k.address for k in store.load_all(texts))

    def library(self, dtype: str) -> gemm.Library:
        """Return the compiled products."""
        return gemm.library(dtype)
