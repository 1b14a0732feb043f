"""The rows of the op table, by kind; importing this package fills `unfold.core.op.OPS`."""

from unfold.ops import composite, contract, ctc, pointwise, reduce, source, view, window

__all__ = ["composite", "contract", "ctc", "pointwise", "reduce", "source", "view", "window"]
