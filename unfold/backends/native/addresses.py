"""The places of a statement's elements, as data: slots, loops around it, strides and checks.

A target's writer inherits this and prints the numbers by its `Language`; only the names of
variables are text here. `bind` defines the slots.

    h[t-1, batch, 0]      total(s5, product(i0, s6), product(i1, s7))       s5 with t-1 at t = 0
    x[2*t+k-1]            q0 = 2*i0 + 1*i1 + -1,  and outside of 0 <= q0 <= last a row of zeros
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Protocol

from unfold.backends.native.integers import (
    Integer,
    function,
    number,
    product,
    total,
    variable,
)
from unfold.backends.native.loops import bounds, divided
from unfold.backends.native.protocol import ITEM, Slot
from unfold.core.affine import Affine
from unfold.core.origin import LastIndex
from unfold.core.plan import Access, Buffer, Dim, Fill, Plan
from unfold.core.program import BATCH


class Language(Protocol):
    """The notation of a target for the code around its kernels."""

    def integer(self, x: Integer) -> str:
        """Return a number or a condition as text."""
        ...

    def assign(self, name: str, value: str) -> str:
        """Return a line that gives a temporary variable its value."""
        ...

    def loop(self, name: str, first: str | None, end: str, direction: int) -> str:
        """Return the line that begins a loop, from 0 if no first number is given."""
        ...


@dataclass
class Addresses:
    """The slots, loops and temporary variables of one block while it is written."""

    plan: Plan
    dtype: str
    language: Language
    slots: dict[Slot, str] = field(default_factory=dict[Slot, str])
    lines: list[str] = field(default_factory=list[str])
    loops: dict[str, Integer] = field(default_factory=dict[str, Integer])
    loaded: dict[Integer, Integer] = field(default_factory=dict[Integer, Integer])
    temporaries: int = 0

    @property
    def item(self) -> int:
        """Bytes of an element."""
        return ITEM[self.dtype]

    def slot(self, *key: object) -> Integer:
        """Return the variable of a slot."""
        return variable(self.slots.setdefault(key, f"s{len(self.slots)}"))

    def put(self, depth: int, text: str) -> None:
        """Write a line."""
        self.lines.append("    " * depth + text)

    def temporary(self, depth: int, value: Integer) -> Integer:
        """Give a number a variable."""
        name = f"q{self.temporaries}"
        self.temporaries += 1
        self.put(depth, self.language.assign(name, self.language.integer(value)))
        return variable(name)

    # Loops

    def open(self, dim: Dim, depth: int, direction: int = 1, within: Sequence[Affine] = ()) -> int:
        """Begin a loop, which bounds may shorten, and return the depth of its body."""
        name = f"i{len(self.loops)}"
        while variable(name) in self.loops.values():
            name += "_"
        first, end = None, self.extent(dim)
        if within:
            value = partial(self.form, depth=depth, batched=False)
            first, end = bounds(dim.name, end, within, value)
        start = first and self.language.integer(first)
        self.put(depth, self.language.loop(name, start, self.language.integer(end), direction))
        self.loops[dim.name] = variable(name)
        return depth + 1

    def close(self, dims: tuple[Dim, ...]) -> None:
        """End loops."""
        for dim in dims:
            del self.loops[dim.name]

    def form(self, form: Affine, depth: int, *, batched: bool) -> Integer:
        """Return a form as a number."""
        terms = [product(f, self.loops[a]) for a, f in form.terms]
        terms += [product(f, self.last(a, batched, depth)) for a, f in form.lasts]
        return total(*terms, form.constant)

    def extent(self, dim: Dim) -> Integer:
        """Return the number of points of a dimension."""
        return number(dim.size) if dim.size is not None else self.slot("extent", dim.name)

    def last(self, axis: str, batched: bool, depth: int) -> Integer:
        """Return the last index of an axis, that of the present sequence if lengths differ."""
        name = LastIndex(axis).name
        if batched and name in self.plan.buffers:
            own = Access(name, ((BATCH, Affine.axis(BATCH)),))
            return function("index", self.address(own, depth, None))
        return function("group", function("difference", self.slot("extent", axis), 1))

    # Addresses

    def buffer(self, access: Access) -> Buffer:
        """Return the accessed buffer."""
        return self.plan.buffers[access.buffer]

    def address(
        self, access: Access, depth: int, vector: str | None, *, waste: bool = False
    ) -> Integer:
        """Return the address of an element, with the vector dimension at its first point."""
        buffer, index = self.buffer(access), dict(access.index)
        fixed: list[tuple[str, Affine]] = []
        parts: list[Integer] = []
        checks: list[Integer] = []
        for stored in buffer.axes:
            at = index[stored.axis]
            if stored.axis in access.guarded:
                q, check = self.guarded(access, stored.axis, at, depth)
                checks += check
                parts.append(product(q, self.slot("stride", buffer.name, stored.axis, 1)))
                continue
            if stored.ring is not None:
                # Only a loop's own axis has a ring, and is read at a constant offset.
                ((axis, _),) = at.terms
                stride = self.slot("stride", buffer.name, stored.axis, 1)
                place = at.constant % stored.ring
                inner = total(self.loops[axis], place) if place else self.loops[axis]
                turn = function("remainder", function("group", inner), stored.ring)
                parts.append(product(function("group", turn), stride))
                continue
            fixed.append((stored.axis, Affine((), at.constant, at.lasts)))
            for axis, factor in at.terms:
                if axis != vector or axis in self.loops:
                    step = self.slot("stride", buffer.name, stored.axis, factor)
                    parts.append(product(self.loops[axis], step))
        for dim, step in access.terms:
            if dim != vector:
                parts.append(product(self.loops[dim], step * self.item))
        # The binder widens halos by the points that are read, so it needs the whole index.
        whole = tuple(
            (s.axis, index[s.axis])
            for s in buffer.axes
            if s.axis not in access.guarded and s.ring is None
        )
        base = self.slot("address", buffer.name, tuple(fixed), whole)
        for category, step in access.indirect:
            q = self.category(category, depth, vector)
            checks.append(function("nonnegative", q))
            parts.append(product(q, step * self.item))
        offset = access.offset * self.item
        found = total(base, *parts, *([offset] if offset else []))
        if not checks:
            return found
        other = self.slot("waste" if waste else "outside", buffer.name, access.guarded)
        return self.temporary(depth, function("choice", found, function("all", *checks), other))

    def category(self, access: Access, depth: int, vector: str | None) -> Integer:
        """Return the variable of a category, loaded once per kernel."""
        address = self.address(access, depth, vector)
        if address not in self.loaded:
            self.loaded[address] = self.temporary(depth, function("index", address))
        return self.loaded[address]

    def guarded(
        self, access: Access, axis: str, at: Affine, depth: int
    ) -> tuple[Integer, list[Integer]]:
        """Return an index that is checked, and the checks."""
        value = partial(self.form, depth=depth, batched=access.batched)
        position, checks = divided(at, value, partial(self.temporary, depth))
        end = self.last(axis, access.batched, depth)
        return position, [function("between", position, end), *checks]

    def along(self, access: Access, vector: str | None) -> tuple[str, list[Integer]]:
        """Return the mode of an access along the vector dimension: v, b, or s and its stride."""
        if vector is None:
            return "v", []
        step = dict(access.terms).get(vector)
        if step is not None:
            return ("v", []) if step == 1 else ("s", [number(step * self.item)])
        buffer, index = self.buffer(access), dict(access.index)
        moving = [s for s in buffer.axes if index[s.axis].coefficient(vector)]
        if not moving:
            return "b", []
        innermost = len(moving) == 1 and moving[0] == buffer.axes[-1] and prod(buffer.shape) == 1
        if innermost and index[moving[0].axis].coefficient(vector) == 1:
            return "v", []
        strides = [
            self.slot("stride", buffer.name, s.axis, index[s.axis].coefficient(vector))
            for s in moving
        ]
        return "s", [total(*strides)]

    def start(self, fill: Fill) -> Integer:
        """Return the start of a fill."""
        parts = [self.slot("start", fill.buffer)]
        for stored in self.plan.buffers[fill.buffer].axes:
            if stored.axis in fill.looped:
                stride = self.slot("stride", fill.buffer, stored.axis, 1)
                at = self.loops[stored.axis]
                place = (
                    function("remainder", at, stored.ring)
                    if stored.ring
                    else total(at, self.slot("halo", fill.buffer, stored.axis))
                )
                parts.append(product(function("group", place), stride))
        return total(*parts)

    # Products

    def corner(self, access: Access, depth: int, inner: set[str]) -> Integer:
        """Return the address of an element with some dimensions at 0."""
        saved = dict(self.loops)
        self.loops |= dict.fromkeys(inner, number(0))
        found = self.address(access, depth, None)
        self.loops = saved
        if found.head != "total":
            return found
        return total(*(p for p in found.arguments if not _is_nothing(p)))

    def packed(self, name: str) -> Integer:
        """Return the address of a packed operand at the present index point."""
        pack = self.plan.packs[name]
        steps = [product(self.loops[a], self.slot("packstride", name, a)) for a in pack.over]
        return total(self.slot("pack", name), *steps)

    def size(self, dims: tuple[Dim, ...]) -> Integer:
        """Return the number of points of dimensions."""
        return product(*map(self.extent, dims)) if dims else number(1)

    def step(self, access: Access, dims: tuple[Dim, ...]) -> Integer:
        """Return the bytes from one element to the next along collapsed dimensions."""
        if not dims:
            return number(0)
        name = dims[-1].name
        terms = dict(access.terms)
        if name in terms:
            return number(terms[name] * self.item)
        buffer, index = self.buffer(access), dict(access.index)
        moving = [s for s in buffer.axes if index[s.axis].coefficient(name)]
        steps = [
            self.slot("stride", buffer.name, s.axis, index[s.axis].coefficient(name))
            for s in moving
        ]
        return total(*steps) if steps else number(0)

    def collapsed(
        self, dims: tuple[Dim, ...], accesses: tuple[Access, ...]
    ) -> tuple[tuple[Dim, ...], tuple[Dim, ...]]:
        """Return the last dimensions in memory, which are contiguous there, and the others."""
        dims = tuple(sorted(dims, key=lambda d: self.depth(accesses[0], d)))
        start = max(len(dims) - 1, 0)
        while start > 0 and all(self.adjacent(a, dims[start - 1], dims[start]) for a in accesses):
            start -= 1
        return dims[start:], dims[:start]

    def depth(self, access: Access, dim: Dim) -> int:
        """Return the number of stored axes outside of the one that a dimension moves along."""
        axes, index = self.buffer(access).axes, dict(access.index)
        moving = (i for i, s in enumerate(axes) if index[s.axis].coefficient(dim.name))
        return next(moving, len(axes))

    def adjacent(self, access: Access, outer: Dim, inner: Dim) -> bool:
        """Whether a step along one dimension is the whole extent of the next one."""
        terms = dict(access.terms)
        if inner.name in terms:
            return (
                inner.size is not None and terms.get(outer.name) == terms[inner.name] * inner.size
            )
        if inner.name != BATCH or outer.name in terms:
            return False
        axes, index = self.buffer(access).axes, dict(access.index)
        batch = [s.axis for s in axes].index(BATCH) if BATCH in index else 0
        if not batch or axes[batch - 1].ring is not None:
            return False
        around = axes[batch - 1]
        at = index[around.axis]
        alone = all(s == around or not index[s.axis].coefficient(outer.name) for s in axes)
        return (
            at.coefficient(outer.name) == 1
            and at.divisor == 1
            and alone
            and around.axis not in access.guarded
        )


def _is_nothing(x: Integer) -> bool:
    """Whether a term is a product that begins with 0."""
    return x.head == "product" and x.arguments[0] == number(0)
