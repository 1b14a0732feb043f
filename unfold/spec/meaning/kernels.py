"""Operators that read whole sequences, along axes that they name: `ctc[t,u](log_probs[t], y[u])`.

Each argument is read along one of the axes in brackets, in their order. The number of index points
of a sequence is an operand, too, so that the operator never reads beyond its end.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from unfold.core.build import Term
from unfold.core.op import OPS
from unfold.core.program import BATCH
from unfold.spec.meaning.operators import usage
from unfold.spec.meaning.options import option
from unfold.spec.meaning.sketch import may_have
from unfold.spec.text.expression import Call
from unfold.spec.text.problems import fail
from unfold.spec.text.suggest import listing, shortened

if TYPE_CHECKING:
    from unfold.errors import SpecError
    from unfold.spec.meaning.translate import Translator

ORDINALS = ("first", "second", "third")


def whole_sequences(translator: Translator, expression: Call, axes: list[str]) -> Term:
    """Translate `ctc[t,u](…)`.

    Args:
        translator: of the equation.
        expression: the call.
        axes: in brackets, in full names.
    """
    name, written = expression.function, expression.axes
    assert written is not None
    options = {k: v for k, v in OPS[name].options.items() if v is not ...}
    translator.check_call(expression, name, options)
    options |= {k.name: option(k, translator.scope) for k in expression.keywords}
    if len(axes) != len(expression.arguments) or BATCH in axes:
        raise fail(
            f"{name} runs over the axes of its {len(expression.arguments)} values, found"
            f" [{', '.join(a.value for a in written)}]",
            expression.function_at.location,
            help=f"write  {usage(name)}",
        )
    inner = translator.within([a for a in axes if a not in translator.axes])
    terms = inner.terms(expression.arguments)
    for position, term in enumerate(terms):
        others = [a for a in axes if a in term.axes and a != axes[position]]
        if others or not may_have(term, axes[position]):
            raise _misread(translator, expression, axes, position, term)
    b = translator.builder
    with translator.located(expression, expression.arguments, terms):
        counts = [b.emit("count", (), axes=(BATCH,), reduced=(a,)) for a in axes]
        attributes = {k: v for k, v in options.items() if k != "impossible"}
        found = b.emit(name, (*terms, *counts), attributes, reduced=axes)
    most = float(options["impossible"])
    if most == inf:
        return found
    return found.apply("equal", b.number(inf)).apply("where", b.number(most), found)


def _misread(
    translator: Translator, expression: Call, axes: list[str], position: int, term: Term
) -> SpecError:
    """Describe an argument that is not read along its own axis, or along another's, too."""
    name, written = expression.function, expression.axes
    assert written is not None
    argument = expression.arguments[position]
    others = [w.value for a, w in zip(axes, written, strict=True) if a in term.axes]
    own = written[position].value
    if axes[position] not in term.axes:
        found = f"does not depend on {own}"
    else:
        others.remove(own)
        found = f"also depends on {listing(others)}"
    return fail(
        f"{shortened(argument.at.source)} {found} in  {shortened(expression.at.source)}",
        argument.at.location,
        f"{name} reads its {ORDINALS[position]} value along the {ORDINALS[position]} axis in"
        f" brackets, {own}, and along no other",
        help=f"write  {usage(name)}",
    )
