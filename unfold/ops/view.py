"""Views: the same numbers in another shape (slice, pad, concat, reshape, broadcast, one-hot)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from unfold.core.build import Term
from unfold.core.op import LEAD, Attributes, Kind, Op, OpError, View, register
from unfold.core.program import Value
from unfold.core.types import Dim, Type, dims
from unfold.ops import ranges
from unfold.ops.pointwise_types import refuse_bools

Cotangents = Sequence[Term | None]
Types = Sequence[Type | None]


def _known(types: Types) -> Type:
    refuse_bools(types)
    t = types[0]
    assert t is not None
    return t


def _slice(types: Types, attributes: Attributes) -> Type:
    t = _known(types)
    if not t.shape:
        raise OpError("a number has no elements", help="slice or split a vector", at=0)
    start, stop = attributes["start"], attributes["stop"]
    if not 0 <= start < stop <= t.shape[0]:
        raise OpError(
            f"there are no elements {start} to {stop}"
            if start < stop
            else f"start {start} is not before stop {stop}",
            help=f"start=0, stop={int(t.shape[0])} selects everything; stop itself is excluded",
        )
    return Type((attributes.get("dim") or Dim(stop - start), *t.shape[1:]))


def _slice_vjp(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Cotangents:
    start, stop, size = v.attributes["start"], v.attributes["stop"], xs[0].type.shape[0]
    return (g.apply("pad", before=start, after=size - stop),)


def _pad(types: Types, attributes: Attributes) -> Type:
    t = _known(types)
    return Type((t.shape[0] + attributes["before"] + attributes["after"], *t.shape[1:]))


def _pad_evaluate(x: Any, *, before: int, after: int) -> Any:
    widths = [(0, 0)] * x.ndim
    widths[LEAD] = (before, after)
    return np.pad(x, widths)


def _pad_vjp(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Cotangents:
    start = v.attributes["before"]
    return (g.apply("slice", start=start, stop=start + xs[0].type.shape[0]),)


def _slice_evaluate(x: Any, *, start: int, stop: int, dim: Any = None) -> Any:
    return x[:, :, :, start:stop]


def _concat(types: Types, attributes: Attributes) -> Type:
    refuse_bools(types)
    shapes = [t.shape or (1,) for t in types if t is not None]
    rest = {s[1:] for s in shapes}
    if len(rest) > 1:
        raise OpError(
            "concat joins along the first dimension, but the other dimensions differ",
            help="make all dimensions after the first equal",
        )
    parts = dims(s[0] for s in shapes)
    text = " + ".join(d.text for d in parts)
    total = sum(parts)
    return Type(
        (Dim(total, str(total) if all(d.text.isdigit() for d in parts) else text), *rest.pop())
    )


def _concat_evaluate(*xs: Any) -> Any:
    whole = [x[..., None] if x.ndim == LEAD else x for x in xs]
    lead = np.broadcast_shapes(*(x.shape[:LEAD] for x in whole))
    return np.concatenate([np.broadcast_to(x, lead + x.shape[LEAD:]) for x in whole], axis=LEAD)


def _concat_vjp(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Cotangents:
    start, cotangents = 0, []
    for x in xs:
        size = x.type.shape[0] if x.type.shape else 1
        part = g.apply("slice", start=start, stop=start + size)
        cotangents.append(part if x.type.shape else part.apply("reshape", shape=()))
        start += size
    return cotangents


def _reshape(types: Types, attributes: Attributes) -> Type:
    t, shape = _known(types), tuple(attributes["shape"])
    if math.prod(t.shape) != math.prod(shape):
        raise OpError(
            f"{math.prod(t.shape)} elements cannot have the shape {list(map(int, shape))}",
            help=f"the shape must have {math.prod(t.shape)} elements, not {math.prod(shape)}",
            at="shape",
        )
    return Type(shape)


def _reshape_evaluate(x: Any, *, shape: tuple[int, ...]) -> Any:
    return x.reshape(x.shape[:LEAD] + tuple(shape))


def _broadcast_evaluate(x: Any, *, shape: tuple[int, ...]) -> Any:
    lead = x.shape[:LEAD]
    x = x.reshape(lead + (1,) * len(shape)) if x.ndim == LEAD else x
    return np.broadcast_to(x, lead + tuple(shape))


def _broadcast_vjp(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Cotangents:
    return (g.apply("sum_to", shape=xs[0].type.shape),)


def _one_hot_evaluate(x: Any, *, size: int) -> Any:
    return (x[..., None] == np.arange(size)).astype(np.float64)


register(
    Op(
        name="slice",
        view=View.PART,
        usage="slice(x, start=0, stop=4)",
        bounds=ranges.hull,
        kind=Kind.VIEW,
        infer=_slice,
        evaluate=_slice_evaluate,
        vjp=_slice_vjp,
        arity=(1, 1),
        options={"start": ..., "stop": ...},
        samples=((((5,),), {"start": 1, "stop": 4}), (((5, 2),), {"start": 1, "stop": 4})),
        selects=True,
    )
)
register(
    Op(
        name="pad",
        view=View.PIECES,
        hidden=True,
        kind=Kind.VIEW,
        infer=_pad,
        evaluate=_pad_evaluate,
        vjp=_pad_vjp,
        arity=(1, 1),
        samples=((((3,),), {"before": 1, "after": 2}),),
    )
)
register(
    Op(
        name="concat",
        view=View.PIECES,
        usage="concat(a, b)",
        bounds=ranges.hull,
        kind=Kind.VIEW,
        infer=_concat,
        evaluate=_concat_evaluate,
        vjp=_concat_vjp,
        arity=(1, 9),
        samples=((((3,), (2,)), {}), (((3,), ()), {}), (((3, 2), (1, 2)), {})),
    )
)
register(
    Op(
        name="reshape",
        view=View.RESHAPE,
        usage="reshape(x, shape=[2, 3])",
        bounds=ranges.hull,
        kind=Kind.VIEW,
        infer=_reshape,
        evaluate=_reshape_evaluate,
        arity=(1, 1),
        options={"shape": ...},
        vjp=lambda g, y, xs, v: (g.apply("reshape", shape=xs[0].type.shape),),
        samples=((((2, 3),), {"shape": (6,)}),),
    )
)
register(
    Op(
        name="broadcast_to",
        view=View.REPEAT,
        vanishes=True,
        hidden=True,
        bounds=ranges.hull,
        kind=Kind.VIEW,
        infer=lambda types, a: Type(tuple(a["shape"])),
        arity=(1, 1),
        evaluate=_broadcast_evaluate,
        vjp=_broadcast_vjp,
        samples=((((),), {"shape": (2, 3)}), (((1, 3),), {"shape": (2, 3)})),
    )
)
register(
    Op(
        name="one_hot",
        view=View.ONE_HOT,
        kind=Kind.VIEW,
        infer=lambda types, a: Type(_known(types).shape),
        categories=(0,),
        arity=(1, 1),
        evaluate=_one_hot_evaluate,
        samples=(((Type((4,), "category"),), {"size": 4}),),
    )
)


def _feedback(types: Types, attributes: Attributes) -> Type | None:
    teacher, free = types
    if teacher is not None and free is not None and teacher != free:
        kinds = {teacher.kind, free.kind}
        advice = "give both the same shape"
        if "category" in kinds and len(kinds) > 1:
            advice = "use argmax(…) for a category, or one_hot(…) for its one-hot vector"
        raise OpError(
            "the branches of feedback differ",
            f"teacher is {teacher.show()}; free is {free.show()}",
            help=advice,
        )
    return teacher or free


register(
    Op(
        name="feedback",
        usage="feedback(teacher=y[t-1], free=argmax(o[t-1]))",
        kind=Kind.VIEW,
        by_mode=True,
        infer=_feedback,
        categories=(0, 1),
        arity=(2, 2),
        partial=True,
    )
)
