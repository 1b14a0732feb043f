"""Rewrite equations into the few forms that planning knows; an ordinary Program comes out.

* a product of more than two operands becomes products of two, and of what categories pick;
* a matrix that a category picks a column of is transposed first, so that a pick is a row;
* a gradient that a category scatters into columns is computed transposed;
* an operand that is read at an index that is no plain stride is copied first;
* pads that are added up and do not overlap become one `concat`;
* windows that reach beyond what they are taken of are those of a copy with margins of zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from math import prod

from unfold.core.bounds import bounds_of
from unfold.core.build import Builder, Term
from unfold.core.letters import letters, written
from unfold.core.op import Kind, Over, View
from unfold.core.origin import Beside, Transposed
from unfold.core.paths import is_used_once
from unfold.core.program import BATCH, Program, Ref, Value
from unfold.core.types import Type
from unfold.core.windows import Geometry
from unfold.passes.reach import Reach
from unfold.passes.simplify import drop_dead


def decompose(program: Program, reach: Reach) -> Program:
    """Return the Program in the forms above; names and meaning stay.

    Args:
        program: without boundaries and feedback.
        reach: which indices are no plain strides.
    """
    builder = Builder.of(program)
    for value in program:
        builder.about(value)
        if value.row.neutral and bounds_of(value):
            _beside(builder, value)
        elif value.is_contraction:
            _binary(builder, value)
        elif value.op == "add":
            _joined(builder, program, value)
        elif value.row.view is View.WINDOWS or value.row.over is Over.WINDOWS:
            _inside(builder, value)
    for value in [v for v in builder.values.values() if v.is_contraction]:
        builder.about(value)
        _categories_first(builder, value)
    strided = [v for v in builder.values.values() if v.is_contraction or _is_kernel(v)]
    for value in strided:
        builder.about(value)
        _evenly_read(builder, value, reach)
    return drop_dead(builder.build(program))


def _binary(builder: Builder, value: Value) -> None:
    """Multiply the two real operands whose product is smallest until two are left.

    A category picks (or scatters) at no cost: first, where what it picks then meets a matrix that
    all points share; else inside of the product, so that no picked matrix is ever stored.
    """
    if len(value.operands) < 3:
        return
    own, result = letters(value)
    every = list(zip(value.operands, own, strict=True))
    kinds = [builder.values[r.value].type.kind for r in value.operands]
    read = {c for o, kind in zip(own, kinds, strict=True) if kind == "real" for c in o}
    picks = [
        pair
        for pair, kind in zip(every, kinds, strict=True)
        if kind == "category" and (pair[1] in read) != (pair[1] in result)
    ]
    real = [pair for pair in every if pair not in picks]
    sizes: dict[str, int] = {}
    for ref, names in every:
        sizes.update(zip(names, map(int, builder.values[ref.value].type.shape), strict=True))
    decided = {names for _, names in picks} - set(result)

    def multiply(some: list[tuple[Ref, str]]) -> None:
        names = "".join(dict.fromkeys("".join(o for _, o in some)))
        rest = list(real)
        for pair in some:  # one of equal ones at a time
            rest.remove(pair)
        kept = _kept(names, rest, result, decided)
        factors = [*some, *((r, o) for r, o in picks if o in decided and o in names)]
        equation = written([o for _, o in factors], kept)
        product = builder.emit(
            "einsum",
            [builder.read(r) for r, _ in factors],
            {"equation": equation},
            type=Type(tuple(sizes[c] for c in kept)),
        )
        # The product is read where the operands were: its axes are those that they use.
        real[:] = [*rest, (product.ref, kept)]

    for pair in [p for p in real if decided & set(p[1])]:
        axes = {a for r, o in picks if o in decided and o in pair[1] for a in r.axes}
        if len(real) > 1 and not any(axes & set(r.axes) for r, _ in real if r is not pair[0]):
            multiply([pair])
    while len(real) > 2:

        def size(pair: tuple[tuple[Ref, str], ...]) -> tuple[int, int]:
            names = "".join(dict.fromkeys(pair[0][1] + pair[1][1]))
            rest = list(real)
            for one in pair:
                rest.remove(one)
            batched = sum(bool(r.axes) for r, _ in pair)
            return prod(sizes[c] for c in _kept(names, rest, result, decided)), -batched

        multiply(list(min(combinations(real, 2), key=size)))
    left = {c for _, o in real for c in o} | set(result)
    factors = [*real, *((r, o) for r, o in picks if o in left)]
    attributes = {"equation": written([o for _, o in factors], result)}
    changed = replace(value, operands=tuple(r for r, _ in factors), attributes=attributes)
    builder.values[value.name] = changed


def _kept(names: str, rest: Sequence[tuple[Ref, str]], result: str, decided: set[str]) -> str:
    """Return the letters that a product of some operands keeps."""
    others = {c for _, o in rest for c in o} - decided | set(result)
    return "".join(c for c in names if c in others)


def _categories_first(builder: Builder, value: Value) -> None:
    """Let the letters that categories decide come first in the operands and in the result."""
    (*own,), result = letters(value)
    kinds = [builder.values[r.value].type.kind for r in value.operands]
    decided = {o for o, k in zip(own, kinds, strict=True) if k == "category"}
    if not decided:
        return

    def order(names: str) -> str:
        return "".join(sorted(names, key=lambda c: c not in decided))

    operands: list[Ref] = []
    for i, (ref, kind) in enumerate(zip(value.operands, kinds, strict=True)):
        source = builder.values[ref.value]
        wanted = order(own[i])
        if kind == "category" or wanted == own[i]:
            operands.append(ref)
            continue
        turned = _transposed(builder, source, written([own[i]], wanted))
        operands.append(replace(ref, value=turned))
        own[i] = wanted
    free = {
        c
        for c in result
        if c in decided
        and not any(c in o for o, k in zip(own, kinds, strict=True) if k != "category")
    }
    target = "".join(sorted(result, key=lambda c: c not in free))
    equation = written(own, target)
    if target == result:
        attributes = {"equation": equation}
        builder.values[value.name] = replace(value, operands=tuple(operands), attributes=attributes)
        return
    terms = [builder.read(r) for r in operands]
    product = builder.emit(
        "einsum", terms, {"equation": equation}, reduced=value.reduced, axes=value.axes
    )
    back = {"equation": written([target], result)}
    aligned = Ref(product.ref.value, tuple(product.ref.index))
    builder.values[value.name] = replace(
        value, operands=(aligned,), attributes=back, reduced=(), within=bounds_of(value)
    )


def _is_kernel(value: Value) -> bool:
    return value.row.kind is Kind.KERNEL


def _evenly_read(builder: Builder, value: Value, reach: Reach) -> None:
    """Copy operands whose index is uneven, so that products and kernels can stride over them."""
    batched = BATCH in value.iteration

    def even(ref: Ref) -> Ref:
        source = builder.values[ref.value]
        if (source.type.kind != "real" and not _is_kernel(value)) or not any(
            reach.is_uneven(i, a, batched=batched)
            for a, i in zip(source.axes, ref.index, strict=True)
        ):
            return ref
        # Sequences that end where all others do share the copy.
        own = batched and any(
            a in reach.varying
            for pair in zip(source.axes, ref.index, strict=True)
            for a in (pair[0], *pair[1].ends)
        )
        copy = builder.emit("identity", (builder.read(ref),), axes=(BATCH,) if own else ())
        return copy.ref

    operands = tuple(even(r) for r in value.operands)
    if operands != value.operands:
        builder.values[value.name] = replace(value, operands=operands)


def _transposed(builder: Builder, source: Value, equation: str) -> str:
    origin = Transposed(source.origin, equation)
    name = origin.name
    if name not in builder.values:
        shape = builder.infer("einsum", [source.type], {"equation": equation})
        turned = Value(
            name,
            source.axes,
            shape,
            "einsum",
            (source.here,),
            {"equation": equation},
            origin=origin,
            at=source.at,
        )
        builder.values[name] = turned
    return name


def _joined(builder: Builder, program: Program, value: Value) -> None:
    """Turn a sum of pads that do not overlap into a `concat` of what was padded."""
    pads = _summands(program, value)
    if pads is None or len(pads) < 2:
        return
    position, parts = 0, list[Term]()
    for pad in sorted(pads, key=lambda p: int(p.attributes["before"])):
        before = int(pad.attributes["before"])
        if before < position:
            return
        shape = program[pad.operands[0].value].type.shape
        if before > position:
            parts.append(_zeros(builder, (before - position, *shape[1:])))
        parts.append(builder.read(pad.operands[0]))
        position = before + int(shape[0])
    missing = int(value.type.shape[0]) - position
    if missing:
        parts.append(_zeros(builder, (missing, *value.type.shape[1:])))
    changed = replace(value, op="concat", operands=tuple(p.ref for p in parts), attributes={})
    builder.values[value.name] = changed


def _beside(builder: Builder, value: Value) -> None:
    """Copy a reduction that has bounds: beyond them is zero, not what it starts from."""
    origin = Beside(value.origin)
    raw = replace(value, name=origin.name, origin=origin)
    builder.values[raw.name] = raw
    copy = replace(value, op="identity", operands=(raw.here,), reduced=(), attributes={})
    builder.values[value.name] = replace(copy, within=bounds_of(value))


def _inside(builder: Builder, value: Value) -> None:
    """Give what windows are taken of, or what they add up to, the margins that they reach into."""
    own, source = Geometry.of(value.attributes), builder.values[value.operands[0].value]
    rank = len(own.size)
    whole = value.type if value.row.over is Over.WINDOWS else source.type
    lead, shape = whole.shape[: len(whole.shape) - rank], whole.shape[len(whole.shape) - rank :]
    margins = own.margins(shape)
    if not any(map(any, margins)):
        return
    ones, before = (1,) * rank, tuple(b for b, _ in margins)
    inner = Geometry(ones, ones, ones, before, tuple(shape)).attributes()
    wide = tuple(int(n) + b + a for n, (b, a) in zip(shape, margins, strict=True))
    moved = own.moved(before).attributes()
    x = builder.read(value.operands[0])
    if value.row.view is View.WINDOWS:
        x = x.apply("reshape", shape=(*lead, *ones, *shape)).apply(
            "window_sum", shape=wide, **inner
        )
        changed = replace(value, operands=(x.ref,), attributes=moved)
    else:
        total = x.apply("window_sum", shape=wide, **moved).apply("window_view", **inner)
        changed = replace(
            value, op="reshape", operands=(total.ref,), attributes={"shape": whole.shape}
        )
    builder.values[value.name] = changed


def _zeros(builder: Builder, shape: tuple[int, ...]) -> Term:
    return builder.number(0.0).apply("broadcast_to", shape=shape)


def _summands(program: Program, value: Value) -> Sequence[Value] | None:
    """Return the pads that a tree of additions adds, None where something else is added."""
    found: list[Value] = []
    for ref in value.operands:
        source = program[ref.value]
        if ref != source.here or set(source.axes) != set(value.axes):
            return None
        if source.op == "pad" and len(source.type.shape) == len(value.type.shape):
            found.append(source)
        elif source.op == "add" and is_used_once(program, source.name):
            inner = _summands(program, source)
            if inner is None:
                return None
            found += inner
        else:
            return None
    return found
