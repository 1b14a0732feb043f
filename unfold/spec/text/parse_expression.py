"""Parse the text of an expression: Python's grammar cut down to the language, never evaluated.

In: a `Text`, or a piece of one. Out: an `Expr` in which every part knows its place. `tokens` has
refused all that the language lacks, and Python's `ast` settles precedence. This module refuses
wrong combinations: indexing the result of a call, calling a method, a keyword in a wrong place.

    parse_expression(Text.of("W @ h[t-1] + b"))   is   Binary("+", Binary("@", …), Reference("b"))
"""

from __future__ import annotations

import ast
import math
import re
import sys
from collections.abc import Sequence as SequenceType

from unfold.errors import SpecError
from unfold.spec.text import expression as e
from unfold.spec.text.problems import fail
from unfold.spec.text.text import Span, Text
from unfold.spec.text.tokens import MAX_DEPTH, NUMBERS, check_order, tokenize

LARGEST_INTEGER = 2**63 - 1

_BINARY: dict[type[ast.operator], e.ArithmeticOperator] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//",
    ast.Mod: "%", ast.Pow: "**", ast.MatMult: "@",
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], e.CompareOperator] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip
_LIBRARIES = frozenset(("np", "numpy", "torch", "jnp", "jax", "tf", "math", "nn", "F", "cp"))


def parse_expression(text: Text, start: int = 0, end: int | None = None) -> e.Expr:
    """Parse `text.value[start:end]`.

    Arguments:
        text: the scalar that holds the expression.
        start: where it starts in the scalar's value.
        end: where it ends, by default with the scalar.

    Raises:
        SpecError: one mistake, at its exact place.
    """
    end = len(text.value) if end is None else end
    tokens = tokenize(text, start, end)
    check_order(tokens, text, start, end)
    first, last = tokens[0].start, tokens[-1].end
    written = re.sub(r"\s", " ", text.value[first:last])
    try:
        tree = ast.parse(written, mode="eval")
    except SyntaxError as error:
        column = max(0, min((error.offset or 1) - 1, len(written) - 1))
        message, advice = "this cannot be read as an expression", None
        if "positional argument follows" in error.msg:
            message = "an argument without a name follows one with a name"
            advice = "write it before the named ones, as in  lstm(x[t], hidden=64)"
        raise fail(message, text.locate(first + column), help=advice) from None
    except (ValueError, MemoryError, RecursionError):
        raise _too_deep(text.span(first, last)) from None
    return _Builder(text, first, written).build(tree.body, 0)


def _too_deep(at: Span) -> SpecError:
    return fail(
        f"this expression is nested more than {MAX_DEPTH} deep (every sign in a chain counts)",
        at.location,
        help="give a part an entry of its own under nodes",
    )


class _Builder:
    """Turns Python's tree into ours; `first` is where the parsed piece starts in the text."""

    def __init__(self, text: Text, first: int, written: str) -> None:
        self.text = text
        self.first = first
        self.written = written
        self.position: SequenceType[int] = range(len(written) + 1)
        if not written.isascii():
            position: list[int] = []
            for index, character in enumerate(written):
                position += [index] * len(character.encode())
            self.position = [*position, len(written)]

    def span(self, node: ast.expr | ast.keyword) -> Span:
        """Return the place of a node (Python counts columns in UTF-8 bytes)."""
        assert node.end_col_offset is not None
        start, end = self.position[node.col_offset], self.position[node.end_col_offset]
        return self.text.span(self.first + start, self.first + end)

    def between(self, left: Span, right: Span, written: str) -> Span:
        """Return the place of the sign `written` between two parts."""
        at = self.text.value.index(written, left.end, right.start)
        return self.text.span(at, at + len(written))

    def build(self, node: ast.expr, depth: int) -> e.Expr:
        """Return our expression for one of Python's."""
        at = self.span(node)
        if depth > MAX_DEPTH:
            raise _too_deep(at)
        below = depth + 1
        match node:
            case ast.Constant():
                return self.constant(node, at)
            case ast.Name(id=name) if name in NUMBERS:
                return e.Number(NUMBERS[name], at)
            case ast.Name(id=name):
                return e.Reference(name, None, at, at)
            case ast.Attribute():
                return e.Reference(self.dotted(node), None, at, at)
            case ast.Subscript():
                return self.indexed(node, at, below)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.build(operand, below)
            case ast.UnaryOp(op=operator, operand=operand):
                sign = "-" if isinstance(operator, ast.USub) else "not"
                return e.Unary(sign, self.build(operand, below), at)
            case ast.BinOp(left=left, op=operator, right=right):
                sign = _BINARY[type(operator)]
                a, b = self.build(left, below), self.build(right, below)
                return e.Binary(
                    sign, a, b, at, self.between(self.span(left), self.span(right), sign)
                )
            case ast.BoolOp(op=operator, values=values):
                word = "and" if isinstance(operator, ast.And) else "or"
                return e.Logical(word, tuple(self.build(v, below) for v in values), at)
            case ast.Compare():
                return self.comparison(node, at, below)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return e.Sequence(tuple(self.build(item, below) for item in items), at)
            case ast.Call():
                return self.call(node, at, below)
            case _:
                raise fail("this is not part of the language", at.location)

    def constant(self, node: ast.Constant, at: Span) -> e.Expr:
        """Return a number or a string."""
        value = node.value
        if isinstance(value, str):
            return e.String(at.source[1:-1], at)
        if isinstance(value, bool):
            return e.Number(int(value), at)
        if isinstance(value, int):
            if value > LARGEST_INTEGER:
                raise fail("this whole number is too large: it has more than 63 bits", at.location)
            return e.Number(value, at)
        if isinstance(value, float) and math.isfinite(value):
            return e.Number(value, at)
        raise fail(
            "this number is too large",
            at.location,
            help=f"the largest is {sys.float_info.max:.1e}; write infinity as inf",
        )

    def dotted(self, node: ast.expr) -> str:
        """Return the dotted name that a chain of attributes is."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            raise fail(
                "only a name can be followed by a dot",
                self.span(node).location,
                help="only an instance of a cell has parts: l1.s[t]",
            )
        return ".".join([node.id, *reversed(parts)])

    def indexed(self, node: ast.Subscript, at: Span, depth: int) -> e.Reference:
        """Return a name at an index."""
        inner = node.value
        if isinstance(inner, ast.Subscript):
            raise fail(
                "unexpected second pair of brackets",
                at.location,
                help="write all indices in one pair: x[t, s]; for a part of the feature dimension, "
                "write slice(x[t], start=0, stop=4)",
            )
        is_number = isinstance(inner, ast.Name) and inner.id in NUMBERS
        if is_number or not isinstance(inner, (ast.Name, ast.Attribute)):
            raise fail(
                "only a name can be indexed",
                self.span(inner).location,
                help="give this part an entry of its own under nodes, and index that",
            )
        written = node.slice
        items = written.elts if isinstance(written, ast.Tuple) and written.elts else [written]
        indices = tuple(self.build(item, depth) for item in items)
        return e.Reference(self.dotted(inner), indices, at, self.span(inner))

    def comparison(self, node: ast.Compare, at: Span, depth: int) -> e.Expr:
        """Return a comparison, or the conjunction that a chain of them is."""
        operands = [node.left, *node.comparators]
        built = [self.build(operand, depth) for operand in operands]
        pairs: list[e.Expr] = []
        for index, operator in enumerate(node.ops):
            start = self.span(operands[index]).start
            piece = self.text.span(start, self.span(operands[index + 1]).end)
            pairs.append(e.Compare(_COMPARE[type(operator)], built[index], built[index + 1], piece))
        return pairs[0] if len(pairs) == 1 else e.Logical("and", tuple(pairs), at)

    def call(self, node: ast.Call, at: Span, depth: int) -> e.Call:
        """Return a call, perhaps with axes: `sum[s](…)`."""
        function, axes, bounds = node.func, None, tuple[e.Compare, ...]()
        if isinstance(function, ast.Subscript):
            axes, bounds = self.axes(function, depth)
            function = function.value
        if not isinstance(function, ast.Name):
            raise self._not_callable(function)
        keywords: list[e.Keyword] = []
        for keyword in node.keywords:
            assert keyword.arg is not None, "** was refused as a token"
            place = self.span(keyword)
            name_at = self.text.span(
                place.start, place.start + len(place.source.split("=")[0].rstrip())
            )
            if any(keyword.arg == other.name for other in keywords):
                raise fail(f"the option {keyword.arg} is given twice", name_at.location)
            keywords.append(
                e.Keyword(keyword.arg, self.build(keyword.value, depth), place, name_at)
            )
        arguments = tuple(self.build(argument, depth) for argument in node.args)
        return e.Call(
            function.id, axes, arguments, tuple(keywords), at, self.span(function), bounds
        )

    def axes(
        self, function: ast.Subscript, depth: int
    ) -> tuple[tuple[e.Name, ...], tuple[e.Compare, ...]]:
        """Return the axes of a reduction and their bounds.

        An axis stands alone, on one side of a comparison (on the left, if both sides could be
        axes), or in the middle of two.
        """
        written = function.slice
        items = written.elts if isinstance(written, ast.Tuple) else [written]
        names: list[e.Name] = []
        bounds: list[e.Compare] = []
        for item in items:
            if isinstance(item, ast.Compare) and len(item.ops) <= 2:
                built = self.comparison(item, self.span(item), depth)
                found = built.operands if isinstance(built, e.Logical) else (built,)
                bounds += [c for c in found if isinstance(c, e.Compare)]
                inner = len(item.ops) == 2 or not isinstance(item.left, ast.Name)
                item = item.comparators[0] if inner else item.left
            if not isinstance(item, ast.Name):
                name = self.span(function.value).source
                raise fail(
                    f"only names of axes may appear in the brackets of {name}[…](…)",
                    self.span(item).location,
                    help="put an index inside the parentheses; write a product with * or @; "
                    "begin a "
                    "bound with its axis, as in sum[s <= t](…)",
                )
            names.append(e.Name(item.id, self.span(item)))
        return tuple(names), tuple(bounds)

    def _not_callable(self, function: ast.expr) -> SpecError:
        at = self.span(function)
        if isinstance(function, ast.Attribute):
            known = isinstance(function.value, ast.Name) and function.value.id in _LIBRARIES
            argument = "…" if known else self.span(function.value).source
            return fail(
                "call an operator by its name alone",
                at.location,
                help=f"write  {function.attr}({argument})",
            )
        return fail(
            "only a name can be called",
            at.location,
            help="write a product with * (element-wise) or @ (matrix product)",
        )
