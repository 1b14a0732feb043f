"""Print the scalar language as the Python that vector kernels are written in.

1.0 / (1.0 + exp(-x))   ->   sigmoid(x)

`kernel_text` puts the lines of a kernel into a function.
"""

from __future__ import annotations

from collections.abc import Mapping

from unfold.core.scalar import FUNCTIONS, INFIX, X

NAMES = {"abs": "abs_", "and": "and_", "or": "or_", "not": "not_"}


def expression(x: X) -> str:
    """Return an expression as text."""
    if x.head == "number":
        return number(x.number)
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


def kernel_text(
    name: str,
    dtype: str,
    loads: str,
    modes: list[str],
    leaves: Mapping[str, object],
    lines: list[tuple[str, X]],
    results: list[str],
) -> str:
    """Return the text of a kernel: a scalar function that becomes a loop over vectors.

    Args:
        name: of the function.
        dtype: element type.
        loads, modes: how its operands are loaded and its results stored.
        leaves, lines: variables that are loaded, and those that are computed.
        results: variables that are stored.
    """
    body = [f"    {v} = {expression(x)}" for v, x in lines]
    returned = ", ".join(results)
    return "\n".join(
        [
            f'\n@vector_kernel("{dtype}", loads="{loads}", stores={tuple(modes)!r})',
            f"def {name}({', '.join(leaves)}):",
            *body,
            f"    return ({returned},)",
        ]
    )


def number(value: float) -> str:
    """Return a number as text: digits, inf or nan, which `functions` defines."""
    text = repr(float(value))
    return f"({text})" if text.startswith("-") else text


def _is_number(x: X, value: float) -> bool:
    return x.head == "number" and x.number == value


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
