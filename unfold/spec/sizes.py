"""Integer arithmetic of specs: named sizes, and extents of axes.

    size("4*hidden") -> Dim(512, "4*hidden")          extent("t // 2") -> Affine (t)/2, floored

Sizes are known integers; an extent may also depend on other axes' extents, affinely.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from unfold.core.affine import Affine
from unfold.core.types import Dim
from unfold.spec.expression import Binary, Expr, Number, Reference, Unary
from unfold.spec.problems import fail
from unfold.spec.suggest import did_you_mean, listing

MAX_SIZE = 2**31
MAX_EXTENT = 10**9

Lookup = Callable[[str], "Dim | None"]


def size(expression: Expr, lookup: Lookup, known: Mapping[str, object]) -> Dim:
    """Evaluate a dimension.

    Args:
        expression: integers and names with + - * //.
        lookup: value of a name, or None where there is no such size.
        known: all names, for suggestions.

    Raises:
        SpecError: not an integer expression, an unknown name, or not between 1 and 2^31.
    """
    value = _integer(expression, lookup, known)
    if not 1 <= value <= MAX_SIZE:
        raise fail(
            f"the size {expression.at.source} is {value}",
            expression.at.location,
            help="a size must be between 1 and 2147483648",
        )
    text = expression.at.source if not isinstance(expression, Number) else str(value)
    return Dim(value, text)


def _integer(expression: Expr, lookup: Lookup, known: Mapping[str, object]) -> int:
    match expression:
        case Number(value=int() as value):
            return value
        case Reference(name=name, indices=None):
            found = lookup(name)
            if found is None:
                raise fail(
                    f"unknown size {name}",
                    expression.at.location,
                    help=did_you_mean(name, known) or f"the sizes are {listing(known) or 'none'}",
                )
            return int(found)
        case Unary(operator="-", operand=operand):
            return -_integer(operand, lookup, known)
        case Binary(operator=operator, left=left, right=right) if operator in ("+", "-", "*", "//"):
            a, b = _integer(left, lookup, known), _integer(right, lookup, known)
            if operator == "//" and b == 0:
                raise fail(
                    "division by zero",
                    expression.at.location,
                    help="divide by a size of at least 1",
                )
            return {"+": a + b, "-": a - b, "*": a * b, "//": a // b if b else 0}[operator]
        case _:
            raise fail(
                f"{expression.at.source} is not a size",
                expression.at.location,
                help="sizes are whole numbers and names of sizes with + - * //",
            )


def extent(
    expression: Expr, lookup: Lookup, axes: Mapping[str, object], known: Mapping[str, object]
) -> Affine:
    """Evaluate an axis's extent: an integer, or affine in other axes' extents.

    Raises:
        SpecError: not affine, an unknown name, or a constant not between 1 and 10^9.
    """
    found = _affine(expression, lookup, axes, known)
    if found.is_constant and not 1 <= found.constant <= MAX_EXTENT:
        raise fail(
            f"the extent {expression.at.source} is {found.constant}",
            expression.at.location,
            help=f"an extent must be between 1 and {MAX_EXTENT}",
        )
    return found


def _affine(
    expression: Expr, lookup: Lookup, axes: Mapping[str, object], known: Mapping[str, object]
) -> Affine:
    match expression:
        case Reference(name=name, indices=None) if name in axes:
            return Affine.axis(name)
        case Binary(operator="//", left=left, right=right):
            return _affine(left, lookup, axes, known) // _positive(right, lookup, known)
        case Binary(operator="+", left=left, right=right):
            return _affine(left, lookup, axes, known) + _affine(right, lookup, axes, known)
        case Binary(operator="-", left=left, right=right):
            return _affine(left, lookup, axes, known) - _affine(right, lookup, axes, known)
        case Binary(operator="*", left=left, right=right):
            a, b = _affine(left, lookup, axes, known), _affine(right, lookup, axes, known)
            if a.is_constant or b.is_constant:
                factor, other = (a.constant, b) if a.is_constant else (b.constant, a)
                if other.divisor == 1:
                    return other * factor
            raise fail(
                f"{expression.at.source} is not an extent",
                expression.at.location,
                help="multiply an extent by a whole number, before any division",
            )
        case _:
            return Affine.number(_integer(expression, lookup, {**known, **axes}))


def _positive(expression: Expr, lookup: Lookup, known: Mapping[str, object]) -> int:
    value = _integer(expression, lookup, known)
    if value < 1:
        raise fail(
            f"cannot divide by {value}",
            expression.at.location,
            help="divide by a whole number of at least 1",
        )
    return value
