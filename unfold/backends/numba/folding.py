"""Stores of reductions that have no vector instructions of their own.

    stores=(fold(1.0, lambda a, b: a * b),)      the product of the element and all values

In come the neutral number and a function of two vectors. Out comes a store for `vector_kernel`.
"""

from __future__ import annotations

from collections.abc import Callable

from unfold.backends.numba.lanes import VX, Trace
from unfold.backends.numba.operands import Accumulated, LoopVector


class Fold(Accumulated):
    """The combination of the element and all others, by a function of two in any order."""

    @staticmethod
    def pair(a: VX, b: VX) -> VX:
        """Combine two values."""
        raise NotImplementedError

    def write(self, block: LoopVector, value: VX | float) -> None:
        """Join a vector with the accumulator."""
        total = self.pair(self.held(block.trace, self.place), self.valid(block, value))
        self.builder.store(total.value, self.place)

    def finish(self) -> None:
        """Join the lanes with each other, and with the element."""
        trace = Trace(self.builder, self.lanes)
        total = self.held(trace, self.place)
        for upper in self.halves(trace):
            total = self.pair(total, upper(total))
        before = VX(trace, self.lanes.splat(self.builder, self.load_element()))
        self.store_element(self.first(self.pair(before, total)))


def fold(start: float, pair: Callable[[VX, VX], VX]) -> type[Fold]:
    """Return the store of a reduction: its neutral number, and its combination of two values."""
    return type("Fold", (Fold,), {"start": start, "pair": staticmethod(pair)})
