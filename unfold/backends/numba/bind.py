"""Bind the blocks of a Plan to memory: one arena, and one array of slots per block.

In: blocks, extents, the addresses of compiled functions. Out: a `Bound` whose `table` a driver
walks. What a slot means is its first word:

    extent AXIS            number of points
    address BUFFER ...     of the element whose loop indices are all 0
    stride BUFFER AXIS f   bytes for f points of an axis
    halo, start, count     of a buffer, to fill it
    pack, packstride       of a packed operand
    function NAME          of the library
    kernel NAME            of an operator
    scratch, room, outside, waste  memory for products, for what is outside, for what nobody reads
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from unfold.backends.numba.arena import Arena
from unfold.backends.numba.gemm import Library
from unfold.backends.numba.generate import Block, Slot
from unfold.backends.numba.layout import ALIGN, Place
from unfold.core.plan import Plan


class Bound:
    """A Plan bound to memory.

    Args:
        plan: what to bind.
        blocks: its blocks.
        functions: address of each block.
        library: products.
        dtype: element type.
        extents: of every axis, "batch" included.

    Attributes:
        layout: what is where.
        arena: the memory of all buffers; parameters without a halo live outside.
        table: (function, slots) per block, addresses.
        views: arrays over the buffers in the arena, halos left out, [*stored axes, *shape].
    """

    def __init__(
        self,
        plan: Plan,
        blocks: Sequence[Block],
        functions: Sequence[int],
        library: Library,
        dtype: str,
        extents: Mapping[str, int],
    ) -> None:
        self.plan, self.library, self.extents = plan, library, dict(extents)
        self.dtype = np.dtype(dtype)
        self.layout = Arena(plan, blocks, library, dtype, extents)
        self._places, self._offsets = self.layout.places, self.layout.offsets
        self.arena = np.zeros(self.layout.size + ALIGN, np.uint8)
        self._base = -(-self.arena.ctypes.data // ALIGN) * ALIGN
        self.views = {n: self._view(p) for n, p in self._places.items() if n in self._offsets}
        self._prepare()
        self._moving: dict[str, list[tuple[Any, int, int]]] = {}
        self.held: dict[str, Any] = {}
        self.slots = [self._slots(b) for b in blocks]
        pairs = [(f, s.ctypes.data) for f, s in zip(functions, self.slots, strict=True)]
        self.table = np.array(pairs, np.int64).reshape(-1)

    @property
    def outside(self) -> tuple[str, ...]:
        """The parameters that blocks read from the user's own arrays."""
        return tuple(self._moving)

    def keep(self, name: str, array: Any) -> None:
        """Use an array of the user for a parameter, and hold on to it."""
        if self.held.get(name) is array:
            return
        self.held[name], address = array, array.__array_interface__["data"][0]
        for slots, position, offset in self._moving.get(name, ()):
            slots[position] = address + offset

    # Memory

    def _view(self, own: Place) -> Any:
        start = self._base - self.arena.ctypes.data + self._offsets[own.buffer.name]
        whole = np.ndarray(own.sizes, self.dtype, self.arena, start, own.strides)
        inner = [slice(b, n - a) for n, (b, a) in zip(own.sizes, own.halos, strict=False)]
        return whole[(*inner, ...)]

    def _prepare(self) -> None:
        """Set what lies outside of domains; it stays as it is."""
        start = self._base - self.arena.ctypes.data
        for name, own in self._places.items():
            if name in self._offsets and own.buffer.empty:
                at = start + self._offsets[name]
                self.arena[at : at + own.bytes].view(self.dtype)[:] = own.buffer.empty
        at = start + self._offsets["#-1.0"]
        self.arena[at : at + self.layout.row].view(self.dtype)[:] = -1.0

    # Slots

    def _slots(self, block: Block) -> Any:
        values = np.zeros(max(len(block.slots), 1), np.int64)
        for position, slot in enumerate(block.slots):
            values[position] = self._value(slot, values, position)
        return values

    def _value(self, slot: Slot, values: Any, position: int) -> int:
        kind, *rest = slot
        return getattr(self, f"_{kind}")(values, position, *rest)

    def _extent(self, values: Any, position: int, axis: str) -> int:
        return self.extents[axis]

    def _address(self, values: Any, position: int, name: str, fixed: Any, whole: Any) -> int:
        own, offset = self._places[name], 0
        for axis, index in fixed:
            at = index.constant + sum(f * (self.extents[a] - 1) for a, f in index.lasts)
            offset += (at + own.halo(axis)) * own.stride(axis)
        for stored in own.buffer.axes:  # checked indices start at the first point
            if stored.ring is None and stored.axis not in dict(fixed):
                offset += own.halo(stored.axis) * own.stride(stored.axis)
        if name not in self._offsets:
            self._moving.setdefault(name, []).append((values, position, offset))
            return offset
        return self._base + self._offsets[name] + offset

    def _stride(self, values: Any, position: int, name: str, axis: str, factor: int) -> int:
        return self._places[name].stride(axis) * factor

    def _halo(self, values: Any, position: int, name: str, axis: str) -> int:
        return self._places[name].halo(axis)

    def _start(self, values: Any, position: int, name: str) -> int:
        return self._base + self._offsets[name]

    def _count(self, values: Any, position: int, name: str, looped: tuple[str, ...]) -> int:
        own = self._places[name]
        kept = [n for s, n in zip(own.buffer.axes, own.sizes, strict=False) if s.axis not in looped]
        return prod(kept) * prod(own.buffer.shape)

    def _pack(self, values: Any, position: int, name: str) -> int:
        return self._base + self._offsets[f"#{name}"]

    def _packstride(self, values: Any, position: int, name: str, axis: str) -> int:
        over = self.plan.packs[name].over
        inner = over[over.index(axis) + 1 :]
        return self.layout.packs[name] * prod(self.extents[a] for a in inner)

    def _function(self, values: Any, position: int, name: str) -> int:
        return int(getattr(self.library, name))

    def _kernel(self, values: Any, position: int, name: str) -> int:
        return self.library.kernel(name)

    def _room(self, values: Any, position: int, *of: Any) -> int:
        return self._base + self._offsets["#scratch"]

    def _scratch(self, values: Any, position: int, *dims: Any) -> int:
        return self._base + self._offsets["#scratch"]

    def _outside(self, values: Any, position: int, empty: float) -> int:
        return self._base + self._offsets[f"#{empty}"]

    def _waste(self, values: Any, position: int) -> int:
        return self._base + self._offsets["#waste"]
