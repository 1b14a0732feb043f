"""The memory that the reference takes, known before it takes any.

In: a Program and a Domain. Out: bytes, counted from extents alone:

    values     every value at every index point, for all sequences
    walk       the indices of all operands, kept for the next run, and the steps that hold them
    at once    operands and result of the equation that computes most in one step

Equations in a loop are computed one iteration at a time, and so are their readers at the same
iteration, whose level in the graph changes each time. Everything else is computed at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from unfold.core.dependence import Block, Loop, order
from unfold.core.op import OPS, Kind
from unfold.core.program import BATCH, Program, Value
from unfold.runs.domain import Domain

WORD = 8  # bytes of a number, and of an index
STEP = 1700  # bytes of the objects of one step of a walk


@dataclass(frozen=True)
class Needs:
    """Bytes that the reference takes.

    Attributes:
        walk: kept for the next run.
        run: taken by one run in addition.
    """

    walk: int
    run: int


def needs(program: Program, domain: Domain) -> Needs:
    """Return the memory that a run of a Program takes.

    Args:
        program: to run.
        domain: its index domain.
    """
    extents, rows = domain.extents, 1 if domain.uniform else domain.batch
    turns: dict[str, frozenset[str]] = {}
    walk = at_once = 0
    for name, looped in _in_order(order(program, extents), frozenset()):
        value = program[name]
        turns[name] = looped | _inherited(program, value, turns)
        if value.is_given:
            continue
        bound = [extents[a] for a in value.reduced if a != BATCH]
        # An operand of a kernel is read along one of the axes, not at all their combinations.
        reduced = max(bound, default=1) if OPS[value.op].kind is Kind.KERNEL else prod(bound)
        steps = prod(extents[a] for a in turns[name])
        points = _points(value, domain)
        indices = len(value.axes) + rows * sum(
            1 + len(program[r.value].axes) for r in value.operands
        )
        walk += points * reduced * indices * WORD + steps * STEP
        here = -(-points // steps)
        numbers = here * domain.batch * _numbers(value)
        for source in (program[r.value] for r in value.operands):
            several = any(a != BATCH for a in source.axes)  # values without axes are not gathered
            numbers += domain.batch * _numbers(source) * (here * reduced if several else 1)
        at_once = max(at_once, numbers)
    held = sum(
        _points(v, domain) * _numbers(v) * (domain.batch if v.batched else 1) for v in program
    )
    return Needs(walk, (held + at_once) * WORD)


def _in_order(
    blocks: Sequence[Block], around: frozenset[str]
) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield equations as they are computed, with the axes of the loops around them."""
    for block in blocks:
        if isinstance(block, Loop):
            yield from _in_order(block.body, around | {block.axis})
        else:
            yield block.name, around


def _inherited(
    program: Program, value: Value, turns: Mapping[str, frozenset[str]]
) -> frozenset[str]:
    """Return the axes along which an equation waits, point by point, for its operands."""
    found: set[str] = set()
    for ref in value.operands:
        waits = turns.get(ref.value, frozenset())
        for axis, index in zip(program[ref.value].axes, ref.index, strict=True):
            if axis in waits:
                found |= {a for a in index.axes if a in value.axes and a != BATCH}
    return frozenset(found)


def _points(value: Value, domain: Domain) -> int:
    return prod(domain.extents[a] for a in value.axes if a != BATCH)


def _numbers(value: Value) -> int:
    return prod(map(int, value.type.stored))
