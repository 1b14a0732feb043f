"""The letters of a product: `ij,j->i` names the dimensions of each operand and of the result."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from unfold.core.program import Value

Letters = tuple[tuple[str, ...], str]


@cache
def split(equation: str) -> Letters:
    """Return the operands' letters and the result's letters."""
    left, _, right = equation.replace(" ", "").partition("->")
    return tuple(left.split(",")), right


def letters(value: Value) -> Letters:
    """Return the letters of a product's operands and of its result."""
    return split(value.attributes["equation"])


def written(operands: Sequence[str], result: str) -> str:
    """Return the equation of some letters."""
    return f"{','.join(operands)}->{result}"


def letter(name: str) -> str:
    """Name the dimension of an einsum's letter; axes have names without the sign."""
    return f"#{name}"
