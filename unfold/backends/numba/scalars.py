"""Print the scalar language as the Python that vector kernels are written in.

1.0 / (1.0 + exp(-x))   ->   sigmoid(x)
"""

from __future__ import annotations

from unfold.core.scalar import FUNCTIONS, INFIX, X

NAMES = {"abs": "abs_", "and": "and_", "or": "or_", "not": "not_"}


def expression(x: X) -> str:
    """Return an expression as text."""
    if x.head == "number":
        return _number(x.number)
    if not x.arguments:
        return x.head
    inner = _sigmoid(x)
    if inner is not None:
        return f"sigmoid({expression(inner)})"
    parts = [expression(a) for a in x.arguments]
    if x.head in NAMES or x.head in FUNCTIONS or x.head == "select":
        return f"{NAMES.get(x.head, x.head)}({', '.join(parts)})"
    if x.head == "neg":
        return f"(-{parts[0]})"
    return f"({parts[0]} {INFIX[x.head]} {parts[1]})"


def _number(number: float) -> str:
    if number != number:
        return "(1e999 - 1e999)"
    text = repr(number).replace("inf", "1e999")
    return f"({text})" if text.startswith("-") else text


def _is_number(x: X, number: float) -> bool:
    return x.head == "number" and x.number == number


def _sigmoid(x: X) -> X | None:
    """Return a where an expression is 1 / (1 + exp(-a))."""
    if x.head != "div" or not _is_number(x.arguments[0], 1.0):
        return None
    below = x.arguments[1]
    if below.head != "add" or not _is_number(below.arguments[0], 1.0):
        return None
    power = below.arguments[1]
    if power.head != "exp" or power.arguments[0].head != "neg":
        return None
    return power.arguments[0].arguments[0]
