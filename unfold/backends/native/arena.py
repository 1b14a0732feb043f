"""Give all results of a Plan a place in one block of memory.

In: the blocks of a Plan, and extents. Out: an `Arena`: the layout and the start of each buffer, and
the total number of bytes. Nothing is allocated, so it also serves as an estimate.

Buffers that live at different times may share a place. A value lives from the first block that uses
it to the last one; a buffer that is filled before a run lives from the start, a result to the end.
Buffers that keep zeros outside of the domain, or are filled once for many runs, always live.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from unfold.backends.native.layout import ALIGN, Place, place, widest
from unfold.backends.native.protocol import ITEM, Block, Products
from unfold.core.dependence import outreach
from unfold.core.plan import Dim, Plan

SMALL = 1 << 14  # bytes up to which a separate place costs less than the search for a shared one


@dataclass(frozen=True)
class Lifetime:
    """Something in memory: bytes, and the first and last block that need it."""

    name: str
    size: int
    first: int
    last: int


class Arena:
    """The places of all buffers.

    Args:
        plan: to place.
        blocks: its blocks, in order.
        products: of matrices; they need packed operands and scratch memory.
        dtype: element type.
        extents: of every axis, "batch" included.

    Attributes:
        places: layout of each buffer.
        packs: bytes of one packed operand, by name.
        offsets: bytes from the start; buffers by name, the rest by "#" and a name, without the
            user's own arrays.
        size: bytes in all.
        always: buffers that do not share their memory.
        row: bytes that stand for whatever is read or written outside of a domain.
    """

    def __init__(
        self,
        plan: Plan,
        blocks: Sequence[Block],
        products: Products,
        dtype: str,
        extents: Mapping[str, int],
    ) -> None:
        self.plan, self.products, self.extents = plan, products, dict(extents)
        self.item = ITEM[dtype]
        self.places = self._placed(blocks)
        self.packs = {n: self._pack_bytes(n) for n in plan.packs}
        self.row = max((self._row(*slot) for slot in self._checked(blocks)), default=0)
        self.row += 16 * self.item
        self.always: set[str] = set()
        self.offsets, self.size = _allotted(list(self._spans(blocks)))

    def _placed(self, blocks: Sequence[Block]) -> dict[str, Place]:
        found = [
            (slot[1], axis, outreach(index, axis, self.extents))
            for block in blocks
            for slot in block.slots
            if slot[0] == "address"
            for axis, index in slot[3]  # type: ignore[union-attr]
        ]
        halos = widest(found)  # type: ignore[arg-type]
        return {
            n: place(b, self.extents, halos.get(n, {}), self.item)
            for n, b in self.plan.buffers.items()
        }

    def _pack_bytes(self, name: str) -> int:
        pack = self.plan.packs[name]
        return self.products.packed_bytes(self._points(pack.k), self._points(pack.n))

    def _checked(self, blocks: Sequence[Block]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield the buffers that are read or written at checked indices, and the axes of these."""
        for slot in (s for b in blocks for s in b.slots):
            if slot[0] in ("outside", "waste"):
                yield slot[1:]  # type: ignore[misc]

    def _row(self, name: str, guarded: tuple[str, ...]) -> int:
        """Return the bytes that a statement may read or write at once where an index is outside.

        These are points of axes that are not checked. A category only selects features.
        """
        own = self.places[name]
        axes = zip(own.buffer.axes, own.sizes, strict=False)
        points = prod(n for s, n in axes if s.axis not in guarded) if guarded else 1
        return points * prod(own.buffer.shape) * self.item

    def _points(self, dims: Sequence[Dim]) -> int:
        return prod(d.size if d.size is not None else self.extents[d.name] for d in dims)

    def _spans(self, blocks: Sequence[Block]) -> Iterator[Lifetime]:
        end = len(blocks)
        for name in ("#0.0", "#-1.0", "#waste"):
            yield Lifetime(name, self.row, -1, end)
        products = [
            self.products.scratch_bytes(*(self._points(d) for d in s[1:]))  # type: ignore[arg-type]
            for b in blocks
            for s in b.slots
            if s[0] == "scratch"
        ]
        products += [
            self.products.kernel_bytes(str(s[1]), *(self.extents[a] for a in s[2:]))  # type: ignore[index]
            for b in blocks
            for s in b.slots
            if s[0] == "room"
        ]
        yield Lifetime("#scratch", max(products, default=0), -1, end)
        used: dict[str, list[int]] = {}
        for number, block in enumerate(blocks):
            for slot in block.slots:
                if slot[0] in ("address", "start"):
                    used.setdefault(str(slot[1]), []).append(number)
                elif slot[0] == "pack":
                    used.setdefault(f"#{slot[1]}", []).append(number)
        for name, size in self.packs.items():
            times = used.get(f"#{name}", [-1, end])
            points = prod(self.extents[a] for a in self.plan.packs[name].over)
            yield Lifetime(f"#{name}", size * points, times[0], times[-1])
        for name, own in self.places.items():
            result = name in self.plan.results
            if self._is_direct(own) or not (name in used or result or own.buffer.role == "host"):
                continue
            times = used.get(name, [-1, end])
            first, last = times[0], end if result else times[-1]
            if own.buffer.role != "computed":
                first = -1
            if own.buffer.role == "host" or own.buffer.empty or any(b or a for b, a in own.halos):
                first, last = -1, end
                self.always.add(name)
            yield Lifetime(name, own.bytes, first, last)

    def _is_direct(self, own: Place) -> bool:
        """Whether blocks read the user's own array."""
        return own.buffer.role == "parameter" and not any(b or a for b, a in own.halos)


def _allotted(spans: Sequence[Lifetime]) -> tuple[dict[str, int], int]:
    """Return the offset of every span, and the size of all: the largest first, each as low as it
    fits beside those that live when it does."""
    offsets, total = dict[str, int](), 0
    placed: list[tuple[int, int, Lifetime]] = []
    for span in sorted(spans, key=lambda s: (-s.size, s.name)):
        size = -(-span.size // ALIGN) * ALIGN + ALIGN
        start = total
        if span.size > SMALL:
            start = 0
            for low, high, other in placed:
                alive = other.first <= span.last and span.first <= other.last
                if alive and low < start + size and start < high:
                    start = high
            placed.append((start, start + size, span))
            placed.sort(key=lambda p: p[0])
        offsets[span.name] = start
        total = max(total, start + size)
    return offsets, total
