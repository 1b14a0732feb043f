"""Pack the operands of products in loops that no loop changes, before the outermost loop.

    for t:  z.1 = h[t-1] · W           pack.0 = W in panels
                                       for t:  z.1 = h[t-1] · pack.0

A Target says whether its products read panels.
"""

from __future__ import annotations

from dataclasses import replace

from unfold.core.plan import Access, Gemm, Loop, Pack, Statement
from unfold.planning.forms import Forms


def packed(statements: list[Statement], forms: Forms, made: dict[object, Pack]) -> list[Statement]:
    """Return statements with packs before each outermost loop.

    Args:
        statements: of the top level.
        forms: what each equation becomes.
        made: the packs that earlier statements have made; new ones are added.
    """
    result: list[Statement] = []
    for statement in statements:
        if isinstance(statement, Loop):
            packs: list[Pack] = []
            statement = _pack_loop(statement, (statement.axis,), forms, made, packs)
            result += packs
        result.append(statement)
    return result


def _pack_loop(
    loop: Loop, looped: tuple[str, ...], forms: Forms, made: dict[object, Pack], packs: list[Pack]
) -> Loop:
    body: list[Statement] = []
    for statement in loop.body:
        if isinstance(statement, Loop):
            statement = _pack_loop(statement, (*looped, statement.axis), forms, made, packs)
        elif isinstance(statement, Gemm) and _is_fixed(statement, forms):
            over = tuple(a for a in looped if statement.b.moves(a))
            key = (statement.b, statement.n, statement.k, over)
            if key not in made:
                made[key] = Pack(f"pack.{len(made)}", statement.b, statement.n, statement.k, over)
                packs.append(made[key])
            statement = replace(statement, packed=made[key].name)
        body.append(statement)
    return Loop(loop.axis, loop.direction, body)


def _is_fixed(gemm: Gemm, forms: Forms) -> bool:
    """Whether B is made outside of all loops, and its dimensions can be packed."""
    b: Access = gemm.b
    features = all(d.size is not None for d in (*gemm.n, *gemm.k))
    plain = all(len(dims) == 1 for dims in (gemm.n, gemm.k))
    still = not any(b.moves(d.name) for d in gemm.outer)
    return not forms.paths[b.buffer] and features and plain and still and not b.guarded
