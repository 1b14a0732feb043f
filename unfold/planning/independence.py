"""Determine which dimensions of a nest carry no dependence, so that their points can run at once.

    for t, batch: s[t,batch] = tanh(a[t,batch])     t and batch are independent
    for t, batch: b += s[t,batch]                   neither: all points add to one element
    for t, batch: r = exp(…); y[t,batch] = r * …    neither: r has one row (the Target contracts)

Points depend on each other if one of them writes an element that another reads or writes. Elements
differ if they differ in one subscript, so accesses are compared subscript by subscript: the ZIV and
strong SIV tests (Goff, Kennedy & Tseng 1991). The loops around the nest stand still meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf

from unfold.core.affine import Affine
from unfold.core.plan import Access, Buffer, Dim, Loop, Nest, Statement


def marked(statements: list[Statement], kept: Mapping[str, Buffer]) -> list[Statement]:
    """Return statements whose nests say which of their dimensions are independent."""
    found: list[Statement] = []
    for statement in statements:
        if isinstance(statement, Loop):
            body = marked(statement.body, kept)
            statement = Loop(statement.axis, statement.direction, body)
        elif isinstance(statement, Nest):
            statement = replace(statement, independent=_independent(statement, kept))
        found.append(statement)
    return found


def _independent(nest: Nest, kept: Mapping[str, Buffer]) -> tuple[str, ...]:
    looped = {d.name for d in nest.dims}
    pairs = [p for p in _conflicts(nest) if not _never_meet(*p, looped, kept[p[0].buffer])]
    return tuple(d.name for d in nest.dims if all(_apart(*p, d, kept[p[0].buffer]) for p in pairs))


def _conflicts(nest: Nest) -> set[tuple[Access, Access]]:
    """Return each write with each access of the same buffer, itself included."""
    writes = {s.access for k in nest.kernels for _, s in k.stores}
    touched = writes.union(*(k.reads for k in nest.kernels))
    return {(a, b) for a in writes for b in touched if a.buffer == b.buffer}


def _never_meet(a: Access, b: Access, looped: set[str], buffer: Buffer) -> bool:
    """Whether a subscript without a dimension of the nest differs, as in h[t] and h[t-1]."""
    for stored in buffer.axes:
        ours, theirs = (dict(x.index)[stored.axis].offset_from(stored.axis) for x in (a, b))
        if stored.axis in looped or ours is None or theirs is None:
            continue
        if (ours - theirs) % (stored.ring or inf):
            return True
    return False


def _apart(a: Access, b: Access, dim: Dim, buffer: Buffer) -> bool:
    """Whether points that differ along a dimension have elements that differ."""
    if dim.size is None:
        here = Affine.axis(dim.name)
        stored = any(s.axis == dim.name for s in buffer.axes)
        return stored and all(dict(x.index)[dim.name] == here for x in (a, b))
    step, other = (dict(x.terms).get(dim.name) for x in (a, b))
    if step is None or step != other or a.overlaps or b.overlaps:
        return False
    rows = [[t for t in x.terms if t[1] >= step] for x in (a, b)]
    distance = abs(a.offset // step - b.offset // step)
    return rows[0] == rows[1] and not 0 < distance < dim.size
