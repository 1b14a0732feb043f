"""The closed scalar language that pointwise ops are printed in; backends know only this.

    sigmoid = lambda x: 1.0 / (1.0 + exp(-x))     str(sigmoid(X("x"))) == "(1.0 / (1.0 +
    exp((-x))))"

An `X` is a tree: a variable, a number, or a function of trees. Functions: + - * / ** neg,
comparisons, and, or, not, select, floor, mod, and the twelve of `FUNCTIONS`. `evaluate` gives it a
meaning in any module that has them (NumPy, or a code generator's own namespace).

A function of numbers alone is a number as soon as it is written, by `MEANING`: IEEE arithmetic in
double precision, where 1 / 0 is infinite and 0 / 0 is no number. So no backend ever computes with
constants in its own language.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

FUNCTIONS = (
    "exp",
    "expm1",
    "log",
    "log1p",
    "sqrt",
    "tanh",
    "sin",
    "cos",
    "abs",
    "erf",
    "floor",
    "sign",
)
INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "pow": "**",
    "mod": "%",
    "lt": "<",
    "le": "<=",
    "eq": "==",
    "and": "and",
    "or": "or",
}
MEANING: Mapping[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "mod": np.mod,
    "neg": np.negative,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "select": np.where,
    "erf": math.erf,
    **{name: getattr(np, name) for name in FUNCTIONS if name != "erf"},
}


@dataclass(frozen=True)
class X:
    """A scalar expression: `head` is a variable's name, a function's name, or "number"."""

    head: str
    arguments: tuple[X, ...] = ()
    number: float = 0.0

    def __add__(self, other: X | float) -> X:
        return call("add", self, other)

    def __radd__(self, other: float) -> X:
        return call("add", other, self)

    def __sub__(self, other: X | float) -> X:
        return call("sub", self, other)

    def __rsub__(self, other: float) -> X:
        return call("sub", other, self)

    def __mul__(self, other: X | float) -> X:
        return call("mul", self, other)

    def __rmul__(self, other: float) -> X:
        return call("mul", other, self)

    def __truediv__(self, other: X | float) -> X:
        return call("div", self, other)

    def __rtruediv__(self, other: float) -> X:
        return call("div", other, self)

    def __pow__(self, other: X | float) -> X:
        return call("pow", self, other)

    def __neg__(self) -> X:
        return call("neg", self)

    def __str__(self) -> str:
        parts = [str(a) for a in self.arguments]
        if self.head == "number":
            return repr(self.number)
        if self.head in INFIX:
            return f"({parts[0]} {INFIX[self.head]} {parts[1]})"
        if self.head == "neg":
            return f"(-{parts[0]})"
        return f"{self.head}({', '.join(parts)})" if parts else self.head

    def evaluate(
        self, variables: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]
    ) -> Any:
        """Compute the tree, with a meaning for every head that is not a variable."""
        if self.head == "number":
            return self.number
        if not self.arguments:
            return variables[self.head]
        return functions[self.head](*(a.evaluate(variables, functions) for a in self.arguments))

    def variables(self) -> Iterator[str]:
        """Yield the names of variables, from left to right."""
        if not self.arguments and self.head != "number":
            yield self.head
        for argument in self.arguments:
            yield from argument.variables()

    def substitute(self, values: Mapping[str, X]) -> X:
        """Put a tree in the place of every variable."""
        if not self.arguments:
            return self if self.head == "number" else values[self.head]
        return call(self.head, *(a.substitute(values) for a in self.arguments))


def call(head: str, *arguments: X | float) -> X:
    """Make a tree; numbers become leaves, and what needs nothing else is computed."""
    trees = tuple(a if isinstance(a, X) else X("number", (), float(a)) for a in arguments)
    if all(t.head == "number" for t in trees):
        with np.errstate(all="ignore"):
            return X("number", (), float(MEANING[head](*(t.number for t in trees))))
    if head == "select" and trees[0].head == "number":
        return trees[1] if trees[0].number else trees[2]
    return X(head, trees)


def exp(x: X) -> X:
    """e to the x."""
    return call("exp", x)


def sqrt(x: X) -> X:
    """Square root."""
    return call("sqrt", x)


def log1p(x: X) -> X:
    """Natural logarithm of 1 + x."""
    return call("log1p", x)


def select(condition: X, yes: X | float, no: X | float) -> X:
    """Choose by a condition."""
    return call("select", condition, yes, no)


def less(a: X, b: X | float) -> X:
    """Whether a < b."""
    return call("lt", a, b)
