"""Ranges of results: interval arithmetic for the rows of the op table.

    product((0, 1), (-2, 3))      (-2, 3)
    exp((-inf, 0))                (0, 1)

A range holds every *finite* result of finite operands. Rows without one can give any number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from math import inf

from unfold.core.op import Range

ANY: Range = (-inf, inf)
LARGEST_EXPONENT = 80.0  # e to the 88 is the largest that float32 can hold
Ranges = Sequence[Range]


def add(ranges: Ranges) -> Range:
    """Range of a + b."""
    (a, b), (c, d) = ranges
    return a + c, b + d


def subtract(ranges: Ranges) -> Range:
    """Range of a - b."""
    (a, b), (c, d) = ranges
    return a - d, b - c


def negate(ranges: Ranges) -> Range:
    """Range of -a."""
    ((a, b),) = ranges
    return -b, -a


def multiply(ranges: Ranges) -> Range:
    """Range of a * b; 0 times any number is 0."""
    first, second = ranges
    ends = [0.0 if 0.0 in (x, y) else x * y for x in first for y in second]
    return min(ends), max(ends)


def divide(ranges: Ranges) -> Range:
    """Range of a / b."""
    a, (low, high) = ranges
    if low <= 0 <= high:
        return ANY
    return multiply([a, (1 / high, 1 / low)])


def power(ranges: Ranges) -> Range:
    """Range of a ** b."""
    (low, high), (exponent, other) = ranges
    if exponent == other and low > 0 and abs(exponent) <= LARGEST_EXPONENT:
        ends = _power(low, exponent), _power(high, exponent)
        return min(ends), max(ends)
    even = exponent == other and exponent % 2 == 0
    return (0.0, inf) if even or low >= 0 else ANY


def _power(base: float, exponent: float) -> float:
    try:
        return base**exponent
    except OverflowError:
        return inf


def hull(ranges: Ranges) -> Range:
    """Range of a choice among some values."""
    return min(a for a, _ in ranges), max(b for _, b in ranges)


def least(ranges: Ranges) -> Range:
    """Range of the smaller of two."""
    return min(a for a, _ in ranges), min(b for _, b in ranges)


def largest(ranges: Ranges) -> Range:
    """Range of the larger of two."""
    return max(a for a, _ in ranges), max(b for _, b in ranges)


def chosen(ranges: Ranges) -> Range:
    """Range of where(condition, a, b)."""
    return hull(ranges[1:])


def total(ranges: Ranges) -> Range:
    """Range of a sum of one number or more, each within the range."""
    ((a, b),) = ranges
    return (a if a >= 0 else -inf, b if b <= 0 else inf)


def absolute(ranges: Ranges) -> Range:
    """Range of the absolute value."""
    ((a, b),) = ranges
    return 0.0 if a <= 0 <= b else min(abs(a), abs(b)), max(abs(a), abs(b))


def within(low: float, high: float) -> Callable[[Ranges], Range]:
    """Return the rule of a result that is always between two numbers."""
    return lambda ranges: (low, high)


def rising(function: Callable[[float], float]) -> Callable[[Ranges], Range]:
    """Return the rule of a function that never falls."""

    def rule(ranges: Ranges) -> Range:
        ((a, b),) = ranges
        return function(a), function(b)

    return rule


def exponential(x: float) -> float:
    """e to the x, infinite if it may overflow."""
    return math.exp(x) if x <= LARGEST_EXPONENT else inf


def logarithm(x: float) -> float:
    """Natural logarithm, of 0 and below -inf."""
    return math.log(x) if x > 0 else -inf


def root(x: float) -> float:
    """Square root, of less than 0 its smallest value."""
    return math.sqrt(max(x, 0.0))


# Conditions under which finite operands have no finite result or derivative.


def divides_by_zero(ranges: Ranges) -> bool:
    """Whether a divisor may be zero."""
    low, high = ranges[1]
    return low <= 0 <= high


def is_not_positive(ranges: Ranges) -> bool:
    """Whether an operand may be zero or less."""
    return ranges[0][0] <= 0


def overflows(ranges: Ranges) -> bool:
    """Whether an exponent may be too large."""
    return ranges[0][1] > LARGEST_EXPONENT


def is_no_power(ranges: Ranges) -> bool:
    """Whether a ** b may be infinite or NaN, but for a large a: no small whole exponent."""
    (low, _), (least_exponent, largest_exponent) = ranges
    constant = least_exponent == largest_exponent
    if constant and least_exponent >= 0 and least_exponent.is_integer():
        return False
    return not (constant and low > 0)
