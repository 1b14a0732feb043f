"""Expressions to Terms: names resolved, indices made affine, operators applied by their rows.

    W @ h[t-1]   ->   einsum<ij,j->i>(W, h[t-1])    with just the axes of its operands

In: an expression, the scope whose names it uses and the equation's axes. Out: a `Term` of the
builder. Every mistake is a `SpecError` at the exact piece of the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from unfold.core.affine import Affine
from unfold.core.build import Builder, Term, dense
from unfold.core.op import OPS, Kind, OpError
from unfold.core.program import BATCH, Ref
from unfold.core.types import Type
from unfold.errors import Diagnostic, ShapeError, SpecError
from unfold.spec.contractions import einsum, product
from unfold.spec.expression import (
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
from unfold.spec.expression import Sequence as ListOf
from unfold.spec.files import cell_names
from unfold.spec.indices import index_of
from unfold.spec.problems import fail
from unfold.spec.reductions import REDUCTIONS, reduction
from unfold.spec.scope import Names, Scope
from unfold.spec.sizes import size
from unfold.spec.sketch import UNKNOWN, Sketch
from unfold.spec.suggest import did_you_mean, listing, shortened

ARITHMETIC = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "//": "floordiv",
    "%": "mod",
    "**": "pow",
}
COMPARISON = {
    "==": "equal",
    "!=": "not_equal",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
}
# What a spec calls `sum(v)` reduces features; over index axes it is `sum[t](v)`.
FEATURES = {"sum": "feature_sum", "max": "feature_max"}
HIDDEN = {
    "add",
    "sub",
    "mul",
    "div",
    "neg",
    "pow",
    "mod",
    "floordiv",
    "identity",
    "feature_sum",
    "feature_max",
    "sum_to",
    "broadcast_to",
    "pad",
    "index",
    "inside",
    "count",
    "input",
    "parameter",
    "constant",
    "keep_mask",
    "and",
    "or",
    "not",
    *COMPARISON.values(),
}


@dataclass(frozen=True)
class Header:
    """What is known of a value before its equation is translated."""

    axes: tuple[str, ...]
    type: Type


def operators() -> list[str]:
    """Return the operators a spec may call."""
    own = {n for n in OPS if n not in HIDDEN}
    return sorted(own | {*REDUCTIONS, "split"})


class Translator:
    """Translates the expressions of one equation.

    Args:
        builder: receives the values.
        names: every definition of the Program.
        headers: axes and types of the values, UNKNOWN where not inferred yet.
        scope: whose names are used.
        axes: full names of the axes that indices may use, without batch.
        what: the equation, for messages.
    """

    def __init__(
        self,
        builder: Builder,
        names: Names,
        headers: Mapping[str, Header],
        scope: Scope,
        axes: Sequence[str],
        what: str,
    ) -> None:
        self.builder, self.names, self.headers, self.scope = builder, names, headers, scope
        self.axes, self.what = list(axes), what

    def within(self, bound: Sequence[str]) -> Translator:
        """Return a translator for what is inside a reduction over some more axes."""
        axes = [*self.axes, *bound]
        return Translator(self.builder, self.names, self.headers, self.scope, axes, self.what)

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
                total = operands[0]
                term = self.term(total)
                for other in operands[1:]:
                    right = self.term(other)
                    with self.located(expression, [total, other], [term, right]):
                        term = self.builder.emit(operator, (term, right))
                return term
            case Call():
                return self.call(expression)
            case String() | ListOf():
                raise fail(
                    f"{expression.at.source} is not a value",
                    expression.at.location,
                    help="lists and strings are options, as in reshape(x, shape=[2, 3])",
                )

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
        if resolved is None and self.names.is_broken(scope.full(name)):
            assert isinstance(self.builder, Sketch)
            return self.builder.unknown(())  # reported where it is defined
        if resolved is None:
            raise self.unknown(expression)
        header = self.headers[resolved]
        own = [a for a in header.axes if a != BATCH]
        given = expression.indices or ()
        if len(given) != len(own):
            shown = ", ".join(own)
            kind = ("the axis " if len(own) == 1 else "the axes ") if own else "no axis"
            found_text = f"{len(given)} indices" if len(given) != 1 else "1 index"
            raise fail(
                f"{name} has {kind}{shown}; found {found_text if given else 'no index'}",
                expression.at.location,
                help=f"write {name}[{shown}]" if own else f"write {name}",
            )
        index = tuple(
            scope.mirrored(index_of(e, axis, scope, self.axes, self.what), axis)
            for e, axis in zip(given, own, strict=True)
        )
        head = (Affine.axis(BATCH),) if header.axes[:1] == (BATCH,) else ()
        return Term(self.builder, Ref(resolved, (*head, *index)), header.type)

    def axis_index(self, expression: Reference, axis: str) -> Term:
        """Translate a bare index name: the number of the step."""
        if axis not in self.axes:
            raise fail(
                f"{expression.name} is not an axis of {self.what}",
                expression.at.location,
                help=f"its axes are {listing(self.axes) or 'none'};"
                " reduce over others, as in sum[s](…)",
            )
        here = Affine.axis(axis)
        return self.position(Affine.last(axis) - here if axis in self.scope.reversed else here)

    def position(self, index: Affine) -> Term:
        """Return an index as a number."""
        axes = (*index.axes, BATCH) if index.lasts else index.axes
        return self.builder.emit("index", (), {"index": index}, axes=axes, type=Type())

    def end(self, expression: Reference) -> Term:
        """Translate a bare `first` or `last`: the end of the equation's only axis."""
        if expression.name == "first":
            return self.builder.number(0.0)
        if len(self.axes) != 1:
            raise fail(
                f"last of which axis? {self.what} has {len(self.axes) or 'no'} axes",
                expression.at.location,
                help="use it in an index, as in h[last], or in an equation with one axis",
            )
        return self.position(Affine.last(self.axes[0]))

    def unknown(self, expression: Reference) -> SpecError:
        """Describe a name that means nothing."""
        name, scope = expression.name, self.scope
        values = self.names.visible(scope)
        known = [*values, *scope.sizes, *scope.axes]
        if name in OPS or name in REDUCTIONS:
            hint = f"{name} is an operator: {name}(…)"
        else:
            hint = (
                did_you_mean(name, known)
                or f"define it below nodes, inputs or parameters; known: {listing(known)}"
            )
        return fail(f"unknown name {name}", expression.name_at.location, help=hint)

    # Operators

    def apply(
        self,
        op: str,
        operands: Sequence[Expr],
        whole: Expr,
        attributes: Mapping[str, Any] | None = None,
    ) -> Term:
        """Translate operands and apply a row of the op table."""
        terms = [self.term(o) for o in operands]
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
                f"{o.at.source} is {t.type.show()}"
                for o, t in zip(operands, terms, strict=True)
                if t.type is not UNKNOWN
            ]
            notes = error.notes or ("; ".join(facts),) if facts else error.notes
            message = f"{error.message} in  {shortened(whole.at.source)}"
            raise ShapeError(Diagnostic(message, whole.at.location, notes, error.help)) from None

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
        op = FEATURES.get(name, name)
        if op == "min":
            negative = self.apply("neg", expression.arguments, expression)
            return -self.apply_terms(
                "feature_max", expression.arguments, [negative], expression, {}
            )
        if op not in OPS or name in HIDDEN:
            raise self.unknown_operator(expression)
        row = OPS[op]
        operands = list(expression.arguments)
        options: dict[str, Any] = {k: v for k, v in row.options.items() if v is not ...}
        for keyword in expression.keywords:
            if op == "feedback":
                continue
            if keyword.name in row.options:
                options[keyword.name] = self.option(keyword.value)
            else:
                raise fail(
                    f"{name} has no option {keyword.name}",
                    keyword.name_at.location,
                    help=did_you_mean(keyword.name, row.options)
                    or f"its options are {listing(row.options) or 'none'}",
                )
        if op == "feedback":
            operands = self.branches(expression)
        if op == "one_hot" and len(operands) == 1:
            return dense(self.term(operands[0]))
        self.check_call(expression, op, operands, options)
        if row.kind is Kind.SOURCE:
            axes = {BATCH, *self.axes}
            return self.builder.emit(op, (), {}, axes=axes, type=Type(tuple(options["shape"])))
        return self.apply(op, operands, expression, options)

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

    def check_call(
        self, expression: Call, op: str, operands: Sequence[Expr], options: Mapping[str, Any]
    ) -> None:
        """Check how many operands an operator gets, and that its options are there."""
        least, most = OPS[op].arity
        if not least <= len(operands) <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            raise fail(
                f"{expression.function} takes {wanted} value{'' if wanted == '1' else 's'},"
                f" found {len(operands)}",
                expression.at.location,
                help="options such as rate=0.5 are given by name" if OPS[op].options else None,
            )
        missing = [
            o for o, default in OPS[op].options.items() if default is ... and o not in options
        ]
        if missing:
            raise fail(
                f"{expression.function} needs its option {missing[0]}",
                expression.at.location,
                help=f"write {expression.function}(…, {missing[0]}=…)",
            )

    def unknown_operator(self, expression: Call) -> SpecError:
        """Describe a function that does not exist."""
        name = expression.function
        if self.names.resolve(self.scope.full(name)) is not None:
            hint: str | None = f"{name} is a value; index it with brackets, as in {name}[t]"
        else:
            known = [*operators(), *cell_names(self.scope.spec)]
            hint = did_you_mean(name, known) or f"known are {listing(known, most=99)}"
        return fail(f"unknown operator or cell {name}", expression.function_at.location, help=hint)

    def option(self, expression: Expr) -> Any:
        """Evaluate an option: a number, or a list of sizes."""
        if isinstance(expression, ListOf):
            return tuple(
                size(item, self.scope) for item in expression.items
            )
        match expression:
            case Number(value=value):
                return value
            case Unary(operator="-", operand=Number(value=value)):
                return -value
            case _:
                return int(size(expression, self.scope))
