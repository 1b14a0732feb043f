"""Composite rows: operators of the language that are written with other rows.

They exist only in specs; elaboration replaces them, so passes and backends never see them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from unfold.core.build import Term
from unfold.core.op import Attributes, Kind, Op, OpError, Sample, register
from unfold.core.program import BATCH
from unfold.core.types import Dim, Type
from unfold.ops.pointwise_types import refuse_bools

Terms = Sequence[Term]
REDUCTIONS = ("softmax", "log_softmax", "logsumexp", "mean")


def _never(types: Sequence[Type | None], attributes: Attributes) -> Type | None:
    raise AssertionError("a composite op is expanded, never emitted")


def composite(
    name: str,
    expand: Callable[[Terms, Attributes], Any],
    arity: int | tuple[int, int],
    options: Attributes | None = None,
    categories: tuple[int, ...] = (),
    *,
    samples: tuple[Sample, ...] = (),
    usage: str | None = None,
) -> None:
    """Add an operator that is written with other rows.

    Args:
        name: in the language.
        expand: from its operands and options to a term.
        arity: how many operands it takes, or the least and the largest number.
        options: with their defaults; `...` where there is none.
        categories: positions of operands that may be categories.
        samples: shapes of operands and options that tests try.
        usage: how it is written.
    """
    register(
        Op(
            name=name,
            kind=Kind.COMPOSITE,
            infer=_never,
            expand=lambda terms, attributes: expand(_numbers(terms), attributes),
            arity=arity if isinstance(arity, tuple) else (arity, arity),
            options=options or {},
            categories=categories,
            samples=samples,
            usage=usage,
        )
    )


def _numbers(terms: Terms) -> Terms:
    refuse_bools([t.type for t in terms])
    return terms


def _vector(term: Term, name: str) -> Term:
    if not term.type.shape:
        advice = f"over an index axis, write  {name}[t](…)" if name in REDUCTIONS else None
        raise OpError(f"{name} needs a vector", help=advice, at=0)
    return term


def _centre(x: Term) -> Term:
    """Subtract the maximum, as a constant, so that exp cannot overflow."""
    return x - x.apply("feature_max", keep=True).apply("stop_gradient")


def _softmax(xs: Terms, a: Attributes) -> Term:
    e = _centre(_vector(xs[0], "softmax")).apply("exp")
    return e / e.apply("feature_sum", keep=True)


def _log_softmax(xs: Terms, a: Attributes) -> Term:
    centred = _centre(_vector(xs[0], "log_softmax"))
    return centred - centred.apply("exp").apply("feature_sum", keep=True).apply("log")


def _logsumexp(xs: Terms, a: Attributes) -> Term:
    top = _vector(xs[0], "logsumexp").apply("feature_max", keep=True).apply("stop_gradient")
    total = (xs[0] - top).apply("exp").apply("feature_sum", keep=True).apply("log") + top
    return total.apply("reshape", shape=xs[0].type.shape[:-1])


def _mean(xs: Terms, a: Attributes) -> Term:
    x = _vector(xs[0], "mean")
    return x.apply("feature_sum") / float(x.type.shape[-1])


def _all_sum(x: Term) -> Term:
    return x.apply("sum_to", shape=()) if x.type.shape else x


def _all_mean(x: Term) -> Term:
    return _all_sum(x) / float(math.prod(x.type.shape) or 1)


def _norm(xs: Terms, a: Attributes) -> Term:
    total = _all_sum(xs[0] * xs[0])
    zero, one = total.builder.number(0.0), total.builder.number(1.0)
    flat = total.apply("equal", zero)  # at the tip of the cone the gradient is taken as zero
    return flat.apply("where", zero, flat.apply("where", one, total).apply("sqrt"))


def _layer_norm(xs: Terms, a: Attributes) -> Term:
    x = _vector(xs[0], "layer_norm")
    size = float(x.type.shape[-1])
    centred = x - x.apply("feature_sum", keep=True) / size
    variance = (centred * centred).apply("feature_sum", keep=True) / size
    return centred / (variance + float(a["epsilon"])).apply("sqrt")


def _cross_entropy(xs: Terms, a: Attributes) -> Term:
    logits, target = xs
    if len(logits.type.shape) != 1:
        raise OpError(
            "cross_entropy needs a vector of logits first",
            help="give one logit per class; for a single yes or no use bce(logit, target)",
            at=0,
        )
    if logits.type.kind == "category":
        raise OpError(
            "cross_entropy needs the logits first, found a category",
            help="write  cross_entropy(logits, target)",
            at=0,
        )
    if target.type.shape != logits.type.shape:
        raise OpError(
            "shapes do not match",
            f"the logits are {logits.type.show()}; the target is {target.type.show()}",
            help="give one logit per class of the target",
        )
    return -_log_softmax([logits], {}).apply("einsum", target, equation="i,i->")


def _mse(xs: Terms, a: Attributes) -> Term:
    error = xs[0] - xs[1]
    return _all_mean(error * error)


def _bce(xs: Terms, a: Attributes) -> Term:
    logit, target = xs
    return _all_mean(logit.apply("softplus") - logit * target)


def _dropout(xs: Terms, a: Attributes) -> Term:
    x, rate = xs[0], float(a["rate"])
    if not 0 <= rate < 1:
        raise OpError(
            f"the rate of dropout cannot be {rate}",
            help="use the fraction of elements to drop: at least 0 and less than 1",
            at="rate",
        )
    axes = {BATCH, *x.axes}
    mask = x.builder.emit("keep_mask", (), {"rate": rate}, axes=axes, type=Type(x.type.shape))
    return x * mask


def _sample(xs: Terms, a: Attributes) -> Term:
    logits = _vector(xs[0], "sample")
    if len(logits.type.shape) > 1:
        raise OpError("sample needs a vector of logits", help="give one logit per class", at=0)
    if float(a["temperature"]) <= 0:
        raise OpError(
            f"the temperature of sample cannot be {a['temperature']}",
            help="use a number larger than 0; the most likely class is argmax(x)",
            at="temperature",
        )
    axes = {BATCH, *logits.axes}
    u = logits.builder.emit("uniform", (), {}, axes=axes, type=Type(logits.type.shape))
    gumbel = -(-u.apply("log")).apply("log")  # Gumbel 1954: argmax of logits + noise is a draw
    return (logits / float(a["temperature"]) + gumbel).apply("argmax")


def _clip(xs: Terms, a: Attributes) -> Term:
    return xs[0].apply("maximum", xs[1]).apply("minimum", xs[2])


def _leaky_relu(xs: Terms, a: Attributes) -> Term:
    x = xs[0]
    return x.apply("less", x.builder.number(0.0)).apply("where", x * float(a["slope"]), x)


def _flatten(xs: Terms, a: Attributes) -> Term:
    shape = xs[0].type.shape
    text = "*".join(getattr(d, "text", str(d)) for d in shape)
    return xs[0].apply("reshape", shape=(Dim(math.prod(shape), text if text else None),))


_vectors: tuple[Sample, ...] = ((((4,),), {}), (((2, 3),), {}))
_pairs: tuple[Sample, ...] = ((((3,), (3,)), {}), (((2, 3), (2, 3)), {}), (((), ()), {}))
_targets: tuple[Sample, ...] = (
    (((4,), Type((4,), "category")), {}),
    (((4,), (4,)), {}),
)

composite("softmax", _softmax, 1, samples=_vectors)
composite("log_softmax", _log_softmax, 1, samples=_vectors)
composite("logsumexp", _logsumexp, 1, samples=_vectors)
composite("mean", _mean, 1, samples=_vectors)
composite("norm", _norm, 1, samples=_vectors)
composite("layer_norm", _layer_norm, 1, {"epsilon": 1e-5}, samples=_vectors)
composite(
    "cross_entropy",
    _cross_entropy,
    2,
    categories=(0, 1),
    samples=_targets,
    usage="cross_entropy(logits, target)",
)
composite("mse", _mse, 2, samples=_pairs, usage="mse(output, target)")
composite("bce", _bce, 2, samples=_pairs, usage="bce(logit, target)")
composite(
    "dropout",
    _dropout,
    1,
    {"rate": ...},
    samples=((((4,),), {"rate": 0.25}),),
    usage="dropout(x, rate=0.5)",
)
composite("sample", _sample, 1, {"temperature": 1.0}, samples=((((4,),), {}),))
composite("clip", _clip, 3, samples=((((4,), (), ()), {}),), usage="clip(x, low, high)")
composite(
    "leaky_relu",
    _leaky_relu,
    1,
    {"slope": 0.01},
    samples=_vectors,
    usage="leaky_relu(x, slope=0.01)",
)
composite("flatten", _flatten, 1, samples=((((2, 3),), {}),))
