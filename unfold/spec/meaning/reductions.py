"""Reductions over index axes: `sum[s](…)`, `mean[batch,t](…)`, `softmax[s <= t](…)` and their like.

A bound is a form of the axes that is not negative where a point counts: t - s for `s <= t`. The
operand of a reduction, and the reduction itself, exist within it (`unfold.core.bounds`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING

from unfold.core.affine import Affine
from unfold.core.build import Term, dense
from unfold.core.op import OPS
from unfold.core.program import BATCH
from unfold.spec.meaning.indices import index_of
from unfold.spec.meaning.kernels import whole_sequences
from unfold.spec.meaning.operators import reads_sequences, reduces_axes, reductions
from unfold.spec.meaning.sketch import may_have
from unfold.spec.text.expression import Call, Compare, Reference
from unfold.spec.text.problems import already_reported, fail
from unfold.spec.text.suggest import did_you_mean, listing, shortened

if TYPE_CHECKING:
    from unfold.spec.meaning.translate import Translator
    from unfold.spec.text.expression import Name
    from unfold.spec.text.text import Span


def reduction(translator: Translator, expression: Call) -> Term:
    """Translate `sum[s](…)` and its like."""
    name = expression.function
    assert expression.axes is not None
    if name not in reductions() and not reads_sequences(name):
        known = did_you_mean(name, [*reductions(), *filter(reads_sequences, OPS)])
        raise fail(
            f"{name} does not reduce over an axis",
            expression.function_at.location,
            help=known or f"these operators do: {', '.join(reductions())}",
        )
    axes = [_bound_axis(translator, a.value, a.at) for a in expression.axes]
    for position, axis in enumerate(axes):
        if axis in axes[:position]:
            again = expression.axes[position]
            raise fail(f"the axis {again} is named twice", again.at.location, help="delete one")
    if reads_sequences(name):
        if expression.bounds:
            raise fail(
                f"{name} reads whole sequences and does not accept a bound",
                expression.bounds[0].at.location,
                help=f"write  {name}[{', '.join(a.value for a in expression.axes)}](…)",
            )
        return whole_sequences(translator, expression, axes)
    if len(expression.arguments) != 1 or expression.keywords:
        count = len(expression.arguments) + len(expression.keywords)
        over = f"{name}[{', '.join(a.value for a in expression.axes)}]"
        raise fail(
            f"{over} takes 1 value, found {count or 'none'}",
            expression.at.location,
            help=f"write  {over}(…)  with one expression",
        )
    bound = [a for a in axes if a not in translator.axes and a != BATCH]
    inner = translator.within(bound)
    within = tuple(_form(inner, c, expression.axes) for c in expression.bounds)
    with translator.builder.under(within):
        term = dense(inner.term(expression.arguments[0]))
    for axis, written in zip(axes, expression.axes, strict=True):
        if not may_have(term, axis):
            inside = expression.arguments[0].at.source
            used = [translator.scope.local(a) for a in term.axes if a != BATCH]
            raise fail(
                f"{shortened(inside)} does not depend on {written.value}",
                written.at.location,
                help=f"it depends on {listing(used)}"
                if used
                else f"omit the axis; {name}({shortened(inside)}) reduces over its elements",
            )
    with translator.located(expression, expression.arguments, [term]):
        return _reduce(translator, name, term, axes, within)


def _form(translator: Translator, bound: Compare, axes: Sequence[Name]) -> Affine:
    """Return a form that is not negative where a bound of a reduction holds."""
    if bound.operator in ("==", "!="):
        raise fail(
            f"a bound uses  <, <=, >  or  >=,  found  {shortened(bound.at.source)}",
            bound.at.location,
            help="write a bound as in sum[s <= t](…), or a single point as an index, as in x[t]",
        )
    written = [e.name for e in (bound.left, bound.right) if isinstance(e, Reference)]
    own = next((a.value for a in axes if a.value in written), None)
    if own is None or own == BATCH:
        raise fail(
            f"{shortened(bound.at.source)} is not a bound of a reduced axis",
            bound.at.location,
            help="put the axis alone on one side, as in sum[t - 3 < s <= t](…)",
        )
    axis = translator.scope.axes[own]
    left, right = (index_of(e, axis, translator) for e in (bound.left, bound.right))
    for side, written in ((left, bound.left), (right, bound.right)):
        if side.parts:
            raise fail(
                f"a bound cannot be divided, found  {shortened(written.at.source)}",
                written.at.location,
                help="multiply the other side, or select with where(…) inside the reduction",
            )
    less, more = (left, right) if bound.operator in ("<", "<=") else (right, left)
    form = more - less - (1 if bound.operator in ("<", ">") else 0)
    turned = {a: Affine.last(a) - Affine.axis(a) for a in translator.scope.reversed}
    return form.substitute(turned)


def _bound_axis(translator: Translator, name: str, at: Span) -> str:
    """Return the full name of an axis that is reduced over."""
    if name == BATCH:
        return BATCH
    if name not in translator.scope.axes and name in translator.scope.broken:
        raise already_reported()
    if name not in translator.scope.axes:
        raise fail(
            f"unknown axis {name}",
            at.location,
            help=did_you_mean(name, translator.scope.axes)
            or f"the axes are {listing(translator.scope.axes) or 'none'}",
        )
    return translator.scope.axes[name]


def _reduce(
    translator: Translator, name: str, term: Term, axes: Sequence[str], within: Sequence[Affine]
) -> Term:
    """Reduce a term over the points of axes within bounds; softmax and log_softmax keep the axes.

    Of no points the sum and the mean are 0, the maximum and logsumexp minus infinity, the minimum
    infinity.
    """
    b = translator.builder
    ends = [*axes, *(a for f in within for a, _ in f.lasts)]
    if BATCH not in (*term.axes, *axes) and any(b.varies(a) for a in ends):
        term = translator.per_sequence(term)
    with b.under(within):
        if name == "sum":
            return b.sum(term, axes)
        if name == "mean":
            total = b.sum(term, axes)
            own = [a for a in term.axes if a not in axes and (BATCH in axes or a == BATCH)]
            count = b.emit("count", (), axes=own, reduced=axes)
            return total / (count.apply("maximum", b.number(1.0)) if within else count)
        if reduces_axes(name):
            return b.emit(name, (term,), reduced=axes)
        if name == "min":
            return -b.emit("max", (-term,), reduced=axes)
        top = b.emit("max", (term,), reduced=axes).apply("stop_gradient")
        centred = term - top
        weights = centred.apply("exp")
        total = b.sum(weights, axes)
        if name == "softmax":
            return weights / total
        logarithm = total.apply("log")
        if name == "logsumexp":
            return top + logarithm
        found = centred - logarithm
    return _elsewhere(translator, found, within)


def _elsewhere(translator: Translator, term: Term, within: Sequence[Affine]) -> Term:
    """Return the logarithm of a share: minus infinity where there is none."""
    for form in within:
        inside = translator.position(form).apply("greater_equal", translator.builder.number(0.0))
        term = inside.apply("where", term, translator.builder.number(-inf))
    return term
