"""Products: `@` of matrices and vectors, and `einsum` of anything, both as the op `einsum`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unfold.core.build import Term
from unfold.core.types import dims
from unfold.errors import Diagnostic, ShapeError
from unfold.spec.meaning.sketch import UNKNOWN, Sketch
from unfold.spec.text.expression import Binary, Call, String
from unfold.spec.text.problems import fail
from unfold.spec.text.suggest import shortened

if TYPE_CHECKING:
    from unfold.spec.meaning.translate import Translator

PRODUCTS = {(2, 1): "ij,j->i", (1, 1): "i,i->", (2, 2): "ij,jk->ik", (1, 2): "i,ij->j"}


def product(translator: Translator, expression: Binary) -> Term:
    """Translate `@`: matrix-vector, dot product, matrix-matrix or vector-matrix."""
    builder = translator.builder
    operands = [expression.left, expression.right]
    left, right = terms = translator.terms(operands)
    if any(t.type is UNKNOWN for t in terms):
        assert isinstance(builder, Sketch)
        if builder.guess == "vector" and left.type is not UNKNOWN and len(left.type.shape) == 2:
            # A matrix is most likely multiplied by a vector.
            with translator.located(expression, operands, terms):
                return builder.emit("einsum", terms, {"equation": PRODUCTS[2, 1]})
        return builder.unknown(terms)
    ranks = len(left.type.shape), len(right.type.shape)
    if ranks not in PRODUCTS:
        advice = "use * to scale by a number" if 0 in ranks else "use einsum for more dimensions"
        raise _mistake(expression, terms, "@ multiplies matrices and vectors", advice)
    inner = right.type.shape[0]
    if left.type.shape[-1] != inner:
        wanted = dims([inner])[0].show()
        matrix = shortened(expression.left.at.source)
        advice = f"the last dimension of {matrix} must be {wanted}"
        raise _mistake(expression, terms, "shapes do not match", advice)
    with translator.located(expression, operands, terms):
        return builder.emit("einsum", terms, {"equation": PRODUCTS[ranks]})


def _mistake(expression: Binary, terms: Sequence[Term], message: str, advice: str) -> ShapeError:
    operands = (expression.left, expression.right)
    pairs = zip(operands, terms, strict=True)
    facts = "; ".join(f"{o.at.source} is {t.type.show()}" for o, t in pairs)
    whole = f"{message} in  {shortened(expression.at.source)}"
    return ShapeError(Diagnostic(whole, expression.at.location, (facts,), advice))


def einsum(translator: Translator, expression: Call) -> Term:
    """Translate `einsum("ij,j->i", W, x[t])`."""
    if not expression.arguments or not isinstance(expression.arguments[0], String):
        raise fail(
            "einsum needs its equation first",
            expression.at.location,
            help='write einsum("ij,j->i", W, x[t])',
        )
    equation, operands = expression.arguments[0], expression.arguments[1:]
    text = equation.value.replace(" ", "")
    left, arrow, right = text.partition("->")
    groups = left.split(",")
    reason = _unclean(groups, arrow, right)
    if reason:
        raise fail(
            f"{shortened(equation.at.source)} is not an einsum equation: {reason}",
            equation.at.location,
            help='write a lower-case letter for each dimension, once per value: "ijk,j,k->i"',
        )
    if len(groups) != len(operands) or expression.keywords:
        are = "is" if len(operands) == 1 else "are"
        raise fail(
            f"the equation has {len(groups)} operand{'' if len(groups) == 1 else 's'},"
            f" but {len(operands) or 'none'} {are} given",
            expression.at.location,
            help="give one value per group of letters, and no options",
        )
    terms = translator.terms(operands)
    terms, text = _close(translator, terms, groups, right)
    with translator.located(expression, operands, terms[: len(operands)]):
        return translator.builder.emit("einsum", terms, {"equation": text})


def _unclean(groups: Sequence[str], arrow: str, right: str) -> str | None:
    """Return the mistake in an equation of einsum, if any."""
    if not arrow:
        return "it has no arrow"
    for group in (*groups, right):
        strange = next((c for c in group if not ("a" <= c <= "z")), None)
        if strange is not None:
            return f"{strange} is not a lower-case letter"
        twice = next((c for c in group if group.count(c) > 1), None)
        if twice is not None:
            return f"{twice} occurs twice in {group}"
    missing = next((c for c in right if not any(c in g for g in groups)), None)
    return f"{missing} occurs only on the right" if missing else None


def _close(
    translator: Translator, terms: list[Term], groups: list[str], right: str
) -> tuple[list[Term], str]:
    """Multiply by ones if a letter occurs in one operand only, so that a derivative exists."""
    terms, groups = list(terms), list(groups)
    for letter in sorted({c for g in groups for c in g}):
        if letter in right or sum(letter in g for g in groups) > 1:
            continue
        where = next(i for i, g in enumerate(groups) if letter in g)
        shape = terms[where].type.shape
        if terms[where].type is UNKNOWN or len(shape) != len(groups[where]):
            continue
        ones = translator.builder.number(1.0).apply(
            "broadcast_to", shape=(shape[groups[where].index(letter)],)
        )
        terms.append(ones)
        groups.append(letter)
    return terms, f"{','.join(groups)}->{right}"
