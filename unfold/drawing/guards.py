"""Conditions on an index point: where a line of a picture exists.

A `Guard` is a condition that the Program computes, `Within` one on an index being in the domain of
an axis, `Bounded` one of a reduction over some points of an axis: `sum[s <= t](…)`.

`where(l == 0, U @ x[t], 0)` reads x only at the first micro-step, and the adjoint of `h[last]`
reaches h only at the last step. A condition made of indices and constants alone can be decided when
the picture is drawn.

    Guard(Ref("u.3", (l,)), True).holds(program, {"l": 2}, {"l": 3})  is  False
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfold.core.affine import Affine
from unfold.core.bounds import moved
from unfold.core.op import LEAD, OPS, Kind, Source
from unfold.core.program import BATCH, Program, Ref

STATIC = (Source.INDEX, Source.INSIDE, Source.CONSTANT)


@dataclass(frozen=True)
class Guard:
    """A condition of the Program that must be true (or false) at the reader's index point."""

    condition: Ref
    wanted: bool

    @property
    def axes(self) -> tuple[str, ...]:
        """The reader's axes that decide it."""
        return self.condition.axes

    def substitute(self, replacements: Mapping[str, Affine]) -> Guard:
        """Replace the reader's axes."""
        return Guard(self.condition.substitute(replacements), self.wanted)

    def holds(self, program: Program, point: Mapping[str, int], extents: Mapping[str, int]) -> bool:
        """Decide the condition at a point of the reader."""
        last = {a: n - 1 for a, n in extents.items()}
        return bool(_evaluate(program, self.condition, point, last)) == self.wanted


@dataclass(frozen=True)
class Within:
    """An index that must be in (or outside of) the domain of an axis."""

    axis: str
    index: Affine
    inside: bool = True

    @property
    def axes(self) -> tuple[str, ...]:
        """The reader's axes that decide it."""
        return self.index.axes

    def substitute(self, replacements: Mapping[str, Affine]) -> Within:
        """Replace the reader's axes."""
        return Within(self.axis, self.index.substitute(replacements), self.inside)

    def holds(self, program: Program, point: Mapping[str, int], extents: Mapping[str, int]) -> bool:
        """Decide the condition at a point of the reader."""
        if not self.axis:  # stands for a reference that never leaves its domain
            return self.inside
        at, exact = self.index.evaluate(point, {a: n - 1 for a, n in extents.items()})
        return bool(exact and 0 <= at < extents[self.axis]) == self.inside


@dataclass(frozen=True)
class Bounded:
    """A form that must not be negative: the bound of a reduction, or of where a value exists."""

    form: Affine

    @property
    def axes(self) -> tuple[str, ...]:
        """The reader's axes that decide it."""
        return self.form.axes

    def substitute(self, replacements: Mapping[str, Affine]) -> Bounded:
        """Replace the reader's axes."""
        (form,) = moved([self.form], replacements)
        return Bounded(form)

    def holds(self, program: Program, point: Mapping[str, int], extents: Mapping[str, int]) -> bool:
        """Decide the bound at a point of the reader."""
        return self.form.evaluate(point, {a: n - 1 for a, n in extents.items()})[0] >= 0


Condition = Guard | Within | Bounded


def is_static(program: Program, ref: Ref) -> bool:
    """Whether a value depends on nothing but the index point."""
    work, seen = [ref.value], set[str]()
    while work:
        name = work.pop()
        if name in seen:
            continue
        seen.add(name)
        value = program[name]
        if value.source in STATIC:
            continue
        if (
            not value.operands
            or value.reduced
            or value.boundary
            or OPS[value.op].kind is not Kind.POINTWISE
        ):
            return False
        work += [r.value for r in value.operands]
    return True


def _evaluate(program: Program, ref: Ref, point: Mapping[str, int], last: Mapping[str, int]) -> Any:
    value = program[ref.value]
    own = {
        a: i.evaluate(point, last)[0]
        for a, i in zip(value.axes, ref.index, strict=True)
        if a != BATCH
    }
    if value.is_constant:
        return value.attributes["value"]
    if value.source is Source.INDEX:
        return value.attributes["index"].evaluate(own, last)[0]
    if value.source is Source.INSIDE:
        return _inside(value.attributes, own, last)
    operands = [np.reshape(_evaluate(program, r, own, last), (1,) * LEAD) for r in value.operands]
    evaluate = OPS[value.op].evaluate
    assert evaluate is not None, value.op
    with np.errstate(all="ignore"):
        return np.reshape(evaluate(*operands, **value.attributes), ())[()]


def _inside(attributes: Mapping[str, Any], own: Mapping[str, int], last: Mapping[str, int]) -> bool:
    at, exact = attributes["index"].evaluate(own, last)
    return bool(exact and 0 <= at <= last[attributes["axis"]])
