"""The mathematical functions of the scalar language on vectors, for generated kernels to import.

    a = sigmoid(f) * s + sigmoid(i) * tanh(g)     f, s, i, g: VX

In and out go vectors (`lanes.VX`) of float32 or float64, or plain numbers, which NumPy computes.
`HEADS` says how each head of `unfold.core.scalar` is written in Python. NaN passes through all of
them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unfold.backends.numba.lanes import VX, and_, not_, or_, select, trace_of
from unfold.core.scalar import FUNCTIONS

__all__ = [
    "HEADS",
    "abs_",
    "and_",
    "cos",
    "erf",
    "exp",
    "expm1",
    "floor",
    "inf",
    "log",
    "log1p",
    "nan",
    "not_",
    "or_",
    "select",
    "sigmoid",
    "sign",
    "sin",
    "sqrt",
    "tanh",
]

inf, nan = math.inf, math.nan

HEADS = {
    "add": "({} + {})",
    "sub": "({} - {})",
    "mul": "({} * {})",
    "div": "({} / {})",
    "pow": "({} ** {})",
    "mod": "({} % {})",
    "neg": "(-{})",
    "lt": "({} < {})",
    "le": "({} <= {})",
    "eq": "({} == {})",
    "and": "and_({}, {})",
    "or": "or_({}, {})",
    "not": "not_({})",
    "select": "select({}, {}, {})",
    "abs": "abs_({})",
    **{name: f"{name}({{}})" for name in (*FUNCTIONS, "sigmoid") if name != "abs"},
}


def _function(of_number: Callable[[float], float]) -> Callable[..., Any]:
    """Make a function of a vector take plain numbers too."""

    def decorate(of_vector: Callable[[VX], VX]) -> Callable[[Any], Any]:
        @functools.wraps(of_vector)
        def apply(x: Any) -> Any:
            trace = trace_of(x)
            if trace is None:
                with np.errstate(all="ignore"):
                    return float(of_number(float(x)))
            return of_vector(trace.lift(x))

        return apply

    return decorate


def _horner(x: VX, coefficients: Sequence[float]) -> VX:
    """Evaluate a polynomial, highest power first."""
    result: VX = x.trace.lift(coefficients[0])
    for c in coefficients[1:]:
        result = result * x + c
    return result


def _at_most(x: VX, limit: float) -> VX:
    return select(x > limit, limit, x)


def _at_least(x: VX, limit: float) -> VX:
    return select(x < limit, limit, x)


def _power_of_two(n: VX) -> VX:
    """Return 2**n for whole n within the exponents of normal numbers."""
    t = n.trace
    bias, shift = (1023, 52) if t.double else (127, 23)
    whole = t.record("fptosi", n.value, t.ints)
    biased = t.record("add", whole, t.constant(t.ints, bias))
    return VX(t, t.record("bitcast", t.record("shl", biased, t.constant(t.ints, shift)), t.floats))


_LOG2E = 1.4426950408889634
_LN2 = {False: (0.693359375, -2.12194440e-4), True: (0.6931471803691238, 1.9082149292705877e-10)}
_EXP = {
    False: (
        1.9875691500e-4,
        1.3981999507e-3,
        8.3334519073e-3,
        4.1665795894e-2,
        1.6666665459e-1,
        5.0000001201e-1,
    ),
    True: tuple(1.0 / math.factorial(k) for k in range(13, 1, -1)),
}


def _exp_parts(x: VX) -> tuple[VX, VX]:
    """Return whole n and m with exp(x) = 2**n (1 + m), |m| < 0.42, for moderate x."""
    double = x.trace.double
    n = x.trace.call("rint", x * _LOG2E)
    high, low = _LN2[double]
    r = (x - n * high) - n * low
    return n, r * r * _horner(r, _EXP[double]) + r


@_function(np.exp)
def exp(x: VX) -> VX:
    """e to the x."""
    t = x.trace
    limit = 760.0 if t.double else 110.0
    n, m = _exp_parts(_at_least(_at_most(x, limit), -limit))
    half = t.call("floor", n * 0.5)
    return (1.0 + m) * _power_of_two(half) * _power_of_two(n - half)


@_function(np.expm1)
def expm1(x: VX) -> VX:
    """exp(x) - 1, with all digits near 0."""
    t = x.trace
    limit = 760.0 if t.double else 110.0
    n, m = _exp_parts(_at_least(_at_most(x, limit), -limit))
    half = t.call("floor", n * 0.5)
    a, b = _power_of_two(half), _power_of_two(n - half)
    small = a * b
    return select(x > limit * 0.5, (1.0 + m) * a * b, small * m + (small - 1.0))


@_function(lambda x: 1.0 / (1.0 + np.exp(-x)))
def sigmoid(x: VX) -> VX:
    """1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + exp(-x))


@_function(np.tanh)
def tanh(x: VX) -> VX:
    """Hyperbolic tangent."""
    e = expm1(abs_(x) * -2.0)
    return x.trace.call("copysign", -e / (e + 2.0), x)


_LOG = {
    False: (0.24279078841, 0.28498786688, 0.40000972152, 0.66666662693),
    True: (
        1.479819860511658591e-01,
        1.531383769920937332e-01,
        1.818357216161805012e-01,
        2.222219843214978396e-01,
        2.857142874366239149e-01,
        3.999999999940941908e-01,
        6.666666666666735130e-01,
    ),
}


@_function(np.log)
def log(x: VX) -> VX:
    """Natural logarithm; the method is fdlibm's."""
    t = x.trace
    digits, smallest = (52, 2.0**-1022) if t.double else (23, 2.0**-126)
    tiny = x < smallest
    normal = select(tiny, x * 2.0**digits, x)
    bits = t.record("bitcast", normal.value, t.ints)
    # The mantissa is brought to sqrt(0.5) .. sqrt(2).
    root_half = 0x3FE6A09E667F3BCD if t.double else 0x3F3504F3
    above = t.record("sub", bits, t.constant(t.ints, root_half))
    whole = t.record("ashr", above, t.constant(t.ints, digits))
    fraction = t.record("and_", above, t.constant(t.ints, (1 << digits) - 1))
    mantissa = t.record("add", fraction, t.constant(t.ints, root_half))
    n = VX(t, t.record("sitofp", whole, t.floats)) + select(tiny, -float(digits), 0.0)
    f = VX(t, t.record("bitcast", mantissa, t.floats)) - 1.0
    high, low = _LN2[t.double]
    s = f / (f + 2.0)
    square = f * f * 0.5
    series = s * s * _horner(s * s, _LOG[t.double])
    y = n * high - ((square - (s * (square + series) + n * low)) - f)
    y = select(x == 0.0, -inf, select(x == inf, inf, y))
    return select(x >= 0.0, y, select(x < 0.0, nan, x))


@_function(np.log1p)
def log1p(x: VX) -> VX:
    """log(1 + x), with all digits near 0."""
    u = x + 1.0
    y = log(u) + (x - (u - 1.0)) / u
    return select(or_(u == 0.0, x == inf), log(u), select(u == 1.0, x, y))


@_function(np.sqrt)
def sqrt(x: VX) -> VX:
    """Square root."""
    return x.trace.call("sqrt", x)


@_function(np.sin)
def sin(x: VX) -> VX:
    """Sine."""
    return x.trace.call("sin", x)


@_function(np.cos)
def cos(x: VX) -> VX:
    """Cosine."""
    return x.trace.call("cos", x)


@_function(math.erf)
def erf(x: VX) -> VX:
    """Gauss's error function."""
    return x.trace.per_lane("erf" if x.trace.double else "erff", x)


@_function(abs)
def abs_(x: VX) -> VX:
    """Absolute value."""
    return x.trace.call("fabs", x)


@_function(np.floor)
def floor(x: VX) -> VX:
    """Largest whole number that is not above x."""
    return x.trace.call("floor", x)


@_function(np.sign)
def sign(x: VX) -> VX:
    """-1, 0 or 1."""
    return select(x > 0.0, 1.0, select(x < 0.0, -1.0, x))
