"""A builder that tolerates unknown types, for inferring those of recurrent equations.

`h[t]: tanh(z[t])` and `z[t]: W @ h[t-1] + b` need each other's shape. Inference elaborates every
equation with the known facts, repeatedly, until it finds nothing new: products and sums take their
shape from their known operands, and everything else stays `UNKNOWN` for now.

If nothing more is found, there are guesses, tried one after the other:

    "vector"   what a matrix is multiplied by is a vector
    "least"    operands that are not known are no larger than the others: `done[t-1] or x[t] > 0` is
               one condition, and `h[t-1] + x[t]` has the shape [1] of x[t]
    "initial"  a value has the shape of its initial value
    "number"   as "least", for numbers: a running sum of numbers is a number. A value of a declared
               shape holds numbers, not conditions

A literal number fits any shape, so it decides nothing: `2 * h[t-1]` stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

from unfold.core.build import Builder, Term
from unfold.core.op import OPS, Attributes, Kind, Op, OpError
from unfold.core.program import BATCH, Value
from unfold.core.types import Type

UNKNOWN = Type(kind="unknown")
Guess = Literal["", "vector", "least", "initial", "number"]
GUESSES: tuple[Guess, ...] = ("vector", "least", "initial", "number")


@dataclass
class Sketch(Builder):
    """A builder in which operands may be UNKNOWN; so is then the result, unless the op can tell.

    Attributes:
        guess: what may be assumed of operands that are not known.
        open: names of terms whose definitions are mistaken.
        parts: what terms of unknown type are made of, by name.
    """

    guess: Guess = ""
    open: set[str] = field(default_factory=set[str])
    parts: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def emit(
        self,
        op: str,
        operands: Iterable[Term] = (),
        attributes: Mapping[str, Any] | None = None,
        *,
        type: Type | None = None,
        **how: Any,
    ) -> Term:
        """Add a value; where its type is not known, it may be guessed from what is."""
        operands = tuple(operands)
        if type is None and self.guess == "number" and OPS[op].kind is Kind.POINTWISE:
            type = self._number(OPS[op], operands, attributes or {})
        return super().emit(op, operands, attributes, type=type, **how)

    def _number(self, row: Op, operands: Sequence[Term], attributes: Attributes) -> Type | None:
        """Return the type of a number, where numbers that are no literals make it one."""
        known = [None if t.type is UNKNOWN else t.type for t in operands]
        if None not in known or all(self.is_literal(t) for t in operands if t.type is not UNKNOWN):
            return None
        found = _completed(row, known, attributes, ())
        return Type() if found and all(t == Type() for t in found) else None

    def is_literal(self, term: Term) -> bool:
        """Return whether a term consists of numbers written in the file, which fit any shape."""
        value = self.values.get(term.ref.value)
        if value is None or not value.operands:
            return value is not None and value.is_constant
        return all(self.is_literal(self.read(r)) for r in value.operands)

    def infer(self, op: str, types: Sequence[Type], attributes: Attributes) -> Type:
        """Return the type of an op's result, or UNKNOWN where its row cannot tell yet."""
        if UNKNOWN not in types:
            return super().infer(op, types, attributes)
        row = OPS[op]
        known = [None if t is UNKNOWN else t for t in types]
        found = row.infer(known, attributes) if row.partial else None
        if found is None and self.guess == "least" and row.kind is Kind.POINTWISE:
            kinds = _completed(row, known, attributes, ())
            sure = len({t.kind for t in kinds}) == 1
            found = next((t for t in kinds if t.shape or (sure and t.kind == "bool")), None)
        return found or UNKNOWN

    def declared(self, term: Term, shape: tuple[int, ...]) -> Type:
        """Return the type of a term of unknown type whose shape is declared.

        Whether it is numbers or conditions may follow from its operator; a plain reference waits
        until what it reads is known.
        """
        value = self.values.get(term.ref.value)
        kinds = {"real", "bool"} if value is None else {"real"}
        if value is not None and value.operands and OPS[value.op].partial:
            types = [self.read(r).type for r in value.operands]
            known = [None if t is UNKNOWN else t for t in types]
            completed = _completed(OPS[value.op], known, value.attributes, shape)
            kinds = {t.kind for t in completed} or kinds
        if len(kinds) > 1:
            return Type(shape) if self.guess == "number" else UNKNOWN
        return Type(shape, kinds.pop())

    def mistaken(self) -> Term:
        """Return a term for a name whose definition is mistaken: it may have any axes."""
        term = self.unknown(())
        self.open.add(term.ref.value)
        return term

    def unknown(self, terms: Iterable[Term]) -> Term:
        """Return a term of unknown type with the axes of some terms."""
        terms = tuple(terms)
        axes = self.ordered({a for t in terms for a in t.ref.axes})
        origin = self.fresh()
        value = self.add(Value(origin.name, axes, UNKNOWN, "identity", origin=origin))
        self.parts[value.ref.value] = [t.ref.value for t in terms]
        return value


def may_have(term: Term, axis: str) -> bool:
    """Return whether a term depends on an axis, or may once mistakes elsewhere are mended."""
    sketch = term.builder
    if axis in term.axes or not isinstance(sketch, Sketch):
        return axis in term.axes
    work, seen = [term.ref.value], set[str]()
    while work:
        name = work.pop()
        if name in sketch.open or (axis == BATCH and sketch.pending.get(name) == UNKNOWN):
            return True
        if name not in seen and name in sketch.values:
            seen.add(name)
            work += [r.value for r in sketch.values[name].operands]
            work += sketch.parts.get(name, [])
    return False


def _completed(
    row: Op, known: Sequence[Type | None], attributes: Attributes, shape: tuple[int, ...]
) -> list[Type]:
    """Return the types a result may have, whatever each unknown operand is of: numbers or not."""
    found: list[Type] = []
    either = [(t,) if t else (Type(shape), Type(shape, "bool")) for t in known]
    for types in product(*either):
        with suppress(OpError):
            completed = row.infer(list(types), attributes)
            found += [completed] if completed else []
    return found
