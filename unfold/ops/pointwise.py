"""Pointwise rows: every element of the result depends on the same element of each operand.

Operands have the same shape. A number matches any shape, and a dimension of size 1 is repeated. The
differentiation pass undoes this broadcasting once for all rows, so the derivatives here ignore it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unfold.core import scalar as S
from unfold.core.build import Term
from unfold.core.op import Infer, Jump, Kind, Op, Sample, View, register
from unfold.core.program import Value
from unfold.core.scalar import X
from unfold.core.types import BOOL, Type
from unfold.ops import pointwise_types as types
from unfold.ops import ranges

Cotangents = Sequence[Term | None]


def add_row(
    name: str,
    evaluate: Callable[..., Any],
    vjp: Callable[[Term, Term, Sequence[Term], Value], Cotangents] | None,
    scalar: Callable[..., X],
    *,
    infer: Infer = types.real,
    arity: int = 1,
    domain: tuple[float, float] = (-2.0, 2.0),
    samples: tuple[Sample, ...] | None = None,
    symbol: str | None = None,
    **facts: Any,
) -> None:
    """Add a row; an operator with a sign cannot be called by its name in a spec.

    Args:
        name, evaluate, vjp, scalar, infer, domain, symbol: as in `Op`.
        arity: the number of operands.
        samples: default: vectors.
        facts: other attributes of an `Op`.
    """
    shapes: tuple[tuple[int, ...] | Type, ...] = ((3,),) if arity == 1 else ((3,), (3,))
    register(
        Op(
            name=name,
            kind=Kind.POINTWISE,
            infer=infer,
            arity=(arity, arity),
            evaluate=evaluate,
            vjp=vjp,
            scalar=scalar,
            partial=True,
            domain=domain,
            samples=((shapes, {}),) if samples is None else samples,
            symbol=symbol,
            hidden=symbol is not None,
            **facts,
        )
    )


def _f(head: str) -> Callable[..., X]:
    return lambda *xs: S.call(head, *xs)


def _sigmoid(x: Any) -> Any:
    # Of the two usual forms this one keeps the digits of small probabilities; exp may overflow.
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-x))


_erf = np.vectorize(math.erf, otypes=[float])
_ROOT_HALF, _ROOT_TAU = math.sqrt(0.5), math.sqrt(2 * math.pi)


def _gelu_vjp(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Cotangents:
    (x,) = xs
    normal_cdf = 0.5 * (1.0 + (x * _ROOT_HALF).apply("erf"))
    return (g * (normal_cdf + x * (-0.5 * x * x).apply("exp") / _ROOT_TAU),)


def _choose(condition: Term, g: Term) -> Term:
    return condition.apply("where", g, g.builder.number(0.0))


_category, _condition = Type((4,), "category"), Type((3,), "bool")
_equals: tuple[Sample, ...] = (
    (((3,), (3,)), {}),
    ((_category, _category), {}),
    ((_category, ()), {}),
)
_both: tuple[Sample, ...] = ((((3,), (3,)), {}), (((2, 3), ()), {}), (((2, 3), (1, 3)), {}))

add_row(
    "add",
    np.add,
    lambda g, y, xs, v: (g, g),
    lambda a, b: a + b,
    arity=2,
    samples=_both,
    symbol="{} + {}",
    bounds=ranges.add,
)
add_row(
    "sub",
    np.subtract,
    lambda g, y, xs, v: (g, -g),
    lambda a, b: a - b,
    arity=2,
    samples=_both,
    symbol="{} - {}",
    bounds=ranges.subtract,
)
add_row(
    "mul",
    np.multiply,
    lambda g, y, xs, v: (g * xs[1], g * xs[0]),
    lambda a, b: a * b,
    arity=2,
    samples=_both,
    factors=True,
    symbol="{} * {}",
    bounds=ranges.multiply,
)
add_row(
    "div",
    np.divide,
    lambda g, y, xs, v: (g / xs[1], -g * y / xs[1]),
    lambda a, b: a / b,
    arity=2,
    samples=_both,
    domain=(0.5, 2.0),
    symbol="{} / {}",
    poles=ranges.divides_by_zero,
    bounds=ranges.divide,
    vanishes=True,
)


def _pow_vjp(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Cotangents:
    x, n = xs
    power = n.constant
    if power is None:
        # The limit of x**n log(x) at 0 is 0; for x < 0 there is no derivative by n.
        base = x.apply("equal", g.builder.number(0.0)).apply("where", g.builder.number(1.0), x)
        return g * n * x ** (n - 1.0), g * y * base.apply("log")
    if power == 0:  # a constant power is the usual case; small ones end before x**-1 at 0
        return None, None
    if power in (1, 2):
        return (g if power == 1 else g * x * 2.0), None
    return g * (power * x ** (power - 1.0)), None


def _floordiv(a: X, b: X) -> X:
    # floor(a / b) rounds up if a % b rounds to b, as in 1 // 0.1.
    rest = S.call("mod", a, b)
    quotient = S.call("floor", (a - rest) / b + 0.5)
    # The rest is b itself just below 0, where b may be infinite.
    return S.select(S.call("eq", b, 0.0), a / b, S.select(S.call("eq", rest, b), -1.0, quotient))


add_row(
    "pow",
    np.power,
    _pow_vjp,
    lambda a, b: a**b,
    arity=2,
    domain=(0.5, 2.0),
    symbol="{} ** {}",
    bounds=ranges.power,
    poles=ranges.is_no_power,
    costly=True,
)
add_row(
    "neg",
    np.negative,
    lambda g, y, xs, v: (-g,),
    lambda x: -x,
    symbol="-{}",
    bounds=ranges.negate,
    vanishes=True,
)
add_row(
    "mod",
    np.mod,
    lambda g, y, xs, v: (g, -(g * xs[0].apply("floordiv", xs[1]))),
    _f("mod"),
    arity=2,
    samples=_both,
    domain=(0.2, 3.0),
    symbol="{} % {}",
    poles=ranges.divides_by_zero,
    costly=True,
    jumps=Jump.AT_TIES,
)
add_row(
    "floordiv",
    np.floor_divide,
    None,
    _floordiv,
    arity=2,
    samples=_both,
    domain=(0.2, 3.0),
    symbol="{} // {}",
    poles=ranges.divides_by_zero,
    costly=True,
    jumps=Jump.AT_TIES,
)
add_row(
    "identity",
    lambda x: x,
    lambda g, y, xs, v: (g,),
    lambda x: x,
    infer=types.same,
    categories=(0,),
    symbol="{}",
    bounds=ranges.hull,
    view=View.COPY,
    vanishes=True,
)
add_row(
    "stop_gradient",
    lambda x: x,
    None,
    lambda x: x,
    infer=types.same,
    categories=(0,),
    bounds=ranges.hull,
)
add_row(
    "tanh",
    np.tanh,
    lambda g, y, xs, v: (g * (1.0 - y * y),),
    _f("tanh"),
    bounds=ranges.rising(math.tanh),
    costly=True,
)
add_row(
    "sigmoid",
    _sigmoid,
    lambda g, y, xs, v: (g * y * (1.0 - y),),
    lambda x: 1.0 / (1.0 + S.exp(-x)),
    bounds=ranges.within(0.0, 1.0),
    costly=True,
)
add_row(
    "relu",
    lambda x: np.where(x < 0, 0.0, x),
    lambda g, y, xs, v: (_choose(xs[0].apply("greater", g.builder.number(0.0)), g),),
    lambda x: S.select(S.less(x, 0.0), 0.0, x),
    selects=True,
    bounds=ranges.rising(lambda x: max(x, 0.0)),
    jumps=Jump.AT_ZERO,
)
add_row(
    "exp",
    np.exp,
    lambda g, y, xs, v: (g * y,),
    S.exp,
    bounds=ranges.rising(ranges.exponential),
    told="exp",
    poles=ranges.overflows,
    costly=True,
)
add_row(
    "log",
    np.log,
    lambda g, y, xs, v: (g / xs[0],),
    _f("log"),
    domain=(0.5, 2.0),
    bounds=ranges.rising(ranges.logarithm),
    poles=ranges.is_not_positive,
    costly=True,
)
add_row(
    "sqrt",
    np.sqrt,
    lambda g, y, xs, v: (0.5 * g / y,),
    _f("sqrt"),
    domain=(0.5, 2.0),
    bounds=ranges.rising(ranges.root),
    poles=ranges.is_not_positive,
    costly=True,
)
add_row(
    "sign",
    np.sign,
    None,
    _f("sign"),
    bounds=ranges.within(-1.0, 1.0),
    jumps=Jump.AT_ZERO,
)
add_row(
    "abs",
    np.abs,
    lambda g, y, xs, v: (g * xs[0].apply("sign"),),
    _f("abs"),
    selects=True,
    bounds=ranges.absolute,
    jumps=Jump.AT_ZERO,
)
add_row(
    "sin",
    np.sin,
    lambda g, y, xs, v: (g * xs[0].apply("cos"),),
    _f("sin"),
    bounds=ranges.within(-1.0, 1.0),
    costly=True,
)
add_row(
    "cos",
    np.cos,
    lambda g, y, xs, v: (-(g * xs[0].apply("sin")),),
    _f("cos"),
    bounds=ranges.within(-1.0, 1.0),
    costly=True,
)
add_row(
    "erf",
    _erf,
    lambda g, y, xs, v: (g * (2.0 / math.sqrt(math.pi)) * (-(xs[0] * xs[0])).apply("exp"),),
    _f("erf"),
    bounds=ranges.within(-1.0, 1.0),
    costly=True,
)
add_row(
    "gelu",
    lambda x: 0.5 * x * (1.0 + _erf(x * _ROOT_HALF)),
    _gelu_vjp,
    lambda x: 0.5 * x * (1.0 + S.call("erf", x * _ROOT_HALF)),
    costly=True,
)
add_row(
    "silu",
    lambda x: x * _sigmoid(x),
    lambda g, y, xs, v: (g * ((s := xs[0].apply("sigmoid")) + y * (1.0 - s)),),
    lambda x: x / (1.0 + S.exp(-x)),
    costly=True,
)
add_row(
    "softplus",
    lambda x: np.logaddexp(0.0, x),
    lambda g, y, xs, v: (g * xs[0].apply("sigmoid"),),
    lambda x: S.select(S.less(x, 0.0), 0.0, x) + S.log1p(S.exp(-S.call("abs", x))),
    bounds=ranges.within(0.0, math.inf),
    costly=True,
)


def _extreme(closer: str) -> Callable[[Term, Term, Sequence[Term], Value], Cotangents]:
    def vjp(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Cotangents:
        a, b = xs
        half = _choose(a.apply("equal", b), 0.5 * g)  # ties share the gradient
        return _choose(a.apply(closer, b), g) + half, _choose(b.apply(closer, a), g) + half

    return vjp


def _unless_nan(b: X, chosen: X) -> X:
    return S.select(S.call("eq", b, b), chosen, b)


add_row(
    "minimum",
    np.minimum,
    _extreme("less"),
    lambda a, b: _unless_nan(b, S.select(S.less(b, a), b, a)),
    arity=2,
    samples=_both,
    selects=True,
    bounds=ranges.least,
    jumps=Jump.AT_TIES,
    usage="minimum(a, b)",
)
add_row(
    "maximum",
    np.maximum,
    _extreme("greater"),
    lambda a, b: _unless_nan(b, S.select(S.less(a, b), b, a)),
    arity=2,
    samples=_both,
    selects=True,
    bounds=ranges.largest,
    jumps=Jump.AT_TIES,
    usage="maximum(a, b)",
)
add_row(
    "where",
    np.where,
    lambda g, y, xs, v: (None, _choose(xs[0], g), xs[0].apply("where", g.builder.number(0.0), g)),
    S.select,
    infer=types.where,
    arity=3,
    samples=(
        ((_condition, (3,), (3,)), {}),
        ((BOOL, (3,), ()), {}),
        ((BOOL, _category, _category), {}),
    ),
    categories=(1, 2),
    selects=True,
    chooses=True,
    bounds=ranges.chosen,
    usage="where(condition, a, b)",
)

_COMPARISONS: tuple[tuple[str, Any, str, Callable[..., X]], ...] = (
    ("less", np.less, "<", _f("lt")),
    ("less_equal", np.less_equal, "<=", _f("le")),
    ("greater", np.greater, ">", lambda a, b: S.call("lt", b, a)),
    ("greater_equal", np.greater_equal, ">=", lambda a, b: S.call("le", b, a)),
)
for _name, _function, _symbol, _scalar in _COMPARISONS:
    add_row(
        _name,
        _function,
        None,
        _scalar,
        infer=types.compare,
        arity=2,
        samples=_both,
        categories=(0, 1),
        symbol=f"{{}} {_symbol} {{}}",
        compares=_symbol,
        jumps=Jump.AT_TIES,
    )
add_row(
    "equal",
    np.equal,
    None,
    _f("eq"),
    infer=types.equal,
    arity=2,
    samples=_equals,
    categories=(0, 1),
    symbol="{} == {}",
    jumps=Jump.AT_TIES,
)
add_row(
    "not_equal",
    np.not_equal,
    None,
    lambda a, b: S.call("not", S.call("eq", a, b)),
    infer=types.equal,
    arity=2,
    samples=_equals,
    categories=(0, 1),
    symbol="{} != {}",
    jumps=Jump.AT_TIES,
)
for _name, _function in (("and", np.logical_and), ("or", np.logical_or)):
    add_row(
        _name,
        _function,
        None,
        _f(_name),
        infer=types.logical,
        arity=2,
        samples=(((_condition, _condition), {}), ((_condition, BOOL), {})),
        symbol=f"{{}} {_name} {{}}",
    )
add_row(
    "not",
    np.logical_not,
    None,
    _f("not"),
    infer=types.logical,
    samples=(((_condition,), {}),),
    symbol="not {}",
)
