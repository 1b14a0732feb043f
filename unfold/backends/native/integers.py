"""The whole numbers in blocks, as data: slots, loop variables, and forms of them.

    total(variable("s5"), product(variable("i0"), variable("s6")))
        "s5 + i0*s6" with Python's templates

A language defines the notation of each function. Parentheses are a separate function ("group"), so
that a tree is printed without changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

JOINED = ("total", "product", "all", "least", "largest")


class Integer(NamedTuple):
    """A number or a condition: `head` is a variable's name, "number", or a function's name."""

    head: str
    arguments: tuple[Integer, ...] = ()
    number: int = 0


def variable(name: str) -> Integer:
    """Return a slot, a loop variable or a temporary one."""
    return Integer(name)


def number(value: int) -> Integer:
    """Return a constant."""
    return Integer("number", (), value)


def function(head: str, *arguments: Integer | int) -> Integer:
    """Return a function of numbers.

    total, product, all, least, largest      of any number of arguments
    group, difference, negative              parentheses, a - b, -a
    quotient, remainder                      rounded down
    between, nonnegative, equal              0 <= a <= b, a >= 0, a == b
    choice                                   the first if the second holds, else the third
    index                                    the float at an address, as an integer
    """
    return Integer(head, tuple(number(a) if isinstance(a, int) else a for a in arguments))


def total(*terms: Integer | int) -> Integer:
    """Return a sum; of one term, the term."""
    made = function("total", *terms)
    return made if len(terms) > 1 else made.arguments[0]


def product(*factors: Integer | int) -> Integer:
    """Return a product; of one factor, the factor."""
    made = function("product", *factors)
    return made if len(factors) > 1 else made.arguments[0]


def written(x: Integer, templates: Mapping[str, str]) -> str:
    """Return a number as text.

    Args:
        x: the number.
        templates: by function, with {} for each argument; for those with any number of arguments,
            the separator, and for "least" and "largest" the name of a function.
    """
    if x.head == "number":
        return str(x.number)
    if not x.arguments:
        return x.head
    parts = [written(a, templates) for a in x.arguments]
    if x.head in ("least", "largest"):
        return f"{templates[x.head]}({', '.join(parts)})"
    if x.head in JOINED:
        return templates[x.head].join(parts)
    return templates[x.head].format(*parts)
