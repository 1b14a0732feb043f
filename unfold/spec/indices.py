"""Index expressions of references: from `2*t+k-1`, `first`, `last - t` or `3` to an `Affine`."""

from __future__ import annotations

from collections.abc import Sequence

from unfold.core.affine import Affine
from unfold.spec.expression import Binary, Expr, Number, Reference, Unary
from unfold.spec.problems import fail
from unfold.spec.scope import Scope
from unfold.spec.suggest import did_you_mean, listing


def index_of(
    expression: Expr, axis: str, scope: Scope, allowed: Sequence[str], what: str
) -> Affine:
    """Return an index along `axis`, in full names.

    Args:
        expression: as written.
        axis: the axis of the value that is read.
        scope: whose names it uses.
        allowed: the axes it may use: the equation's and those that are being reduced over.
        what: the equation, for messages.

    Raises:
        SpecError: not affine, or an axis the equation does not have.
    """
    match expression:
        case Number(value=int() as value):
            return Affine.number(value)
        case Reference(name="first", indices=None):
            return Affine.number(0)
        case Reference(name="last", indices=None):
            return Affine.last(axis)
        case Reference(name=name, indices=None) if name in scope.axes:
            full = scope.axes[name]
            if full not in allowed:
                raise fail(
                    f"{name} is not an axis of {what}",
                    expression.at.location,
                    help=f"its axes are {listing(allowed) or 'none'};"
                    f" reduce over others, as in sum[{name}](…)",
                )
            return Affine.axis(full)
        case Reference(name=name, indices=None):
            found = scope.lookup(name)
            if found is None:
                raise fail(
                    f"unknown index {name}",
                    expression.at.location,
                    help=did_you_mean(name, [*scope.axes, *scope.sizes])
                    or f"an index uses axes ({listing(scope.axes) or 'none'}),"
                    " first, last and whole numbers",
                )
            return Affine.number(int(found))
        case Unary(operator="-", operand=operand):
            return index_of(operand, axis, scope, allowed, what) * -1
        case Binary(operator="+", left=left, right=right):
            return index_of(left, axis, scope, allowed, what) + index_of(
                right, axis, scope, allowed, what
            )
        case Binary(operator="-", left=left, right=right):
            return index_of(left, axis, scope, allowed, what) - index_of(
                right, axis, scope, allowed, what
            )
        case Binary(operator="*", left=left, right=right):
            a = index_of(left, axis, scope, allowed, what)
            b = index_of(right, axis, scope, allowed, what)
            if a.is_constant or b.is_constant:
                return b * a.constant if a.is_constant else a * b.constant
    raise fail(
        f"{expression.at.source} is not an index",
        expression.at.location,
        help="an index is affine: axes, whole numbers, + - and *, as in t-1, 2*t+k-1, last-t",
    )
