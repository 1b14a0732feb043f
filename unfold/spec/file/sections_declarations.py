"""Parse the sections that declare things: `axes`, `sizes`, `inputs`, `parameters` and `use`.

In: the YAML node of a section. Out: a tuple of declarations, in the order of the file. The parser
reports an entry that cannot be read, marks its name as broken, and reads the next entry.

    W[l]: {shape: [n, n], init: orthogonal}
    is   ParameterDeclaration(Target("W", ("l",)), shape=(n, n), Init("orthogonal"), frozen=False)
"""

from __future__ import annotations

from unfold.spec.file.expect import (
    check_keys,
    check_size,
    expect_bool,
    expect_map,
    expect_number,
    expect_shape,
    expect_size,
    expect_text,
)
from unfold.spec.file.model import (
    AxisDeclaration,
    Init,
    InitKind,
    InputDeclaration,
    LeftSide,
    NestedNumbers,
    ParameterDeclaration,
    SizeDeclaration,
    Use,
)
from unfold.spec.file.names import guessed_names, parse_name, parse_target
from unfold.spec.file.sections_table import INIT_KINDS, INIT_WITH_ARGUMENT
from unfold.spec.text.parse_expression import parse_expression
from unfold.spec.text.problems import Problems, already_reported, fail
from unfold.spec.text.reader import ListNode, MapNode, Node, is_null, kind_of
from unfold.spec.text.suggest import did_you_mean, listing
from unfold.spec.text.text import Text


def parse_axes(node: Node, problems: Problems) -> tuple[AxisDeclaration, ...]:
    """Parse `axes`: a mapping of extents, or a list of names without defaults."""
    axes: list[AxisDeclaration] = []
    for key, value in _named_entries(node, "axes", "t: 50"):
        with problems.collect(*guessed_names(key)):
            name = parse_name(key)
            extent = None
            if value is not None and not is_null(value):
                extent = parse_expression(expect_text(value, key.value, "an extent", "t: 50"))
                check_size(extent, "an extent")
            axes.append(AxisDeclaration(name.value, extent, name.at))
    return tuple(axes)


def parse_sizes(node: Node, problems: Problems, *, in_cell: bool) -> tuple[SizeDeclaration, ...]:
    """Parse `sizes`; only a cell may leave one without a value."""
    sizes: list[SizeDeclaration] = []
    for key, value in _named_entries(node, "sizes", "hidden: 128"):
        with problems.collect(*guessed_names(key)):
            name = parse_name(key)
            if value is None or is_null(value):
                if not in_cell:
                    raise fail(
                        f"the size {name} has no value",
                        key.location,
                        help=f"write  {name}: 128",
                    )
                sizes.append(SizeDeclaration(name.value, None, name.at))
            else:
                sizes.append(SizeDeclaration(name.value, expect_size(value, key.value), name.at))
    return tuple(sizes)


def _named_entries(node: Node, owner: str, example: str) -> list[tuple[Text, Node | None]]:
    """Return the entries of a mapping, or those of a list of names, without values."""
    if not isinstance(node, ListNode):
        return list(expect_map(node, owner, example).entries)
    entries: list[tuple[Text, Node | None]] = []
    for item in node.items:
        if not isinstance(item, Text):
            raise fail(
                f"{owner}: expected a name, got {kind_of(item)}",
                item.location,
                help=f"write a mapping, as in  {owner}: {{{example}}}",
            )
        entries.append((item, None))
    return entries


def parse_inputs(node: Node, problems: Problems) -> tuple[InputDeclaration, ...]:
    """Parse `inputs`."""
    inputs: list[InputDeclaration] = []
    for key, value in expect_map(node, "inputs", "x[t]: {category: vocab}").entries:
        with problems.collect(*guessed_names(key)):
            inputs.append(_input(parse_target(key), key, value, problems))
    return tuple(inputs)


def _input(target: LeftSide, key: Text, value: Node, problems: Problems) -> InputDeclaration:
    owner = key.value
    if not isinstance(value, MapNode):
        return InputDeclaration(target, expect_shape(value, owner), None, target.at)
    entries = check_keys(value, ("category", "shape"), owner, problems)
    if "category" in entries and "shape" in entries:
        raise fail(
            f"{owner} has both a category and a shape",
            entries["shape"][0].location,
            help="an input is either a category or a real array",
        )
    if "category" in entries:
        classes = expect_size(entries["category"][1], "category")
        return InputDeclaration(target, (), classes, target.at)
    if "shape" in entries:
        shape = expect_shape(entries["shape"][1], "shape")
        return InputDeclaration(target, shape, None, target.at)
    if len(entries) < len(value.entries):
        raise already_reported()
    raise fail(
        f"{owner} has neither a category nor a shape",
        key.location,
        help=f"write  {owner}: {{category: vocab}}  or  {owner}: [features]",
    )


def parse_parameters(node: Node, problems: Problems) -> tuple[ParameterDeclaration, ...]:
    """Parse `parameters`."""
    parameters: list[ParameterDeclaration] = []
    for key, value in expect_map(node, "parameters", "W: [hidden, hidden]").entries:
        with problems.collect(*guessed_names(key)):
            parameters.append(_parameter(parse_target(key), key, value, problems))
    return tuple(parameters)


def _parameter(
    target: LeftSide, key: Text, value: Node, problems: Problems
) -> ParameterDeclaration:
    owner = key.value
    if not isinstance(value, MapNode):
        return ParameterDeclaration(target, expect_shape(value, owner), None, False, target.at)
    entries = check_keys(value, ("shape", "init", "frozen"), owner, problems)
    if "shape" not in entries and len(entries) < len(value.entries):
        raise already_reported()
    if "shape" not in entries:
        raise fail(
            f"{owner} has no shape",
            key.location,
            help=f"write  {owner}: {{shape: [hidden, hidden]}}",
        )
    shape = expect_shape(entries["shape"][1], "shape")
    init, frozen = None, False
    with problems.collect():
        if "init" in entries:
            init = parse_init(entries["init"][1], problems)
    with problems.collect():
        if "frozen" in entries:
            frozen = expect_bool(entries["frozen"][1], "frozen")
    return ParameterDeclaration(target, shape, init, frozen, target.at)


def parse_init(node: Node, problems: Problems) -> Init:
    """Parse how a parameter starts: a word, or a mapping of one word to its argument."""
    if isinstance(node, MapNode):
        if len(node.entries) != 1:
            raise fail(
                f"init: expected one entry, got {len(node.entries)}",
                node.location,
                help="write  init: {normal: 0.01}",
            )
        word, value = node.entries[0]
    else:
        word = expect_text(node, "init", "the name of a rule", "init: orthogonal")
        value = None
    kind: InitKind | None = next((known for known in INIT_KINDS if known == word.value), None)
    if kind is None:
        raise fail(
            f"unknown init {word.value}",
            word.location,
            help=did_you_mean(word.value, INIT_KINDS) or f"the rules are {listing(INIT_KINDS)}",
        )
    if kind not in INIT_WITH_ARGUMENT:
        if value is not None and not is_null(value):
            raise fail(
                f"init {kind} takes no argument", value.location, help=f"write  init: {kind}"
            )
        return Init(kind, None, word.span())
    if value is None:
        example = {"values": "[[1, 0], [0, 1]]", "file": "weights.safetensors"}.get(kind, "0.1")
        raise fail(
            f"init {kind} needs an argument",
            word.location,
            help=f"write  init: {{{kind}: {example}}}",
        )
    if kind == "file":
        path = expect_text(value, "file", "a path", "file: weights.safetensors")
        return Init(kind, path.value, word.span(), path.span())
    return Init(kind, _init_argument(kind, value), word.span())


def _init_argument(kind: str, value: Node) -> NestedNumbers:
    if kind == "values":
        return _values(value)
    number = expect_number(value, kind, finite=kind != "constant")
    if kind != "constant" and number < 0:
        raise fail(f"{kind}: expected a number of at least 0, got {number}", value.location)
    return number


def _values(node: Node) -> NestedNumbers:
    """Return nested lists of numbers as nested tuples; rows of a level must have equal lengths."""
    if not isinstance(node, ListNode):
        return expect_number(node, "values", finite=False)
    rows = tuple(_values(item) for item in node.items)
    shapes = [_shape_of(row) for row in rows]
    for item, shape in zip(node.items, shapes, strict=True):
        if shape != shapes[0]:
            raise fail(
                f"values: the shape of this row is {list(shape)}, but that of the first is "
                f"{list(shapes[0])}",
                item.location,
                help="give all rows the same length",
            )
    return rows


def _shape_of(values: NestedNumbers) -> tuple[int, ...]:
    shape: list[int] = []
    while isinstance(values, tuple):
        shape.append(len(values))
        if not values:
            break
        values = values[0]
    return tuple(shape)


def parse_use(node: Node, problems: Problems) -> tuple[Use, ...]:
    """Parse `use`: cell files by name."""
    uses: list[Use] = []
    for key, value in expect_map(node, "use", "lstm: cells/lstm.yaml").entries:
        with problems.collect():
            name = parse_name(key)
            path = expect_text(value, key.value, "the path of a cell's file", "cells/lstm.yaml")
            uses.append(Use(name.value, path.value, name.at, path.span()))
    return tuple(uses)
