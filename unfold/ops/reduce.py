"""Reductions over index axes (`sum`, `max`) and over features (`feature_sum`, `sum_to`, …)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unfold.core.build import Term
from unfold.core.op import (
    LEAD,
    MAX,
    SUM,
    Attributes,
    Jump,
    Kind,
    Op,
    OpError,
    Over,
    Range,
    Reduction,
    Vjp,
    register,
)
from unfold.core.program import Value
from unfold.core.types import Type
from unfold.ops import ranges
from unfold.ops.pointwise_types import refuse_bools

Derivative = Callable[[Term, Term, Term, Callable[[Term], Term]], Term]


def _same(types: Sequence[Type | None], attributes: Attributes) -> Type | None:
    refuse_bools(types)
    return types[0]


def _fit(mask: Any, x: Any) -> Any:
    return True if mask is None else mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))


def _feature(types: Sequence[Type | None], attributes: Attributes) -> Type | None:
    refuse_bools(types)
    t = types[0]
    assert t is not None
    if not t.shape:
        raise OpError(
            "a number has no dimension to reduce",
            help="to reduce over an index axis, name the axis, as in sum[t](…)",
            at=0,
        )
    return Type((*t.shape[:-1], 1)) if attributes.get("keep") else Type(t.shape[:-1])


def unsqueeze(term: Term) -> Term:
    """Add a last dimension of 1."""
    return term.apply("reshape", shape=(*term.type.shape, 1))


def _max_vjp(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Sequence[Term | None]:
    x = xs[0]
    one, zero = g.builder.number(1.0), g.builder.number(0.0)
    hits = x.apply("equal", y).apply("where", one, zero)
    return (g * hits / g.builder.sum(hits, v.reduced),)  # ties share the gradient


def reduction(
    how: Reduction,
    derivative: Derivative,
    *,
    vjp: Vjp | None = None,
    bounds: Callable[[Sequence[Range]], Range] | None = None,
    selects: bool = False,
    jumps: Jump | None = None,
    vanishes: bool = False,
    domain: Range = (-2.0, 2.0),
) -> None:
    """Add a reduction: `NAME[t](x[t])` over index axes and `NAME(x)` over the last dimension.

    Args:
        how: its name, its combination of two numbers, and its result for none.
        derivative: (cotangent, result, operand, lift) -> the operand's cotangent; `lift` gives the
            first two the dimension that was reduced.
        vjp: the derivative over index axes, if it is written differently.
        bounds, selects, jumps, vanishes, domain: of the rows.
    """

    def over_axes(x: Any, *, over: tuple[int, ...] = (), mask: Any = None) -> Any:
        counted = np.where(_fit(mask, x), x, how.neutral)
        return how.of_two.reduce(counted, axis=over, keepdims=True)

    def of_axes(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Sequence[Term | None]:
        return (derivative(g, y, xs[0], lambda term: term),)

    def of_features(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Sequence[Term | None]:
        keep = v.attributes.get("keep")
        return (derivative(g, y, xs[0], (lambda term: term) if keep else unsqueeze),)

    features = f"feature_{how.name}"
    same = {"bounds": bounds, "selects": selects, "domain": domain, "jumps": jumps}
    same |= {"vanishes": vanishes, "reduces": how, "told": how.name}
    register(
        Op(
            name=how.name,
            kind=Kind.REDUCE,
            over=Over.AXES,
            features=features,
            infer=_same,
            evaluate=over_axes,
            vjp=vjp or of_axes,
            arity=(1, 1),
            **same,
        )
    )
    register(
        Op(
            name=features,
            kind=Kind.REDUCE,
            over=Over.LAST,
            hidden=True,
            infer=_feature,
            evaluate=lambda x, keep=False: how.of_two.reduce(x, axis=-1, keepdims=keep),
            vjp=of_features,
            arity=(1, 1),
            samples=_FEATURE_SAMPLES,
            **same,
        )
    )


def _share_of_largest(g: Term, y: Term, x: Term, lift: Callable[[Term], Term]) -> Term:
    one, zero = g.builder.number(1.0), g.builder.number(0.0)
    hits = x.apply("equal", lift(y)).apply("where", one, zero)
    share = hits / hits.apply("feature_sum", keep=True)  # ties share the gradient
    return lift(g) * share


def _sum_to(types: Sequence[Type | None], attributes: Attributes) -> Type | None:
    return Type(tuple(attributes["shape"]))


def _sum_to_evaluate(x: Any, *, shape: tuple[int, ...]) -> Any:
    if not shape:
        return np.sum(x, axis=tuple(range(LEAD, x.ndim)))
    repeated = tuple(LEAD + i for i, size in enumerate(shape) if size == 1)
    return np.sum(x, axis=repeated, keepdims=True)


def _sum_to_vjp(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Sequence[Term | None]:
    return (g.apply("broadcast_to", shape=xs[0].type.shape),)


def _max_to_evaluate(x: Any, *, shape: tuple[int, ...]) -> Any:
    gone = tuple(LEAD + i for i, size in enumerate(shape) if size == 1)
    return np.max(x, axis=gone, keepdims=True)


def _max_to_vjp(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Sequence[Term | None]:
    one, zero = g.builder.number(1.0), g.builder.number(0.0)
    hits = xs[0].apply("equal", y).apply("where", one, zero)
    return (g * (hits / hits.apply("sum_to", shape=y.type.shape)),)


_FEATURE_SAMPLES = ((((2, 3),), {}), (((2, 3),), {"keep": True}), (((4,),), {}))
reduction(SUM, lambda g, y, x, lift: lift(g), bounds=ranges.total, vanishes=True)
reduction(
    MAX, _share_of_largest, vjp=_max_vjp, bounds=ranges.hull, selects=True, jumps=Jump.AT_TIES
)
register(
    Op(
        name="sum_to",
        over=Over.SHAPE,
        reduces=SUM,
        told=SUM.name,
        vanishes=True,
        hidden=True,
        bounds=ranges.total,
        kind=Kind.REDUCE,
        infer=_sum_to,
        vjp=_sum_to_vjp,
        arity=(1, 1),
        evaluate=_sum_to_evaluate,
        samples=((((2, 3),), {"shape": (1, 3)}), (((2, 3),), {"shape": ()})),
    )
)
register(
    Op(
        name="max_to",
        over=Over.SHAPE,
        reduces=MAX,
        jumps=Jump.AT_TIES,
        hidden=True,
        bounds=ranges.hull,
        kind=Kind.REDUCE,
        infer=_sum_to,
        vjp=_max_to_vjp,
        arity=(1, 1),
        evaluate=_max_to_evaluate,
        samples=((((3, 2),), {"shape": (1, 2)}), (((2, 3),), {"shape": (1, 1)})),
        selects=True,
    )
)


def _argmax(types: Sequence[Type | None], attributes: Attributes) -> Type | None:
    t = types[0]
    assert t is not None
    if len(t.shape) != 1 or t.kind != "real":
        advice = "use argmax over the features of a vector, such as logits[t]"
        raise OpError("argmax needs a vector", help=advice, at=0)
    return Type(t.shape, "category")


register(
    Op(
        name="argmax",
        over=Over.LAST,
        kind=Kind.REDUCE,
        infer=_argmax,
        arity=(1, 1),
        evaluate=lambda x: np.argmax(x, axis=-1),
        samples=((((4,),), {}),),
    )
)
