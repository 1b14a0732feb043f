"""A builder that tolerates unknown types, for inferring those of recurrent equations.

`h[t]: tanh(z[t])` and `z[t]: W @ h[t-1] + b` need each other's shape. Inference elaborates every
equation
against what is known so far, again and again until nothing new is found: products and sums know
their shape from their known operands, everything else stays `UNKNOWN` for now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from unfold.core.build import Builder, Term
from unfold.core.op import OPS
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

    def emit(
        self,
        op: str,
        operands: Iterable[Term] = (),
        attributes: Mapping[str, Any] | None = None,
        *,
        reduced: Iterable[str] = (),
        axes: Iterable[str] = (),
        name: str | None = None,
        type: Type | None = None,
    ) -> Term:
        """Add `op(operands)`, see `Builder.emit`."""
        terms = tuple(operands)
        if type is None and any(t.type is UNKNOWN for t in terms):
            row = OPS[op]
            known = [None if t.type is UNKNOWN else t.type for t in terms]
            type = (row.infer(known, attributes or {}) if row.partial else None) or UNKNOWN
        return super().emit(op, terms, attributes, reduced=reduced, axes=axes, name=name, type=type)

    def unknown(self, terms: Iterable[Term], bound: Iterable[str] = ()) -> Term:
        """Return a term of unknown type with the axes of some terms."""
        axes = self.ordered({a for t in terms for a in t.ref.axes} - set(bound))
        value = self.add(Value(self.fresh(), axes, UNKNOWN, "identity", node=self.node))
        return Term(self, Ref(value.ref.value, value.ref.index), UNKNOWN)
