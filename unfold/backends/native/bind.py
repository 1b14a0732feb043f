"""Bind the blocks of a Plan to memory: one arena, and one array of slots per block.

In: blocks, extents, the addresses of compiled functions. Out: a `Bound` whose `table` a driver
walks. The first word of a slot gives its meaning:

    extent AXIS            number of points
    address BUFFER ...     of the element whose loop indices are all 0
    stride BUFFER AXIS f   bytes for f points of an axis
    halo, start, count     of a buffer, to fill it
    pack, packstride       of a packed operand
    function NAME          of the library
    kernel NAME            of an operator
    scratch, room          memory for products and for operators
    outside, waste BUFFER  memory for what is read and written outside of its domain
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from unfold.backends.native.arena import Arena
from unfold.backends.native.layout import Place
from unfold.backends.native.protocol import Block, Memory, Products, Slot
from unfold.core.plan import Plan


class Bound:
    """A Plan bound to memory.

    Args:
        plan: to bind.
        blocks: its blocks.
        functions: address of each block.
        products: of matrices.
        memory: that it is bound to.
        dtype: element type.
        extents: of every axis, "batch" included.

    Attributes:
        layout: of the arena.
        arena: the memory of all buffers; parameters without a halo live outside.
        table: (function, slots) per block, addresses.
        views: arrays over the buffers in the arena, halos left out, [*stored axes, *shape].
    """

    def __init__(
        self,
        plan: Plan,
        blocks: Sequence[Block],
        functions: Sequence[int],
        products: Products,
        memory: Memory,
        dtype: str,
        extents: Mapping[str, int],
    ) -> None:
        self.plan, self.products, self.extents = plan, products, dict(extents)
        self.memory = memory
        self.dtype = np.dtype(dtype)
        self.layout = Arena(plan, blocks, products, dtype, extents)
        self._places, self._offsets = self.layout.places, self.layout.offsets
        self.arena = memory.allocate(self.layout.size)
        self._base = memory.address(self.arena)
        self.views = {n: self._view(p) for n, p in self._places.items() if n in self._offsets}
        self._prepare()
        self._moving: dict[str, list[tuple[Any, int, int]]] = {}
        self.held: dict[str, Any] = {}
        self.slots = [self._slots(b) for b in blocks]
        pairs = [(f, memory.address(s)) for f, s in zip(functions, self.slots, strict=True)]
        self.table = np.array(pairs, np.int64).reshape(-1)

    @property
    def outside(self) -> tuple[str, ...]:
        """The parameters that blocks read from the user's own arrays."""
        return tuple(self._moving)

    def keep(self, name: str, array: Any) -> None:
        """Use an array of the user for a parameter, and hold on to it."""
        own = self.memory.hold(array, self.dtype)
        if self.held.get(name) is own:
            return
        self.held[name], address = own, self.memory.address(own)
        for slots, position, offset in self._moving.get(name, ()):
            slots[position] = address + offset

    # Memory

    def _view(self, own: Place) -> Any:
        start = self._offsets[own.buffer.name]
        whole = self.memory.view(self.arena, start, own.sizes, own.strides, self.dtype)
        inner = [slice(b, n - a) for n, (b, a) in zip(own.sizes, own.halos, strict=False)]
        return whole[(*inner, ...)]

    def _prepare(self) -> None:
        """Set the points outside of domains, which never change."""
        for name, own in self._places.items():
            if name in self._offsets and own.buffer.empty:
                self._fill(name, own.bytes, own.buffer.empty)
        self._fill("#-1.0", self.layout.row, -1.0)

    def _fill(self, name: str, size: int, number: float) -> None:
        item = self.dtype.itemsize
        at = self._offsets[name]
        self.memory.view(self.arena, at, (size // item,), (item,), self.dtype)[...] = number

    # Slots

    def _slots(self, block: Block) -> Any:
        values = np.zeros(max(len(block.slots), 1), np.int64)
        for position, slot in enumerate(block.slots):
            values[position] = self._value(slot, values, position)
        return self.memory.hold(values, np.int64)

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
        return self.products.function(name)

    def _kernel(self, values: Any, position: int, name: str) -> int:
        return self.products.kernel(name)

    def _room(self, values: Any, position: int, *of: Any) -> int:
        return self._base + self._offsets["#scratch"]

    def _scratch(self, values: Any, position: int, *dims: Any) -> int:
        return self._base + self._offsets["#scratch"]

    def _outside(self, values: Any, position: int, name: str, guarded: Any) -> int:
        return self._base + self._offsets[f"#{self._places[name].buffer.empty}"]

    def _waste(self, values: Any, position: int, name: str, guarded: Any) -> int:
        return self._base + self._offsets["#waste"]
