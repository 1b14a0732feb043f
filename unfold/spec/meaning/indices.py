"""Index expressions of references: from `2*t+k-1`, `first`, `last - t` or `3` to an `Affine`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unfold.core.affine import Affine
from unfold.core.program import BATCH
from unfold.errors import SpecError
from unfold.spec.text.expression import Binary, Expr, Number, Reference, Unary
from unfold.spec.text.problems import already_reported, fail
from unfold.spec.text.suggest import did_you_mean, listing, shortened

if TYPE_CHECKING:
    from unfold.spec.meaning.translate import Translator

LARGEST = 10**9


def index_of(expression: Expr, axis: str, translator: Translator) -> Affine:
    """Return an index along `axis`, in full names.

    Args:
        expression: as written.
        axis: the axis of the value that is read.
        translator: of the equation: whose names and axes it may use.

    Raises:
        SpecError: not affine, or an axis the equation does not have.
    """
    found = _affine(expression, axis, translator)
    if any(abs(n) > LARGEST for n in found.numbers):
        raise fail(
            f"the index {shortened(expression.at.source)} is too large",
            expression.at.location,
            help=f"the largest number in an index is {LARGEST}",
        )
    return found


def _affine(expression: Expr, axis: str, translator: Translator) -> Affine:
    match expression:
        case Number(value=int() as value):
            return Affine.number(value)
        case Reference(name=name, indices=None):
            return _name(expression, name, axis, translator)
        case Unary(operator="-", operand=operand):
            return _affine(operand, axis, translator) * -1
        case Binary(operator="+" | "-" as sign, left=left, right=right):
            a, b = _affine(left, axis, translator), _affine(right, axis, translator)
            return a + b if sign == "+" else a - b
        case Binary(operator="*", left=left, right=right):
            a, b = _affine(left, axis, translator), _affine(right, axis, translator)
            if a.is_constant or b.is_constant:
                return b * a.constant if a.is_constant else a * b.constant
        case Binary(operator="//" | "%" as operator, left=left, right=right):
            a, b = _affine(left, axis, translator), _affine(right, axis, translator)
            if operator == "//" and b.is_constant and b.constant > 0:
                return a.floor(b.constant)
            if operator == "%" and (b.constant > 0 if b.is_constant else _is_length(b)):
                return a % b
            raise _not_divisible(expression, right, operator)
    raise fail(
        f"{shortened(expression.at.source)} is not an index",
        expression.at.location,
        help="combine axes and whole numbers with + - *, // and %, as in t-1, 2*t+k-1, "
        "last-t, l//2, l%3",
    )


def _is_length(value: Affine) -> bool:
    """Return whether a divisor is the length of a sequence: last+1."""
    return value.is_linear and not value.terms and value.constant == 1 and len(value.lasts) == 1


def _not_divisible(whole: Expr, by: Expr, operator: str) -> SpecError:
    length = ", or a remainder by last+1, the length of the sequence" if operator == "%" else ""
    return fail(
        f"an index cannot be divided by {shortened(by.at.source)}",
        by.at.location,
        help=f"divide by a whole number above 0, as in l{operator}3{length}",
    )


def _name(expression: Reference, name: str, axis: str, translator: Translator) -> Affine:
    scope = translator.scope
    if name == "first":
        return Affine.number(0)
    if name == "last":
        return Affine.last(axis)
    if name in scope.axes:
        full = scope.axes[name]
        if not translator.has(full):
            raise translator.no_axis(name, expression.at)
        return Affine.axis(full)
    found = scope.lookup(name)
    if found is None:
        raise _unknown(expression, name, translator)
    return Affine.number(int(found))


def _unknown(expression: Reference, name: str, translator: Translator) -> SpecError:
    scope, place = translator.scope, expression.at.location
    if name in scope.broken or name in scope.unbound:
        return already_reported()
    allowed = f"use axes ({listing(scope.axes) or 'none'}), first, last and whole numbers"
    if name == BATCH:
        return fail("batch is not an index", place, help="omit it: equations never mention batch")
    if translator.names.resolve(scope.full(name)) is not None:
        return fail(
            f"{name} is a value, and an index cannot depend on a value", place, help=allowed
        )
    close = did_you_mean(name, [*scope.axes, *scope.sizes])
    return fail(f"unknown index {name}", place, help=close or allowed)
