"""Decide which axis is innermost in memory, for single numbers at the points of several axes.

    e[t,s] = q[t] @ k[s]      one matrix for each sequence, [t, batch, s]: its rows run along s

A product that makes one number for each pair of points is a product of matrices if the points of
one axis lie side by side. Values that are computed from it point by point, such as a softmax along
its rows and the gradients, are laid out in the same way, so that kernels run along rows, too. The
other values have the batch innermost, then their features.
"""

from __future__ import annotations

from collections.abc import Mapping

from unfold.core.affine import Affine
from unfold.core.dependence import Loop
from unfold.core.letters import letters
from unfold.core.program import BATCH, Program, Ref, Value


def rows(program: Program, paths: Mapping[str, tuple[Loop, ...]]) -> dict[str, str]:
    """Return the axis of the rows, by value.

    Args:
        program: decomposed.
        paths: the loops around each value, outermost first.
    """
    found: dict[str, str] = {}
    alike = _alike(program)
    for value in program:
        if value.name in found or (axis := _columns(program, value, paths)) is None:
            continue
        waiting = [value.name]
        while waiting:
            name = waiting.pop()
            if name not in found and not _is_looped(paths, name, axis):
                found[name] = axis
                waiting += alike[name]
    return found


def _columns(program: Program, value: Value, paths: Mapping[str, tuple[Loop, ...]]) -> str | None:
    """Return the axis of the columns, if a value is a product of matrices of single numbers."""
    if not value.is_contraction or len(value.operands) != 2 or not _is_number(value):
        return None
    own, _ = letters(value)
    if any(program[r.value].type.kind != "real" for r in value.operands):
        return None
    reads = [set(r.axes) for r in value.operands]
    if not (set(own[0]) & set(own[1]) or reads[0] & reads[1] & set(value.reduced)):
        return None
    free = [a for a in value.axes if a != BATCH and not _is_looped(paths, value.name, a)]
    alone = [[a for a in free if a in r and a not in o] for r, o in (reads, reads[::-1])]
    return max(alone[0][-1], alone[1][-1], key=free.index) if all(alone) else None


def _alike(program: Program) -> dict[str, list[str]]:
    """Return the values from which each is computed point by point, and those computed from it."""
    found: dict[str, list[str]] = {v.name: [] for v in program}
    for value in program:
        for ref in value.operands:
            if _has_rows(value) and _is_same_point(program, value, ref):
                found[value.name].append(ref.value)
                found[ref.value].append(value.name)
    return found


def _is_same_point(program: Program, value: Value, ref: Ref) -> bool:
    source = program[ref.value]
    here = all(i == Affine.axis(a) for a, i in zip(source.axes, ref.index, strict=True))
    return here and _has_rows(source) and set(source.axes) == set(value.axes)


def _has_rows(value: Value) -> bool:
    """Whether a value may be laid out in rows: a parameter is read where the user has it."""
    return _is_number(value) and not value.is_parameter


def _is_number(value: Value) -> bool:
    return all(int(n) == 1 for n in value.type.shape)


def _is_looped(paths: Mapping[str, tuple[Loop, ...]], name: str, axis: str) -> bool:
    return any(loop.axis == axis for loop in paths[name])
