"""Loops of a nest that stop at bounds: which loop takes which bound, and where it begins and ends.

    for t, s <= t, batch                  for i0 in range(0, s3):
                                              for i1 in range(0, min(s3, (1*i0 + 0) // 1 + 1)):
                                                  for i2 in range(s4):

A bound is taken by the innermost loop over one of its axes. What asks for the end of a sequence,
where these differ, is a condition on the innermost statements: it is known inside of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import replace

from unfold.core.affine import Affine
from unfold.core.plan import Dim


def placed(
    dims: Sequence[Dim], within: Iterable[Affine], ends: Container[str]
) -> tuple[list[list[Affine]], list[Affine]]:
    """Return the bounds of each loop of a nest, and those that none of them can take.

    Args:
        dims: of the nest, outermost first.
        within: its bounds, of its dimensions and of loops around it.
        ends: names of buffers, among them `last.t` where sequences differ along t.
    """
    found: list[list[Affine]] = [[] for _ in dims]
    left: list[Affine] = []
    for form in within:
        own = [i for i, d in enumerate(dims) if form.coefficient(d.name)]
        apart = any(f"last.{a}" in ends for a, _ in form.lasts)
        (found[own[-1]] if own and not apart else left).append(form)
    return found, left


def bounds(
    axis: str, extent: str, within: Iterable[Affine], text: Callable[[Affine], str]
) -> tuple[str, str]:
    """Return where a loop begins and ends so that no form is negative.

    Args:
        axis: that is looped over.
        extent: its number of points.
        within: forms of the axis and of those of loops around.
        text: writes a form of the latter.
    """
    firsts, ends = ["0"], [extent]
    for form in within:
        factor = form.coefficient(axis)
        rest = text(form - Affine.axis(axis) * factor)
        if factor > 0:
            firsts.append(f"-(({rest}) // {factor})")
        else:
            ends.append(f"({rest}) // {-factor} + 1")
    first = firsts[0] if len(firsts) == 1 else f"max({', '.join(firsts)})"
    return first, ends[0] if len(ends) == 1 else f"min({', '.join(ends)})"


def divided(
    index: Affine, text: Callable[[Affine], str], variable: Callable[[str], str]
) -> tuple[str, list[str]]:
    """Return the variable of an index, and what holds where its divisions are exact.

    Args:
        index: with whole quotients and remainders, and a divisor.
        text: writes a form without any of these.
        variable: gives a text a variable.
    """
    terms, checks = [text(replace(index, parts=(), divisor=1))], list[str]()
    for part, factor in index.parts:
        (inner, own), (by, _) = (divided(e, text, variable) for e in (part.inner, part.by))
        sign = "%" if part.remainder else "//"
        terms.append(f"{factor}*{variable(f'{inner} {sign} {by}')}")
        checks += own
    number = variable(" + ".join(terms))
    if index.divisor == 1:
        return number, checks
    whole = variable(f"{number} // {index.divisor}")
    return whole, [f"{whole}*{index.divisor} == {number}", *checks]
