"""Contractions: `einsum` is every product there is, with or without reduced axes.

`W @ h[t-1]` is einsum "ij,j->i"; the gradient of W is einsum "i,j->ij" with `batch` and `t`
reduced, which a backend runs as one GEMM. Every letter occurs once per operand and in at least two
of (operands, result), so the derivative of an einsum is an einsum. A category operand stands for
its one-hot vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from unfold.core.build import Term
from unfold.core.letters import letters as letters_of
from unfold.core.letters import split, written
from unfold.core.op import LEAD, SUM, Attributes, Kind, Op, OpError, Over, register
from unfold.core.program import Value
from unfold.core.types import Type, dims
from unfold.ops.pointwise_types import refuse_bools

POINTS = "XYZ"  # letters of the leading dimensions (batch, points, reduced points)
PRODUCTS = {(2, 1): "ij,j->i", (1, 1): "i,i->", (2, 2): "ij,jk->ik", (1, 2): "i,ij->j"}


def _infer(types: Sequence[Type | None], attributes: Attributes) -> Type | None:
    letters, result = split(attributes["equation"])
    if len(letters) != len(types):
        raise OpError(f"the equation has {len(letters)} operands, but {len(types)} are given")
    refuse_bools(types)
    sizes: dict[str, int] = {}
    for i, (own, t) in enumerate(zip(letters, types, strict=True)):
        if t is None:
            continue
        if len(own) != len(t.shape):
            named = f"{own or 'no letter'} names {len(own)} dimension{'s' * (len(own) != 1)}"
            raise OpError(
                f"{named}, but this value has {len(t.shape)}",
                help="give one letter per dimension",
                at=i,
            )
        for letter, size in zip(own, dims(t.shape), strict=True):
            if sizes.setdefault(letter, size) != size:
                raise OpError("shapes do not match", help=_must(letter, sizes[letter], size))
    if any(letter not in sizes for letter in result):
        return None
    return Type(tuple(sizes[letter] for letter in result))


def _must(letter: str, a: int, b: int) -> str:
    first, second = (d.show() for d in dims((a, b)))
    return (
        f"{letter} is {first} in one value and {second} in another; it must be the same "
        f"in all values"
    )


@lru_cache(maxsize=4096)
def _path(equation: str, shapes: tuple[tuple[int, ...], ...]) -> Any:
    return np.einsum_path(
        equation, *(np.empty(s, dtype=np.bool_) for s in shapes), optimize="greedy"
    )[0]


def _evaluate(
    *xs: Any,
    equation: str,
    over: tuple[int, ...] = (),
    mask: Any = None,
    picks: tuple[int, ...] = (),
) -> Any:
    """Contract arrays; `picks` are the operands that are one-hot vectors."""
    letters, result = split(equation)
    if picks and not all(np.isfinite(x).all() for i, x in enumerate(xs) if i not in picks):
        return _picked(xs, letters, result, over, mask, picks)
    if over and mask is not None and not mask.all():
        least = min(range(len(xs)), key=lambda i: len(letters[i]))
        # Excluded points are zero in one operand, or in all if NaN or infinity could remain.
        everywhere = not all(np.isfinite(x).all() for x in xs)
        xs = tuple(
            np.where(mask.reshape(mask.shape + (1,) * len(own)), x, 0.0)
            if i == least or everywhere
            else x
            for i, (x, own) in enumerate(zip(xs, letters, strict=True))
        )
    lead = np.broadcast_shapes(*(x.shape[:LEAD] for x in xs))
    terms, arrays = [], []
    for x, own in zip(xs, letters, strict=True):
        # A leading dimension of 1 is shared by all points: it takes no part in the product.
        kept = [i for i in range(LEAD) if x.shape[i] != 1]
        arrays.append(x.reshape([x.shape[i] for i in kept] + list(x.shape[LEAD:])))
        terms.append("".join(POINTS[i] for i in kept) + own)
    here = [i for i in range(LEAD) if lead[i] != 1 and i not in over]
    whole = f"{','.join(terms)}->{''.join(POINTS[i] for i in here)}{result}"
    path = _path(whole, tuple(a.shape for a in arrays)) if len(arrays) > 1 else False
    out = np.einsum(whole, *arrays, optimize=path)
    return out.reshape(
        [lead[i] if i in here else 1 for i in range(LEAD)] + list(out.shape[len(here) :])
    )


def _picked(
    xs: Sequence[Any],
    letters: Sequence[str],
    result: str,
    over: tuple[int, ...],
    mask: Any,
    picks: tuple[int, ...],
) -> Any:
    """Contract arrays term by term: elements that no category picks, even NaN, take no part."""
    names = "".join(dict.fromkeys("".join(letters)))

    def aligned(x: Any, own: str) -> Any:
        order = [LEAD + own.index(c) for c in names if c in own]
        shape = [x.shape[LEAD + own.index(c)] if c in own else 1 for c in names]
        return x.transpose(*range(LEAD), *order).reshape(*x.shape[:LEAD], *shape)

    every = [aligned(x, own) for x, own in zip(xs, letters, strict=True)]
    seen = np.asarray(True) if mask is None else mask.reshape(mask.shape + (1,) * len(names))
    for i in picks:
        seen = seen & (every[i] != 0)
    product = np.asarray(1.0)
    for i, x in enumerate(every):
        product = product if i in picks else product * x
    total = np.where(seen, product, 0.0)
    gone = tuple(over) + tuple(LEAD + i for i, c in enumerate(names) if c not in result)
    kept = total.sum(axis=gone, keepdims=True)
    kept = kept.reshape(
        *kept.shape[:LEAD], *(kept.shape[LEAD + i] for i, c in enumerate(names) if c in result)
    )
    present = [c for c in names if c in result]
    return kept.transpose(*range(LEAD), *(LEAD + present.index(c) for c in result))


def _vjp(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Sequence[Term | None]:
    letters, result = letters_of(v)
    cotangents: list[Term | None] = []
    for i, own in enumerate(letters):
        if xs[i].type.kind == "category":
            cotangents.append(None)
            continue
        others = [j for j in range(len(xs)) if j != i]
        equation = written([result, *(letters[j] for j in others)], own)
        cotangents.append(
            g.builder.emit("einsum", (g, *(xs[j] for j in others)), {"equation": equation})
        )
    return cotangents


register(
    Op(
        name="einsum",
        usage='einsum("ij,j->i", W, x[t])',
        kind=Kind.CONTRACT,
        over=Over.AXES,
        reduces=SUM,
        infer=_infer,
        evaluate=_evaluate,
        vjp=_vjp,
        partial=True,
        categories=tuple(range(9)),
        factors=True,
        arity=(1, 9),
        samples=(
            (((3, 4), (4,)), {"equation": "ij,j->i"}),
            (((3,), (3,)), {"equation": "i,i->"}),
            (((2, 3, 4), (3,), (4,)), {"equation": "ijk,j,k->i"}),
            (((3, 4), Type((4,), "category")), {"equation": "ij,j->i"}),
            (((2, 3),), {"equation": "ij->ji"}),
        ),
    )
)
