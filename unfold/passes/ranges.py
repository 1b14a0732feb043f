"""Between which numbers the values of a Program are, and which of them may not be finite.

    s[t,i]  = exp(e[t,i] - max(e[t]))       between 0 and 1, and 1 for one i
    a[t,i]  = s[t,i] / sum(s[t])            so that this never divides by zero

The rows of the op table have the rules (`bounds`, `poles`); what is added here is that of the
values from which their own maximum was subtracted the largest is zero. Ranges are those of finite
numbers; `risk` says of which values it is known that they are such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import inf, isfinite
from typing import NamedTuple

import numpy as np

from unfold.core.affine import Affine
from unfold.core.bounds import Forms, at_reader, bounds_of, can_hold, implies
from unfold.core.build import Builder, Term
from unfold.core.dependence import components, edges
from unfold.core.op import MAX, OPS, SUM, Kind, Over, Range, Source
from unfold.core.program import Program, Ref, Value
from unfold.passes.coverage import same_points

NO_RISK, DATA, POLE = 0, 1, 2  # finite; NaN where data are; infinite or NaN by its operator
ANY: Range = (-inf, inf)
ROUNDS = 20


class Group(NamedTuple):
    """What a reduction is over: axes, or features, and the bounds of these axes."""

    axes: frozenset[str]
    forms: frozenset[Affine] = frozenset()


class Ranges:
    """Ranges and risks of a Program's values, and of what is added to it.

    Args:
        builder: it holds the Program's values, and receives others.
        program: without boundaries and feedback.
    """

    def __init__(self, builder: Builder, program: Program) -> None:
        self.values, self.axes, self.program = builder.values, builder.axes, program

    def of(self, name: str) -> Range:
        """Return the range of a value."""
        known = self._ranges
        if name not in known:
            known[name] = self._range(self.values[name], known)
        return known[name]

    def risk(self, name: str) -> int:
        """Return the risk of a value."""
        known = self._risks
        if name not in known:
            known[name] = self._risk(self.values[name], known)
        return known[name]

    def reciprocal_risk(self, term: Term) -> int:
        """Return the risk of one divided by a value."""
        low, high = self._read(term.ref, term.builder.within, self._ranges)
        return POLE if low <= 0 <= high else self.risk(term.ref.value)

    @cached_property
    def _ranges(self) -> dict[str, Range]:
        # From above: each round is true, and the next one may be narrower.
        known = dict.fromkeys(self.program.values, ANY)
        for _ in range(ROUNDS):
            narrower = {v.name: self._range(v, known) for v in self.program}
            if narrower == known:
                break
            known = narrower
        return known

    def _range(self, value: Value, known: dict[str, Range]) -> Range:
        if value.is_constant:
            number = value.attributes["value"]
            return (number, number) if isinstance(number, float) and isfinite(number) else ANY
        if value.source is Source.COUNT:
            return float(self._counts_some(value)), inf
        rule = OPS[value.op].bounds
        if rule is None or value.type.kind != "real":
            return ANY
        ranges = [self._read(r, value.within, known) for r in value.operands]
        if value.op == "mul" and value.operands[0] == value.operands[1]:
            low, high = OPS["abs"].bounds(ranges[:1])  # type: ignore[misc]
            return low * low, high * high
        low, high = rule(ranges)
        if value.reduced and not self._counts_some(value):
            return min(low, 0.0), max(high, 0.0)
        top = self._top(value)
        if top is None:
            return low, high
        return (low, 0.0) if value.op == "sub" else (max(low, 1.0), high)

    def _counts_some(self, value: Value) -> bool:
        """Whether a reduction has a point to reduce, at every point of its own."""
        free = same_points(value.reduced, value.axes, self.axes)
        return can_hold(value.within, free, bounds_of(value))

    def _read(self, ref: Ref, within: Forms, known: dict[str, Range]) -> Range:
        source = self.values[ref.value]
        if ref.value not in known:
            known[ref.value] = self._range(source, known)
        low, high = known[ref.value]
        outside = any(i.may_leave(a) for a, i in zip(source.axes, ref.index, strict=True))
        outside = outside or not all(implies(within, f) for f in at_reader(source, ref))
        return (min(low, 0.0), max(high, 0.0)) if outside else (low, high)

    def _top(self, value: Value) -> Group | None:
        """Return over which group the largest of some numbers is 0, or 1 where it is summed.

        What a maximum is subtracted from has 0 there, its exponentials and the count of those that
        equal the maximum have 1, and so their sum is no less.
        """
        if value.op == "sub":
            return self._own_maximum(value)
        inner = self._inner(value) if value.reduction is SUM else None
        if inner is None:
            return None
        group = self._hits(inner)
        if inner.op == "exp" and (centred := self._inner(inner)) and centred.op == "sub":
            group = self._own_maximum(centred)
        own = _group(value)
        same = group is not None and group.axes <= own.axes and group.forms == own.forms
        return group if same else None

    def _hits(self, value: Value) -> Group | None:
        """Return over which group a value is 1 where a maximum is, and 0 elsewhere."""
        chosen = [self.values[r.value].attributes.get("value") for r in value.operands[1:]]
        if not value.row.chooses or chosen != [1.0, 0.0]:
            return None
        condition = self.values[value.operands[0].value]
        return self._own_maximum(condition) if condition.op == "equal" else None

    def _own_maximum(self, value: Value) -> Group | None:
        """Return over which group the second operand is the maximum of the first."""
        first, second = value.operands
        source: Value | None = self.values[second.value] if self._is_here(second) else None
        while source is not None and source.op in ("stop_gradient", "identity", "reshape"):
            source = self._inner(source)
        same = source is not None and source.reduction is MAX and source.operands[0] == first
        return _group(source) if source is not None and same else None

    def _inner(self, value: Value) -> Value | None:
        """Return the first operand, where it is read at its own index point."""
        ref = value.operands[0]
        return self.values[ref.value] if self._is_here(ref) else None

    def _is_here(self, ref: Ref) -> bool:
        return ref == self.values[ref.value].here

    @cached_property
    def _risks(self) -> dict[str, int]:
        known = dict.fromkeys(self.program.values, NO_RISK)
        grows = True
        while grows:
            grows = False
            for value in self.program:
                risk = self._risk(value, known)
                grows = grows or risk > known[value.name]
                known[value.name] = risk
        return known

    def _risk(self, value: Value, known: Mapping[str, int]) -> int:
        if value.type.kind != "real" or self._is_replaced(value):
            return NO_RISK
        if value.is_constant:
            return NO_RISK if isfinite(value.attributes["value"]) else POLE
        if value.is_input:
            return DATA
        ranges = [self._read(r, value.within, self._ranges) for r in value.operands]
        poles = OPS[value.op].poles
        if (poles is not None and poles(ranges)) or _overflows(value, ranges):
            return POLE
        operands = value.operands
        if self._hits(value) is not None:  # of NaN none is the largest
            operands = self.values[operands[0].value].operands
        below = [known[r.value] if r.value in known else self.risk(r.value) for r in operands]
        own = DATA if value.name in self._growing else NO_RISK
        return max(own, *below, NO_RISK)

    @cached_property
    def _growing(self) -> frozenset[str]:
        """The values that recurrences multiply: they may overflow, however small they start."""
        every = edges(self.program)
        free = {v.name for v in self.program if inf in map(abs, self._ranges[v.name])}
        found = set[str]()
        for names in components(sorted(free), [e for e in every if {e.reader, e.source} <= free]):
            cycle = set(names)
            found |= {n for n in names if self._grows(self.program[n], cycle)}
        return frozenset(found)

    def _grows(self, value: Value, cycle: set[str]) -> bool:
        inside = [r.value in cycle for r in value.operands]
        if not any(inside) or value.row.chooses:
            return False
        others = [
            self._read(r, value.within, self._ranges)
            for r, own in zip(value.operands, inside, strict=True)
            if not own
        ]
        if OPS[value.op].factors or OPS[value.op].poles is not None:
            return sum(inside) > 1 or any(low < -1 or high > 1 for low, high in others)
        return sum(inside) > 1 and value.op in ("add", "sub")

    def _is_replaced(self, value: Value) -> bool:
        """Whether a value is another one where that is finite, and zero elsewhere."""
        if not value.row.chooses:
            return False
        condition = self.values[value.operands[0].value]
        bound = self.values[condition.operands[-1].value] if condition.op == "less" else None
        if bound is None or bound.attributes.get("value") != inf:
            return False
        size = self.values[condition.operands[0].value]
        return size.op == "abs" and size.operands[0].value == value.operands[1].value


def _overflows(value: Value, ranges: Sequence[Range]) -> bool:
    """Return whether an operator makes what is not finite of numbers that are known."""
    row = OPS[value.op]
    known = bool(ranges) and all(low == high for low, high in ranges)
    if not known or row.kind is not Kind.POINTWISE or row.evaluate is None:
        return False
    with np.errstate(all="ignore"):
        return not np.isfinite(row.evaluate(*(np.float64(low) for low, _ in ranges)))


def _group(value: Value) -> Group:
    """Return what a maximum or a sum is over."""
    if value.row.over is Over.AXES:
        bound = set(value.reduced)
        return Group(frozenset(bound), frozenset(f for f in value.within if bound & set(f.axes)))
    what = "#" if value.row.over is Over.LAST else str(value.attributes["shape"])
    return Group(frozenset({what}))
