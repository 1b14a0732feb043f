"""Decide what of each value is kept: all of its points, a ring of the last few, or one.

A value that is written and read inside the same loop, at the loop's own index point, needs no
dimension for the loop's axis; with constant delays it needs a ring of as many points. If the Target
contracts, the same holds for the loops of a nest. So the intermediate values of a time step live in
a few lines of the cache, and only what is read elsewhere (by the adjoint, by a weight gradient) is
kept for all steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, prod

from unfold.core.affine import Affine
from unfold.core.origin import Errors
from unfold.core.plan import (
    Access,
    Buffer,
    Call,
    Dim,
    Fill,
    Gemm,
    Loop,
    Nest,
    Pack,
    Statement,
    Stored,
)
from unfold.core.program import BATCH, Program, Value
from unfold.planning.forms import Form, Forms

SHORT = 16  # how many numbers may be added to one without regard to rounding
Place = tuple[Loop | Nest, ...]


@dataclass
class Uses:
    """Where one value is written and read: the loops and nests around, and the access."""

    writes: list[tuple[Place, Access]]
    reads: list[tuple[Place, Access]]


def buffers(forms: Forms, statements: list[Statement], results: set[str]) -> dict[str, Buffer]:
    """Return the buffer of every value that is kept.

    Args:
        forms: what each equation becomes.
        statements: those that make and read the values, packs included.
        results: values that are kept whole.
    """
    found = {v.name: Uses([], []) for v in forms.program if v.name in forms.stored}
    for place, writes, reads in _accesses(statements, ()):
        for access in writes:
            found.setdefault(access.buffer, Uses([], [])).writes.append((place, access))
        for access in reads:
            found.setdefault(access.buffer, Uses([], [])).reads.append((place, access))
    filled = {s.buffer: s.looped for s in _leaves(statements) if isinstance(s, Fill)}
    outer = _outer(statements)
    kept = {
        n: _buffer(forms, n, uses, n in results, filled.get(n), outer.get(n, set()))
        for n, uses in found.items()
        if n in forms.program.values
    }
    for name in sorted(long_sums(forms.program, statements)):
        origin = Errors(name)
        kept[origin.name] = replace(kept[name], name=origin.name, origin=origin)
        kept[name] = replace(kept[name], errors=origin.name)
    return kept


def long_sums(program: Program, statements: list[Statement]) -> set[str]:
    """Return the buffers with elements that so many numbers are added to that rounding matters."""
    found: set[str] = set()

    def extent(dim: Dim) -> float:
        if dim.size is not None:
            return dim.size
        axis = program.axes[dim.name]
        known = axis.extent.is_constant and not axis.from_data and dim.name != BATCH
        return axis.extent.constant if known else inf

    def visit(level: list[Statement], looped: tuple[Dim, ...]) -> None:
        for statement in level:
            if isinstance(statement, Loop):
                visit(statement.body, (*looped, Dim(statement.axis)))
            elif isinstance(statement, Nest):
                for store in (s for k in statement.kernels for _, s in k.stores):
                    if store.mode not in ("add", "sum") or store.access.overlaps:
                        continue
                    around = (*looped, *statement.dims)
                    added = prod(extent(d) for d in around if not store.access.moves(d.name))
                    if added > SHORT:
                        found.add(store.access.buffer)

    visit(statements, ())
    return found


def _accesses(
    statements: list[Statement], place: Place
) -> Iterator[tuple[Place, list[Access], Sequence[Access]]]:
    for statement in statements:
        if isinstance(statement, Loop):
            yield from _accesses(statement.body, (*place, statement))
        elif isinstance(statement, Nest):
            inner = (*place, statement)
            for kernel in statement.kernels:
                yield inner, [s.access for _, s in kernel.stores], kernel.reads
        elif isinstance(statement, Gemm):
            reads = [statement.a] if statement.packed else [statement.a, statement.b]
            yield place, [statement.c], reads
        elif isinstance(statement, Call):
            yield place, [statement.target], statement.operands
        elif isinstance(statement, Pack):
            yield place, [], [statement.b]


def _outer(statements: list[Statement]) -> dict[str, set[str]]:
    """Return the axes along which each value is in a product of its own at every point."""
    found: dict[str, set[str]] = {}
    for gemm in _leaves(statements):
        if isinstance(gemm, Gemm):
            for access in (gemm.a, gemm.b, gemm.c):
                found.setdefault(access.buffer, set()).update(d.name for d in gemm.outer)
    return found


def _buffer(
    forms: Forms,
    name: str,
    uses: Uses,
    whole: bool,
    filled: tuple[str, ...] | None,
    outer: set[str],
) -> Buffer:
    value = forms.program[name]
    host = forms.form[name] is Form.HOST
    role = value.op if host and value.is_given else "host" if host else "computed"
    empty = -1.0 if value.type.kind == "category" else 0.0
    loops = list(filled) if filled is not None else [o.axis for o in forms.paths[name]]
    own = value.axes if value.is_parameter else _ordered(forms, value, loops, outer)
    rings: Mapping[str, int] = {} if host or whole else _rings(forms, value, uses)
    axes = tuple(
        Stored(a, rings.get(a) if rings.get(a) != 1 else None) for a in own if rings.get(a) != 1
    )
    return Buffer(name, axes, tuple(map(int, value.type.stored)), role, empty)


def _ordered(forms: Forms, value: Value, loops: Sequence[str], outer: set[str]) -> tuple[str, ...]:
    """Return the axes of a value as they are stored; a parameter is stored as its user has it.

    What is set for one point of a loop, or is an operand of one product, is contiguous there.
    """
    row = forms.rows.get(value.name)

    def key(axis: str) -> tuple[float, ...]:
        place = loops.index(axis) if axis in loops else len(loops)
        return (axis == row, axis == BATCH, place, axis not in outer, _length(forms.program, axis))

    return tuple(sorted(value.axes, key=key))


def _length(program: Program, axis: str) -> float:
    """Return the points of an axis, as far as they are known.

    The longest axis is stored next to the batch, so that products run over both at once.
    """
    extent = program.axes[axis].extent
    return extent.constant if extent.is_constant else inf


def _rings(forms: Forms, value: Value, uses: Uses) -> dict[str, int]:
    """Return how many points of an axis are needed, for axes of which not all are."""
    found: dict[str, int] = {}
    if not uses.writes:
        return found
    first = uses.writes[0][0]
    shared = len(first)
    for place, _ in (*uses.writes, *uses.reads):
        same = [x is y for x, y in zip(first, place, strict=False)]
        shared = min(shared, same.index(False) if False in same else len(same))
    for around in first[:shared]:
        if isinstance(around, Loop):
            depth = _depth(around, value, uses)
            if depth is not None:
                found[around.axis] = depth
            if depth != 1 and around.axis in value.axes:
                break  # read by a later iteration, so nothing inside may be given up
        elif forms.target.contracts:
            for dim in around.dims:
                if dim.name in value.axes and _is_here(dim, uses):
                    found[dim.name] = 1
    return found


def _is_here(dim: Dim, uses: Uses) -> bool:
    here = Affine.axis(dim.name)
    return all(dict(a.index).get(dim.name) == here for _, a in (*uses.writes, *uses.reads))


def _depth(loop: Loop, value: Value, uses: Uses) -> int | None:
    if loop.axis not in value.axes:
        return None
    if any(loop.axis in a.guarded for _, a in uses.reads):
        return None  # what is checked may be any point
    offsets = [dict(a.index)[loop.axis].offset_from(loop.axis) for _, a in uses.reads]
    writes = [dict(a.index)[loop.axis].offset_from(loop.axis) for _, a in uses.writes]
    if any(o is None for o in offsets) or any(w != 0 for w in writes):
        return None
    behind = [-o * loop.direction for o in offsets if o is not None]
    if any(b < 0 for b in behind):
        return None
    return max(behind, default=0) + 1


def fills(statements: list[Statement], kept: Mapping[str, Buffer]) -> list[Statement]:
    """Return statements with a fill before each loop for the rings that it turns.

    What a ring holds before the first step is what lies outside of the domain: zero.
    """

    def rings(statement: Statement) -> set[str]:
        names = {s.c.buffer for s in _leaves([statement]) if isinstance(s, Gemm)}
        for nest in _leaves([statement]):
            if isinstance(nest, Nest):
                names |= {s.access.buffer for k in nest.kernels for _, s in k.stores}
        return names

    def visit(level: list[Statement], looped: tuple[str, ...]) -> list[Statement]:
        result: list[Statement] = []
        for statement in level:
            if isinstance(statement, Loop):
                for name in sorted(rings(statement)):
                    buffer = kept[name]
                    if any(s.axis == statement.axis and s.ring for s in buffer.axes):
                        result.append(Fill(name, looped, buffer.empty))
                body = visit(statement.body, (*looped, statement.axis))
                statement = Loop(statement.axis, statement.direction, body)
            result.append(statement)
        return result

    return visit(statements, ())


def _leaves(statements: list[Statement]) -> Iterator[Statement]:
    for statement in statements:
        if isinstance(statement, Loop):
            yield from _leaves(statement.body)
        else:
            yield statement
