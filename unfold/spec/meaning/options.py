"""Options of operators: `rate=0.5`, `shape=[2, hidden]`, `start=2*hidden`, `padding=same`."""

from __future__ import annotations

import math

from unfold.spec.meaning.scope import Scope
from unfold.spec.meaning.sizes import MAX_SIZE, size, whole
from unfold.spec.text.expression import Binary, Expr, Keyword, Number, Reference, Unary
from unfold.spec.text.expression import Sequence as ListOf
from unfold.spec.text.problems import already_reported, fail
from unfold.spec.text.suggest import shortened

# Options that are whole numbers, and the least of each.
WHOLE = {"start": 0, "stop": 1, "blank": 0}
# The same for options that may have one number per dimension.
COUNTS = {"size": 1, "stride": 1, "padding": 0, "dilation": 1}
# Options that may be infinite or no number.
UNBOUNDED = ("impossible",)
SAME = "same"  # padding that leaves as many elements as there are


def option(keyword: Keyword, scope: Scope) -> float | tuple[int, ...] | str:
    """Evaluate an option: a shape, whole numbers or a number, by its name.

    Raises:
        SpecError: the value is of another kind, or names an unknown size.
    """
    name, value = keyword.name, keyword.value
    if scope.is_pending(value):
        raise already_reported()
    if name == "shape":
        if not isinstance(value, ListOf):
            raise fail(
                f"shape must be a list, found {shortened(value.at.source)}",
                value.at.location,
                help=f"write  shape=[{shortened(value.at.source)}]",
            )
        return tuple(size(item, scope) for item in value.items)
    if name == "blank" and isinstance(value, Reference) and value.name == "last":
        return -1  # as many classes as there are, less one
    if name in WHOLE:
        return whole(value, scope, name, WHOLE[name], MAX_SIZE)
    if name in COUNTS:
        return _counts(name, value, scope)
    number = _number(value, scope, name)
    if not math.isfinite(number) and name not in UNBOUNDED:
        raise fail(
            f"{name} must be a finite number, found {shortened(value.at.source)}", value.at.location
        )
    return number


def _counts(name: str, value: Expr, scope: Scope) -> int | tuple[int, ...] | str:
    """Evaluate one whole number, or one per dimension."""
    is_same = isinstance(value, Reference) and value.name == SAME and SAME not in scope.sizes
    if name == "padding" and is_same:
        return SAME
    if not isinstance(value, ListOf):
        return whole(value, scope, name, COUNTS[name], MAX_SIZE)
    return tuple(whole(item, scope, name, COUNTS[name], MAX_SIZE) for item in value.items)


def _number(expression: Expr, scope: Scope, name: str) -> float:
    match expression:
        case Number(value=value):
            return value
        case Reference(name=size_name, indices=None) if size_name in scope.sizes:
            return float(scope.sizes[size_name])
        case Reference(name=size_name) if size_name in scope.broken:
            raise already_reported()
        case Unary(operator="-", operand=operand):
            return -_number(operand, scope, name)
        case Binary(operator="+" | "-" | "*" | "/" as sign, left=left, right=right):
            a, b = _number(left, scope, name), _number(right, scope, name)
            if sign == "/" and b == 0:
                raise fail(
                    f"division by zero: {shortened(right.at.source)} is 0", right.at.location
                )
            return {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else 0.0}[sign]
        case _:
            raise fail(
                f"{name} must be a number, found {shortened(expression.at.source)}",
                expression.at.location,
                help=f"as in  {name}=0.5  ; it may use sizes, but not values",
            )
