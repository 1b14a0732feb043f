"""Expect a kind of YAML node, and report the one that was found instead.

parameters:           parameters: expected a mapping, got a list
  - W: [3, 3]         help: write one entry per line, as in  W: [hidden, hidden]
"""

from __future__ import annotations

import math
from collections.abc import Collection

from unfold.spec.text.expression import Binary, Expr, Number, Reference, Unary, walk
from unfold.spec.text.parse_expression import parse_expression
from unfold.spec.text.problems import MAX_REPORTED, Problems, fail
from unfold.spec.text.reader import ListNode, MapNode, Node, is_null, kind_of, scalar_value
from unfold.spec.text.suggest import did_you_mean, listing
from unfold.spec.text.text import Text
from unfold.spec.text.tokens import NUMBERS

_WORDS = {
    sign + word: -number if sign == "-" else number
    for word, number in NUMBERS.items()
    for sign in ("", "+", "-")
}
_SIZE_OPERATORS = ("+", "-", "*", "//")


def expect_map(node: Node, owner: str, example: str) -> MapNode:
    """Return a mapping; an empty value is an empty mapping."""
    if isinstance(node, MapNode):
        return node
    if is_null(node):
        return MapNode((), node.location)
    raise fail(
        f"{owner}: expected a mapping, got {kind_of(node)}",
        node.location,
        help=f"write one entry per line, as in  {example}",
    )


def expect_text(node: Node, owner: str, what: str, example: str) -> Text:
    """Return a scalar that is not empty."""
    if isinstance(node, Text) and not is_null(node):
        return node
    raise fail(
        f"{owner}: expected {what}, got {kind_of(node)}", node.location, help=f"write  {example}"
    )


def expect_bool(node: Node, owner: str) -> bool:
    """Return `true` or `false`."""
    value = scalar_value(node) if isinstance(node, Text) else None
    if isinstance(value, bool):
        return value
    raise fail(
        f"{owner}: expected true or false, got {_shown(node)}",
        node.location,
        help=f"write  {owner}: true",
    )


def expect_number(node: Node, owner: str, *, finite: bool = True) -> int | float:
    """Return a number, which may be inf, -inf or nan if it need not be finite."""
    value = scalar_value(node) if isinstance(node, Text) else None
    if isinstance(value, str) and isinstance(node, Text) and not node.quoted:
        value = _WORDS.get(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        any_number = not (finite or math.isfinite(value))
        if abs(value) < 1e300 or any_number:
            return value
    noun = "a finite number" if isinstance(value, float) else "a number"
    raise fail(f"{owner}: expected {noun}, got {_shown(node)}", node.location)


def expect_expression(node: Node, owner: str, example: str) -> Expr:
    """Return a parsed expression."""
    return parse_expression(expect_text(node, owner, "an expression", example))


def expect_size(node: Node, owner: str) -> Expr:
    """Return a whole-number expression of names and + - * //."""
    text = expect_text(node, owner, "a size", f"{owner}: 128")
    parsed = parse_expression(text)
    check_size(parsed)
    return parsed


def expect_shape(node: Node, owner: str) -> tuple[Expr, ...]:
    """Return a shape: a list of sizes, or the word `real` for a single number."""
    if isinstance(node, Text) and node.value == "real":
        return ()
    if not isinstance(node, ListNode):
        written = node.value if isinstance(node, Text) and node.value else "hidden"
        raise fail(
            f"{owner}: expected a shape, which is a list, got {kind_of(node)}",
            node.location,
            help=f"write  [{written[:40]}]  for a vector,  []  for a single number",
        )
    return tuple(expect_size(item, owner) for item in node.items)


def check_size(parsed: Expr, noun: str = "a size") -> None:
    """Refuse an expression that cannot be a size, or an extent.

    Raises:
        SpecError: at the first part that does not fit.
    """
    for part in walk(parsed):
        match part:
            case Number(value=int()) | Reference(indices=None) | Unary(operator="-"):
                continue
            case Binary(operator=operator) if operator in _SIZE_OPERATORS:
                continue
            case Binary(operator="/", operator_at=place):
                raise fail(f"{noun} must be a whole number", place.location, help="divide with //")
            case _:
                raise fail(
                    f"{part.at} is not {noun}",
                    part.at.location,
                    help="combine whole numbers and names of sizes with + - * //"
                    if noun == "a size"
                    else "combine whole numbers, sizes and other axes with + - * //",
                )


def check_keys(
    node: MapNode, known: Collection[str], owner: str, problems: Problems, kind: str = "key"
) -> dict[str, tuple[Text, Node]]:
    """Return the entries with known keys; report the others with the closest known key."""
    where = f" in {owner}" if owner else ""
    unknown = [key for key, _ in node.entries if key.value not in known]
    for position, key in enumerate(unknown):
        close = did_you_mean(key.value, known) if position < MAX_REPORTED else None
        problems.add(
            f"unknown {kind} {key.value or '(empty)'}{where}",
            key.location,
            help=close or f"the {kind}s are {listing(known)}",
        )
    return {key.value: (key, value) for key, value in node.entries if key.value in known}


def _shown(node: Node) -> str:
    """Return the found value: a short scalar itself, or its kind."""
    if isinstance(node, Text) and node.value and len(node.value) <= 40:
        return node.value
    return kind_of(node)
