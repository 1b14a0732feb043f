"""What benchmarks time: a recurrent layer between integer inputs and an output layer.

    h(t) = cell(x(t), h(t-1)),  o(t) = V h(t) + c,  loss = mean over t and batch of cross-entropy

A `Shape` is the number of steps, sequences and hidden units. Work is counted in products of
matrices with features, forward once and backward twice. Products with an input are picks of a
column and count nothing; nor do element-wise operations.
"""

from __future__ import annotations

from dataclasses import dataclass

CLASSES = 65


@dataclass(frozen=True)
class Shape:
    """How much of it: steps, sequences, hidden units."""

    name: str
    steps: int
    batch: int
    hidden: int


MAIN = {
    shape.name: shape
    for shape in (
        Shape("S1", 25, 1, 100),
        Shape("S2", 100, 32, 128),
        Shape("S3", 100, 64, 512),
        Shape("S4", 50, 128, 1024),
        Shape("S5", 1000, 1, 64),
    )
}


def product_flops(matrices: float, shape: Shape) -> int:
    """Return the operations of the products of loss and gradients: 6 T B (g H² + 65 H).

    Args:
        matrices: g, the number of products of H x H in a step.
        shape: T, B and H.
    """
    per_step = matrices * shape.hidden**2 + CLASSES * shape.hidden
    return round(6 * shape.steps * shape.batch * per_step)
