"""A builder that tolerates unknown types, for inferring those of recurrent equations.

`h[t]: tanh(z[t])` and `z[t]: W @ h[t-1] + b` need each other's shape. Inference elaborates every
equation against what is known so far, again and again until nothing new is found: products and
sums know their shape from their known operands, everything else stays `UNKNOWN` for now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unfold.core.build import Builder, Term
from unfold.core.op import OPS, Attributes
from unfold.core.program import Ref, Value
from unfold.core.types import Type

UNKNOWN = Type(kind="unknown")


@dataclass
class Sketch(Builder):
    """A builder in which operands may be UNKNOWN; so is then the result, unless the op can tell.

    Attributes:
        guessing: whether what a matrix is multiplied by is taken for a vector.
    """

    guessing: bool = False

    def infer(self, op: str, types: Sequence[Type], attributes: Attributes) -> Type:
        """Return the type of an op's result, or UNKNOWN where its row cannot tell yet."""
        if UNKNOWN not in types:
            return super().infer(op, types, attributes)
        row = OPS[op]
        known = [None if t is UNKNOWN else t for t in types]
        return (row.infer(known, attributes) if row.partial else None) or UNKNOWN

    def unknown(self, terms: Iterable[Term]) -> Term:
        """Return a term of unknown type with the axes of some terms."""
        axes = self.ordered({a for t in terms for a in t.ref.axes})
        value = self.add(Value(self.fresh(), axes, UNKNOWN, "identity", node=self.node))
        return Term(self, Ref(value.ref.value, value.ref.index), UNKNOWN)
