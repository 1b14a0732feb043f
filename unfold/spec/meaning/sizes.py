"""Integer arithmetic of specs: named sizes, and extents of axes.

    size("4*hidden") -> Dim(512, "4*hidden")          extent("t // 2") -> Affine (t)/2, floored

Sizes are known integers; an extent may also depend on other axes' extents, affinely.
"""

from __future__ import annotations

from unfold.core.affine import Affine
from unfold.core.types import Dim
from unfold.errors import Location, SpecError
from unfold.spec.meaning.scope import Scope
from unfold.spec.text.expression import Binary, Expr, Number, Reference, Unary
from unfold.spec.text.problems import already_reported, fail
from unfold.spec.text.suggest import did_you_mean, listing, shortened

MAX_SIZE = 2**31
MAX_EXTENT = 10**9
LARGEST = 2**62


def size(expression: Expr, scope: Scope) -> Dim:
    """Evaluate a dimension.

    Args:
        expression: integers and names with + - * //.
        scope: whose sizes it may name.

    Raises:
        SpecError: not an integer expression, an unknown name, or not between 1 and 2^31.
    """
    value = whole(expression, scope, "a size", 1, MAX_SIZE)
    text = expression.at.source if not isinstance(expression, Number) else str(value)
    return Dim(value, text)


def whole(expression: Expr, scope: Scope, noun: str, least: int, most: int) -> int:
    """Evaluate a whole number within limits.

    Args:
        expression: integers and names of sizes with + - * //.
        scope: whose sizes it may name.
        noun: what it is, with its article, for messages: "a size".
        least, most: the limits.

    Raises:
        SpecError: not an integer expression, an unknown name, or outside of the limits.
    """
    value = _integer(expression, scope, noun)
    if not least <= value <= most:
        raise _outside(expression, value, noun, least, most)
    return value


def _outside(expression: Expr, value: int, noun: str, least: int, most: int) -> SpecError:
    literal = expression.at.source == str(value)
    where = "" if literal else f": {shortened(expression.at.source)} is {value}"
    return fail(
        f"{noun} cannot be {value if literal else 'too small' if value < least else 'too large'}"
        f"{where}",
        expression.at.location,
        help=f"use a whole number from {least} to {most}",
    )


def _integer(expression: Expr, scope: Scope, noun: str) -> int:
    match expression:
        case Number(value=int() as value):
            return value
        case Reference(name=name, indices=None):
            found = scope.lookup(name)
            if found is None:
                raise _unknown(expression, scope, noun)
            return int(found)
        case Unary(operator="-", operand=operand):
            return -_integer(operand, scope, noun)
        case Binary(operator=operator, left=left, right=right) if operator in ("+", "-", "*", "//"):
            a, b = _integer(left, scope, noun), _integer(right, scope, noun)
            if operator == "//" and b == 0:
                raise fail(
                    f"division by zero: {shortened(right.at.source)} is 0",
                    right.at.location,
                    help="divide by a whole number of at least 1",
                )
            total = {"+": a + b, "-": a - b, "*": a * b, "//": a // b if b else 0}[operator]
            return _bounded(total, expression)
        case _:
            raise fail(
                f"{noun} cannot be {shortened(expression.at.source)}",
                expression.at.location,
                help="use a whole number, or names of sizes with + - * //",
            )


def _bounded(value: int, expression: Expr) -> int:
    """Return a number that is not absurdly large, so that what follows stays small and quick."""
    if abs(value) > LARGEST:
        raise fail(
            f"{shortened(expression.at.source)} is too large",
            expression.at.location,
            help=f"the largest supported number is {LARGEST}",
        )
    return value


def _unknown(expression: Reference, scope: Scope, noun: str) -> SpecError:
    """Describe a name that is no size: it may be one that comes later, or another thing."""
    name, spec = expression.name, scope.spec
    if name in scope.broken:
        return already_reported()
    place = expression.at.location
    if name in scope.unbound:
        return _too_early(name, place)
    if any(name == s.name for s in spec.sizes):
        return fail(
            f"the size {name} is not known here yet",
            place,
            help=f"a size may use only those above it; define {name} first",
        )
    if name in scope.axes:
        return fail(f"{name} is an axis, and {noun} cannot depend on it", place, help=_known(scope))
    targets = [
        *(i.target.name for i in spec.inputs),
        *(p.target.name for p in spec.parameters),
        *(t.name for equation in spec.nodes for t in equation.targets),
    ]
    if name in targets:
        return fail(f"{name} is a value, not {noun}", place, help=_known(scope))
    return fail(
        f"unknown size {name}", place, help=did_you_mean(name, scope.sizes) or _known(scope)
    )


def _too_early(name: str, place: Location) -> SpecError:
    return fail(
        f"the size {name} is set by an argument of the call, but is needed before that",
        place,
        help=f"give it a value in the call, as in  {name}=64",
    )


def _known(scope: Scope) -> str:
    if not scope.sizes:
        return "there are no sizes yet; write a number, or define it, as in  sizes: {hidden: 128}"
    return f"the sizes are {listing(scope.sizes)}"


def extent(expression: Expr, scope: Scope) -> Affine:
    """Evaluate an axis's extent: an integer, or affine in other axes' extents.

    Raises:
        SpecError: not affine, an unknown name, or a constant not between 1 and 10^9.
    """
    found = _affine(expression, scope)
    if found.is_constant and not 1 <= found.constant <= MAX_EXTENT:
        raise _outside(expression, found.constant, "an extent", 1, MAX_EXTENT)
    return found


def _affine(expression: Expr, scope: Scope) -> Affine:
    match expression:
        case Reference(name=name, indices=None) if name in scope.axes:
            return Affine.axis(name)
        case Reference(name=name, indices=None) if scope.lookup(name) is None:
            if name in scope.broken:
                raise already_reported()
            if name in scope.unbound:
                raise _too_early(name, expression.at.location)
            known = [*scope.axes, *scope.sizes]
            raise fail(
                f"unknown name {name}",
                expression.at.location,
                help=did_you_mean(name, known)
                or f"an extent uses other axes and sizes: {listing(known)}",
            )
        case Binary(operator="//", left=left, right=right):
            divisor = whole(right, scope, "a divisor", 1, MAX_EXTENT)
            found = _affine(left, scope)
            return (
                Affine.number(found.constant // divisor) if found.is_constant else found // divisor
            )
        case Binary(operator="+" | "-" as operator, left=left, right=right):
            a, b = _affine(left, scope), _affine(right, scope)
            if a.divisor != 1 and b.divisor != 1:
                raise fail(
                    f"{shortened(expression.at.source)} is not an extent",
                    expression.at.location,
                    help="divide once, around everything, as in (t + s) // 2",
                )
            if operator == "-" and b.divisor != 1:  # a - floor(b/d) = floor((a d - b + d - 1)/d)
                a = a + Affine.number(b.divisor - 1) // b.divisor
            return _bounded_affine(a + b if operator == "+" else a - b, expression)
        case Binary(operator="*", left=left, right=right):
            a, b = _affine(left, scope), _affine(right, scope)
            if a.is_constant or b.is_constant:
                factor, other = (a.constant, b) if a.is_constant else (b.constant, a)
                if other.divisor == 1:
                    return _bounded_affine(other * factor, expression)
            raise fail(
                f"{shortened(expression.at.source)} is not an extent",
                expression.at.location,
                help="multiply an extent by a whole number, before any division",
            )
        case Unary(operator="-", operand=operand):
            inner = _affine(operand, scope)
            if inner.divisor == 1:
                return inner * -1
            raise fail(
                f"{shortened(expression.at.source)} is not an extent",
                expression.at.location,
                help="a division cannot be negated",
            )
        case _:
            return Affine.number(_integer(expression, scope, "an extent"))


def _bounded_affine(value: Affine, expression: Expr) -> Affine:
    for number in (value.constant, *(c for _, c in value.terms)):
        _bounded(number, expression)
    return value
