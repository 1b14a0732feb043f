"""Reductions over index axes: `sum[s](…)`, `mean[batch,t](…)`, `softmax[s](…)` and their like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unfold.core.build import Term, dense
from unfold.core.op import OPS
from unfold.core.program import BATCH
from unfold.spec.expression import Call
from unfold.spec.kernels import whole_sequences
from unfold.spec.operators import REDUCTIONS, reads_sequences
from unfold.spec.problems import already_reported, fail
from unfold.spec.sketch import may_have
from unfold.spec.suggest import did_you_mean, listing, shortened

if TYPE_CHECKING:
    from unfold.spec.text import Span
    from unfold.spec.translate import Translator


def reduction(translator: Translator, expression: Call) -> Term:
    """Translate `sum[s](…)` and its like."""
    name = expression.function
    assert expression.axes is not None
    if name not in REDUCTIONS and not reads_sequences(name):
        known = did_you_mean(name, [*REDUCTIONS, *filter(reads_sequences, OPS)])
        raise fail(
            f"{name} does not reduce over an axis",
            expression.function_at.location,
            help=known or f"these do: {', '.join(REDUCTIONS)}",
        )
    axes = [_bound_axis(translator, a.value, a.at) for a in expression.axes]
    for position, axis in enumerate(axes):
        if axis in axes[:position]:
            again = expression.axes[position]
            raise fail(f"the axis {again} is named twice", again.at.location, help="delete one")
    if reads_sequences(name):
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
    term = dense(translator.within(bound).term(expression.arguments[0]))
    for axis, written in zip(axes, expression.axes, strict=True):
        if not may_have(term, axis):
            inside = expression.arguments[0].at.source
            used = [translator.scope.local(a) for a in term.axes if a != BATCH]
            raise fail(
                f"{shortened(inside)} does not depend on {written.value}",
                written.at.location,
                help=f"it depends on {listing(used)}"
                if used
                else f"leave the axis out; {name}({shortened(inside)}) is over its elements",
            )
    with translator.located(expression, expression.arguments, [term]):
        return _reduce(translator, name, term, axes, kept=name in ("softmax", "log_softmax"))


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
    translator: Translator, name: str, term: Term, axes: Sequence[str], *, kept: bool
) -> Term:
    """Reduce a term over axes; softmax and log_softmax keep them."""
    b = translator.builder
    if BATCH not in (*term.axes, *axes) and any(b.varies(a) for a in axes):
        term = translator.per_sequence(term)
    if name == "sum":
        return b.sum(term, axes)
    if name == "mean":
        own = [a for a in term.axes if a not in axes and (BATCH in axes or a == BATCH)]
        return b.sum(term, axes) / b.emit("count", (), axes=own, reduced=axes)
    if name == "max":
        return b.emit("max", (term,), reduced=axes)
    if name == "min":
        return -b.emit("max", (-term,), reduced=axes)
    top = b.emit("max", (term,), reduced=axes).apply("stop_gradient")
    centred = term - top
    weights = centred.apply("exp")
    total = b.sum(weights, axes)
    if name == "softmax":
        return weights / total
    return centred - total.apply("log") if kept else top + total.apply("log")
