"""`Target`: what planning has to know of the machine that a Plan is for.

A backend that runs Plans states its Target; `unfold.planning` reads nothing else of a machine. The
values of a run do not depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A machine, in terms of the transformations that pay on it.

    Attributes:
        contracts: array contraction: whether a value that is made and used up at one point of a
            nest has memory for one point only. The points of that nest then reuse one row, such as
            all sequences of a batch do, so they cannot run in parallel.
        fuses: loop fusion: whether work that reads a recurrence at its own step is done inside of
            it, and sums in the nests that make their terms, so that gradients of biases accumulate
            while these are at hand. Otherwise a recurrence does only what it must, and sums have
            nests of their own, so that the other nests can run in parallel.
        panels: whether matrices that products in a loop read are packed once, before the loop.
        matrix_vector: whether a product that has one row at each point is a GEMM. Otherwise it
            becomes kernels, each over one vector.
        recomputed: operations up to which an expression is computed again in each reader, rather
            than stored, if the readers are in the same loops.
        recomputed_apart: the same, if they are in different loops.
        leaves: how many a kernel has before another one is begun; they are held in registers.
    """

    contracts: bool
    fuses: bool
    panels: bool
    matrix_vector: bool
    recomputed: int
    recomputed_apart: int
    leaves: int
