"""Explain why equations cannot be ordered: show one cycle, as short as can be found quickly.

In: the edges of a strongly connected component that no axis can carry. Out: a `Diagnostic` with the
cycle as a path of named equations, at the place of the one that is nearest to the user's own file.

    these equations need each other at the same index point
      a[t] needs c[t]   (line 14)
      c[t] needs a[t]   (line 15)

Searches start at a limited number of equations, so that a large component costs no more than a few
walks over its edges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from unfold.core.affine import Affine
from unfold.core.program import BATCH, Program, Value
from unfold.errors import Diagnostic, Location

if TYPE_CHECKING:
    from unfold.core.dependence import Dependence

MAX_STARTS = 32
MAX_STEPS = 24


def explain_cycle(program: Program, inner: Sequence[Dependence]) -> Diagnostic:
    """Return what is wrong with a component that cannot be ordered.

    Args:
        program: whose equations they are.
        inner: the edges between the equations of the component.
    """
    immediate = [e for e in inner if e.immediate]
    cycle = _shortest(program, immediate, immediate, {})
    if cycle:
        return _diagnostic(
            program,
            cycle,
            "these equations need each other at the same index point",
            "give one of these references a delay, as in h[t-1]",
        )
    for axis in sorted({a for e in inner for a in e.offsets}):
        behind = [e for e in inner if axis in e.offsets and e.offsets[axis].behind]
        ahead = [e for e in inner if axis in e.offsets and e.offsets[axis].ahead]
        if behind and ahead:
            bits = {**dict.fromkeys(behind, 1), **dict.fromkeys(ahead, 2)}
            cycle = _shortest(program, inner, behind, bits, goal=3)
            if cycle:
                return _diagnostic(
                    program,
                    cycle,
                    f"this cycle needs both earlier and later values of axis {axis}",
                    f"a cycle may use {axis}-1 or {axis}+1, not both: split it into two "
                    f"sets of equations",
                )
    loose = [e for e in inner if any(s.low != s.high for s in e.offsets.values())]
    other = [e for e in loose if _reads_by_other(program, e)]
    cycle = _shortest(program, inner, other or loose or inner, {})
    assert cycle, [e.ref for e in inner[:9]]
    return _diagnostic(
        program,
        cycle,
        "this cycle cannot be computed in the order of any axis",
        _masked(program, inner)
        or _by_distance(program, cycle)
        or "every reference in a cycle must be a delay such as h[t-1] along one common axis",
    )


def _reads_by_other(program: Program, edge: Dependence) -> bool:
    """Whether an index along an axis is another axis, as in h[s]: any point may be meant."""
    pairs = zip(program[edge.source].axes, edge.ref.index, strict=True)
    return any(a != BATCH and i.axes and a not in i.axes for a, i in pairs)


def _masked(program: Program, inner: Sequence[Dependence]) -> str | None:
    """Return how to bound a reduction in place of a mask such as where(s <= t, e, -1e9)."""
    members = {n: program[n] for e in inner for n in (e.reader, e.source)}
    bound = {a for v in members.values() for a in v.reduced}
    for value in members.values():
        if not value.row.chooses:
            continue
        condition = program[value.operands[0].value]
        sides = [program[r.value].attributes.get("index") for r in condition.operands]
        sign = condition.row.compares
        if sign is None or not all(isinstance(s, Affine) for s in sides):
            continue
        left, right = (s.show() for s in sides if isinstance(s, Affine))
        axis = next((a for a in condition.axes if a in bound), None)
        if axis is None or len(condition.axes) != 2:
            continue
        if left != axis and right == axis:
            left, right, sign = right, left, sign.translate(str.maketrans("<>", "><"))
        return (
            f"a mask does not change the order of evaluation: instead of where({left} "
            f"{sign} {right}, …) bound the reduction, as in"
            f" softmax[{left} {sign} {right}](…) or sum[{left} {sign} {right}](…)"
        )
    return None


def _by_distance(program: Program, cycle: Sequence[Dependence]) -> str | None:
    """Return how to read earlier points by their distance, where h[s] stands for any of them."""
    for e in cycle:
        source = program[e.source]
        for axis, index in zip(source.axes, e.ref.index, strict=True):
            if axis == BATCH or index.offset_from(axis) is not None or len(index.axes) != 1:
                continue
            other = index.axes[0]
            if index.offset_from(other) is None or other == axis:
                continue
            free = next(n for n in ("k", "j", "i", "distance") if n not in program.axes)
            name = source.name if source.is_named else source.node
            away = [
                f"{axis}-{free}-1" if a == axis else i.show()
                for a, i in zip(source.axes, e.ref.index, strict=True)
                if a != BATCH
            ]
            return (
                f"{name}[{other}] may be any step; state its distance: {name}{_brackets(away)}"
                f" is earlier, with  axes: {{{free}: {axis}}}  instead of {other}"
            )
    return None


def _shortest(
    program: Program,
    edges: Iterable[Dependence],
    through: Sequence[Dependence],
    marks: Mapping[Dependence, int],
    goal: int = 0,
) -> list[Dependence] | None:
    """Return the shortest cycle found that starts with one of some edges.

    Args:
        program: whose equations they are.
        edges: what the cycle may use.
        through: edges to start with; those of the user's own equations are tried first.
        marks: bits that an edge adds to a walk.
        goal: the bits that the walk must have when it is back.
    """
    readers: dict[str, list[Dependence]] = {}
    for e in edges:
        readers.setdefault(e.reader, []).append(e)
    best: list[Dependence] | None = None
    for first in sorted(through, key=lambda e: _depth(program, e))[:MAX_STARTS]:
        found = _walk(first, readers, marks, goal)
        if found is not None and (best is None or len(found) < len(best)):
            best = found
    return best


def _walk(
    first: Dependence,
    readers: Mapping[str, Sequence[Dependence]],
    marks: Mapping[Dependence, int],
    goal: int,
) -> list[Dependence] | None:
    """Return the shortest walk that starts with an edge and ends where it starts, or None."""
    start = (first.source, marks.get(first, 0))
    came: dict[tuple[str, int], tuple[tuple[str, int], Dependence] | None] = {start: None}
    queue = [start]
    end = (first.reader, goal)
    for state in queue:
        if state == end:
            break
        name, bits = state
        for e in readers.get(name, ()):
            following = (e.source, bits | marks.get(e, 0))
            if following not in came:
                came[following] = (state, e)
                queue.append(following)
    if end not in came:
        return None
    chain: list[Dependence] = []
    state = end
    while (step := came[state]) is not None:
        state, e = step
        chain.append(e)
    return [first, *chain[::-1]]


def _depth(program: Program, edge: Dependence) -> tuple[int, int]:
    """Order edges: equations of the spec itself before those inside of cells, then by line."""
    reader = program[edge.reader]
    return reader.node.count("."), reader.at.line if reader.at else 0


def _diagnostic(
    program: Program, cycle: Sequence[Dependence], message: str, help: str
) -> Diagnostic:
    """Describe a cycle by its named equations; the parts in between are left out."""
    start = min(range(len(cycle)), key=lambda i: (_depth(program, cycle[i]), i))
    cycle = [*cycle[start:], *cycle[:start]]
    named = next((program[e.reader] for e in cycle if program[e.reader].at), None)
    place = named.at if named else None
    steps: list[str] = []
    for e in cycle:
        reader, source = program[e.reader], program[e.source]
        if reader.node == source.node and not source.is_named:
            continue
        whole = program.values.get(reader.node, reader)
        left = f"{reader.node}{_brackets([a for a in whole.axes if a != BATCH])}"
        steps.append(f"{left} needs {_reference(reader, source, e)}{_line(reader, place)}")
    if len(steps) > MAX_STEPS:
        left_out = len(steps) - MAX_STEPS
        steps[MAX_STEPS // 2 : -MAX_STEPS // 2] = [f"… {left_out} more …"]
    return Diagnostic(message, place, tuple(steps), help)


def _reference(reader: Value, source: Value, edge: Dependence) -> str:
    """Return what is read, as the spec would write it."""
    indices: list[str] = []
    every: list[str] = []
    for axis, index in zip(source.axes, edge.ref.index, strict=True):
        if axis != BATCH:
            indices.append(index.show().replace(f"last({axis})", "last"))
            every += [a for a in index.axes if a in reader.reduced]
    suffix = f" of every {', '.join(dict.fromkeys(every))}" if every else ""
    name = source.name if source.is_named else source.node
    return f"{name}{_brackets(indices)}{suffix}"


def _line(reader: Value, place: Location | None) -> str:
    if reader.at is None:
        return ""
    if place is None or reader.at.file == place.file:
        return f"   (line {reader.at.line})"
    return f"   ({reader.at.file}:{reader.at.line})"


def _brackets(indices: Sequence[str]) -> str:
    return f"[{','.join(indices)}]" if indices else ""
