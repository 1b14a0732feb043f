"""Write sums of products as products with summed axes: what a backend runs as one GEMM.

    sum[s](a[t,s] * h[s])              einsum<,i->i>(a[t,s], h[s]) summed over s
    sum[k](p[t-k+2,k]), p a product    the product itself, read at t-k+2 and summed over k
    sum[t](V @ h[t])                   V @ sum[t](h[t])

The first is the context of an attention and its gradients, the second what a convolution sends back
to its input, the third a mean of scores. In: a Program without boundaries and feedback, whatever
the lengths. Out: one with the same named values; sums that would not become matrix products stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from string import ascii_lowercase

from unfold.core.affine import Affine
from unfold.core.bounds import is_covered, moved, simplified
from unfold.core.build import Builder
from unfold.core.letters import letter, letters, written
from unfold.core.op import SUM, Over, View
from unfold.core.paths import is_used_once
from unfold.core.program import BATCH, Program, Ref, Value
from unfold.passes.simplify import drop_dead

Factors = tuple[Sequence[Ref], Sequence[str], str]  # operands, their letters, the result's


def join_products(program: Program) -> Program:
    """Return the Program whose sums of products are products."""
    while True:
        changed = _sums(program)
        if changed is program:
            break
        program = drop_dead(changed)
    return drop_dead(_apart(program))


def _sums(program: Program) -> Program:
    """Join every sum with the product that it alone reads."""
    found = [
        joined
        for v in program
        if v.reduction is SUM
        and is_used_once(program, v.operands[0].value)
        and (joined := _joined(program, v)) is not None
    ]
    if not found:
        return program
    return replace(program, values={**program.values, **{v.name: v for v in found}})


def _joined(program: Program, value: Value) -> Value | None:
    """Return a sum as a product, None where it is none that is worth it."""
    source = program[value.operands[0].value]
    factors = _factors(program, source)
    inner = _features(value, source)
    if factors is None or inner is None or set(source.reduced) & set(value.iteration):
        return None
    at = dict(zip(source.axes, value.operands[0].index, strict=True))
    read = _moved(program, source, factors[0], at)
    if read is None:
        return None
    operands, own, result = read, factors[1], "".join(c for c in factors[2] if c not in inner)
    reduced = (*value.reduced, *source.reduced)
    if not source.is_contraction and not _is_matrix(operands, own, result, value.axes, reduced):
        return None
    equation = {"equation": written(own, result)}
    within = simplified((*value.within, *moved(source.within, at)))
    return replace(
        value,
        op="einsum",
        operands=tuple(operands),
        attributes=equation,
        reduced=reduced,
        within=within,
    )


def _factors(program: Program, value: Value) -> Factors | None:
    """Return what a product multiplies."""
    if value.is_contraction:
        own, result = letters(value)
        return list(value.operands), own, result
    if value.op != "mul":
        return None
    shapes = [program[r.value].type.shape for r in value.operands]
    if any(s not in ((), value.type.shape) for s in shapes):
        return None
    names = ascii_lowercase[8 : 8 + len(value.type.shape)]
    operands = [_original(program, value, r) for r in value.operands]
    return operands, [names if s else "" for s in shapes], names


def _original(program: Program, reader: Value, ref: Ref) -> Ref:
    """Return what is read through copies, which may be repeated along axes."""
    value = program[ref.value]
    pairs = list(zip(value.axes, ref.index, strict=True))
    if value.row.view is not View.COPY or any(i.may_leave(a) for a, i in pairs):
        return ref
    if not is_covered(reader, ref, value):
        return ref
    return _original(program, reader, value.operands[0].substitute(dict(pairs)))


def _features(value: Value, source: Value) -> str | None:
    """Return the letters of the features that a sum is over, None where it keeps their place."""
    if value.row.over is Over.AXES:
        return ""
    shape = source.type.shape
    names = letters(source)[1] if source.is_contraction else ascii_lowercase[8 : 8 + len(shape)]
    if value.row.over is Over.LAST:
        return None if value.attributes.get("keep") else names[-1:]
    return names if value.type.shape == () else None


def _moved(
    program: Program, source: Value, operands: Sequence[Ref], at: dict[str, Affine]
) -> list[Ref] | None:
    """Read a product's operands where the product is read, None where that is not the same.

    Outside of the product's domain it is zero; so must be one of its operands.
    """
    for axis, index in at.items():
        if not index.is_linear:
            return None  # most of what is read there are zeros, or it is read often
        if index.may_leave(axis) and not any(
            (axis, Affine.axis(axis)) in zip(program[r.value].axes, r.index, strict=True)
            for r in operands
        ):
            return None
    return [r.substitute(at) for r in operands]


def _is_matrix(
    operands: Sequence[Ref],
    own: Sequence[str],
    result: str,
    axes: Sequence[str],
    reduced: Sequence[str],
) -> bool:
    """Whether both operands of a product have rows of their own, and share what is summed."""
    if len(operands) != 2:
        return False
    first, second = ({*r.axes, *map(letter, o)} for r, o in zip(operands, own, strict=True))
    made = {*axes, *map(letter, result)}
    summed = {*reduced, *first, *second} - made
    return bool((first - second) & made and (second - first) & made and summed <= first & second)


def _apart(program: Program) -> Program:
    """Sum alone, before a product, what only one of its operands has of the summed axes."""
    builder = Builder.of(program)
    made: dict[tuple[Ref, frozenset[str], tuple[Affine, ...]], Ref] = {}
    for value in program:
        if not value.is_contraction or len(value.operands) != 2 or not value.reduced:
            continue
        builder.about(value)
        axes = [_depends_on(r) for r in value.operands]
        operands, reduced = list(value.operands), set(value.reduced)
        for i, ref in enumerate(value.operands):
            alone = frozenset((axes[i] - axes[1 - i]) & reduced)
            if any(alone & set(f.axes) and set(f.axes) - alone for f in value.within):
                continue  # every point of the result sums other points
            if alone and program[ref.value].type.kind == "real":
                key = ref, alone, value.within
                if key not in made:
                    made[key] = builder.emit("sum", (builder.read(ref),), reduced=alone).ref
                operands[i] = made[key]
                reduced -= alone
        if reduced != set(value.reduced):
            kept = tuple(a for a in value.reduced if a in reduced)
            changed = replace(value, operands=tuple(operands), reduced=kept)
            within = tuple(f for f in value.within if set(f.axes) <= set(changed.iteration))
            builder.values[value.name] = replace(changed, within=within)
    return builder.build(program)


def _depends_on(ref: Ref) -> set[str]:
    """Return the axes that decide what is read; the end of an axis differs between sequences."""
    return {*ref.axes, *(BATCH for i in ref.index if i.ends)}
