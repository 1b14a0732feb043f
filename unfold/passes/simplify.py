"""Small rewrites that keep Programs readable and short: drop what nothing needs, merge copies."""

from __future__ import annotations

from dataclasses import replace

from unfold.core.affine import Affine
from unfold.core.op import View
from unfold.core.paths import reachable
from unfold.core.program import Program, Ref, Value


def drop_dead(program: Program) -> Program:
    """Return what a Program's outputs and loss need (inputs and parameters stay)."""
    roots = [*program.outputs, *([program.loss] if program.loss else [])]
    roots += [v.name for v in (*program.inputs, *program.parameters)]
    needed = reachable(roots, lambda n: [r.value for r in program.values[n].refs])
    if len(needed) == len(program.values):
        return program
    return program.with_values(v for v in program if v.name in needed)


def merge_copies(program: Program) -> Program:
    """Return the Program without values that only copy another; named equations keep their names.

    Args:
        program: without boundaries, so that a value and its copy agree outside of their domain too.
    """
    kept = {*program.outputs, program.loss}
    stands_for: dict[str, str] = {}

    def find(name: str) -> str:
        while name in stands_for:
            name = stands_for[name]
        return name

    def is_part(value: Value) -> bool:
        return not value.is_named and value.name not in kept

    for value in program:
        if not _is_copy(program, value):
            continue
        copy, source = find(value.name), find(value.operands[0].value)
        if copy == source:
            continue
        if is_part(program[copy]):
            stands_for[copy] = source
        elif is_part(program[source]):
            stands_for[source] = copy
    merged = [
        v
        for v in program
        if not (_is_copy(program, v) and find(v.operands[0].value) == find(v.name))
    ]
    makers = {find(v.name): v for v in merged}
    values: dict[str, Value] = {}
    for name in program.values:
        if find(name) == name:
            maker, target = makers[name], program[name]
            operands = tuple(_renamed(program, r, find(r.value)) for r in maker.operands)
            values[name] = replace(
                maker, name=name, origin=target.origin, axes=target.axes, operands=operands
            )
    return replace(program, values=values)


def _is_copy(program: Program, value: Value) -> bool:
    if value.row.view is not View.COPY or value.boundary:
        return False
    ref = value.operands[0]
    source = program[ref.value]
    same = source.type == value.type and set(source.axes) == set(value.axes)
    same = same and set(source.within) == set(value.within)
    # A source keeps its name: what it is fed with, or the random numbers it draws, depend on it.
    computed = source.source is None
    return same and computed and not source.boundary and ref == source.here


def _renamed(program: Program, ref: Ref, name: str) -> Ref:
    """Refer to another name of the same value, whose axes may be in another order."""
    at: dict[str, Affine] = dict(zip(program[ref.value].axes, ref.index, strict=True))
    return Ref(name, tuple(at[a] for a in program[name].axes))
