"""Reductions over index axes (`sum`, `max`) and over features (`feature_sum`, `sum_to`, …)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unfold.core.build import Term
from unfold.core.op import LEAD, Attributes, Kind, Op, OpError, register
from unfold.core.program import Value
from unfold.core.types import Type
from unfold.ops import ranges
from unfold.ops.pointwise_types import refuse_bools


def _same(types: Sequence[Type | None], attributes: Attributes) -> Type | None:
    refuse_bools(types)
    return types[0]


def _sum(x: Any, *, over: tuple[int, ...] = (), mask: Any = None) -> Any:
    return np.sum(np.where(_fit(mask, x), x, 0.0), axis=over, keepdims=True)


def _max(x: Any, *, over: tuple[int, ...] = (), mask: Any = None) -> Any:
    return np.max(np.where(_fit(mask, x), x, -np.inf), axis=over, keepdims=True)


def _fit(mask: Any, x: Any) -> Any:
    return True if mask is None else mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))


def _max_vjp(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Sequence[Term | None]:
    x = xs[0]
    one, zero = g.builder.number(1.0), g.builder.number(0.0)
    hits = x.apply("equal", y).apply("where", one, zero)
    return (g * hits / g.builder.sum(hits, v.reduced),)  # ties share the gradient


register(
    Op(
        name="sum",
        bounds=ranges.total,
        kind=Kind.REDUCE,
        infer=_same,
        evaluate=_sum,
        vjp=lambda g, y, xs, v: (g,),
        arity=(1, 1),
    )
)
register(
    Op(
        name="max",
        bounds=ranges.hull,
        kind=Kind.REDUCE,
        infer=_same,
        evaluate=_max,
        vjp=_max_vjp,
        arity=(1, 1),
        selects=True,
    )
)


def _feature(types: Sequence[Type | None], attributes: Attributes) -> Type | None:
    refuse_bools(types)
    t = types[0]
    assert t is not None
    if not t.shape:
        raise OpError(
            "a number has no dimension to reduce",
            help="to reduce over an index axis, name it, as in sum[t](…)",
            at=0,
        )
    return Type((*t.shape[:-1], 1)) if attributes.get("keep") else Type(t.shape[:-1])


def _feature_max_vjp(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Sequence[Term | None]:
    x, keep = xs[0], v.attributes.get("keep")
    one, zero = g.builder.number(1.0), g.builder.number(0.0)
    hits = x.apply("equal", y if keep else unsqueeze(y)).apply("where", one, zero)
    share = hits / hits.apply("feature_sum", keep=True)
    return ((g if keep else unsqueeze(g)) * share,)


def unsqueeze(term: Term) -> Term:
    """Add a last dimension of 1."""
    return term.apply("reshape", shape=(*term.type.shape, 1))


def _feature_sum_vjp(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Sequence[Term | None]:
    return (g if v.attributes.get("keep") else unsqueeze(g),)


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
register(
    Op(
        name="feature_sum",
        bounds=ranges.total,
        kind=Kind.REDUCE,
        infer=_feature,
        vjp=_feature_sum_vjp,
        arity=(1, 1),
        evaluate=lambda x, keep=False: np.sum(x, axis=-1, keepdims=keep),
        samples=_FEATURE_SAMPLES,
    )
)
register(
    Op(
        name="feature_max",
        bounds=ranges.hull,
        kind=Kind.REDUCE,
        infer=_feature,
        vjp=_feature_max_vjp,
        arity=(1, 1),
        evaluate=lambda x, keep=False: np.max(x, axis=-1, keepdims=keep),
        samples=_FEATURE_SAMPLES,
        selects=True,
    )
)
register(
    Op(
        name="sum_to",
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
        advice = "argmax is over the features of a vector, such as logits[t]"
        raise OpError("argmax needs a vector", help=advice, at=0)
    return Type(t.shape, "category")


register(
    Op(
        name="argmax",
        kind=Kind.REDUCE,
        infer=_argmax,
        arity=(1, 1),
        evaluate=lambda x: np.argmax(x, axis=-1),
        samples=((((4,),), {}),),
    )
)
