"""The parts in which compiled backends differ: a machine, its memory and its products.

    Plan ─▶ machine.blocks ─▶ text and slots ─▶ machine.functions ─▶ addresses
    slots ─▶ `bind` gives them memory ─▶ machine.call(table, count)

A block is a function of one argument, the address of its slots: 64-bit integers with extents,
strides and addresses in the machine's memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from unfold.core.plan import Plan

Slot = tuple[object, ...]
ITEM = {"float32": 4, "float64": 8}


@dataclass(frozen=True)
class Block:
    """A generated module and the meaning of its slots.

    Attributes:
        text: the module.
        slots: see `unfold.backends.native.bind`.
        values: the equations it computes, for messages and profiles.
    """

    text: str
    slots: tuple[Slot, ...]
    values: tuple[str, ...]


class Memory(Protocol):
    """Memory that blocks can address: the host's, or a device's."""

    def allocate(self, size: int) -> Any:
        """Return a number of bytes, zero and aligned to `layout.ALIGN`."""
        ...

    def view(
        self, store: Any, offset: int, shape: Sequence[int], strides: Sequence[int], dtype: Any
    ) -> Any:
        """Return an array over a part of an allocation; offset and strides are bytes.

        Its `tolist` gives numbers, as NumPy's does.
        """
        ...

    def address(self, array: Any) -> int:
        """Return the address of an array of this memory."""
        ...

    def hold(self, array: Any, dtype: Any) -> Any:
        """Return a user's array in this memory, contiguous: the array itself if possible."""
        ...

    def upload(self, array: Any, view: Any) -> None:
        """Copy an array or numbers of the host into a view, as `view[...] = array` does."""
        ...

    def download(self, views: Sequence[Any]) -> Any:
        """Return a copy of views on the host, joined along their first dimension."""
        ...


class Products(Protocol):
    """Products of matrices of an element type, and operators with their own kernels."""

    def function(self, name: str) -> int:
        """Return the address of "pack", "gemm" or "matmul"."""
        ...

    def kernel(self, name: str, /) -> int:
        """Return the address of an operator's own kernel."""
        ...

    def packed_bytes(self, k: int, n: int) -> int:
        """Return the bytes of a packed B[K, N]."""
        ...

    def scratch_bytes(self, m: int, n: int, k: int, count: int = 1) -> int:
        """Return the bytes of scratch memory of `count` products, added up."""
        ...

    def kernel_bytes(self, name: str, *points: int) -> int:
        """Return the bytes of scratch memory of an operator's own kernel."""
        ...


class Machine(Protocol):
    """Writes blocks, makes functions of them, and calls these.

    Attributes:
        memory: that its blocks address.
    """

    @property
    def memory(self) -> Memory:
        """The memory for one share of a batch."""
        ...

    def blocks(self, plan: Plan, dtype: str, /) -> tuple[Block, ...]:
        """Return the blocks of a Plan, one for each statement of its top level."""
        ...

    def functions(self, texts: Sequence[str], /) -> tuple[int, ...]:
        """Return the address of the function of each text.

        Raises:
            BackendError: one does not compile.
        """
        ...

    def products(self, dtype: str, /) -> Products:
        """Return the products of an element type."""
        ...

    def call(self, table: int, count: int, /) -> None:
        """Call the functions of a table of (function, slots), one after another."""
        ...

    def caller(self, table: int, count: int, /) -> Callable[[], None]:
        """Return a function that does this `call`, for small blocks that are called often."""
        ...

    def timed(self, table: int, count: int, /) -> Any:
        """Call them and return the nanoseconds of a clock, before the first and after each."""
        ...
