"""Loops of a nest that stop at bounds: the bounds of each loop, its start and its end.

    for t, s <= t, batch                  for i0 in range(0, s3):
                                              for i1 in range(0, min(s3, (1*i0 + 0) // 1 + 1)):
                                                  for i2 in range(s4):

The innermost loop over one of its axes takes a bound. A bound on the end of a sequence, if these
differ, is a condition on the innermost statements, because it is known only inside the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import replace

from unfold.backends.native.integers import Integer, function, number, product, total
from unfold.core.affine import Affine
from unfold.core.origin import LastIndex
from unfold.core.plan import Dim


def placed(
    dims: Sequence[Dim], within: Iterable[Affine], ends: Container[str]
) -> tuple[list[list[Affine]], list[Affine]]:
    """Return the bounds of each loop of a nest, and those that none of them can take.

    Args:
        dims: of the nest, outermost first.
        within: its bounds, of its dimensions and of loops around it.
        ends: names of buffers, among them `last.t` if sequences differ along t.
    """
    found: list[list[Affine]] = [[] for _ in dims]
    left: list[Affine] = []
    for form in within:
        own = [i for i, d in enumerate(dims) if form.coefficient(d.name)]
        apart = any(LastIndex(a).name in ends for a, _ in form.lasts)
        (found[own[-1]] if own and not apart else left).append(form)
    return found, left


def bounds(
    axis: str, extent: Integer, within: Iterable[Affine], value: Callable[[Affine], Integer]
) -> tuple[Integer, Integer]:
    """Return the start and the end of a loop in which no form is negative.

    Args:
        axis: of the loop.
        extent: its number of points.
        within: forms of the axis and of those of loops around.
        value: gives a form of the latter.
    """
    firsts, ends = [number(0)], [extent]
    for form in within:
        factor = form.coefficient(axis)
        rest = function("group", value(form - Affine.axis(axis) * factor))
        if factor > 0:
            whole = function("group", function("quotient", rest, factor))
            firsts.append(function("negative", whole))
        else:
            ends.append(total(function("quotient", rest, -factor), 1))
    first = firsts[0] if len(firsts) == 1 else function("largest", *firsts)
    return first, ends[0] if len(ends) == 1 else function("least", *ends)


def divided(
    index: Affine,
    value: Callable[[Affine], Integer],
    variable: Callable[[Integer], Integer],
) -> tuple[Integer, list[Integer]]:
    """Return the variable of an index, and the condition under which its divisions are exact.

    Args:
        index: with whole quotients and remainders, and a divisor.
        value: gives a form without any of these.
        variable: gives a number a variable.
    """
    terms, checks = [value(replace(index, parts=(), divisor=1))], list[Integer]()
    for part, factor in index.parts:
        (inner, own), (by, _) = (divided(e, value, variable) for e in (part.inner, part.by))
        sign = "remainder" if part.remainder else "quotient"
        terms.append(product(factor, variable(function(sign, inner, by))))
        checks += own
    whole = variable(total(*terms))
    if index.divisor == 1:
        return whole, checks
    exact = variable(function("quotient", whole, index.divisor))
    return exact, [function("equal", product(exact, index.divisor), whole), *checks]
