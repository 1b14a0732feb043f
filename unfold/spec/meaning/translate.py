"""Expressions to Terms: names resolved, indices made affine, operators applied by their rows.

    W @ h[t-1]   ->   einsum<ij,j->i>(W, h[t-1])    with just the axes of its operands

In: an expression, the scope whose names it uses and the equation's axes. Out: a `Term` of the
builder. Every mistake is a `SpecError` at the exact piece of the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any

from unfold.core.affine import Affine
from unfold.core.build import Builder, Term, dense
from unfold.core.op import OPS, Kind, OpError
from unfold.core.program import BATCH, Ref
from unfold.core.types import Type
from unfold.errors import Diagnostic, ShapeError, SpecError
from unfold.spec.meaning.contractions import einsum, product
from unfold.spec.meaning.hints import missing_axis, unknown_name, unknown_operator
from unfold.spec.meaning.indices import index_of
from unfold.spec.meaning.operators import (
    ARITHMETIC,
    COMPARISON,
    features_row,
    is_row,
    reads_sequences,
    usage,
)
from unfold.spec.meaning.options import option
from unfold.spec.meaning.reductions import reduction
from unfold.spec.meaning.scope import Names, Scope
from unfold.spec.meaning.sketch import UNKNOWN, Sketch
from unfold.spec.text.expression import (
    Binary,
    Call,
    Compare,
    Expr,
    Logical,
    Number,
    Reference,
    String,
    Unary,
)
from unfold.spec.text.expression import Sequence as ListOf
from unfold.spec.text.problems import fail
from unfold.spec.text.suggest import did_you_mean, listing, shortened
from unfold.spec.text.text import Span


@dataclass(frozen=True)
class Header:
    """The known facts about a value before its equation is translated."""

    axes: tuple[str, ...]
    type: Type


class Translator:
    """Translates the expressions of one equation.

    Args:
        builder: receives the values.
        names: every definition of the Program.
        headers: axes and types of the values, UNKNOWN where not inferred yet.
        scope: whose names are used.
        axes: full names of the axes that indices may use, without batch.
        what: the equation, for messages: "h[t]", or "the loss".
        target: the name on its left, or "" if it is unrelated to the expression.
        moved: axes whose index means another one, in terms of `axes`.
    """

    def __init__(
        self,
        builder: Builder,
        names: Names,
        headers: Mapping[str, Header],
        scope: Scope,
        axes: Sequence[str],
        what: str,
        target: str = "",
        moved: Mapping[str, Affine] | None = None,
    ) -> None:
        self.builder, self.names, self.headers, self.scope = builder, names, headers, scope
        self.moved = moved or {}
        self.axes, self.what, self.target = list(axes), what, target

    def within(self, bound: Sequence[str]) -> Translator:
        """Return a translator for the operand of a reduction over some more axes."""
        inner = copy(self)
        inner.axes = [*self.axes, *bound]
        inner.moved = {a: i for a, i in self.moved.items() if a not in bound}
        return inner

    def moving(self, axis: str, moved: Mapping[str, Affine]) -> Translator:
        """Return a translator with one more axis, in terms of which other indices are read."""
        inner = self.within([axis])
        inner.moved = moved
        return inner

    def whole(self, expression: Expr) -> Term:
        """Translate a right-hand side; its remaining axes must be those of the equation.

        Raises:
            SpecError: a mistake in it, or `softmax[s](…)` where s is not an axis of the equation.
        """
        term = self.term(expression)
        left = [a for a in term.axes if a != BATCH and a not in self.axes]
        if left:
            raise fail(
                f"{shortened(expression.at.source)} still depends on {left[0]}, which is not an"
                f" axis of {self.what}",
                expression.at.location,
                help=f"reduce over it, as in sum[{left[0]}](…)",
            )
        return term

    def term(self, expression: Expr) -> Term:
        """Translate an expression that is a value."""
        match expression:
            case Number(value=value):
                return self.builder.number(float(value))
            case Reference():
                return self.reference(expression)
            case Unary(operator="-", operand=Number(value=value)):
                return self.builder.number(-float(value))
            case Unary(operator=operator, operand=operand):
                return self.apply("neg" if operator == "-" else "not", [operand], expression)
            case Binary(operator="@"):
                return product(self, expression)
            case Binary(operator=operator, left=left, right=right):
                return self.apply(ARITHMETIC[operator], [left, right], expression)
            case Compare(operator=operator, left=left, right=right):
                return self.apply(COMPARISON[operator], [left, right], expression)
            case Logical(operator=operator, operands=operands):
                term, *others = self.terms(operands)
                for written, other in zip(operands[1:], others, strict=True):
                    with self.located(expression, [operands[0], written], [term, other]):
                        term = self.builder.emit(operator, (term, other))
                return term
            case Call():
                return self.call(expression)
            case String() | ListOf():
                advice = "only einsum accepts text"
                if isinstance(expression, ListOf):
                    numbers = "{shape: [3], init: {values: [1, 2, 3]}, frozen: true}"
                    advice = (
                        f"write a constant vector as a parameter: {numbers}; join "
                        f"values with concat"
                    )
                source = shortened(expression.at.source)
                raise fail(f"{source} is not a value", expression.at.location, help=advice)

    def terms(self, expressions: Sequence[Expr]) -> list[Term]:
        """Translate several expressions, with the mistakes of all of them.

        Raises:
            SpecError: what is wrong with any of them.
        """
        found: list[Term] = []
        mistakes: list[SpecError] = []
        for expression in expressions:
            try:
                found.append(self.term(expression))
            except SpecError as error:
                mistakes.append(error)
        if len(mistakes) == 1:
            raise mistakes[0]
        if mistakes:
            every = [d for error in mistakes for d in error.diagnostics]
            raise SpecError(*{d.message: d for d in every[::-1]}.values())
        return found

    # References

    def reference(self, expression: Reference) -> Term:
        """Translate a name, with or without indices: a value, an axis's index, or a size."""
        name, scope = expression.name, self.scope
        resolved = self.names.resolve(scope.full(name))
        if resolved is None and expression.indices is None:
            if name in scope.axes:
                return self.axis_index(expression, scope.axes[name])
            if name in ("first", "last"):
                return self.end(expression)
            found = scope.lookup(name)
            if found is not None:
                return self.builder.number(float(found))
            if name in scope.unbound:
                return self.builder.emit("identity", (), type=UNKNOWN)
        if resolved is None and (name in scope.names or self.names.is_broken(scope.full(name))):
            assert isinstance(self.builder, Sketch)
            return self.builder.mistaken()  # reported where it is defined
        if resolved is None:
            raise unknown_name(expression, self.names, scope)
        header = self.headers[resolved]
        # A cell does not mention batch and the caller's own axes: it is at one point of them.
        implied = (BATCH, *scope.outer)
        own = [a for a in header.axes if a not in implied]
        given = expression.indices or ()
        if len(given) != len(own):
            raise self.wrong_indices(expression, [scope.local(a) for a in own])
        written = dict(zip(own, given, strict=True))
        index = tuple(
            self.index(written[a], a) if a in written else Affine.axis(a) for a in header.axes
        )
        term = Term(self.builder, Ref(resolved, index), header.type)
        ends = any(self.ends_per_sequence(i, a) for i, a in zip(index, header.axes, strict=True))
        return self.per_sequence(term) if ends and BATCH not in header.axes else term

    def ends_per_sequence(self, index: Affine, axis: str) -> bool:
        """Whether an index depends on the length of a sequence."""
        passes = index.may_pass_the_end(axis) and self.builder.varies(axis)
        return passes or any(self.builder.varies(a) for a in index.ends)

    def per_sequence(self, term: Term) -> Term:
        """Copy a shared value for the sequences, so that each reads it up to its own length."""
        return self.builder.emit("identity", (term,), axes=(BATCH,))

    def index(self, expression: Expr, axis: str) -> Affine:
        """Translate an index along an axis, in full names."""
        return self.scope.mirrored(index_of(expression, axis, self), axis).substitute(self.moved)

    def has(self, axis: str) -> bool:
        """Return whether an index may use an axis."""
        return axis in self.axes or axis in self.moved

    def wrong_indices(self, expression: Reference, own: Sequence[str]) -> SpecError:
        """Describe a reference with too few or too many indices."""
        name, given = expression.name, expression.indices or ()
        shown = ", ".join(own)
        kind = ("the axis " if len(own) == 1 else "the axes ") if own else "no axis"
        found = {0: "no index", 1: "1 index"}.get(len(given), f"{len(given)} indices")
        if any(isinstance(i, Reference) and i.name == BATCH for i in given):
            advice = "omit batch: equations never mention it"
        else:
            advice = f"write {name}[{shown}]" if own else f"write {name}"
        message = f"{name} has {kind}{shown}; found {found}"
        return fail(message, expression.at.location, help=advice)

    def no_axis(self, axis: str, at: Span) -> SpecError:
        """Describe the use of an axis that the equation does not have."""
        allowed = [self.scope.local(a) for a in self.axes if a not in self.scope.outer]
        return missing_axis(axis, at, self.what, allowed, self.target)

    def axis_index(self, expression: Reference, axis: str) -> Term:
        """Translate a bare index name: the number of the step."""
        if not self.has(axis):
            raise self.no_axis(expression.name, expression.at)
        here = Affine.axis(axis)
        turned = Affine.last(axis) - here if axis in self.scope.reversed else here
        return self.position(turned.substitute(self.moved))

    def position(self, index: Affine) -> Term:
        """Return an index as a number."""
        axes = (*index.axes, BATCH) if index.ends else index.axes
        return self.builder.emit("index", (), {"index": index}, axes=axes, type=Type())

    def end(self, expression: Reference) -> Term:
        """Translate a bare `first` or `last`: the end of the equation's only axis."""
        if expression.name == "first":
            return self.builder.number(0.0)  # steps are counted from where the equation starts
        own = [a for a in self.axes if a not in self.scope.outer]
        if len(own) != 1:
            raise fail(
                f"the axis of last is ambiguous: {self.what} has {len(own) or 'no'} axes",
                expression.at.location,
                help="use it in an index, as in h[last], or in an equation with one axis",
            )
        return self.position(self.scope.mirrored(Affine.last(own[0]), own[0]))

    # Operators

    def apply(
        self,
        op: str,
        operands: Sequence[Expr],
        whole: Expr,
        attributes: Mapping[str, Any] | None = None,
    ) -> Term:
        """Translate operands and apply a row of the op table."""
        terms = self.terms(operands)
        return self.apply_terms(op, operands, terms, whole, attributes or {})

    def apply_terms(
        self,
        op: str,
        operands: Sequence[Expr],
        terms: Sequence[Term],
        whole: Expr,
        attributes: Mapping[str, Any],
    ) -> Term:
        """Apply a row to translated operands; categories it cannot take become one-hot vectors."""
        row = OPS[op]
        fitted = [t if i in row.categories else dense(t) for i, t in enumerate(terms)]
        with self.located(whole, operands, fitted):
            if row.kind is not Kind.COMPOSITE:
                return self.builder.emit(op, fitted, attributes)
            if any(t.type is UNKNOWN for t in fitted):
                assert isinstance(self.builder, Sketch)
                return self.builder.unknown(fitted)
            assert row.expand is not None
            return row.expand(fitted, attributes)

    @contextmanager
    def located(self, whole: Expr, operands: Sequence[Expr], terms: Sequence[Term]) -> Any:
        """Give an OpError its place and the operands' shapes."""
        try:
            yield
        except OpError as error:
            facts = [
                f"{shortened(o.at.source)} is {t.type.show()}"
                for o, t in zip(operands, terms, strict=True)
                if t.type is not UNKNOWN
            ]
            notes = error.notes or (("; ".join(facts),) if facts else ())
            message = f"{error.message} in  {shortened(whole.at.source)}"
            place = _wrong_piece(error.at, operands, whole).at.location
            raise ShapeError(Diagnostic(message, place, notes, error.help)) from None

    # Calls

    def call(self, expression: Call) -> Term:
        """Translate the call of an operator."""
        name = expression.function
        if expression.axes is not None:
            return reduction(self, expression)
        if name == "einsum":
            return einsum(self, expression)
        if name == "split":
            raise fail(
                "split defines several nodes",
                expression.at.location,
                help="name them on the left: i[t], f[t]: split(z[t], 2)",
            )
        op = features_row(name)
        if op == "min":
            self.check_call(expression, "feature_max", {})
            negative = self.apply("neg", expression.arguments, expression)
            return -self.apply_terms(
                "feature_max", expression.arguments, [negative], expression, {}
            )
        if not is_row(name):
            unknown = unknown_operator(expression, self.names, self.scope)
            try:
                self.terms(expression.arguments)
            except SpecError as error:
                raise SpecError(*unknown.diagnostics, *error.diagnostics) from None
            raise unknown
        if op == "feedback":
            return self.apply(op, self.branches(expression), expression)
        if reads_sequences(name):
            raise fail(
                f"{name} reads whole sequences; name their axes in brackets",
                expression.function_at.location,
                help=f"write  {usage(name)}",
            )
        row = OPS[op]
        options: dict[str, Any] = {k: v for k, v in row.options.items() if v is not ...}
        self.check_call(expression, op, options)
        options |= {k.name: option(k, self.scope) for k in expression.keywords}
        if op == "one_hot":
            return self.one_hot(expression)
        if row.kind is Kind.SOURCE:
            axes = {BATCH, *self.axes}
            return self.builder.emit(op, (), {}, axes=axes, type=Type(tuple(options["shape"])))
        return self.apply(op, expression.arguments, expression, options)

    def one_hot(self, expression: Call) -> Term:
        """Translate `one_hot(x[t])`: the vector that a category stands for."""
        term = self.term(expression.arguments[0])
        if term.type is not UNKNOWN and term.type.kind != "category":
            written = expression.arguments[0].at
            raise fail(
                f"one_hot needs a category in  {shortened(expression.at.source)}",
                written.location,
                f"{written.source} is {term.type.show()}",
                help="one_hot turns a category into its one-hot vector",
            )
        return dense(term)

    def branches(self, expression: Call) -> list[Expr]:
        """Return the teacher's and the free branch of a feedback."""
        given = {k.name: k.value for k in expression.keywords}
        if expression.arguments or set(given) != {"teacher", "free"}:
            raise fail(
                "feedback needs its two branches by name",
                expression.at.location,
                help="write feedback(teacher=y[t-1], free=argmax(o[t-1]))",
            )
        return [given["teacher"], given["free"]]

    def check_call(self, expression: Call, op: str, defaults: Mapping[str, Any]) -> None:
        """Check the number of an operator's operands, and its options, which must be complete."""
        name, known, written = expression.function, OPS[op].options, usage(expression.function)
        for keyword in expression.keywords:
            if keyword.name not in known:
                raise fail(
                    f"{name} has no option {keyword.name}",
                    keyword.name_at.location,
                    help=did_you_mean(keyword.name, known)
                    or f"its options are {listing(known) or 'none'}",
                )
        least, most = OPS[op].arity
        count = len(expression.arguments)
        if not least <= count <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            named = "; options are given by name" if known and count > most else ""
            plural = "" if wanted == "1" else "s"
            raise fail(
                f"{name} takes {wanted} value{plural}, found {count or 'none'}",
                expression.at.location,
                help=f"write  {written}{named}",
            )
        given = {*defaults, *(k.name for k in expression.keywords)}
        missing = [o for o in known if o not in given]
        if missing:
            raise fail(
                f"{name} needs its option {missing[0]}",
                expression.at.location,
                help=f"write  {written}",
            )


def _wrong_piece(at: int | str | None, operands: Sequence[Expr], whole: Expr) -> Expr:
    """Return the operand or option of an expression that an OpError is about."""
    if isinstance(at, int) and at < len(operands):
        return operands[at]
    keywords = whole.keywords if isinstance(whole, Call) else ()
    return next((k.value for k in keywords if k.name == at), whole)
