"""Small rewrites that keep Programs readable: drop what nothing needs."""

from __future__ import annotations

from unfold.core.program import Program


def drop_dead(program: Program) -> Program:
    """Return the Program with only what its outputs and its loss need (inputs and parameters stay)."""
    roots = [*program.outputs, *([program.loss] if program.loss else [])]
    needed = {v.name for v in (*program.inputs, *program.parameters)} | set(roots)
    work = list(needed)
    while work:
        for ref in program.reads(program[work.pop()]):
            if ref.value not in needed:
                needed.add(ref.value)
                work.append(ref.value)
    return program.with_values(v for v in program if v.name in needed)
