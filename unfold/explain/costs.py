"""The costs of a Plan's statements for given extents: floating-point operations, bytes moved.

In: a Plan, the extents of its axes ("batch" included). Out: an `Effort` per statement or kernel:

    product   2 M N K operations; reads A and B once, writes C once
    call      the cost in the operator's row, for each combination of the points that it runs over
    kernel    the operations of its lines for every element, exp and tanh counting 1, and one for
              each element that is added up; moves every element that it reads or writes once
    copies    nothing but bytes

A statement in a loop costs its share for every index point of the loop. An operand that it reads
again at the next step is counted again, whether or not a cache still holds it.

    h = tanh(z + b), 32 sequences of 100 features      6,400 operations, 26 kB in float32
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from unfold.core.affine import Affine
from unfold.core.op import OPS
from unfold.core.plan import (
    Access,
    Call,
    Dim,
    Fill,
    Gemm,
    Kernel,
    Load,
    Loop,
    Nest,
    Pack,
    Plan,
    Statement,
)
from unfold.core.scalar import X

SAMPLES = 200  # points of an axis


@dataclass(frozen=True)
class Effort:
    """Floating-point operations and bytes moved; they add up, and repeat."""

    flops: int = 0
    bytes: int = 0

    def __add__(self, other: Effort) -> Effort:
        return Effort(self.flops + other.flops, self.bytes + other.bytes)

    def __mul__(self, times: int) -> Effort:
        return Effort(self.flops * times, self.bytes * times)


@dataclass(frozen=True)
class Costs:
    """Computes the effort of statements.

    Attributes:
        plan: of the statements.
        extents: of every axis, "batch" included.
        item: bytes of an element.
    """

    plan: Plan
    extents: Mapping[str, int]
    item: int = 4

    def size(self, dims: Iterable[Dim]) -> int:
        """Return the number of points of some dimensions."""
        return prod(d.size if d.size is not None else self.extents[d.name] for d in dims)

    def share(self, within: Iterable[Affine]) -> float:
        """Return the share of index points within bounds, of axes that are looped over whole."""
        found = 1.0
        for form in within:
            # Long axes are sampled: the share of a triangle does not depend on its size.
            points = [
                np.linspace(0, self.extents[a] - 1, min(self.extents[a], SAMPLES))
                for a in form.axes
            ]
            grid = dict(zip(form.axes, np.meshgrid(*points, indexing="ij"), strict=True))
            last = {a: self.extents[a] - 1 for a, _ in form.lasts}
            found *= float(np.mean(form.evaluate(grid, last)[0] >= 0))
        return found

    def statements(self, statements: Iterable[Statement]) -> Effort:
        """Return the effort of some statements together."""
        return sum(map(self.statement, statements), Effort())

    def statement(self, statement: Statement) -> Effort:
        """Return the effort of a statement, once; of a loop, for all its index points."""
        if isinstance(statement, Loop):
            return self.statements(statement.body) * self.extents[statement.axis]
        if isinstance(statement, Nest):
            return sum((self.kernel(statement, k) for k in statement.kernels), Effort())
        if isinstance(statement, Gemm):
            return self._gemm(statement)
        if isinstance(statement, Call):
            return self._call(statement)
        if isinstance(statement, Pack):
            return self._pack(statement)
        return self._fill(statement)

    def kernel(self, nest: Nest, kernel: Kernel) -> Effort:
        """Return the effort of a kernel for all points of its nest."""
        dims = (*nest.dims, *((kernel.vector,) if kernel.vector else ()))
        added = sum(s.mode != "store" for _, s in kernel.stores)
        each = sum(operations(x) for _, x in kernel.lines) + added
        reads = [leaf.access for leaf in kernel.leaves.values() if isinstance(leaf, Load)]
        stores = [s for _, s in kernel.stores]
        reads += [s.access for s in stores if s.onto]
        picks = [a for x in (*reads, *(s.access for s in stores)) for a, _ in x.indirect]
        moved = dict.fromkeys((*reads, *picks))
        elements = sum(self._touched(a, dims) for a in moved)
        elements += sum(self._touched(s.access, dims) for s in stores)
        share = self.share(nest.within)
        return Effort(round(each * self.size(dims) * share), round(elements * self.item * share))

    def _touched(self, access: Access, dims: Iterable[Dim]) -> int:
        """Return the number of elements that an access reaches; each pick of a row counts."""
        picks = [a for a, _ in access.indirect]
        return self.size(d for d in dims if any(a.moves(d.name) for a in (access, *picks)))

    def _gemm(self, gemm: Gemm) -> Effort:
        dims = (*gemm.m, *gemm.n, *gemm.k, *gemm.outer)
        elements = sum(self._touched(a, dims) for a in (gemm.a, gemm.b, gemm.c))
        return Effort(2 * self.size(dims), elements * self.item)

    def _call(self, call: Call) -> Effort:
        inner = {a: Dim(a) for a in call.inner}
        points = self.size((*call.dims, *(inner[a] for a in call.inner if a != call.along)))
        elements = 0
        for access in (*call.operands, call.target):
            axes = [d for d in (*call.dims, *inner.values()) if access.moves(d.name)]
            elements += self.size(axes) * prod(self.plan.buffers[access.buffer].shape)
        return Effort(OPS[call.op].flops * points, elements * self.item)

    def _pack(self, pack: Pack) -> Effort:
        points = prod(self.extents[a] for a in pack.over)
        return Effort(0, 2 * points * self.size((*pack.n, *pack.k)) * self.item)

    def _fill(self, fill: Fill) -> Effort:
        """Return the effort of setting a buffer at one point of the loops, without halos."""
        buffer = self.plan.buffers[fill.buffer]
        points = [s.ring or self.extents[s.axis] for s in buffer.axes if s.axis not in fill.looped]
        return Effort(0, prod(points) * prod(buffer.shape) * self.item)


def operations(x: X) -> int:
    """Count the operations of a scalar expression."""
    return bool(x.arguments) + sum(map(operations, x.arguments))
