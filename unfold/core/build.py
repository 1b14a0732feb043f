"""`Builder` and `Term`: writing Program values as ordinary arithmetic.

A `Term` is a reference that has not been given to an equation yet: it knows which axes its index
uses and its type. Terms combine with + - * / and with `builder.emit`; each result is a new value of
the Program, with just the axes of its operands.

    g, y = term("∂h"), term("h")
    cotangent = g * (1.0 - y * y)      # two new values: mul, sub ...
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from unfold.core.affine import Affine
from unfold.core.op import OPS, Attributes
from unfold.core.origin import UNNAMED, Origin, Part, Written
from unfold.core.program import BATCH, Axis, Program, Ref, Value
from unfold.core.types import Type
from unfold.errors import Location


@dataclass(frozen=True)
class Term:
    """A reference to a value of a Program under construction."""

    builder: Builder
    ref: Ref
    type: Type

    @property
    def axes(self) -> tuple[str, ...]:
        """The reader's axes that the reference uses, in canonical order."""
        return self.builder.ordered(self.ref.axes)

    @property
    def constant(self) -> float | None:
        """The number, where this is a scalar constant."""
        value = self.builder.values.get(self.ref.value)
        number = value.attributes.get("value") if value and value.is_constant else None
        return number if isinstance(number, float) else None

    def _with(self, op: str, other: Term | float, *, swapped: bool = False) -> Term:
        term = other if isinstance(other, Term) else self.builder.number(other)
        return self.builder.emit(op, (term, self) if swapped else (self, term))

    def __add__(self, other: Term | float) -> Term:
        return self._with("add", other)

    def __radd__(self, other: float) -> Term:
        return self._with("add", other, swapped=True)

    def __sub__(self, other: Term | float) -> Term:
        return self._with("sub", other)

    def __rsub__(self, other: float) -> Term:
        return self._with("sub", other, swapped=True)

    def __mul__(self, other: Term | float) -> Term:
        return self._with("mul", other)

    def __rmul__(self, other: float) -> Term:
        return self._with("mul", other, swapped=True)

    def __truediv__(self, other: Term | float) -> Term:
        return self._with("div", other)

    def __rtruediv__(self, other: float) -> Term:
        return self._with("div", other, swapped=True)

    def __pow__(self, other: Term | float) -> Term:
        return self._with("pow", other)

    def __neg__(self) -> Term:
        return self.builder.emit("neg", (self,))

    def apply(self, op: str, *others: Term, **attributes: Any) -> Term:
        """Return `op(self, *others)`."""
        return self.builder.emit(op, (self, *others), attributes)

    def at(self, replacements: Mapping[str, Affine]) -> Term:
        """Read the same value elsewhere: replace the reader's axes."""
        return replace(self, ref=self.ref.substitute(replacements))


@dataclass
class Builder:
    """A Program under construction.

    Attributes:
        axes: by name, "batch" included; their order is the canonical one.
        values: finished ones, by name.
        origin: of the equation being written; new values are parts of it.
        at: where that equation is in the file.
        within: bounds of what is being written; a new value gets those that are over its axes.
        order: of the derivative being written, 0 for none.
        pending: types of values that are referred to before they are defined.
    """

    axes: dict[str, Axis]
    values: dict[str, Value] = field(default_factory=dict[str, Value])
    origin: Origin = UNNAMED
    at: Location | None = None
    within: tuple[Affine, ...] = ()
    order: int = 0
    pending: dict[str, Type] = field(default_factory=dict[str, Type])
    counters: dict[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def of(cls, program: Program) -> Builder:
        """Start from a Program."""
        return cls(dict(program.axes), dict(program.values))

    def about(self, value: Value) -> None:
        """Write parts of an equation: in its place, under its name, within its bounds."""
        self.origin, self.at, self.within = value.origin.equation, value.at, value.within

    def ordered(self, axes: Iterable[str]) -> tuple[str, ...]:
        """Return axes in canonical order: batch first, then as the Program lists them."""
        wanted = set(axes)
        return tuple(a for a in self.axes if a in wanted)

    def varies(self, axis: str) -> bool:
        """Return whether the length of an axis may differ per sequence."""
        own = self.axes[axis]
        parents = {*own.extent.axes, *own.extent.ends}
        return own.from_data or any(self.varies(p) for p in parents)

    def fresh(self) -> Part:
        """Return the origin of one more part of the present equation, with an unused name."""
        node = self.origin.name
        while True:
            self.counters[node] = self.counters.get(node, 0) + 1
            part = Part(self.origin, self.counters[node], self.order)
            if part.name not in self.values and part.name not in self.pending:
                return part

    def term(self, name: str) -> Term:
        """Refer to a value at the reader's own index point."""
        value = self.values[name]
        return Term(self, value.here, value.type)

    def read(self, ref: Ref) -> Term:
        """Refer to a value at some index point."""
        value = self.values.get(ref.value)
        return Term(self, ref, value.type if value else self.pending[ref.value])

    def add(self, value: Value) -> Term:
        """Add a finished value."""
        assert value.name not in self.values, value.name
        self.values[value.name] = value
        return Term(self, value.here, value.type)

    def emit(
        self,
        op: str,
        operands: Iterable[Term] = (),
        attributes: Mapping[str, Any] | None = None,
        *,
        reduced: Iterable[str] = (),
        axes: Iterable[str] = (),
        origin: Origin | None = None,
        type: Type | None = None,
    ) -> Term:
        """Add `op(operands)`.

        Args:
            op: a key of the op table.
            operands: what it reads.
            attributes: constants of the op.
            reduced: axes to reduce over.
            axes: axes of the value beyond those that its operands use.
            origin: of the value; the default is a new part of the present equation.
            type: the result's type where the op cannot tell it (sources).

        Returns:
            the new value at its own index point.
        """
        terms, attributes, reduced = tuple(operands), dict(attributes or {}), tuple(reduced)
        inferred = type or self.infer(op, [t.type for t in terms], attributes)
        origin = origin or self.fresh()
        used = [a for t in terms for a in t.ref.axes]
        bounded = self.bounded_by(reduced)
        own = self.ordered({*used, *axes, *bounded} - set(reduced))
        reduced = self.ordered(reduced)
        here = {*own, *reduced}
        return self.add(
            Value(
                name=origin.name,
                axes=own,
                type=inferred,
                op=op,
                operands=tuple(t.ref for t in terms),
                attributes=attributes,
                reduced=reduced,
                origin=origin,
                at=self.at,
                within=tuple(f for f in self.within if set(f.axes) <= here),
            )
        )

    def bounded_by(self, reduced: Iterable[str]) -> tuple[str, ...]:
        """Return the other axes that decide which points of reduced axes count."""
        bound = set(reduced)
        linked = {a for f in self.within if bound & set(f.axes) for a in f.axes}
        return self.ordered(linked - bound)

    @contextmanager
    def under(self, within: Iterable[Affine]) -> Generator[None, None, None]:
        """Write values that exist within some more bounds."""
        outer = self.within
        self.within = (*outer, *(f for f in within if f not in outer))
        try:
            yield
        finally:
            self.within = outer

    def infer(self, op: str, types: Sequence[Type], attributes: Attributes) -> Type:
        """Return the type of an op's result by its row."""
        inferred = OPS[op].infer(types, attributes)
        assert inferred is not None, op
        return inferred

    def number(self, value: float) -> Term:
        """Return a constant; equal constants are one value."""
        name = repr(float(value))
        if name not in self.values:
            attributes = {"value": float(value)}
            origin = Written(name)
            self.add(Value(name, (), Type(), "constant", attributes=attributes, origin=origin))
        return self.term(name)

    def sum(self, term: Term, axes: Iterable[str]) -> Term:
        """Sum a term over axes of the reader; a term that lacks one is counted."""
        axes = self.ordered(axes)
        if not axes:
            return term
        present = tuple(a for a in axes if a in term.axes)
        absent = tuple(a for a in axes if a not in term.axes)
        if absent:
            own = term.axes if BATCH in absent else [a for a in term.axes if a == BATCH]
            term = term * self.emit("count", (), axes=own, reduced=absent)
        if not present:
            return term
        value = self.values.get(term.ref.value)
        own = value and value.node == self.origin.name and not value.is_named
        if value and own and value.is_contraction and term.ref == value.here:
            # A sum of products is a product with more summed axes: what a backend runs as one GEMM.
            operands = [self.read(r) for r in value.operands]
            with self.under(value.within):
                return self.emit(
                    "einsum", operands, value.attributes, reduced=(*value.reduced, *present)
                )
        return self.emit("sum", (term,), reduced=present)

    def alias(self, axis: str) -> str:
        """Add a second index over the same domain as an axis, and return its name."""
        name = axis
        while name in self.axes:
            name += "'"
        self.axes[name] = Axis(name, Affine.axis(axis), self.axes[axis].from_data)
        return name

    def product(self, terms: list[Term]) -> Term:
        """Multiply terms."""
        total = terms[0]
        for term in terms[1:]:
            total = total * term
        return total

    def total(self, terms: list[Term]) -> Term:
        """Add terms up."""
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total

    def build(self, like: Program, **changes: Any) -> Program:
        """Return the finished Program."""
        return replace(like, axes=dict(self.axes), values=dict(self.values), **changes)


def dense(term: Term) -> Term:
    """Return a category as its one-hot vector; other terms as they are."""
    if term.type.kind != "category":
        return term
    return term.apply("one_hot", size=int(term.type.shape[0]))
