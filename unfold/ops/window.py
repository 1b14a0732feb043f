"""Windows over the last feature dimensions, and their uses for images: convolution, pooling.

    windows(x, size=[3, 3])       [channels, H, W] -> [channels, 3, 3, H-2, W-2]
    conv2d(x, K)                  einsum("ocij,cijuv->ouv", K, windows of x)
    max_pool2d(x, size=2)         the largest element of each window

`window_view` is the general view: element (i, u) of a dimension is element `start + dilation*i +
stride*u` of the operand's, or zero if the operand has none. `window_sum` is its adjoint: it
adds every element up where the view reads it. Each is the derivative of the other, so derivatives
of any order come for free, and a backend that knows the two (and products) knows convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import product
from math import inf, prod
from typing import Any

import numpy as np

from unfold.core.build import Term
from unfold.core.op import Attributes, Kind, Op, OpError, Over, View, register
from unfold.core.program import Value
from unfold.core.types import Type, dims
from unfold.core.windows import GEOMETRY, Counts, Geometry
from unfold.ops.composite import composite
from unfold.ops.pointwise_types import refuse_bools

Types = Sequence[Type | None]
KERNEL, PLACES = "ijk", "uvw"  # letters of a window's own dimensions, and of the windows' places


def _rows(own: Geometry, margins: Sequence[tuple[int, int]], inner: Sequence[int]) -> list[Any]:
    """Return which elements, per dimension, the windows' elements `inner` read."""
    return [
        before + own.start[d] + own.dilation[d] * i + own.stride[d] * np.arange(own.count[d])
        for d, (i, (before, _)) in enumerate(zip(inner, margins, strict=True))
    ]


def _view_infer(types: Types, attributes: Attributes) -> Type:
    t = types[0]
    assert t is not None
    lead = t.shape[: len(t.shape) - len(attributes["size"])]
    return Type((*lead, *attributes["size"], *attributes["count"]))


def _view_evaluate(x: Any, **attributes: Any) -> Any:
    own = Geometry.of(attributes)
    rank = len(own.size)
    margins = own.margins(x.shape[-rank:])
    padded = np.pad(x, [(0, 0)] * (x.ndim - rank) + margins)
    result = np.empty((*x.shape[:-rank], *own.size, *own.count), padded.dtype)
    for inner in product(*map(range, own.size)):
        rows = np.ix_(*_rows(own, margins, inner))
        result[(..., *inner, *[slice(None)] * rank)] = padded[(..., *rows)]
    return result


def _sum_infer(types: Types, attributes: Attributes) -> Type:
    t = types[0]
    assert t is not None
    lead = t.shape[: len(t.shape) - 2 * len(attributes["size"])]
    return Type((*lead, *attributes["shape"]))


def _sum_evaluate(g: Any, *, shape: Counts, **attributes: Any) -> Any:
    own = Geometry.of(attributes)
    rank = len(own.size)
    margins = own.margins(shape)
    wide = [int(n) + before + after for n, (before, after) in zip(shape, margins, strict=True)]
    total = np.zeros((*g.shape[: g.ndim - 2 * rank], *wide))
    for inner in product(*map(range, own.size)):
        rows = np.ix_(*_rows(own, margins, inner))
        total[(..., *rows)] += g[(..., *inner, *[slice(None)] * rank)]
    kept = [slice(b, b + int(n)) for n, (b, _) in zip(shape, margins, strict=True)]
    return total[(..., *kept)]


def _view_vjp(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Sequence[Term | None]:
    rank = len(v.attributes["size"])
    return (g.apply("window_sum", shape=xs[0].type.shape[-rank:], **v.attributes),)


def _sum_vjp(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Sequence[Term | None]:
    return (g.apply("window_view", **{n: v.attributes[n] for n in GEOMETRY}),)


_strided = Geometry((3, 2), (2, 3), (1, 2), (-1, 0), (5, 3))  # of [6, 9] or so, reaching beyond
_backwards = Geometry((3,), (1,), (-1,), (1,), (4,))
register(
    Op(
        name="window_view",
        view=View.WINDOWS,
        hidden=True,
        kind=Kind.VIEW,
        infer=_view_infer,
        evaluate=_view_evaluate,
        vjp=_view_vjp,
        selects=True,
        arity=(1, 1),
        samples=(
            (((4, 8, 6),), _strided.attributes()),
            (((2, 5),), _backwards.attributes()),
        ),
    )
)
register(
    Op(
        name="window_sum",
        hidden=True,
        kind=Kind.REDUCE,
        over=Over.WINDOWS,
        infer=_sum_infer,
        evaluate=_sum_evaluate,
        vjp=_sum_vjp,
        selects=True,
        arity=(1, 1),
        samples=(
            (((6, 3, 2, 5, 4),), {**_strided.attributes(), "count": (5, 4), "shape": (8, 6)}),
            (((2, 3, 4),), {**_backwards.attributes(), "shape": (5,)}),
        ),
    )
)


# What a spec writes


def _counts(value: Any, rank: int, name: str) -> Counts:
    """Return one whole number per dimension."""
    given = value if isinstance(value, tuple) else (value,) * rank
    if len(given) != rank:
        raise OpError(
            f"{name} has {len(given)} numbers, but windows are over {_dimensions(rank)}",
            help=f"give {rank} numbers, or one for all of them",
            at=name,
        )
    return tuple(given)


def _dimensions(rank: int) -> str:
    return "the last dimension" if rank == 1 else f"the last {rank} dimensions"


def geometry(shape: Sequence[int], size: Sequence[int], a: Attributes) -> Geometry:
    """Return the places of windows of a size, by `stride`, `padding` and `dilation`.

    Args:
        shape: the dimensions that windows are taken of.
        size: of a window.
        a: the options; with the padding "same" there are as many windows as elements.

    Raises:
        OpError: they do not fit.
    """
    rank = len(size)
    stride = _counts(a["stride"] or tuple(size), rank, "stride")
    dilation = _counts(a.get("dilation", 1), rank, "dilation")
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, size, strict=True)]
    if a["padding"] == "same":
        if any(s != 1 for s in stride):
            raise OpError(
                "padding=same needs a stride of 1",
                help="give padding as numbers; (size-1)/2 keeps the windows centred",
                at="padding",
            )
        start, count = tuple(-((r - 1) // 2) for r in reach), tuple(shape)
        return Geometry(tuple(size), stride, dilation, start, count)
    padding = _counts(a["padding"], rank, "padding")
    counts: list[int] = []
    for n, p, r, s, k in zip(dims(shape), padding, reach, stride, dims(size), strict=True):
        if r > n + 2 * p:
            wide = f"{k.show()}" if r == k else f"{k.show()}, {r} with its dilation,"
            room = f"{n.show()}" if not p else f"{n.show()} and {p} of padding on both sides"
            raise OpError(
                f"a window of {wide} does not fit into {room}",
                help="make it smaller, or set padding=same to let it reach beyond the ends",
            )
        counts.append((int(n) + 2 * p - r) // s + 1)
    return Geometry(tuple(size), stride, dilation, tuple(-p for p in padding), tuple(counts))


def _image(x: Term, rank: int, name: str, *, channels: bool = False) -> tuple[int, ...]:
    """Return the dimensions that windows are taken of."""
    refuse_bools([x.type])
    shape = x.type.shape
    if (len(shape) != rank + 1) if channels else len(shape) < rank:
        spatial = ("length", "height, width", "depth, height, width")[rank - 1]
        sizes = ", ".join(d.text for d in dims(shape))
        flat = channels and len(shape) == rank
        wanted = f"[channels, {spatial}]" if channels else f"{rank} dimensions or more"
        raise OpError(
            f"{name} needs {wanted}",
            help=f"for one channel write  reshape(…, shape=[1, {sizes}])"
            if flat
            else f"convert it to {wanted} with reshape",
            at=0,
        )
    return shape[len(shape) - rank :]


def view(x: Term, own: Geometry) -> Term:
    """Return the windows of a term."""
    return x.apply("window_view", **own.attributes())


def _windows(xs: Sequence[Term], a: Attributes) -> Term:
    size = a["size"] if isinstance(a["size"], tuple) else (a["size"],)
    if len(size) > len(KERNEL):
        raise OpError(f"windows have at most {len(KERNEL)} dimensions", at="size")
    shape = _image(xs[0], len(size), "windows")
    return view(xs[0], geometry(shape, size, a))


def _conv(xs: Sequence[Term], a: Attributes, *, rank: int) -> Term:
    x, kernel, *rest = xs
    name = f"conv{rank}d"
    shape = _image(x, rank, name, channels=True)
    if len(kernel.type.shape) != rank + 2:
        spatial = ("length", "height, width", "depth, height, width")[rank - 1]
        raise OpError(
            f"the weights of {name} need {rank + 2} dimensions",
            help=f"declare them as [channels out, channels in, {spatial}]",
            at=1,
        )
    out, channels, *size = kernel.type.shape
    if channels != x.type.shape[0]:
        found, wanted = (d.show() for d in dims((channels, x.type.shape[0])))
        raise OpError(
            "channels do not match",
            help=f"the weights expect {found} channels, but there are {wanted}; declare the weights"
            f" as [{dims((out,))[0].text}, {dims(x.type.shape)[0].text}, …]",
            at=1,
        )
    inner, places = KERNEL[:rank], PLACES[:rank]
    own = geometry(shape, size, a)
    equation = f"oc{inner},c{inner}{places}->o{places}"
    y = kernel.builder.emit("einsum", (kernel, view(x, own)), {"equation": equation})
    if not rest:
        return y
    if rest[0].type.shape != (out,):
        raise OpError(
            "the bias does not match",
            help=f"use a vector with one number per output channel, {dims((out,))[0].show()}",
            at=2,
        )
    return y + rest[0].apply("reshape", shape=(out, *[1] * rank))


def _pool(xs: Sequence[Term], a: Attributes, *, rank: int, largest: bool) -> Term:
    x = xs[0]
    shape = _image(x, rank, f"{'max' if largest else 'mean'}_pool{rank}d")
    size = _counts(a["size"], rank, "size")
    if a["padding"] != "same":
        padding = _counts(a["padding"], rank, "padding")
        if any(p > k // 2 for p, k in zip(padding, size, strict=True)):
            raise OpError(
                f"padding of {max(padding)} is more than half of a window",
                help="every window must contain at least one element",
                at="padding",
            )
    own = geometry(shape, size, a)
    windows = view(x, own)
    lead = x.type.shape[: len(x.type.shape) - rank]
    if not largest:
        total = windows.apply("sum_to", shape=(*lead, *[1] * rank, *own.count))
        return total.apply("reshape", shape=(*lead, *own.count)) / float(prod(size))
    if any(m != (0, 0) for m in own.margins(shape)):
        b = x.builder
        seen = view(b.number(1.0).apply("broadcast_to", shape=tuple(shape)), own)
        if lead:
            seen = seen.apply("reshape", shape=(*[1] * len(lead), *own.size, *own.count))
        windows = seen.apply("equal", b.number(0.0)).apply("where", b.number(-inf), windows)
    highest = windows.apply("max_to", shape=(*lead, *[1] * rank, *own.count))
    return highest.apply("reshape", shape=(*lead, *own.count))


_options = {"stride": 1, "padding": 0, "dilation": 1}
_image_samples = {1: (2, 8), 2: (2, 8, 6), 3: (2, 5, 8, 6)}
_kernel_samples = {1: (4, 2, 3), 2: (4, 2, 3, 5), 3: (4, 2, 3, 5, 1)}
composite(
    "windows",
    _windows,
    1,
    {"size": ..., **_options},
    samples=(
        (((8, 6),), {"size": (3, 2), **_options, "stride": (2, 1), "padding": (1, 0)}),
        (((2, 5),), {"size": 3, **_options, "padding": "same", "dilation": 2}),
    ),
    usage="windows(x, size=[3, 3])",
)
for _rank in (1, 2, 3):
    _image_sample = _image_samples[_rank]
    composite(
        f"conv{_rank}d",
        partial(_conv, rank=_rank),
        (2, 3),
        _options,
        samples=(
            ((_image_sample, _kernel_samples[_rank]), _options),
            (
                (_image_sample, _kernel_samples[_rank], (4,)),
                {**_options, "stride": 2, "padding": 1},
            ),
        ),
        usage=f"conv{_rank}d(x[t], K)",
    )
    for _kind in ("max", "mean"):
        composite(
            f"{_kind}_pool{_rank}d",
            partial(_pool, rank=_rank, largest=_kind == "max"),
            1,
            {"size": ..., "stride": None, "padding": 0},
            samples=(
                (((2, 4, 6, 3)[: _rank + 1],), {"size": 2, "stride": None, "padding": 0}),
                (((4, 3, 2)[-_rank:],), {"size": 3, "stride": 2, "padding": 1}),
            ),
            usage=f"{_kind}_pool{_rank}d(x, size=2)",
        )
