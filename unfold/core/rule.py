"""`Rule`: equations over flat arrays of one length, the same for every element.

    P, G, S, RATE = map(X, ("p", "g", "s", "rate"))
    Rule("adagrad", arrays=("p", "g", "s"), numbers=("rate",), lines=(
        ("s", S + G * G),                   s' = s + g²
        ("p", P - RATE * G / sqrt(S)),      p' = p - rate g / √s'
    ))

Lines are done one after another, so `S` in the second one is the new s. A line that has the name of
an array changes the array; all others are variables. A backend binds a rule to arrays and returns
an `Applied`; `interpret` does it with NumPy, and is what a rule means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from unfold.core.scalar import MEANING, X

Array = np.ndarray
Arrays = Mapping[str, Array]
Lines = tuple[tuple[str, X], ...]
Applied = Callable[..., list[float]]  # changes its arrays, given the numbers; returns the sums


@dataclass(frozen=True)
class Rule:
    """What is done with every element.

    Attributes:
        name: for people.
        arrays: that are read or changed, [n].
        numbers: that are the same for all elements, and given each time.
        lines: (name, expression of arrays, numbers and lines above), in order.
        sums: lines whose sums over all elements are returned.
    """

    name: str
    arrays: tuple[str, ...]
    numbers: tuple[str, ...]
    lines: Lines
    sums: tuple[str, ...] = ()

    @property
    def changed(self) -> tuple[str, ...]:
        """The arrays that lines change."""
        return tuple(n for n in dict.fromkeys(n for n, _ in self.lines) if n in self.arrays)

    def keeping(self) -> Rule:
        """Return the rule that also puts what changed arrays were before into `before(name)`."""
        copies = tuple((before(n), X(n)) for n in self.changed)
        arrays = (*self.arrays, *(n for n, _ in copies))
        return replace(self, arrays=arrays, lines=(*copies, *self.lines))


def before(name: str) -> str:
    """Return the name of the array that holds what another one was."""
    return f"{name} before"


def interpret(rule: Rule, arrays: Arrays) -> Applied:
    """Bind a rule to arrays, which NumPy then changes in place; sums have double precision."""
    kind = arrays[rule.arrays[0]].dtype.type

    def apply(*numbers: float) -> list[float]:
        given = zip(rule.numbers, map(kind, numbers), strict=True)
        values = {**arrays, **dict(given)}
        with np.errstate(all="ignore"):
            for name, x in rule.lines:
                values[name] = x.evaluate(values, MEANING)
        for name, array in [(n, np.array(values[n])) for n in rule.changed]:
            arrays[name][...] = array
        return [float(np.sum(values[n], dtype=np.float64)) for n in rule.sums]

    return apply
