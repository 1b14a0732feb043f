"""Parse the sections that hold expressions: `nodes`, `initial`, `loss`, `outputs` and `stop`.

In: the YAML node of a section. Out: equations and initial values, in the order of the file. The
parser reports an entry that cannot be read, marks its names as broken, and reads the next entry.

    l2[t]: {is: lstm(l1[t], hidden=64), stack: 3}
    is   Equation((Target("l2", ("t",)),), Call("lstm", …), stack=Number(3), …)
"""

from __future__ import annotations

from unfold.spec.file.expect import (
    check_keys,
    expect_expression,
    expect_map,
    expect_shape,
    expect_size,
    expect_text,
)
from unfold.spec.file.model import Equation, Initial, InitialKind, LeftSide, Stop
from unfold.spec.file.names import guessed_names, parse_dotted, parse_name, parse_targets
from unfold.spec.file.sections_table import EQUATION_KEYS, STOP_KEYS
from unfold.spec.text.expression import Expr, Name, Reference
from unfold.spec.text.parse_expression import parse_expression
from unfold.spec.text.problems import Problems, already_reported, fail
from unfold.spec.text.reader import ListNode, MapNode, Node, is_null
from unfold.spec.text.text import Text

_EXAMPLE = "h[t]: tanh(W @ h[t-1] + U @ x[t] + b)"


def parse_nodes(node: Node, problems: Problems) -> tuple[Equation, ...]:
    """Parse `nodes`."""
    section = expect_map(node, "nodes", _EXAMPLE)
    if not section.entries:
        raise fail(
            "there are no nodes", node.location, help=f"write an equation, as in  {_EXAMPLE}"
        )
    equations: list[Equation] = []
    for key, value in section.entries:
        with problems.collect(*guessed_names(key)):
            equations.append(_equation(parse_targets(key), key, value, problems))
    return tuple(equations)


def _equation(
    targets: tuple[LeftSide, ...], key: Text, value: Node, problems: Problems
) -> Equation:
    if isinstance(value, MapNode):
        return _long_equation(targets, key, value, problems)
    example = f"{key.value}: tanh(a)  or another expression"
    expression = expect_expression(value, key.value, example)
    return Equation(targets, expression, None, (), None, None, {}, key.span())


def _long_equation(
    targets: tuple[LeftSide, ...], key: Text, value: MapNode, problems: Problems
) -> Equation:
    """Parse the mapping form: `{is: …, stack: 3}`."""
    entries = check_keys(value, EQUATION_KEYS, key.value, problems)
    if "is" not in entries and len(entries) < len(value.entries):
        raise already_reported()
    if "is" not in entries:
        raise fail(
            f"{key.value} has no expression",
            key.location,
            help=f"write  {key.value}: {{is: …}}",
        )
    expression = expect_expression(entries["is"][1], "is", "is: lstm(x[t], hidden=64)")
    stack, reverse, share, shape = None, (), None, None
    if "stack" in entries:
        stack = expect_size(entries["stack"][1], "stack")
    if "reverse" in entries:
        reverse = _axis_names(entries["reverse"][1])
    if "share" in entries:
        share = parse_name(expect_text(entries["share"][1], "share", "an instance", "share: l1"))
    if "shape" in entries:
        shape = expect_shape(entries["shape"][1], "shape")
    places = {
        option: (node if isinstance(node, Text) else written).span()
        for option, (written, node) in entries.items()
    }
    return Equation(targets, expression, stack, reverse, share, shape, places, key.span())


def _axis_names(node: Node) -> tuple[Name, ...]:
    items = node.items if isinstance(node, ListNode) else (node,)
    return tuple(
        parse_name(expect_text(item, "reverse", "an axis", "reverse: t")) for item in items
    )


def parse_initial(node: Node, problems: Problems) -> tuple[Initial, ...]:
    """Parse `initial`."""
    found: dict[tuple[str, str | None], Initial] = {}
    for key, value in expect_map(node, "initial", "h: learned").entries:
        with problems.collect():
            initial = _initial(key, value)
            axis = initial.axis.value if initial.axis else None
            first = found.setdefault((initial.name, axis), initial)
            if first is not initial:
                problems.add(
                    f"the initial value of {initial.at} is given twice",
                    key.location,
                    f"first given at {first.at.location}",
                    help="delete one of them",
                )
    return tuple(found.values())


def _initial(key: Text, value: Node) -> Initial:
    name, _, axes = parse_dotted(key)
    if len(axes) > 1:
        raise fail(
            f"{key.value} names {len(axes)} axes, but a boundary belongs to one axis",
            axes[1].at.location,
            help=f"write one entry for each, as in  {name}[{axes[0]}]",
        )
    axis = axes[0] if axes else None
    if not isinstance(value, MapNode):
        return _initial_value(name, axis, key, value)
    if not value.entries:
        raise fail(f"{key.value} has no points", key.location, help=f"write  {key.value}: zeros")
    points: dict[Expr, Initial] = {}
    for point, node in value.entries:
        index = parse_expression(point)
        if index in points:
            raise fail(f"the point {point.value} is given twice", point.location, help="delete one")
        points[index] = _initial_value(name, axis, point, node)
    return Initial(name, axis, "points", None, key.span(), key.span(), tuple(points.items()))


def _initial_value(name: str, axis: Name | None, key: Text, value: Node) -> Initial:
    text = expect_text(value, key.value, "an initial value", f"{key.value}: zeros")
    kinds: dict[str, InitialKind] = {"zeros": "zeros", "ones": "ones", "learned": "learned"}
    kind = kinds.get(text.value.strip(), "expression")
    parsed = parse_expression(text) if kind == "expression" else None
    return Initial(name, axis, kind, parsed, key.span(), text.span())


def parse_loss(node: Node) -> Expr:
    """Parse `loss`."""
    return expect_expression(node, "loss", "loss: mean[t](cross_entropy(o[t], y[t]))")


def parse_outputs(node: Node, problems: Problems) -> tuple[Reference, ...]:
    """Parse `outputs`: one node, or a list of nodes, with or without indices."""
    items = node.items if isinstance(node, ListNode) else (node,)
    outputs: list[Reference] = []
    for item in items:
        with problems.collect():
            parsed = expect_expression(item, "outputs", "outputs: [o, h]")
            if not isinstance(parsed, Reference):
                raise fail(
                    f"outputs: expected the name of a node, got {parsed.at}",
                    parsed.at.location,
                    help="give it an entry of its own under nodes, and name that entry",
                )
            outputs.append(parsed)
    return tuple(outputs)


def parse_output(node: Node) -> Expr:
    """Parse a cell's `output`."""
    return expect_expression(node, "output", "output: h[t]")


def parse_stop(node: Node, key: Text, problems: Problems) -> Stop:
    """Parse `stop`."""
    example = "stop: {when: argmax(o[t]) == eos, at_most: 200}"
    section = expect_map(node, "stop", example.partition(" ")[2].strip("{}").partition(",")[0])
    entries = check_keys(section, STOP_KEYS, "stop", problems)
    when = at_most = None
    extent: list[tuple[Name, Expr]] = []
    with problems.collect():
        if "when" in entries:
            when = expect_expression(entries["when"][1], "when", example)
    with problems.collect():
        if "at_most" in entries:
            at_most = expect_size(entries["at_most"][1], "at_most")
    if "extent" in entries:
        for axis, value in expect_map(entries["extent"][1], "extent", "t: argmax(n)").entries:
            with problems.collect():
                expression = expect_expression(value, axis.value, f"{axis.value}: argmax(n)")
                extent.append((parse_name(axis), expression))
    if len(entries) < len(section.entries):
        raise already_reported()
    if "when" in entries and "at_most" not in entries:
        raise fail(
            "stop has a condition but no bound: the run might never end",
            key.location,
            help="add  at_most: 200",
        )
    if "when" not in entries and "extent" not in entries and not is_null(node):
        raise fail("stop has neither  when  nor  extent", key.location, help=f"write  {example}")
    return Stop(when, at_most, tuple(extent), key.span())
