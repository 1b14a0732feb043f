"""Expressions become trees that know their places; anything else is refused where it stands."""

from __future__ import annotations

import warnings
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.work import work
from unfold.errors import SpecError
from unfold.spec.text.expression import (
    Binary,
    Call,
    Compare,
    Expr,
    Logical,
    Number,
    Reference,
    Sequence,
    String,
    Unary,
    children,
    walk,
)
from unfold.spec.text.parse_expression import parse_expression
from unfold.spec.text.reader import MapNode, read
from unfold.spec.text.text import Text


def parse(text: str) -> Expr:
    return parse_expression(Text.of(text))


def show(expression: Expr) -> str:
    """Return an expression with all its brackets: structure without places."""
    match expression:
        case Number(value=value):
            return repr(value)
        case String(value=value):
            return f"'{value}'"
        case Sequence(items=items):
            return f"[{', '.join(show(item) for item in items)}]"
        case Reference(name=name, indices=None):
            return name
        case Reference(name=name, indices=indices):
            return f"{name}[{', '.join(show(index) for index in indices)}]"
        case Unary(operator=operator, operand=operand):
            return f"({operator} {show(operand)})"
        case Binary(operator=operator, left=left, right=right):
            return f"({show(left)} {operator} {show(right)})"
        case Compare(operator=operator, left=left, right=right):
            return f"({show(left)} {operator} {show(right)})"
        case Logical(operator=operator, operands=operands):
            return f"({f' {operator} '.join(show(operand) for operand in operands)})"
        case Call(function=function, axes=axes, arguments=arguments, keywords=keywords):
            inside = [show(a) for a in arguments] + [f"{k.name}={show(k.value)}" for k in keywords]
            brackets = "" if axes is None else f"[{','.join(a.value for a in axes)}]"
            return f"{function}{brackets}({', '.join(inside)})"


PARSED = {
    "W @ h[t-1] + U @ x[t] + b": "(((W @ h[(t - 1)]) + (U @ x[t])) + b)",
    "sigmoid(f[t]) * s[t-1]": "(sigmoid(f[t]) * s[(t - 1)])",
    "-x ** 2": "(- (x ** 2))",
    "2 ** 3 ** 2": "(2 ** (3 ** 2))",
    "a // b % c / d": "(((a // b) % c) / d)",
    "+a": "a",
    "a - -b": "(a - (- b))",
    "not a and b or c": "(((not a) and b) or c)",
    "0 < x[t] <= 3": "((0 < x[t]) and (x[t] <= 3))",
    "t % 4 == 0": "((t % 4) == 0)",
    "sum[s](a[t,s] * h[s])": "sum[s]((a[t, s] * h[s]))",
    "ctc[t,u](p[t], l[u])": "ctc[t,u](p[t], l[u])",
    "mean[batch,t](z[t])": "mean[batch,t](z[t])",
    "l1.s[t]": "l1.s[t]",
    "l1.s": "l1.s",
    "h[last]": "h[last]",
    "s[t-1, last]": "s[(t - 1), last]",
    "x[2*t+k-1]": "x[(((2 * t) + k) - 1)]",
    "h[-1]": "h[(- 1)]",
    "feedback(teacher=y[t-1], free=argmax(o[t-1]))":
        "feedback(teacher=y[(t - 1)], free=argmax(o[(t - 1)]))",
    "reshape(x[t], shape=[2, 3])": "reshape(x[t], shape=[2, 3])",
    "reshape(x[t], shape=(2, 3))": "reshape(x[t], shape=[2, 3])",
    'einsum("ij,j->i", W, x[t])': "einsum('ij,j->i', W, x[t])",
    "lstm(x[t], bias=False, peephole=True)": "lstm(x[t], bias=0, peephole=1)",
    "1_000 + 0x10 + 1e-3 + .5 + 2.": "((((1000 + 16) + 0.001) + 0.5) + 2.0)",
    "f(a,)": "f(a)",
    "zeros()": "zeros()",
    "[]": "[]",
    "\u03c3(\u03b1[t]) * \u03b2": "(\u03c3(\u03b1[t]) * \u03b2)",
    "  a\n  + b[t\n -1]  ": "(a + b[(t - 1)])",
}  # fmt: skip


@pytest.mark.parametrize("text", PARSED)
def test_structure(text: str) -> None:
    assert show(parse(text)) == PARSED[text]


def test_expressions_are_equal_when_they_say_the_same() -> None:
    assert parse("W@h[t-1]") == parse(" W @ h[ t - 1 ]")
    assert parse("W @ h[t-1]") != parse("W @ h[t-2]")
    assert hash(parse("f(a, b=1)")) == hash(parse("f( a,b = 1 )"))


def test_every_part_knows_its_place() -> None:
    parsed = parse("\u03b1 * (W @ h[t-1]) + f[s](x, rate = 0.5)")
    assert isinstance(parsed, Binary)
    assert [part.at.source for part in walk(parsed)] == [
        "\u03b1 * (W @ h[t-1]) + f[s](x, rate = 0.5)",
        "\u03b1 * (W @ h[t-1])", "\u03b1", "W @ h[t-1]", "W", "h[t-1]", "t-1", "t", "1",
        "f[s](x, rate = 0.5)", "x", "0.5",
    ]  # fmt: skip
    call = parsed.right
    assert isinstance(call, Call) and call.axes is not None
    assert call.function_at.source == "f"
    assert [axis.at.source for axis in call.axes] == ["s"]
    assert [(k.at.source, k.name_at.source) for k in call.keywords] == [("rate = 0.5", "rate")]
    assert (parsed.operator_at.start, parsed.operator_at.source) == (17, "+")
    product = parsed.left
    assert isinstance(product, Binary)
    assert (product.operator_at.start, product.operator_at.source) == (2, "*")


def test_places_in_a_folded_scalar() -> None:
    root = read("z: >\n  W @ h[t-1]\n  + \u03b2 * U @ x[t]\n", "f.yaml")
    assert isinstance(root, MapNode)
    text = root.entries[0][1]
    assert isinstance(text, Text)
    places = {part.at.source: part.at.location for part in walk(parse_expression(text))}
    assert (places["x[t]"].line, places["x[t]"].column, places["x[t]"].length) == (3, 13, 4)
    assert (places["h[t-1]"].line, places["h[t-1]"].column) == (2, 7)


def test_a_piece_of_a_text_is_parsed_in_place() -> None:
    text = Text.of("h[t]: a + b;")
    parsed = parse_expression(text, 6, 11)
    assert (show(parsed), parsed.at.location.column) == ("(a + b)", 7)


def test_names_are_normalised_as_python_does() -> None:
    assert parse("\u00b5") == parse("\u03bc")


def test_children_cover_every_field_that_holds_an_expression() -> None:
    parts = (Number, String, Sequence, Reference, Unary, Binary, Compare, Logical, Call)
    parsed = parse("f[s](a[t], [1, 'x'], k=not b) + (c < d or e)")
    for part in walk(parsed):
        direct = [getattr(part, field.name) for field in fields(part) if field.compare]
        flat = [
            item for value in direct for item in (value if isinstance(value, tuple) else [value])
        ]
        held = [item for item in flat if isinstance(item, parts)]
        held += [keyword.value for keyword in getattr(part, "keywords", ())]
        assert list(children(part)) == held


# ------------------------------------------------------------------ refusals


def refusal(text: str) -> tuple[str, str, str]:
    """Return the marked piece, the message and the help."""
    with pytest.raises(SpecError) as caught:
        parse(text)
    (diagnostic,) = caught.value.diagnostics
    place = diagnostic.location
    assert place is not None and place.line == 1
    piece = text.split("\n")[0][place.column - 1 : place.column - 1 + place.length]
    return piece, diagnostic.message, diagnostic.help or ""


PRODUCTS = "write * for an element-wise product, @ for a matrix product"
DOTS = "only an instance of a cell has parts: l1.s[t]; operators are called: sum(x)"
SLICE = "for a part of the feature dimension, write slice(x[t], start=0, stop=4)"
REFUSED = {
    "": ("", "an expression is missing here", ""),
    "a +": ("+", "a value is missing after +", ""),
    "a + * b": ("*", "a value is missing between + and *", ""),
    "* b": ("*", "a value is missing before *", ""),
    "f(,)": (",", "a value is missing between ( and ,", ""),
    "(a + )": (")", "a value is missing between + and )", ""),
    "a and": ("and", "a value is missing after and", ""),
    "not": ("not", "a value is missing after not", ""),
    "(a + b": ("(", "this ( is never closed", ""),
    "f(a[t)": (")", "expected ], found )", ""),
    "a)": (")", "nothing opens this )", "delete it"),
    "a b": ("b", "an operator is missing between a and b", PRODUCTS),
    "2 h[t]": ("h", "an operator is missing between 2 and h", PRODUCTS),
    "W x[t] + b": ("x", "an operator is missing between W and x", PRODUCTS),
    "\u03b1\u03b2 \u03b3": ("\u03b3", "an operator is missing between \u03b1\u03b2 and \u03b3",
                           PRODUCTS),
    "1and 2": ("and", "a space is missing before and", ""),
    "f'{x}'": ("'{x}'", "unexpected text", "texts have no prefix such as f"),
    "a, b": (",", "expected one expression, found a comma",
             "give each result an entry of its own, or use split(…)"),
    "a = b": ("=", "unexpected =", "write a comparison as ==; each node has one ':'"),
    "f(1=2)": ("=", "unexpected =", "write a comparison as ==; each node has one ':'"),
    "a += b": ("=", "a value is missing between + and =", ""),
    "h[]": ("]", "an index is missing between [ and ]", "omit the brackets"),
    "h[1:2]": (":", "expected one position as an index, found :", SLICE),
    "h[:, 1]": (":", "expected one position as an index, found :", SLICE),
    "a: b": (":", ": is not part of an expression", ""),
    "h[t][0]": ("h[t][0]", "unexpected second pair of brackets",
                f"write all indices in one pair: x[t, s]; {SLICE}"),
    "tanh(x)[t]": ("tanh(x)", "only a name can be indexed",
                   "give this part an entry of its own under nodes, and index that"),
    "(a + b)[t]": ("a + b", "only a name can be indexed",
                   "give this part an entry of its own under nodes, and index that"),
    "W(x)(y)": ("W(x)", "only a name can be called",
                "write a product with * (element-wise) or @ (matrix product)"),
    "np.tanh(x)": ("np.tanh", "call an operator by its name alone", "write  tanh(…)"),
    "x.sum()": ("x.sum", "call an operator by its name alone", "write  sum(x)"),
    "x[t].sum()": (".", "unexpected .", DOTS),
    "a.": (".", "a value is missing after .", ""),
    "sum[0](x)": ("0", "only names of axes may appear in the brackets of sum[…](…)",
                  "put an index inside the parentheses; write a product with * or @; begin a "
                  "bound with its axis, as in sum[s <= t](…)"),
    "f(*x)": ("*", "* cannot spread a list", "write out its items"),
    "f(**x)": ("**", "** cannot spread a list", "write out its items"),
    "f(a=1, a=2)": ("a", "the option a is given twice", ""),
    "f(a=1, b)": (
        ")",
        "an argument without a name follows one with a name",
        "write it before the named ones, as in  lstm(x[t], hidden=64)",
    ),
    "a if b else c": ("if", "if is not part of an expression",
                      "write  where(condition, a, b); if it is meant as a name, choose another"),
    "a in b": ("in", "in is not part of an expression",
               "compare with == and combine with  or; if it is meant as a name, choose another"),
    "a is b": ("is", "is is not part of an expression",
               "compare with ==; if it is meant as a name, choose another"),
    "lambda x: x": ("lambda", "lambda is not part of an expression",
        "give it an entry of its own under nodes; if it is meant as a name, choose another"),
    "[x for x in y]": ("for", "for is not part of an expression",
        "write a reduction over an axis as sum[s](…), and express repetition with indices; "
        "if it is meant as a name, choose another"),
    "(a := b)": (":=", ":= is not part of an expression",
                 "give it an entry of its own under nodes"),
    "W @ class": ("class", "class is a reserved word", "choose another name"),
    "None": ("None", "None is not part of an expression",
             "omit the option; if it is meant as a name, choose another"),
    "a ^ b": ("^", "^ is not part of an expression", "write ** for a power"),
    "a && b": ("&&", "&& is not part of an expression", "write  and"),
    "a | b": ("|", "| is not part of an expression", "write  or"),
    "!a": ("!", "! is not part of an expression", "write  not"),
    "~a": ("~", "~ is not part of an expression", "write  not, or 1 - x"),
    "a ? b : c": ("?", "? is not part of an expression", "write  where(condition, a, b)"),
    "a; b": (";", "; is not part of an expression",
             "give each equation an entry of its own under nodes"),
    "{a: b}": ("{", "{ is not part of an expression", "write lists in [ ]"),
    "h[...]": ("...", "... is not part of an expression", "write out the indices"),
    "a # b": ("#", "# is not part of an expression",
              "put the comment on a line of its own, outside the expression"),
    '"a': ('"', '" is not part of an expression', "close the quote"),
    "a \N{MULTIPLICATION SIGN} b": ("\N{MULTIPLICATION SIGN}",
        "\N{MULTIPLICATION SIGN} is not part of an expression", PRODUCTS),
    "\u03b1 \N{MINUS SIGN} 1": ("\N{MINUS SIGN}", "\N{MINUS SIGN} is not part of an expression",
        "write the ASCII -"),
    "x\u00b2": ("x\u00b2", "x\u00b2 is not a name",
        "names have letters, digits and _; a square is written x ** 2"),
    "__import__('os').system('true')": ("__import__",
        "__import__ is not a name: it starts with two underscores", ""),
    "().__class__": ("__class__", "__class__ is not a name: it starts with two underscores", ""),
    "(a).b": (".", "unexpected .", DOTS),
    "x.__class__": ("__class__", "__class__ is not a name: it starts with two underscores", ""),
    "1e999": (
        "1e999",
        "this number is too large",
        "the largest is 1.8e+308; write infinity as inf",
    ),
    "9" * 30: ("9" * 30, "this whole number is too large: it has more than 63 bits", ""),
    "007": ("007", "this cannot be read as an expression", ""),
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_refusals(text: str) -> None:
    assert refusal(text) == REFUSED[text]


HOSTILE = {
    "open brackets": ("(" * 4_000, "brackets are nested more than 100 deep here"),
    "many tokens": ("a+" * 9_000 + "a", "this expression has more than 5,000 parts"),
    "minus": ("-" * 4_000 + "x", "this expression is nested more than 100 deep"),
    "not": ("not " * 4_000 + "x", "this expression is nested more than 100 deep"),
    "sum": ("a+" * 2_400 + "a", "this expression is nested more than 100 deep"),
    "power": ("a**" * 2_400 + "a", "this expression is nested more than 100 deep"),
    "calls": ("f(" * 101 + ")" * 101, "brackets are nested more than 100 deep here"),
    "long": ("a" * 30_000, "this expression has 30,000 characters, but at most 20,000 are allowed"),
    "long name": ("a" * 19_000, "this name has more than 100 characters"),
    "digits": ("1" * 19_000, "this cannot be read as an expression"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_expressions_are_refused_quickly(name: str) -> None:
    text, wanted = HOSTILE[name]
    with work(1_000_000), pytest.raises(SpecError) as caught:
        parse(text)
    assert caught.value.diagnostics[0].message.startswith(wanted)
    assert len(str(caught.value)) < 1_000


WORDS = [
    "a", "h[t-1]", "l1.s", "1", "0.5", "f(", "g[s](", ")", "(", "[", "]", ",", "+", "-", "*", "**",
    "@", "==", "<", "and", "or", "not", "k=", "'x'", " ", "\n", ".", ":", "\u03b1", "if", "1e5",
    "=", "//", "%", "\u00b2", "\N{MIDDLE DOT}", "0x", "1_", "__x",
]  # fmt: skip


@settings(max_examples=300)
@given(st.lists(st.sampled_from(WORDS), max_size=12))
def test_any_text_is_an_expression_or_refused_in_place(words: list[str]) -> None:
    text = "".join(words)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            parsed = parse(text)
        except SpecError as error:
            (diagnostic,) = error.diagnostics
            assert diagnostic.location is not None
            assert diagnostic.location.file == "<string>"
            return
    for part in walk(parsed):
        again = parse_expression(part.at.text, part.at.start, part.at.end)
        assert again == part, (text, part.at.source)
