"""Types of pointwise results: matching shapes of operands, and kinds that an operator takes.

    join_shapes([3, 1], [3, 4])      [3, 4]: a dimension of size 1 is repeated

Each rule gets None for an operand whose type is not known yet, and returns None if it is undecided.
"""

from __future__ import annotations

from collections.abc import Sequence

from unfold.core.op import Attributes, OpError
from unfold.core.types import BOOL, Type, dims


def join_shapes(types: Sequence[Type | None]) -> tuple[int, ...] | None:
    """Return the common shape of pointwise operands, None while it is not known.

    A known dimension other than 1 decides; an unknown operand may repeat a number or a 1.
    """
    known = [t.shape for t in types if t is not None and t.shape]
    if not known:
        return () if all(t is not None for t in types) else None
    result: list[int] = list(known[0])
    for shape in known[1:]:
        if len(shape) != len(result):
            raise OpError("shapes do not match", help="use the same number of dimensions")
        for i, d in enumerate(shape):
            if result[i] == 1:
                result[i] = d
            elif d not in (1, result[i]):
                raise OpError("shapes do not match", help=_mismatch(result[i], d))
    return None if 1 in result and None in types else tuple(result)


def _mismatch(a: int, b: int) -> str:
    first, second = (d.show() for d in dims((a, b)))
    return f"{first} and {second} must be equal"


def refuse_bools(types: Sequence[Type | None]) -> None:
    """Refuse true or false operands of operators that need numbers."""
    for i, t in enumerate(types):
        if t is not None and t.kind == "bool":
            raise OpError(
                "expected a number, found true or false",
                help="select numbers with where(condition, 1, 0)",
                at=i,
            )


def real(types: Sequence[Type | None], attributes: Attributes) -> Type | None:
    """Numbers, element by element."""
    refuse_bools(types)
    shape = join_shapes(types)
    return None if shape is None else Type(shape)


def compare(types: Sequence[Type | None], attributes: Attributes) -> Type | None:
    """A comparison of numbers."""
    refuse_bools(types)
    for i, t in enumerate(types):
        if t is not None and t.kind == "category":
            raise OpError("categories have no order", help="compare them with == or !=", at=i)
    shape = join_shapes(types)
    return None if shape is None else Type(shape, "bool")


def equal(types: Sequence[Type | None], attributes: Attributes) -> Type | None:
    """An equality, of numbers or of categories."""
    known = [t for t in types if t is not None]
    categories = [t for t in known if t.kind == "category"]
    if not categories:
        return compare(types, attributes)
    if len(set(categories)) > 1 or any(t not in categories and t != Type() for t in known):
        raise OpError(
            "a category can equal only a category of the same classes, or a class number",
            help="compare it with a number, as in x[t] == 3, or with another of its kind",
        )
    return BOOL


def logical(types: Sequence[Type | None], attributes: Attributes) -> Type | None:
    """A combination of conditions."""
    for i, t in enumerate(types):
        if t is not None and t.kind != "bool":
            raise OpError("expected a condition", help="compare it, as in x > 0", at=i)
    shape = join_shapes(types)
    return None if shape is None else Type(shape, "bool")


def where(types: Sequence[Type | None], attributes: Attributes) -> Type | None:
    """A choice between two values of one kind."""
    condition, yes, no = types
    if condition is not None and condition.kind != "bool":
        raise OpError("where needs a condition first", help="compare it, as in x > 0", at=0)
    categories = [t for t in (yes, no) if t is not None and t.kind == "category"]
    if categories:
        if yes is not None and no is not None and yes != no:
            raise OpError(
                "where must select between values of one kind",
                help="use two categories of the same classes, or two numbers; one_hot(x) turns a "
                "category into a vector",
            )
        if condition is not None and condition.shape:
            raise OpError(
                "selecting between categories needs one condition, not a vector of conditions",
                help="compare numbers, or a category with ==",
                at=0,
            )
        return categories[0]
    kinds = {t.kind for t in (yes, no) if t is not None}
    if len(kinds) > 1:
        raise OpError(
            "where must select between values of one kind",
            help="use two numbers, or two conditions",
        )
    shape = join_shapes(types)
    return None if shape is None else Type(shape, kinds.pop() if kinds else "real")


def same(types: Sequence[Type | None], attributes: Attributes) -> Type | None:
    """The type of the first operand."""
    return types[0]
