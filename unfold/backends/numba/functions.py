"""The mathematical functions of the scalar language on vectors, for generated kernels to import.

    a = sigmoid(f) * s + sigmoid(i) * tanh(g)     f, s, i, g: VX

They map vectors (`lanes.VX`) of float32 or float64, or plain numbers, which NumPy computes.
`scalars.HEADS` defines their notation. NaN passes through all of them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unfold.backends.numba import coefficients as C
from unfold.backends.numba.lanes import VX, and_, not_, or_, select, trace_of

__all__ = [
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


def _function(of_number: Callable[[float], float]) -> Callable[..., Any]:
    """Make a function of a vector take plain numbers too."""

    def decorate(of_vector: Callable[[VX], VX]) -> Callable[[Any], Any]:
        @functools.wraps(of_vector)
        def apply(x: Any) -> Any:
            trace = trace_of(x)
            if trace is None:
                with np.errstate(all="ignore"):
                    return float(of_number(float(x)))
            return of_vector(trace.number(x))

        return apply

    return decorate


def _horner(x: VX, coefficients: Sequence[float]) -> VX:
    """Evaluate a polynomial, highest power first."""
    result = (
        x + coefficients[1] if coefficients[0] == 1.0 else x * coefficients[0] + coefficients[1]
    )
    for c in coefficients[2:]:
        result = result * x + c
    return result


def _between(x: VX, low: float, high: float) -> VX:
    """Limit numbers; NaN stays."""
    below = select(x > high, high, x)
    return select(below < low, low, below)


def _power_of_two(n: VX) -> VX:
    """Return 2**n for whole n, |n| <= 127 (1023); 2**-127 (2**-1023) is 0."""
    t = n.trace
    bias, digits = (1023, 52) if t.double else (127, 23)
    whole = t.record("fptosi", n.value, t.lanes.ints)  # any number for NaN, whose factor is NaN
    biased = t.record("add", whole, t.whole(bias))
    return VX(t, t.record("bitcast", t.record("shl", biased, t.whole(digits)), t.lanes.floats))


_LOG2E = 1.4426950408889634
# log(2) in two parts, the first with so few digits that its whole multiples are exact.
_LN2 = {False: (0.693359375, -2.12194440e-4), True: (0.6931471803691238, 1.9082149292705877e-10)}
# Beyond these exp is infinite, and no normal number.
_EXP_LIMITS = {False: (-87.3, 89.0), True: (-708.3, 710.0)}


def _reduce(x: VX) -> tuple[VX, VX]:
    """Return whole n and r, |r| < 0.35, with x = n log(2) + r, for x within the limits of exp."""
    n = x.trace.call("rint", x * _LOG2E)
    high, low = _LN2[x.trace.double]
    return n, (x - n * high) - n * low


@_function(np.exp)
def exp(x: VX) -> VX:
    """e to the x; results below 2**-125 (2**-1021) are 0."""
    double = x.trace.double
    n, r = _reduce(_between(x, *_EXP_LIMITS[double]))
    # 2 exp(r), as 2**n / 2 is in range where 2**n is not.
    twice = 2.0 + r * _horner(r, [2.0 * c for c in C.EXP[double]])
    return twice * _power_of_two(n - 1.0)


@_function(np.expm1)
def expm1(x: VX) -> VX:
    """exp(x) - 1, with all digits near 0."""
    double = x.trace.double
    n, r = _reduce(_between(x, *_EXP_LIMITS[double]))
    half = _power_of_two(n - 1.0)
    return (half * (r * _horner(r, C.EXPM1[double])) + (half - 0.5)) * 2.0


@_function(lambda x: 1.0 / (1.0 + np.exp(-x)))
def sigmoid(x: VX) -> VX:
    """1 / (1 + exp(-x)), with the digits of small results, unlike 0.5 + 0.5 tanh(x / 2).

    The relative error of float32 grows with -x, to 1.3e-6 at -86 (3.8e-6 where the host has no
    fused multiply-add): less than rounding x does. The reduction of exp would take 12 % more time.
    """
    t = x.trace
    if t.double:
        return 1.0 / (1.0 + exp(-x))
    # Limits: the power is finite, and nothing beside 1.
    z = _between(x, -88.37, 30.0)
    n = t.call("rint", z * -_LOG2E)
    r = t.call("fmuladd", z, t.number(-_LOG2E), -n)
    return 1.0 / (1.0 + (1.0 + r * _horner(r, C.EXP2)) * _power_of_two(n))


@_function(np.tanh)
def tanh(x: VX) -> VX:
    """Hyperbolic tangent: a rational function, or of expm1 for float64."""
    t = x.trace
    if t.double:
        n, r = _reduce(_between(abs_(x) * -2.0, -50.0, 0.0))
        power = _power_of_two(n)
        e = power * (r * _horner(r, C.EXPM1[True])) + (power - 1.0)
        return t.call("copysign", e / (e + 2.0), x)
    z = _between(x, -C.TANH_LIMIT, C.TANH_LIMIT)
    u = z * z
    return z * _horner(u, C.TANH_ABOVE) / _horner(u, C.TANH_BELOW)


@_function(np.log)
def log(x: VX) -> VX:
    """Natural logarithm; the method is that of fdlibm's e_log.c."""
    t = x.trace
    digits, smallest = (52, 2.0**-1022) if t.double else (23, 2.0**-126)
    tiny = x < smallest
    normal = select(tiny, x * 2.0**digits, x)
    # x = 2**n (1 + f), sqrt(0.5) <= 1 + f < sqrt(2).
    root_half = t.whole(0x3FE6A09E667F3BCD if t.double else 0x3F3504F3)
    above = t.record("sub", t.record("bitcast", normal.value, t.lanes.ints), root_half)
    whole = t.record("ashr", above, t.whole(digits))
    fraction = t.record("and_", above, t.whole((1 << digits) - 1))
    mantissa = t.record("bitcast", t.record("add", fraction, root_half), t.lanes.floats)
    n = VX(t, t.record("sitofp", whole, t.lanes.floats)) + select(tiny, -float(digits), 0.0)
    f = VX(t, mantissa) - 1.0
    high, low = _LN2[t.double]
    s, square = f / (f + 2.0), f * f * 0.5
    series = s * s * _horner(s * s, C.LOG[t.double])
    y = n * high - ((square - (s * (square + series) + n * low)) - f)
    return select(x > 0.0, select(x < inf, y, x), select(x == 0.0, -inf, nan))


@_function(np.log1p)
def log1p(x: VX) -> VX:
    """log(1 + x), with all digits near 0."""
    u = x + 1.0
    y = log(u)
    lost = (x - (u - 1.0)) / u  # the rounding error of 1 + x
    return select(and_(u > 0.0, u < inf), y + lost, y)


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
    """Gauss's error function: x P(x**2) up to 1, beyond that 1 - exp(Q(|x|))."""
    t = x.trace
    a = abs_(x)
    z = select(a < C.ERF_LIMIT[t.double], a, C.ERF_LIMIT[t.double])
    far = 1.0 - exp(_horner(z, C.ERF_FAR[t.double]))
    near = x * _horner(x * x, C.ERF_NEAR[t.double])
    return select(a > 1.0, t.call("copysign", far, x), near)


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
