"""The ways to make a number, a vector or a matrix: one function each, and their weights.

Each takes the writer, the wanted shape, the place and how much deeper it may go, and returns a
piece of that shape, or None where it cannot make it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tests.differential.case import Piece
from tests.differential.draft import Place, Shape
from tests.differential.windows import aligned, filtered, windowed

if TYPE_CHECKING:
    from tests.differential.expressions import Writer

Production = Callable[["Writer", Shape, Place, int], Piece | None]

# Pointwise functions: text, how large the operand may get, how large the result gets; a negative
# bound is that of the operand.
UNARY = {
    "tanh": ("tanh({0})", 9.0, 1.0),
    "sigmoid": ("sigmoid({0})", 9.0, 1.0),
    "relu": ("relu({0})", 9.0, -1.0),
    "leaky_relu": ("leaky_relu({0}, slope=0.1)", 9.0, -1.0),
    "leaky_relu, default": ("leaky_relu({0})", 9.0, -1.0),
    "gelu": ("gelu({0})", 9.0, -1.0),
    "silu": ("silu({0})", 9.0, -1.0),
    "softplus": ("softplus({0})", 5.0, 5.0),
    "exp": ("exp({0})", 1.2, 3.3),
    "log": ("log(softplus({0}) + 0.3)", 4.0, 1.5),
    "log of a square": ("log({0} * {0} + 0.5)", 4.0, 2.8),
    "sqrt": ("sqrt({0} * {0} + 0.3)", 4.0, 4.0),
    "sqrt of exp": ("sqrt(exp({0}))", 1.5, 2.1),
    "abs": ("abs({0})", 9.0, -1.0),
    "sign": ("sign({0})", 9.0, 1.0),
    "sin": ("sin({0})", 9.0, 1.0),
    "cos": ("cos({0})", 9.0, 1.0),
    "erf": ("erf({0})", 9.0, 1.0),
    "neg": ("(-{0})", 9.0, -1.0),
    "stop_gradient": ("stop_gradient({0})", 9.0, -1.0),
    "square": ("{0} ** 2", 2.0, 4.0),
    "cube": ("{0} ** 3", 1.5, 3.4),
    "power 1": ("{0} ** 1", 9.0, -1.0),
    "power 0": ("{0} ** 0", 9.0, 1.0),
    "root": ("(abs({0}) + 0.5) ** 0.5", 4.0, 2.0),
    "inverse": ("(abs({0}) + 0.5) ** -1", 9.0, 2.0),
    "power of a number": ("2 ** {0}", 1.5, 2.8),
    "mod": ("{0} % 1.37", 5.0, 1.4),
    "floordiv": ("{0} // 0.73", 2.0, 3.0),
    "clip": ("clip({0}, -0.41, 0.67)", 9.0, 0.7),
    "maximum of a number": ("maximum({0}, 0.09)", 9.0, -1.0),
    "scaled": ("0.7 * {0}", 9.0, -1.0),
    "shifted": ("(1 - {0})", 5.0, 6.0),
    "halved": ("{0} / 2", 9.0, -1.0),
    "dropout": ("dropout({0}, rate=0.3)", 4.0, 5.0),
    "dropout, rate 0": ("dropout({0}, rate=0)", 9.0, -1.0),
}
WEIGHTS = {"tanh": 5.0, "sigmoid": 3.0, "relu": 2.0, "stop_gradient": 0.5, "power 0": 0.3}
# Bounds of both operands and of the result.
BINARY = {
    "+": ("{0} + {1}", 3.0, 6.0),
    "-": ("{0} - {1}", 3.0, 6.0),
    "*": ("{0} * {1}", 2.0, 4.0),
    "/": ("{0} / (1 + {1} * {1})", 6.0, 6.0),
    "/ of a root": ("{0} / (abs({1}) + 0.6)", 3.0, 5.0),
    "minimum": ("minimum({0}, {1})", 6.0, 6.0),
    "maximum": ("maximum({0}, {1})", 6.0, 6.0),
    "gate": ("sigmoid({0}) * {1}", 6.0, 6.0),
    "convex": ("(1 - sigmoid({0})) * {1} + sigmoid({0}) * tanh({1})", 6.0, 6.0),
    "pow": ("(softplus({0}) + 0.3) ** tanh({1})", 3.0, 4.0),
    "mod of two": ("{0} % (1.3 + 0.2 * sin({1}))", 4.0, 1.5),
    "clip of two": ("clip({0}, -abs({1}), 1.1)", 4.0, 4.0),
}


# What is finite where its operand is above 0.137, and elsewhere infinite or NaN, or its derivative.
PARTIAL = {
    "log": ("log({0})", 2.0),
    "sqrt": ("sqrt({0})", 3.0),
    "inverse": ("1 / {0}", 7.3),
    "negative power": ("{0} ** -0.5", 2.8),
    "power of itself": ("{0} ** tanh({0})", 9.0),
    "overflow": ("exp(10000 * (0.137 - {0}))", 1.0),
    "log of a softmax": ("log(softmax({0} * 2000))", 1.0),
}


def unary(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Apply a pointwise function."""
    name = w.draft.weigh({n: WEIGHTS.get(n, 1.0) for n in UNARY})
    text, limit, result = UNARY[name]
    operand = w.tame(w.real(shape, place, depth), limit)
    bound = operand.bound if result < 0 else result
    return Piece(text, (w.closed(operand),), name.partition(",")[0], bound)


def binary(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Join two values of the shape, or one and a number."""
    names = {n: 3.0 if n in "+*-" else 1.0 for n in BINARY}
    name = w.draft.weigh(names)
    text, limit, result = BINARY[name]
    shapes, tag = [shape, shape], name
    if shape and w.draft.chance(0.25):
        shapes[w.draft.rng.randrange(2)] = ()
        tag = f"{name} with a number"
    left, right = (w.closed(w.tame(w.real(s, place, depth), limit)) for s in shapes)
    return Piece(f"({text})", (left, right), tag, result)


def choice(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Choose by a condition."""
    if w.draft.chance(0.2):
        return _edge(w, shape, place, depth)
    own: Shape = () if not shape or w.draft.chance(0.7) else shape
    condition = w.condition(own, place, depth)
    yes, no = w.real(shape, place, depth), w.real(shape, place, depth - 1)
    if shape and w.draft.chance(0.2):
        no = Piece(w.draft.pick(["0", "0.5"]))
    tag = "where" if not own else "where of each element"
    return Piece("where({0}, {1}, {2})", (condition, yes, no), tag, max(yes.bound, no.bound))


def _edge(w: Writer, shape: Shape, place: Place, depth: int) -> Piece:
    """Choose what is finite where it is chosen, of an operand that may be exactly zero."""
    d = w.draft
    name = d.pick([n for n in PARTIAL if shape or "softmax" not in n])
    text, bound = PARTIAL[name]
    operand = w.closed(w.tame(w.real(shape, place, depth), 6.0))
    if d.chance(0.5):
        operand = Piece("relu({0})", (operand,), "relu", operand.bound)
    other = w.real(shape, place, depth - 1)
    if "softmax" in name:
        text = f"where({text} > -1, {text}, {{1}})"
    else:
        text = f"where({{0}} > 0.137, {text}, {{1}})"
    return Piece(text, (operand, other), "edge of where", max(bound, other.bound))


def over_axes(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Reduce over one or two axes."""
    d = w.draft
    free = [a for a in d.axes if a not in place.all_axes]
    if not free or len(place.bound) > 1:
        return None
    count = 2 if len(free) > 1 and d.chance(0.15) else 1
    axes = d.rng.sample(free, count)
    piece = w.real(shape, place.inside(*axes), depth)
    name = d.weigh({"sum": 4, "mean": 3, "max": 1.5, "min": 1, "logsumexp": 1.5})
    for axis in axes:
        piece = w.depends(piece, axis, certainly=name in ("max", "min"))
    limits = {"sum": 1.0, "logsumexp": 3.0}
    piece = w.tame(piece, limits.get(name, 6.0))
    bound = {"sum": 5.0, "logsumexp": 5.0}.get(name, piece.bound)
    tag = f"{name} over {'an axis' if count == 1 else 'axes'}"
    written = list(axes)
    if d.chance(0.35):
        tag += " within a bound"
        written[-1] = bounded(w, axes[-1], place, empty=name in ("sum", "mean"))
        piece = w.depends(piece, axes[-1], certainly=True)
    return Piece(f"{name}[{', '.join(written)}]({{0}})", (piece,), tag, bound)


def bounded(w: Writer, axis: str, place: Place, *, empty: bool) -> str:
    """Return an axis with a bound on its points, of which some are left unless `empty`."""
    d = w.draft
    others = [a for a in place.axes if a != axis]
    if not others or d.chance(0.15):
        return d.pick([f"{axis} <= 1", f"{axis} <= last"] + [f"1 <= {axis}"] * empty)
    t = d.pick(others)
    forms = [f"{axis} <= {t}", f"{axis} < {t} + 2", f"{axis} <= 2*{t}", f"{axis} <= {t}"]
    if empty:
        forms += [f"{axis} < {t}", f"{t} - 2 < {axis} <= {t}", f"{axis} >= {t}"]
        forms += [f"{axis} <= last - {t}", f"{axis} > {t} - 2"]
    return d.pick(forms)


def softmax_axes(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Normalise along one of the equation's axes, or divide by a sum over one."""
    d = w.draft
    # A cycle's own axis cannot be reduced over inside of the cycle.
    own = [a for a in place.axes if place.cycle is None or a not in _cyclic(place)]
    if not own or place.bound:
        return None
    axis = d.pick(own)
    piece = w.depends(w.tame(w.real(shape, place, depth), 4.0), axis)
    if d.chance(0.2):
        text = f"mean[{axis}]({{0}})"
        return Piece(text, (piece,), "mean over an own axis", piece.bound)
    name = d.weigh({"softmax": 3, "log_softmax": 1})
    if name == "softmax" and d.chance(0.5):
        written = bounded(w, axis, place, empty=True)
        piece = w.depends(piece, axis, certainly=True)
        return Piece(f"softmax[{written}]({{0}})", (piece,), "softmax within a bound", 1.0)
    bound = 1.0 if name == "softmax" else 2 * piece.bound + 3
    return Piece(f"{name}[{axis}]({{0}})", (piece,), f"{name} over an axis", bound)


def _cyclic(place: Place) -> tuple[str, ...]:
    assert place.cycle is not None
    second = place.cycle.second
    return (place.cycle.main, *((second[0],) if second else ()))


def over_batch(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Reduce over the batch, perhaps with an axis."""
    d = w.draft
    if not any(v.name.startswith("x") for v in d.values) or not d.chance(0.5):
        return None
    free = [a for a in d.axes if a not in place.all_axes]
    axes = ["batch"]
    if free and d.chance(0.4):
        axes.append(d.pick(free))
    piece = w.batched(shape, place.inside(*axes[1:]), depth)
    for axis in axes[1:]:
        piece = w.depends(piece, axis)
    name = d.weigh({"mean": 5, "sum": 1, "max": 1, "logsumexp": 0.5})
    piece = w.tame(piece, 1.0 if name == "sum" else 3.0)
    text = f"{name}[{', '.join(axes)}]({{0}})"
    return Piece(text, (piece,), f"{name} over the batch", 3 * piece.bound)


def random(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Draw numbers."""
    name = w.draft.pick(["normal", "uniform"])
    text = f"{name}(shape=[{', '.join(shape)}])" if shape else f"{name}()"
    return Piece(text, tag=name, bound=2.0)


# Numbers


def features(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Reduce the last dimension."""
    d = w.draft
    last = w.vector_size(place)
    name = d.weigh({"sum": 3, "mean": 2, "max": 1, "min": 1, "logsumexp": 1, "norm": 1})
    if name == "norm" and shape:
        return None
    whole = (*shape, last)
    if name == "norm" and d.chance(0.3):
        whole = (last, w.vector_size(place))
    piece = w.real(whole, place, depth)
    piece = w.tame(piece, 2.0 if name in ("sum", "norm") else 5.0)
    bound = {"sum": 5.0, "norm": 4.0, "logsumexp": piece.bound + 2}.get(name, piece.bound)
    tag = name if name == "norm" else f"{name} of features"
    return Piece(f"{name}({{0}})", (piece,), tag, bound)


def dot(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Multiply two vectors, or three things to a number."""
    size = w.vector_size(place)
    v, u = (w.tame(w.real((size,), place, depth), 2.0) for _ in range(2))
    form = w.draft.weigh({"dot": 6, "bilinear": 1, "three": 0.5, "all": 0.7, "twice": 0.4})
    if form == "bilinear":
        other = w.vector_size(place)
        M, u = w.draft.parameter((size, other), place), w.real((other,), place, 0)
        return Piece('einsum("i,ij,j->", {0}, {1}, {2})', (v, M, u), "einsum of three", 5.0)
    if form == "three":
        return Piece('einsum("i,i,i->", {0}, {1}, {1})', (v, u), "einsum of three", 5.0)
    if form == "all":
        return Piece('einsum("i->", {0})', (v,), "einsum of one", 5.0)
    if form == "twice":
        other = w.draft.size()
        parts = tuple(w.tame(w.real((size, other), place, 0), 1.5) for _ in range(2))
        return Piece('einsum("ij,ij->", {0}, {1})', parts, "einsum of two", 5.0)
    return Piece("({0} @ {1})", (w.closed(v), w.closed(u)), "dot product", 5.0)


def losses(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Compare two things as a loss does."""
    d = w.draft
    found = d.sources(place, lambda v: v.kind == "category")
    name = d.weigh({"cross_entropy": 3, "mse": 1, "bce": 1})
    if name == "cross_entropy" and found and d.chance(0.7):
        target = d.pick(found)
        parts = (w.real(target.shape, place, depth), d.read(target, place))
        return Piece("cross_entropy({0}, {1})", parts, "cross_entropy", 6.0)
    size = w.vector_size(place)
    whole = d.weigh({(size,): 3.0, (): 1.0, (size, d.size()): 0.5})
    if name == "cross_entropy":
        logits, target = (w.real((size,), place, n) for n in (depth, depth - 1))
        return Piece("cross_entropy({0}, softmax({1}))", (logits, target), "cross_entropy", 6.0)
    left, right = (w.tame(w.real(whole, place, n), 2.0) for n in (depth, depth - 1))
    if name == "bce":
        return Piece("bce({0}, sigmoid({1}))", (left, right), "bce", 3.0)
    return Piece("mse({0}, {1})", (left, right), "mse", 5.0)


def unwrapped(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Take the only element of a vector."""
    return Piece("reshape({0}, shape=[])", (w.real(("1",), place, depth),), "reshape", 4.0)


# Vectors


def product(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Multiply a matrix and a vector."""
    d = w.draft
    classes = d.sources(place, lambda v: v.kind == "category")
    if classes and d.chance(0.3):
        source = d.pick(classes)
        W = d.parameter((*shape, *source.shape), place)
        if d.chance(0.2):
            parts = (W, d.read(source, place))
            return Piece('einsum("ij,j->i", {0}, {1})', parts, "einsum with a category")
        return Piece("({0} @ {1})", (W, d.read(source, place)), "matrix @ category", 1.0)
    inner = w.vector_size(place)
    if depth > 0 and inner in d.sizes and d.sizes[inner].isdigit() and d.chance(0.15):
        inner = d.derived(f"{inner} + {d.size()}")  # a matrix times two vectors that are joined
    v = w.closed(w.tame(w.real((inner,), place, depth), 3.0))
    bound = 1.2 * v.bound
    form = d.weigh({"W @ v": 8, "v @ W": 2, "M @ v": 1.5, "einsum": 1})
    if form == "v @ W":
        W = d.parameter((inner, *shape), place)
        return Piece("({0} @ {1})", (v, W), "vector @ matrix", bound)
    if form == "M @ v":
        M = w.closed(w.tame(w.real((*shape, inner), place, depth - 1), 1.0))
        return Piece("({0} @ {1})", (M, v), "matrix value @ vector", 2 * bound)
    W = d.parameter((*shape, inner), place)
    if form == "einsum":
        return Piece('einsum("ij,j->i", {0}, {1})', (W, v), "einsum of two", bound)
    return Piece("({0} @ {1})", (W, v), "matrix @ vector", bound)


def second_order(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Multiply three things."""
    d = w.draft
    a, b = w.vector_size(place), w.vector_size(place)
    u = w.tame(w.real((a,), place, depth), 2.0)
    v = w.tame(w.real((b,), place, depth - 1), 2.0)
    form = d.weigh({"tensor": 3, "chain": 1, "gated": 1, "rows": 0.7})
    if form == "tensor":
        T = d.parameter((*shape, a, b), place)
        return Piece('einsum("ijk,j,k->i", {0}, {1}, {2})', (T, u, v), "second order", 4.0)
    if form == "chain":
        parts = (d.parameter((*shape, a), place), d.parameter((a, b), place), v)
        return Piece('einsum("ij,jk,k->i", {0}, {1}, {2})', parts, "einsum of three", 3.0)
    if form == "gated":
        g = w.tame(w.real(shape, place, depth - 1), 2.0)
        parts = (g, d.parameter((a, *shape), place), u)
        return Piece('einsum("i,ji,j->i", {0}, {1}, {2})', parts, "einsum of three", 4.0)
    M = w.tame(w.real((a, *shape), place, depth - 1), 2.0)
    return Piece('einsum("ij->j", {0})', (M,), "einsum of one", 4.0)


def normalised(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Normalise over features."""
    name = w.draft.weigh({"softmax": 3, "log_softmax": 1, "layer_norm": 1.5})
    piece = w.tame(w.real(shape, place, depth), 5.0)
    if name == "layer_norm":
        return Piece("layer_norm({0}, epsilon=0.1)", (piece,), name, 2.0)
    bound = 1.0 if name == "softmax" else 2 * piece.bound + 2
    return Piece(f"{name}({{0}})", (piece,), name, bound)


def sliced(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Take a part of something longer along the first dimension."""
    d = w.draft
    if shape[0] not in d.sizes or d.extent(shape[0]) > 40:
        return None
    extra = d.size()
    whole = w.real((d.derived(f"{extra} + {shape[0]}"), *shape[1:]), place, depth)
    if d.chance(0.5):
        text = f"slice({{0}}, start={extra}, stop={extra} + {shape[0]})"
    else:
        text = f"slice({{0}}, start=0, stop={shape[0]})"
    return Piece(text, (whole,), "slice", whole.bound)


def joined(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Put two things one after the other, where the size is a sum."""
    d = w.draft
    left, found, right = d.sizes.get(shape[0], "").partition(" + ")
    if not found:
        return None
    parts = tuple(w.real((s, *shape[1:]), place, depth) for s in (left, right))
    bound = max(p.bound for p in parts)
    if len(shape) == 1 and d.extent(right) == 1 and d.chance(0.5):
        parts = (parts[0], w.real((), place, depth))
    return Piece("concat({0}, {1})", parts, "concat", bound)


def flattened(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Flatten a matrix, where the size is a product."""
    left, found, right = w.draft.sizes.get("".join(shape), "").partition(" * ")
    if not found:
        return None
    piece = w.real((left, right), place, depth)
    if w.draft.chance(0.5):
        return Piece("flatten({0})", (piece,), "flatten", piece.bound)
    return Piece(f"reshape({{0}}, shape=[{''.join(shape)}])", (piece,), "reshape", piece.bound)


def folded(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Read a matrix, or a vector within one, from the features of a longer vector."""
    d = w.draft
    if any(s not in d.sizes for s in shape) or any(not d.sizes[s].isdigit() for s in shape):
        return None
    size = shape[-1]
    other = (*shape[:-1], d.size())[0]
    if d.extent(size) * d.extent(other) > 120:
        return None
    whole = w.real((d.derived(f"{other} * {size}"),), place, depth)
    matrix = Piece(f"reshape({{0}}, shape=[{other}, {size}])", (whole,), "reshape", whole.bound)
    if len(shape) == 2:
        return matrix
    return Piece('einsum("ij->j", {0})', (w.tame(matrix, 2.0),), "einsum of one", 5.0)


def single(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Make a vector of one number."""
    if shape != ("1",):
        return None
    return Piece("reshape({0}, shape=[1])", (w.real((), place, depth),), "reshape", 4.0)


# Matrices


def matrix_product(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Multiply two matrices, or three."""
    d = w.draft
    inner = d.size()
    n, m = shape
    right = w.closed(w.tame(w.real((inner, m), place, depth), 2.0))
    left = d.parameter((n, inner), place)
    if d.chance(0.5):
        left = w.closed(w.tame(w.real((n, inner), place, depth - 1), 1.0))
    form = d.weigh({"@": 5, "einsum": 1, "transposed": 1, "three": 0.7})
    if form == "@":
        return Piece("({0} @ {1})", (left, right), "matrix @ matrix", 3.0)
    if form == "einsum":
        return Piece('einsum("ij,jk->ik", {0}, {1})', (left, right), "einsum of two", 3.0)
    if form == "transposed":
        back = d.parameter((m, inner), place)
        return Piece('einsum("ij,kj->ik", {0}, {1})', (left, back), "einsum of two", 3.0)
    middle = d.parameter((inner, inner), place)
    parts = (left, middle, right)
    return Piece('einsum("ij,jk,kl->il", {0}, {1}, {2})', parts, "einsum of three", 4.0)


def outer(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Spread vectors over a matrix."""
    d = w.draft
    n, m = shape
    v, u = (w.tame(w.real((s,), place, depth), 2.0) for s in shape)
    form = d.weigh({"outer": 4, "columns": 1, "repeated": 2})
    if form == "outer":
        return Piece('einsum("i,j->ij", {0}, {1})', (v, u), "outer product", 4.0)
    if form == "columns":
        W = d.parameter(shape, place)
        return Piece('einsum("ij,j->ij", {0}, {1})', (W, u), "einsum of two", 3.0)
    column = f"reshape({{0}}, shape=[{n}, 1])"
    row = f"reshape({{1}}, shape=[1, {m}])"
    return Piece(f"{column} {d.pick('+*-')} {row}", (v, u), "repeated dimensions", 4.0)


def transposed(w: Writer, shape: Shape, place: Place, depth: int) -> Piece | None:
    """Exchange the dimensions."""
    M = w.real((shape[1], shape[0]), place, depth)
    return Piece('einsum("ij->ji", {0})', (M,), "transpose", M.bound)


COMMON: dict[Production, float] = {
    unary: 6.0,
    binary: 6.0,
    choice: 1.5,
    over_axes: 2.5,
    softmax_axes: 1.6,
    over_batch: 0.7,
    random: 0.25,
}
TABLES: Mapping[int, dict[Production, float]] = {
    0: COMMON | {features: 3.0, dot: 3.0, losses: 0.7, aligned: 9.0, unwrapped: 0.1},
    1: COMMON
    | {product: 8.0, second_order: 0.9, normalised: 1.4, sliced: 1.0, folded: 0.4}
    | {features: 0.4, single: 2.0, filtered: 0.4},
    2: COMMON
    | {matrix_product: 3.0, outer: 2.0, transposed: 0.8, sliced: 0.5, folded: 0.7}
    | {normalised: 0.7, windowed: 2.0},
}
# Where the first size is a sum or a product of sizes.
COMPOUND: dict[Production, float] = {joined: 1.0, flattened: 1.0}
LEAVES: Mapping[int, Production] = {0: features, 1: product, 2: outer}
