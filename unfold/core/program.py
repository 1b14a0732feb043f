"""`Program`: named, typed, indexed values with explicit delays; the only representation.

A `Value` is one equation  `name[axes] = op(operands)`  that holds at every index point of its axes'
domain. An operand is a `Ref`: a value and one affine index per axis of that value, in terms of the
axes of the equation that reads it. Everything about time is in these indices.

    h[t] = tanh(z[t])                    z[t] = add(z.1[t], b)
    z.1[t] = einsum<ij,j->i>(W, h[t-1])  reads h with the index t-1

Rules (checked by `unfold.core.verify`):
* the axis "batch" comes first and is always read at its own index;
* a reference outside of the domain of its value reads the value's boundary there, and zero
  (category -1, false) where it has none. The first axis, in order, on which the point is outside
  decides. The domain is that of the sequence that the reader is computed for, also where all
  sequences share the value;
* `reduced` axes are bound by the equation: operands may use them, the value does not have them. The
  equation sums (or takes the maximum ...) over all their index points inside the domain;
* where one of the forms `within` is negative, there is no point: nothing is computed there, a
  reduction does not count it, and a reference to it reads zero. So  sum[s <= t](...)  has the form
  t - s over its axis t and the reduced axis s;
* the domain of an axis may differ per sequence; points outside of it do not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, TypeVar

from unfold.core.affine import Affine
from unfold.core.op import OPS, Kind, Op, Reduction, Source
from unfold.core.origin import UNNAMED, Origin
from unfold.core.types import Type
from unfold.errors import Location

BATCH = "batch"
T = TypeVar("T")


@dataclass(frozen=True)
class Axis:
    """An index axis.

    Attributes:
        name: as the spec calls it.
        extent: number of index points; an expression over other axes' *extents* (`t // 2`),
            floored.
        from_data: whether inputs decide the extent at run time (it may then vary per sequence).
        origin: of what a pass made it; None where the spec has it, or none asks.
    """

    name: str
    extent: Affine
    from_data: bool = False
    origin: Origin | None = None


@dataclass(frozen=True)
class Ref:
    """A value read at an index point: one affine index per axis of the value, in order."""

    value: str
    index: tuple[Affine, ...] = ()

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes of the reader that the indices use, in order of first use."""
        return tuple(dict.fromkeys(a for i in self.index for a in i.axes))

    def substitute(self, replacements: Mapping[str, Affine]) -> Ref:
        """Replace the reader's axes in every index."""
        return Ref(self.value, tuple(i.substitute(replacements) for i in self.index))


@dataclass(frozen=True)
class Value:
    """One equation.

    Attributes:
        name: unique in the Program, composed of its origin: the parts of the equation `z` are
            `z.1`, `z.2`, ...
        axes: index axes of the value, "batch" first where it differs per sequence.
        type: shape and kind at one index point.
        op: a key of the op table.
        operands: what it reads, in terms of `axes` and `reduced`.
        attributes: constants of the op.
        reduced: axes bound (and reduced over) by this equation.
        boundary: per axis, what a reference outside of the domain reads; in terms of `axes`.
        origin: of what it was made.
        at: where that equation is written.
        within: forms of the axes, own and reduced, none of which is negative at any of its points.
    """

    name: str
    axes: tuple[str, ...]
    type: Type
    op: str
    operands: tuple[Ref, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reduced: tuple[str, ...] = ()
    boundary: Mapping[str, Ref] = field(default_factory=dict[str, Ref])
    origin: Origin = UNNAMED
    at: Location | None = None
    within: tuple[Affine, ...] = ()

    @property
    def node(self) -> str:
        """The named equation that this value is, or is a part of."""
        return self.origin.equation.name

    @property
    def row(self) -> Op:
        """What the op table says of its op."""
        return OPS[self.op]

    @property
    def source(self) -> Source | None:
        """What it stands for, where it reads no other value."""
        return OPS[self.op].source

    @property
    def reduction(self) -> Reduction | None:
        """How it makes one number of many, where it does nothing else."""
        row = OPS[self.op]
        return row.reduces if row.kind is Kind.REDUCE else None

    @property
    def is_given(self) -> bool:
        """Whether this is an input, a parameter or a constant."""
        return OPS[self.op].is_given

    @property
    def is_input(self) -> bool:
        """Whether this is an input."""
        return OPS[self.op].source is Source.INPUT

    @property
    def is_parameter(self) -> bool:
        """Whether this is a parameter, or a learned initial value."""
        return OPS[self.op].source is Source.PARAMETER

    @property
    def is_constant(self) -> bool:
        """Whether this is a number."""
        return OPS[self.op].source is Source.CONSTANT

    @property
    def is_contraction(self) -> bool:
        """Whether this is a product, with or without a sum."""
        return OPS[self.op].kind is Kind.CONTRACT

    @property
    def batched(self) -> bool:
        """Whether the value differs per sequence."""
        return self.axes[:1] == (BATCH,)

    @property
    def iteration(self) -> tuple[str, ...]:
        """The axes an operand's index may use."""
        return self.axes + self.reduced

    @property
    def along(self) -> str | None:
        """The axis of which a kernel writes all points at once, if there is one."""
        return self.attributes.get("along")

    @property
    def here(self) -> Ref:
        """The value at the reader's own index point."""
        return Ref(self.name, tuple(Affine.axis(a) for a in self.axes))

    @property
    def refs(self) -> tuple[Ref, ...]:
        """What is written in the equation: operands, and what stands outside of its domain."""
        return (*self.operands, *self.boundary.values())

    @property
    def is_named(self) -> bool:
        """Whether this is a named equation, parameter or input, not a part of one."""
        return self.origin.equation is self.origin


@dataclass(frozen=True, eq=False)
class Program:
    """A set of equations; two are the same Program only if they are one object.

    Attributes:
        name: the spec's name.
        axes: every axis, by name, "batch" included.
        values: every equation, by name; parameters and inputs first. The order has no meaning.
        outputs: names of the values that are asked for; what they do not need may be dropped.
        loss: name of the scalar that is differentiated, if any.
        depth: how many times the Program was differentiated.
        aliases: other names of values: an instance of a cell is called like its output.
        found: what was asked of it once; see `kept`.
    """

    name: str
    axes: Mapping[str, Axis]
    values: Mapping[str, Value]
    outputs: tuple[str, ...] = ()
    loss: str | None = None
    depth: int = 0
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    found: dict[Any, Any] = field(default_factory=dict[Any, Any], init=False, repr=False)

    def __getitem__(self, name: str) -> Value:
        return self.values[self.aliases.get(name, name)]

    def __iter__(self) -> Iterator[Value]:
        return iter(self.values.values())

    def of(self, *ops: str) -> tuple[Value, ...]:
        """Return the values computed by one of these ops, in order."""
        return tuple(v for v in self if v.op in ops)

    @property
    def feedbacks(self) -> tuple[Value, ...]:
        """What the mode of a run decides, in order."""
        return tuple(v for v in self if v.row.by_mode)

    @property
    def parameters(self) -> tuple[Value, ...]:
        """The parameters, learned initial values included."""
        return tuple(v for v in self if v.is_parameter)

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The inputs."""
        return tuple(v for v in self if v.is_input)

    def with_values(self, values: Iterable[Value], **changes: Any) -> Program:
        """Return a Program with these values in place of the present ones."""
        return replace(self, values={v.name: v for v in values}, **changes)

    def reads(self, value: Value) -> tuple[Ref, ...]:
        """Return what an equation may read: operands, and boundaries where they leave a domain."""
        found: dict[Ref, None] = {}
        work = [(ref, frozenset[tuple[str, str]]()) for ref in reversed(value.operands)]
        while work:  # what stands outside of a domain may itself be read outside of its own
            ref, before = work.pop()
            found[ref] = None
            source = self.values[ref.value]
            at = dict(zip(source.axes, ref.index, strict=True))
            outside = [
                (b.substitute(at), before | {(source.name, a)})
                for a, b in source.boundary.items()
                if (source.name, a) not in before and at[a].may_leave(a)
            ]
            work.extend(reversed(outside))
        return tuple(found)


def kept(ask: Callable[[Program], T]) -> Callable[[Program], T]:
    """Keep what a function finds of a Program with the Program, which never changes."""

    @wraps(ask)
    def once(program: Program) -> T:
        if ask not in program.found:
            program.found[ask] = ask(program)
        return program.found[ask]

    return once


@dataclass(frozen=True)
class StopRule:
    """How a free run ends.

    Attributes:
        when: the value that ends a sequence where it is true, if any.
        extents: axis -> the value that predicts its extent.
        at_most: the largest length; None where the axis's own extent is the bound.
    """

    when: str | None
    extents: Mapping[str, str]
    at_most: int | None

    @property
    def values(self) -> tuple[str, ...]:
        """The values that the rule reads."""
        return (*([self.when] if self.when else []), *self.extents.values())
