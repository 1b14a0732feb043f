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
from unfold.core.build import Builder, Term
from unfold.core.op import OPS, Kind, OpError
from unfold.core.program import BATCH, Ref
from unfold.core.types import Dim, Type
from unfold.errors import Diagnostic, ShapeError, SpecError
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
from unfold.spec.indices import index_of
from unfold.spec.problems import fail
from unfold.spec.scope import Names, Scope
from unfold.spec.sizes import size
from unfold.spec.sketch import UNKNOWN, Sketch
from unfold.spec.suggest import did_you_mean, listing

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
PRODUCTS = {(2, 1): "ij,j->i", (1, 1): "i,i->", (2, 2): "ij,jk->ik", (1, 2): "i,ij->j"}
REDUCTIONS = ("sum", "mean", "max", "min", "softmax", "log_softmax", "logsumexp")
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
                return self.product(expression)
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
        if resolved is None:
            raise self.unknown(expression)
        header = self.headers[resolved]
        own = [a for a in header.axes if a != BATCH]
        given = expression.indices or ()
        if len(given) != len(own):
            shown = ", ".join(own)
            found_text = f"{len(given)} indices" if len(given) != 1 else "1 index"
            raise fail(
                f"{name} has {'the axes ' if len(own) > 1 else 'the axis ' if own else 'no axis'}{shown}"
                f"; found {found_text if given else 'no index'}",
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
            message = f"{error.message} in  {_short(whole.at.source)}"
            raise ShapeError(Diagnostic(message, whole.at.location, notes, error.help)) from None

    def product(self, expression: Binary) -> Term:
        """Translate `@`: matrix-vector, dot product, matrix-matrix or vector-matrix."""
        operands = [expression.left, expression.right]
        terms = [self.term(o) for o in operands]
        ranks = tuple(len(t.type.shape) for t in terms)
        unknown = [t.type is UNKNOWN for t in terms]
        if any(unknown):
            return self.unknown_product(expression, terms, unknown)
        if ranks not in PRODUCTS:
            facts = "; ".join(
                f"{o.at.source} is {t.type.show()}" for o, t in zip(operands, terms, strict=True)
            )
            raise ShapeError(
                Diagnostic(
                    f"@ multiplies matrices and vectors in  {_short(expression.at.source)}",
                    expression.at.location,
                    (facts,),
                    "use * to scale by a number"
                    if 0 in ranks
                    else "use einsum for more dimensions",
                )
            )
        left, right = terms[0].type.shape[-1], terms[1].type.shape[0]
        if left != right:
            raise self.product_error(expression, operands, terms)
        return self.builder.emit("einsum", terms, {"equation": PRODUCTS[ranks]})

    def unknown_product(
        self, expression: Binary, terms: Sequence[Term], unknown: Sequence[bool]
    ) -> Term:
        """Guess the shape of a product from the operand that is known: a matrix times a vector."""
        assert isinstance(self.builder, Sketch)
        left = terms[0].type
        if not unknown[0] and len(left.shape) == 2:
            return self.builder.emit("einsum", terms, {"equation": "ij,j->i"})
        return self.builder.unknown(terms)

    def product_error(
        self, expression: Binary, operands: Sequence[Expr], terms: Sequence[Term]
    ) -> ShapeError:
        """Say which dimension of a product must be what."""
        facts = "; ".join(
            f"{o.at.source} is {t.type.show()}" for o, t in zip(operands, terms, strict=True)
        )
        wanted = terms[1].type.shape[0]
        text = (
            f"{wanted.text} ({int(wanted)})"
            if isinstance(wanted, Dim) and wanted.text != str(int(wanted))
            else str(int(wanted))
        )
        return ShapeError(
            Diagnostic(
                f"shapes do not match in  {_short(expression.at.source)}",
                expression.at.location,
                (facts,),
                f"the last dimension of {_short(operands[0].at.source)} must be {text}",
            )
        )

    # Calls

    def call(self, expression: Call) -> Term:
        """Translate the call of an operator."""
        name = expression.function
        if expression.axes is not None:
            return self.reduction(expression)
        if name == "einsum":
            return self.einsum(expression)
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
            hint = did_you_mean(name, operators()) or f"the operators are {', '.join(operators())}"
        return fail(f"unknown operator or cell {name}", expression.function_at.location, help=hint)

    def option(self, expression: Expr) -> Any:
        """Evaluate an option: a number, or a list of sizes."""
        if isinstance(expression, ListOf):
            return tuple(
                size(item, self.scope.lookup, self.scope.sizes) for item in expression.items
            )
        match expression:
            case Number(value=value):
                return value
            case Unary(operator="-", operand=Number(value=value)):
                return -value
            case _:
                return int(size(expression, self.scope.lookup, self.scope.sizes))

    def einsum(self, expression: Call) -> Term:
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
        clean = arrow and all(
            (len(set(g)) == len(g) and g.isalpha()) or not g for g in (*groups, right)
        )
        inner = [c for c in left if c.isalpha()]
        if (
            not clean
            or any(c not in inner for c in right)
            or not all(c.isascii() and c.islower() for c in inner)
        ):
            raise fail(
                f"{equation.value!r} is not an equation of einsum",
                equation.at.location,
                help='letters for dimensions, each once per operand: "ijk,j,k->i"',
            )
        if len(groups) != len(operands):
            raise fail(
                f"the equation has {len(groups)} operands, {len(operands)} are given",
                expression.at.location,
                help="give one value per group of letters",
            )
        terms = [self.term(o) for o in operands]
        terms, text = self.close(terms, groups, right)
        with self.located(expression, operands, terms[: len(operands)]):
            return self.builder.emit("einsum", terms, {"equation": text})

    def close(self, terms: list[Term], groups: list[str], right: str) -> tuple[list[Term], str]:
        """Multiply by ones where a letter stands in one operand only, so that a derivative exists."""
        terms, groups = list(terms), list(groups)
        for letter in sorted({c for g in groups for c in g}):
            if letter in right or sum(letter in g for g in groups) > 1:
                continue
            where = next(i for i, g in enumerate(groups) if letter in g)
            shape = terms[where].type.shape
            if terms[where].type is UNKNOWN or len(shape) != len(groups[where]):
                continue
            ones = self.builder.number(1.0).apply(
                "broadcast_to", shape=(shape[groups[where].index(letter)],)
            )
            terms.append(ones)
            groups.append(letter)
        return terms, f"{','.join(groups)}->{right}"

    # Reductions over axes

    def reduction(self, expression: Call) -> Term:
        """Translate `sum[s](…)` and its like."""
        name = expression.function
        assert expression.axes is not None
        if name not in REDUCTIONS:
            known = did_you_mean(name, REDUCTIONS)
            raise fail(
                f"{name} does not reduce over an axis",
                expression.function_at.location,
                help=known or f"these do: {', '.join(REDUCTIONS)}",
            )
        axes = [self.bound_axis(a.value, a.at) for a in expression.axes]
        if len(set(axes)) != len(axes):
            raise fail(
                "an axis is given twice", expression.at.location, help="give every axis once"
            )
        if len(expression.arguments) != 1 or expression.keywords:
            raise fail(
                f"{name}[{', '.join(a.value for a in expression.axes)}] takes 1 value, "
                f"found {len(expression.arguments) + len(expression.keywords)}",
                expression.at.location,
            )
        inner = Translator(
            self.builder,
            self.names,
            self.headers,
            self.scope,
            [*self.axes, *(a for a in axes if a not in self.axes and a != BATCH)],
            self.what,
        )
        term = inner.term(expression.arguments[0])
        term = dense(term)
        for axis, written in zip(axes, expression.axes, strict=True):
            if axis not in term.axes:
                raise fail(
                    f"{expression.arguments[0].at.source} does not depend on {written.value}",
                    written.at.location,
                    help="reduce over an axis that it uses: "
                    + (listing(a for a in term.axes if a != BATCH) or "none"),
                )
        with self.located(expression, expression.arguments, [term]):
            return self.reduce(name, term, axes, kept=name in ("softmax", "log_softmax"))

    def bound_axis(self, name: str, at: Any) -> str:
        """Return the full name of an axis that is reduced over."""
        if name == BATCH:
            return BATCH
        if name not in self.scope.axes:
            raise fail(
                f"unknown axis {name}",
                at.location,
                help=did_you_mean(name, self.scope.axes)
                or f"the axes are {listing(self.scope.axes) or 'none'}",
            )
        return self.scope.axes[name]

    def reduce(self, name: str, term: Term, axes: Sequence[str], *, kept: bool) -> Term:
        """Reduce a term over axes; softmax and log_softmax keep them."""
        b = self.builder
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


def dense(term: Term) -> Term:
    """Return a category as its one-hot vector; other terms as they are."""
    return term.apply("one_hot", size=term.type.shape[0]) if term.type.kind == "category" else term


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
