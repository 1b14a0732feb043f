"""The expressions of the language, as written: a small tree in which every piece knows its place.

`parse_expression` makes these from text; elaboration turns them into a Program. They have no
meaning by themselves: elaboration decides whether `h` exists, whether `tanh` is an operator or a
cell, and whether `t` is an axis. Equality of expressions ignores their places.

    W @ h[t-1]   is   Binary("@", Reference("W"), Reference("h", (index,)))
    t-1          is   Binary("-", Reference("t"), Number(1))

`True` and `False` are the numbers 1 and 0. A chain `a < b < c` is the conjunction of its
comparisons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from unfold.spec.text.text import Span

ArithmeticOperator = Literal["+", "-", "*", "/", "//", "%", "**", "@"]
CompareOperator = Literal["==", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True)
class Number:
    """A literal number, an `int` or a `float`, which may be infinite or no number.

    `True` and `False` arrive as 1 and 0, `inf` and `nan` as themselves.
    """

    value: int | float
    at: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class String:
    """A literal string: the equation of an `einsum`, or an option's value."""

    value: str
    at: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Sequence:
    """A list or tuple of expressions, as in `shape=[2, 3]`."""

    items: tuple[Expr, ...]
    at: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Reference:
    """A name, perhaps reaching into a cell's instance (`l1.s`), perhaps at an index (`h[t-1]`).

    Attributes:
        name: the name with its dots.
        indices: one expression per index, or None where there are no brackets.
        name_at: the name alone, without its indices.
    """

    name: str
    indices: tuple[Expr, ...] | None
    at: Span = field(compare=False, repr=False)
    name_at: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Unary:
    """Minus or logical negation of one operand (unary plus is dropped)."""

    operator: Literal["-", "not"]
    operand: Expr
    at: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Binary:
    """Arithmetic of two operands.

    Attributes:
        operator_at: the operator's own sign.
    """

    operator: ArithmeticOperator
    left: Expr
    right: Expr
    at: Span = field(compare=False, repr=False)
    operator_at: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Compare:
    """One comparison of two operands."""

    operator: CompareOperator
    left: Expr
    right: Expr
    at: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Logical:
    """`and` or `or` of two or more operands."""

    operator: Literal["and", "or"]
    operands: tuple[Expr, ...]
    at: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Name:
    """A bare name with its place: an axis of a reduction, a key, a section's entry."""

    value: str
    at: Span = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Keyword:
    """An option of a call: `hidden=128`. `at` covers name and value, `name_at` the name."""

    name: str
    value: Expr
    at: Span = field(compare=False, repr=False)
    name_at: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Call:
    """A call of an operator or of a cell: `tanh(x)`, `sum[s](…)`, `lstm(x[t], hidden=128)`.

    Attributes:
        function: the operator's or cell's name.
        axes: the names in brackets before the arguments, or None where there are no brackets.
        bounds: comparisons in these brackets, as in `sum[s <= t](x)`: all of them hold.
        function_at: the name alone.
    """

    function: str
    axes: tuple[Name, ...] | None
    arguments: tuple[Expr, ...]
    keywords: tuple[Keyword, ...]
    at: Span = field(compare=False, repr=False)
    function_at: Span = field(compare=False, repr=False)
    bounds: tuple[Compare, ...] = ()


Expr = Number | String | Sequence | Reference | Unary | Binary | Compare | Logical | Call


def children(expression: Expr) -> tuple[Expr, ...]:
    """Return the direct parts of an expression, in written order (indices and options included)."""
    match expression:
        case Number() | String():
            return ()
        case Sequence(items=items):
            return items
        case Reference(indices=indices):
            return indices or ()
        case Unary(operand=operand):
            return (operand,)
        case Binary(left=left, right=right) | Compare(left=left, right=right):
            return (left, right)
        case Logical(operands=operands):
            return operands
        case Call(arguments=arguments, keywords=keywords, bounds=bounds):
            return bounds + arguments + tuple(keyword.value for keyword in keywords)


def walk(expression: Expr) -> Iterator[Expr]:
    """Yield an expression and all its parts, the outer before the inner, in written order."""
    stack = [expression]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(children(current)))
