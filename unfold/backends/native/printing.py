"""Print expressions of the scalar language by a table, the only part that a target must define.

1.0 / (1.0 + exp(-x))     with "sigmoid": "sigmoid({})" in the table ->     sigmoid(x)
                          without it                                 ->     (1.0 / (1.0 + ...))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from unfold.core.scalar import X


@dataclass(frozen=True)
class Notation:
    """The notation of a language for expressions.

    Attributes:
        templates: by function of `unfold.core.scalar`, with {} for each operand; "sigmoid" may be
            one of them.
        number: writes a number.
    """

    templates: Mapping[str, str]
    number: Callable[[float], str]

    def expression(self, x: X) -> str:
        """Return an expression as text."""
        if x.head == "number":
            return self.number(x.number)
        if not x.arguments:
            return x.head
        head, arguments = self._function(x)
        return self.templates[head].format(*map(self.expression, arguments))

    def _function(self, x: X) -> tuple[str, tuple[X, ...]]:
        inner = _sigmoid(x) if "sigmoid" in self.templates else None
        return (x.head, x.arguments) if inner is None else ("sigmoid", (inner,))


def _is_number(x: X, value: float) -> bool:
    return x.head == "number" and x.number == value


def _sigmoid(x: X) -> X | None:
    """Return a if an expression is 1 / (1 + exp(-a))."""
    if x.head != "div" or not _is_number(x.arguments[0], 1.0):
        return None
    below = x.arguments[1]
    if below.head != "add" or not _is_number(below.arguments[0], 1.0):
        return None
    power = below.arguments[1]
    if power.head != "exp" or power.arguments[0].head != "neg":
        return None
    return power.arguments[0].arguments[0]
