"""Cut an expression into tokens and refuse, at the exact place, those that the language lacks.

In: a piece of a `Text`. Out: its tokens, in order, with values and operators in proper alternation
and balanced brackets. Only precedence is left for Python's parser. This step gives every mistake
the same words and column under every version of Python.

    W @ h[t-1]      W @ h [ t - 1 ]
    W @ + )         a value is missing between + and )
"""

from __future__ import annotations

import keyword
import math
import re
from dataclasses import dataclass
from typing import Literal

from unfold.errors import SpecError
from unfold.spec.text.problems import fail
from unfold.spec.text.text import Text

MAX_LENGTH = 20_000
MAX_TOKENS = 5_000
MAX_DEPTH = 100
MAX_NAME = 100

TokenKind = Literal["name", "number", "string", "operator"]

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>0[xXbBoO][0-9a-fA-F_]+
        |(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?)
    |(?P<name>[^\W\d]\w*)
    |(?P<string>"[^"\\]*"|'[^'\\]*')
    |(?P<operator>\*\*|//|==|!=|<=|>=|->|:=|<<|>>|&&|\|\||\.\.\.|.)""",
    re.VERBOSE | re.DOTALL,
)
_BINARY = frozenset(("+", "-", "*", "/", "//", "%", "**", "@", "and", "or"))
_COMPARE = frozenset(("==", "!=", "<", "<=", ">", ">="))
_OPERATORS = (_BINARY | _COMPARE | frozenset("()[],=.:")) - {"and", "or"}
_PREFIX = frozenset(("-", "+", "not"))
_CLOSES = {")": "(", "]": "["}

# Numbers that are words.
NUMBERS = {"inf": math.inf, "nan": math.nan}

_PRODUCTS = "write * for an element-wise product, @ for a matrix product"
_REFUSED_SIGNS: dict[str, str] = {
    "^": "write ** for a power",
    "&": "write  and", "&&": "write  and", "|": "write  or", "||": "write  or",
    "!": "write  not", "~": "write  not, or 1 - x",
    "<<": "write  x * 2 ** n", ">>": "write  x // 2 ** n",
    ":=": "give it an entry of its own under nodes",
    ";": "give each equation an entry of its own under nodes",
    "?": "write  where(condition, a, b)",
    "->": "write the arrow only inside the text of einsum",
    "...": "write out the indices",
    "{": "write lists in [ ]", "}": "write lists in [ ]",
    "\\": "a long expression may span several lines without it",
    "#": "put the comment on a line of its own, outside the expression",
    "'": "close the quote", '"': "close the quote",
    "\N{MULTIPLICATION SIGN}": _PRODUCTS, "\N{MIDDLE DOT}": _PRODUCTS,
    "\N{DOT OPERATOR}": _PRODUCTS,
    "\N{CIRCLED DOT OPERATOR}": _PRODUCTS, "\N{RING OPERATOR}": _PRODUCTS,
    "\N{DIVISION SIGN}": "write /", "\N{MINUS SIGN}": "write the ASCII -",
    "\N{EN DASH}": "write the ASCII -", "\N{EM DASH}": "write the ASCII -",
    "\N{LESS-THAN OR EQUAL TO}": "write <=", "\N{GREATER-THAN OR EQUAL TO}": "write >=",
    "\N{NOT EQUAL TO}": "write !=", "\N{LOGICAL AND}": "write  and", "\N{LOGICAL OR}": "write  or",
    "\N{NOT SIGN}": "write  not", "\N{SQUARE ROOT}": "write  sqrt(x)",
    "\N{N-ARY SUMMATION}": "write  sum[t](x[t])",
    "\N{LEFT DOUBLE QUOTATION MARK}": 'write the ASCII "',
    "\N{RIGHT DOUBLE QUOTATION MARK}": 'write the ASCII "',
    "\N{RIGHT SINGLE QUOTATION MARK}": "write the ASCII '",
}  # fmt: skip
_REFUSED_WORDS: dict[str, str] = {
    "if": "write  where(condition, a, b)",
    "else": "write  where(condition, a, b)",
    "in": "compare with == and combine with  or",
    "is": "compare with ==",
    "for": "write a reduction over an axis as sum[s](…), and express repetition with indices",
    "lambda": "give it an entry of its own under nodes",
    "None": "omit the option",
}


@dataclass(frozen=True)
class Token:
    """A token and its place in `Text.value`."""

    kind: TokenKind
    text: str
    start: int
    end: int


def tokenize(text: Text, start: int = 0, end: int | None = None) -> list[Token]:
    """Return the tokens of `text.value[start:end]`.

    Raises:
        SpecError: at the first character or word that is not part of the language.
    """
    end = len(text.value) if end is None else end
    if end - start > MAX_LENGTH:
        raise fail(
            f"this expression has {end - start:,} characters, but at most {MAX_LENGTH:,} "
            f"are allowed",
            text.locate(start),
            help="give its parts entries of their own under nodes",
        )
    tokens: list[Token] = []
    at = start
    while at < end:
        found = _TOKEN.match(text.value, at, end)
        assert found is not None and found.lastgroup is not None, at
        at = found.end()
        if found.lastgroup == "space":
            continue
        token = _token(found, text)
        tokens.append(token)
        if len(tokens) > MAX_TOKENS:
            raise fail(
                f"this expression has more than {MAX_TOKENS:,} parts",
                text.locate(start),
                help="give its parts entries of their own under nodes",
            )
    return tokens


def _token(found: re.Match[str], text: Text) -> Token:
    written, start, end = found.group(), found.start(), found.end()
    if found.lastgroup == "name":
        _refuse_word(written, text, start, end)
        return Token("number" if written in NUMBERS else "name", written, start, end)
    if found.lastgroup == "number":
        return Token("number", written, start, end)
    if found.lastgroup == "string":
        return Token("string", written, start, end)
    if written not in _OPERATORS:
        shown = written if written.isprintable() else f"U+{ord(written):04X}"
        raise fail(
            f"{shown} is not part of an expression",
            text.locate(start, end),
            help=_REFUSED_SIGNS.get(written),
        )
    return Token("operator", written, start, end)


def _refuse_word(word: str, text: Text, start: int, end: int) -> None:
    place = text.locate(start, end)
    if word in ("and", "or", "not", "True", "False"):
        return
    if len(word) > MAX_NAME:
        raise fail(f"this name has more than {MAX_NAME} characters", place)
    if word in _REFUSED_WORDS:
        raise fail(
            f"{word} is not part of an expression",
            place,
            help=f"{_REFUSED_WORDS[word]}; if it is meant as a name, choose another",
        )
    if keyword.iskeyword(word):
        raise fail(f"{word} is a reserved word", place, help="choose another name")
    if not word.isidentifier():
        raise fail(
            f"{word} is not a name",
            place,
            help="names have letters, digits and _; a square is written x ** 2",
        )
    if word.startswith("__"):
        raise fail(f"{word} is not a name: it starts with two underscores", place)


def check_order(tokens: list[Token], text: Text, start: int, end: int) -> None:
    """Refuse tokens that do not alternate between values and operators, and unbalanced brackets.

    Raises:
        SpecError: at the first token that does not fit its place.
    """
    if not tokens:
        raise fail("an expression is missing here", text.locate(start, end))
    walker = _Order(text)
    for token in tokens:
        walker.step(token)
    walker.finish()


class _Order:
    """A two-state machine over tokens: either a value is expected, or an operator."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self.open: list[tuple[Token, str]] = []
        self.previous: Token | None = None
        self.before_previous: Token | None = None
        self.wants_value = True

    def step(self, token: Token) -> None:
        """Take one more token."""
        if self.wants_value:
            self._value(token)
        else:
            self._operator(token)
        self.before_previous, self.previous = self.previous, token

    def finish(self) -> None:
        """Check that the expression is complete."""
        if self.open:
            token, _ = self.open[-1]
            raise self._fail(f"this {token.text} is never closed", token, self._comment())
        if self.wants_value:
            assert self.previous is not None
            raise self._fail(f"a value is missing after {self.previous.text}", self.previous)

    def _comment(self) -> str | None:
        """Return the advice for an expression that a comment cuts off."""
        line = self.text.locate(len(self.text.value)).source
        return "text after a # is a comment; delete the #" if " #" in line else None

    def _fail(self, message: str, token: Token, help: str | None = None) -> SpecError:
        return fail(message, self.text.locate(token.start, token.end), help=help)

    def _push(self, token: Token, role: str) -> None:
        self.open.append((token, role))
        if len(self.open) > MAX_DEPTH:
            raise self._fail(
                f"brackets are nested more than {MAX_DEPTH} deep here",
                token,
                "give a part an entry of its own under nodes",
            )

    def _value(self, token: Token) -> None:
        if token.text in ("(", "[") and token.kind == "operator":
            self._push(token, "group" if token.text == "(" else "list")
        elif token.text in (")", "]") and token.kind == "operator":
            self._close_without_value(token)
        elif token.kind == "operator" or token.text in ("and", "or"):
            if token.text == ":" and self.open and self.open[-1][1] == "index":
                raise self._slice(token)
            if token.text not in _PREFIX:
                raise self._missing_value(token)
        elif token.text != "not":
            self.wants_value = False

    def _missing_value(self, token: Token) -> SpecError:
        before = self.previous
        if token.text in ("*", "**") and before and before.text in ("(", ",", "["):
            return self._fail(f"{token.text} cannot spread a list", token, "write out its items")
        between = f"between {before.text} and {token.text}" if before else f"before {token.text}"
        word = self.text.value[token.end : token.end + 3] if token.text == "." else ""
        advice = f"write  {word}  without a dot" if word in NUMBERS else None
        return self._fail(f"a value is missing {between}", token, advice)

    def _close_without_value(self, token: Token) -> None:
        previous = self.previous
        opener, role = self._matching(token)
        if previous is opener and role == "index":
            raise self._fail("an index is missing between [ and ]", token, "omit the brackets")
        if previous is not opener and (previous is None or previous.text != ","):
            raise self._missing_value(token)
        self.wants_value = False

    def _matching(self, token: Token) -> tuple[Token, str]:
        if not self.open:
            raise self._fail(f"nothing opens this {token.text}", token, "delete it")
        opener, role = self.open.pop()
        if opener.text != _CLOSES[token.text]:
            expected = ")" if opener.text == "(" else "]"
            raise self._fail(f"expected {expected}, found {token.text}", token)
        return opener, role

    def _operator(self, token: Token) -> None:
        role = self.open[-1][1] if self.open else ""
        assert self.previous is not None
        if token.text in _BINARY or token.text in _COMPARE:
            if (
                token.kind == "name"
                and token.start == self.previous.end
                and self.previous.kind == "number"
            ):
                raise self._fail(f"a space is missing before {token.text}", token)
            self.wants_value = True
        elif token.kind == "string" and self.previous.kind == "name":
            raise self._fail("unexpected text", token, "texts have no prefix such as f")
        elif token.kind != "operator":
            raise self._fail(
                f"an operator is missing between {self.previous.text} and {token.text}",
                token,
                _PRODUCTS,
            )
        elif token.text in "([":
            self._push(token, "call" if token.text == "(" else "index")
            self.wants_value = True
        elif token.text in ")]":
            self._matching(token)
        elif token.text == ":":
            raise (
                self._slice(token)
                if role == "index"
                else self._fail(": is not part of an expression", token)
            )
        elif token.text == ",":
            if not self.open:
                raise self._fail(
                    "expected one expression, found a comma", token,
                    "give each result an entry of its own, or use split(…)",
                )  # fmt: skip
            self.wants_value = True
        else:
            self._equals_or_dot(token, role)
            self.wants_value = True

    def _equals_or_dot(self, token: Token, role: str) -> None:
        before = self.before_previous
        after_name = self.previous is not None and self.previous.kind == "name"
        if token.text == ".":
            if not after_name:
                raise self._fail(
                    "unexpected .",
                    token,
                    "only an instance of a cell has parts: l1.s[t]; operators are called: sum(x)",
                )
        elif not (role == "call" and after_name and before and before.text in ("(", ",")):
            raise self._fail(
                "unexpected =", token, "write a comparison as ==; each node has one ':'"
            )

    def _slice(self, token: Token) -> SpecError:
        return self._fail(
            "expected one position as an index, found :",
            token,
            "for a part of the feature dimension, write slice(x[t], start=0, stop=4)",
        )
