"""Cotangents that may be absent, and the factors that must not touch them.

A branch that `where` does not choose sends nothing back: its cotangent is zero, and stays zero on
its way through the equations of the branch, unless a factor is infinite or NaN there. In

    r[t]: where(d[t] > 0, x[t] / d[t], 0)

the cotangent of the quotient is 0 where d is 0, and its local derivative 1/d is infinite. Such a
factor is left out: 0 · ∞ is 0, as nothing was chosen. Two facts say where that can happen at
all, so that other Programs have no selects:

* `absent`: values some points or elements of which nothing may have chosen, as every way to the
  result leads through a `where` (or a maximum, a slice, an index that leaves points out, …);
* `risk`: values that may be infinite or NaN: what divides, takes a logarithm, …, and data.

A factor that is an operand of a product is replaced by zero wherever it is not finite, at its own
points: where such a product is chosen, the result is not finite either. Any other factor is left
out only where the cotangent is zero, so that an infinite derivative of what was chosen stays one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from unfold.core.build import Builder, Term
from unfold.core.program import Program, Ref
from unfold.passes.coverage import Coverage
from unfold.passes.ranges import DATA, POLE, Ranges


@dataclass(frozen=True)
class Cotangent(Term):
    """A cotangent that may be absent: products with it leave out factors that are not finite.

    Attributes:
        absence: what is known about the factors.
        least: the least risk of a factor that matters.
    """

    absence: Absence
    least: int

    def _like(self, term: Term) -> Cotangent:
        return replace(self, ref=term.ref, type=term.type)

    def _factor(self, factor: Term | float) -> Term | float:
        """Return a factor, zero where it is not finite and there is nothing to multiply."""
        if not isinstance(factor, Term) or self.absence.ranges.risk(factor.ref.value) < self.least:
            return factor
        zero = self.builder.number(0.0)
        here = Term(self.builder, self.ref, self.type).apply("not_equal", zero)
        return _is_finite(factor).apply("or", here).apply("where", factor, zero)

    def __mul__(self, other: Term | float) -> Term:
        return self._like(super().__mul__(self._factor(other)))

    def __rmul__(self, other: float) -> Term:
        return self._like(super().__rmul__(other))

    def __truediv__(self, other: Term | float) -> Term:
        if isinstance(other, Term) and self.absence.ranges.reciprocal_risk(other) >= self.least:
            return self * (1.0 / other)
        return self._like(super().__truediv__(other))

    def __neg__(self) -> Term:
        return self._like(super().__neg__())

    def apply(self, op: str, *others: Term, **attributes: object) -> Term:
        term = super().apply(op, *others, **attributes)
        return self._like(term) if op == "reshape" else term


def _is_finite(term: Term) -> Term:
    return term.apply("abs").apply("less", term.builder.number(inf))


class Absence:
    """What is known of a Program that is to be differentiated.

    Args:
        builder: of its adjoint; it holds the Program's values and all that was added.
        program: without boundaries and feedback.
        active: values that have an adjoint.
        of: the scalar that is differentiated.
    """

    def __init__(self, builder: Builder, program: Program, active: set[str], of: str) -> None:
        self.builder, self.program, self.active = builder, program, active
        self.coverage = Coverage(program, active, of)
        self.ranges = Ranges(builder, program)
        self.replaced: dict[str, str] = {}

    def least(self, name: str) -> int:
        """Return the least risk that matters for factors of a value's cotangent.

        What an index or an extreme leaves out is the rule, so data count only behind a `where`.
        """
        if name not in self.coverage.certain:
            return DATA
        return POLE if name not in self.coverage.whole else POLE + 1

    def cotangent(self, term: Term, name: str) -> Term:
        """Return the cotangent of a value, for the vjp of its equation."""
        least = self.least(name)
        if least > POLE:
            return term
        return Cotangent(term.builder, term.ref, term.type, self, least)

    def factor(self, ref: Ref, name: str) -> Term:
        """Return an operand of a product as a factor of the product's cotangent."""
        builder = self.builder
        source = builder.values[ref.value]
        least = self.least(name)
        if least > POLE or self.ranges.risk(ref.value) < least:
            return builder.read(ref)
        if ref.value not in self.replaced:
            before = builder.origin, builder.at, builder.within
            builder.about(source)
            term = builder.term(ref.value)
            kept = _is_finite(term).apply("where", term, builder.number(0.0))
            builder.origin, builder.at, builder.within = before
            self.replaced[ref.value] = kept.ref.value
        stand_in = builder.values[self.replaced[ref.value]]
        index = dict(zip(source.axes, ref.index, strict=True))
        return builder.read(Ref(stand_in.name, tuple(index[a] for a in stand_in.axes)))
