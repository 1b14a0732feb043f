"""Reads of a loss outside of its data, where training would silently use zeros as targets.

    loss: mean[t,k](mse(o[t,k], y[t+k]))       y has t = 0 to 3, and at t = 3, k = 2 y[5] is read

A model may read its data outside of their domain, as a convolution does at its edges, and gets zero
there. Values that only a loss reads are targets: `initial` must define them outside of their
domain, or `where` must mask them. The same holds for nodes beside the loss that compare with a
target, such as metrics.

A value is a target if nothing is learned in it and only the loss, or other targets, read it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import product

from unfold.core.affine import Affine
from unfold.core.paths import ancestors, descendants, reachable, readers, reads
from unfold.core.program import BATCH, Program, Ref, Value
from unfold.errors import Location
from unfold.spec.text.problems import Problems, fail


def check_targets(
    program: Program, declared: Collection[tuple[str, str]], problems: Problems
) -> None:
    """Report targets that are read outside of their data, the first place of each.

    Args:
        program: with its loss.
        declared: values and axes with an entry in `initial`, zeros included.
        problems: receives the mistakes.
    """
    if program.loss is None:
        return
    seen: set[tuple[str, str]] = set()
    for reader, ref in _reads_of_targets(program):
        value = program[ref.value]
        for axis, index in zip(value.axes, ref.index, strict=True):
            key = (value.name, axis)
            if axis == BATCH or key in declared or key in seen:
                continue
            if (found := _outside(program, axis, index)) is not None:
                seen.add(key)
                with problems.collect():
                    raise _mistake(program, reader, value, (axis, index), ref, found)


def _reads_of_targets(program: Program) -> Iterator[tuple[Value, Ref]]:
    """Yield what the loss, and what is compared beside it, reads of data without a mask."""
    assert program.loss is not None
    learned = descendants(program, (v.name for v in program.parameters))
    inputs = {v.name for v in program.inputs}
    data = descendants(program, inputs) - learned
    cone = ancestors(program, [program.loss])
    node = program[program.loss].node
    side = {v.name for v in program if v.node == node}

    def is_target(name: str) -> bool:
        """Tell whether only the loss, and values that belong to it, read a value."""
        return all(r in side for r in readers(program)[name] if r in cone)

    if learned & cone:  # without parameters, a value computed from data is a model's answer
        work = list(side)
        while work:
            for name in reads(program)[work.pop()]:
                if name in data - inputs - side and is_target(name):
                    side.add(name)
                    work.append(name)
    yield from _reads(program, data, side, program.loss)
    targets = {n for n in inputs & cone if is_target(n)}
    beside: dict[str, list[str]] = {}
    for value in program:
        if value.name not in cone | side:
            beside.setdefault(value.node, []).append(value.name)
    for name, parts in beside.items():
        if name in parts:
            yield from _reads(program, targets, parts, name)


def _reads(
    program: Program, of: Collection[str], parts: Collection[str], result: str
) -> Iterator[tuple[Value, Ref]]:
    """Yield what the parts of a result read of some values, without a mask or a weight."""
    for name in _unmasked(program, parts, result):
        value = program[name]
        if not _weights(program, value):
            yield from ((value, r) for r in value.operands if r.value in of)


def _weights(program: Program, value: Value) -> bool:
    """Tell whether a value is a product with a parameter: a part of a model, not a comparison."""
    return value.row.factors and any(program[r.value].is_parameter for r in value.operands)


def _unmasked(program: Program, side: Collection[str], result: str) -> list[str]:
    """Return the parts of a result that are reached without passing a branch of `where`."""
    conditions = {
        v.name: [r.value for r in v.operands[: 1 if v.row.chooses else None] if r.value in side]
        for v in (program[n] for n in side)
    }
    return [n for n in reachable([result], conditions.__getitem__) if not program[n].row.chooses]


def _outside(program: Program, axis: str, index: Affine) -> dict[str, int] | None:
    """Return a point at which an index leaves the domain of an axis, at likely extents; or None."""
    if not index.may_leave(axis):
        return None
    free = [a for a, x in program.axes.items() if x.from_data and x.extent.is_constant]
    given = {a: int(program.axes[a].extent.constant) for a in free}
    for choice in product(*([n, n + 1, 2 * n + 3] for n in given.values())):
        extents = _extents(program, dict(zip(free, choice, strict=True)))
        if extents is None:
            continue
        corners = [sorted({0, extents[a] - 1}, reverse=True) for a in index.axes]
        last = {a: n - 1 for a, n in extents.items()}
        for corner in product(*corners):
            point = dict(zip(index.axes, corner, strict=True))
            if not 0 <= int(index.evaluate(point, last)[0]) < extents[axis]:
                return point
    return None


def _extents(program: Program, known: dict[str, int]) -> Mapping[str, int] | None:
    """Return the extents of all axes, given some; None if an axis has no point."""

    def extent(axis: str) -> int:
        if axis not in known:
            formula = program.axes[axis].extent
            needed = {a: extent(a) for a in formula.axes}
            lasts = {a: extent(a) - 1 for a in formula.ends}
            known[axis] = int(formula.evaluate(needed, lasts)[0])
        return known[axis]

    extents = {a: extent(a) for a in program.axes if a != BATCH}
    return extents if min(extents.values(), default=1) >= 1 else None


def _mistake(
    program: Program,
    reader: Value,
    value: Value,
    leaves: tuple[str, Affine],
    ref: Ref,
    point: Mapping[str, int],
) -> Exception:
    """Return the mistake of one read, at its place in the loss."""
    axis, index = leaves
    own = [i for a, i in zip(value.axes, ref.index, strict=True) if a != BATCH]
    shown = f"{value.name}[{','.join(i.show() for i in own)}]"
    place = reader.at
    assert place is not None, reader
    written, place = _written(shown, value.name, place)
    extents = _extents(program, {}) or {}
    at = ", ".join(f"{a} = {point[a]}" for a in reader.iteration if a in point)
    number = int(index.evaluate(point, {a: n - 1 for a, n in extents.items()})[0])
    what, word = ("no class", "-1") if value.type.kind == "category" else ("zero", "0")
    local = axis.rpartition(".")[2]
    return fail(
        f"{written} is read outside the domain of {value.name}, where the loss has no target",
        place,
        f"at {at} it reads {local} = {number}, and {value.name} has {local} = 0 to"
        f" {extents[axis] - 1}; {what} would be mistaken for the truth",
        help=f"define the value there, as in  initial: {{{value.name}: {word}}}, exclude "
        f"such points with where(…), or give targets an axis of their own, as  ahead: [1, "
        f"2]  of a series",
    )


def _written(shown: str, name: str, place: Location) -> tuple[str, Location]:
    """Find a reference in its line, as the user wrote it."""
    pattern = rf"(?<![\w.]){re.escape(name)}\s*\[[^\]]*\]"
    wanted = sorted(shown.replace(" ", ""))
    for match in re.finditer(pattern, place.source):
        if sorted(match.group().replace(" ", "")) == wanted:
            length = match.end() - match.start()
            return match.group(), replace(place, column=match.start() + 1, length=length)
    return shown, place
