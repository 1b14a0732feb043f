"""Who reads whom in a Program, and where that leads; found once, and kept with the Program.

    h[t] = tanh(z[t])       z[t] = add(z.1[t], b)       z.1[t] = einsum(W, h[t-1])

    reads          z: z.1, b             what an equation may read, boundaries included
    readers        b: z                  who may read a value
    uses           b: (z, b)             the operands that are a value, as often as they are
    ancestors      of h: h z z.1 b W     what values are computed from, themselves included
    descendants    of b: b z h z.1       what is computed from values, themselves included

In a Program without boundaries, an equation reads its operands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeVar

from unfold.core.program import Program, Ref, Value, kept

N = TypeVar("N", bound=Hashable)


@kept
def reads(program: Program) -> Mapping[str, tuple[str, ...]]:
    """Return the values that each equation may read, by name; see `Program.reads`."""
    return {v.name: tuple(dict.fromkeys(r.value for r in program.reads(v))) for v in program}


@kept
def readers(program: Program) -> Mapping[str, tuple[str, ...]]:
    """Return the equations that may read each value."""
    return inverted(reads(program))


@kept
def uses(program: Program) -> Mapping[str, tuple[tuple[Value, Ref], ...]]:
    """Return the operands that are each value: whose they are, and how it is read."""
    found: dict[str, list[tuple[Value, Ref]]] = {n: [] for n in program.values}
    for value in program:
        for ref in value.operands:
            found[ref.value].append((value, ref))
    return {n: tuple(own) for n, own in found.items()}


@kept
def read_inputs(program: Program) -> tuple[str, ...]:
    """Return the inputs that some equation reads."""
    return tuple(v.name for v in program.inputs if readers(program)[v.name])


def is_used_once(program: Program, name: str) -> bool:
    """Return whether one operand alone is a value, and nobody asks for it."""
    asked = (*program.outputs, program.loss)
    return len(uses(program)[name]) == 1 and name not in asked


def ancestors(program: Program, names: Iterable[str]) -> set[str]:
    """Return what some values are computed from, themselves included."""
    return reachable(names, reads(program).__getitem__)


def descendants(program: Program, names: Iterable[str]) -> set[str]:
    """Return what is computed from some values, themselves included."""
    return reachable(names, readers(program).__getitem__)


def inverted(relation: Mapping[N, Iterable[N]]) -> dict[N, tuple[N, ...]]:
    """Return a relation from its other end: readers of what is read."""
    found: dict[N, dict[N, None]] = {n: {} for n in relation}
    for name, others in relation.items():
        for other in others:
            found[other][name] = None
    return {n: tuple(own) for n, own in found.items()}


def reachable(start: Iterable[N], follow: Callable[[N], Iterable[N]]) -> set[N]:
    """Return the nodes that paths from some lead to, the start included.

    Args:
        start: where paths begin.
        follow: returns the next nodes of one.
    """
    found = set(start)
    work = list(found)
    while work:
        fresh = set(follow(work.pop())) - found
        found |= fresh
        work += fresh
    return found
