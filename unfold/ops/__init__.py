"""The rows of the op table, by kind; importing this package fills `unfold.core.op.OPS`."""

from unfold.ops import composite, contract, pointwise, reduce, source, view

__all__ = ["composite", "contract", "pointwise", "reduce", "source", "view"]
