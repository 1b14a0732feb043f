"""Names are composed in `unfold.core.origin` alone; who wants to know asks `value.origin`.

The scan finds every operation on text that takes a generated name apart or puts one together: a
search or a cut with one of the marks of `MARKS`, and a mark joined to something else.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import unfold
from unfold.core.origin import (
    Adjoint,
    Beside,
    Carried,
    Direction,
    Errors,
    Fed,
    Joined,
    LastIndex,
    Next,
    Origin,
    Part,
    Setting,
    StateAxis,
    Transposed,
    Written,
)

FOLDER = Path(unfold.__file__).parent
GROUPS = ("carry.", "next.", "direction.", "last.", "chunk:", "feedback:", "decoding.")
MARKS = ("∂", "~", "|", *GROUPS)
CUTS = {
    *("startswith", "endswith", "removeprefix", "removesuffix", "lstrip", "rstrip", "strip"),
    *("split", "rsplit", "partition", "rpartition", "count", "find", "index", "replace", "join"),
}
BEFORE = re.compile(rf"(^|[^a-z])({'|'.join(map(re.escape, MARKS))})$")
AFTER = re.compile(r"^[~|]")
# Texts of people: specs, settings and paths, where these characters are no marks.
TEXTS = ("spec/text", "spec/file", "settings")
PLACE = FOLDER / "core" / "origin.py"


NAMES: dict[Origin, str] = {
    Written("h"): "h",
    Part(Written("h"), 1): "h.1",
    Part(Part(Written("h"), 1), "coin"): "h.1.coin",
    Adjoint(Written("h")): "∂h",
    Adjoint(Part(Written("h"), 1), 2): "∂²h.1",
    Part(Adjoint(Written("h"), 12), 3, 2): "∂¹²h::3",
    Carried("h"): "carry.h",
    StateAxis("h", "t"): "carry.h.t",
    Next("h"): "next.h",
    Adjoint(Carried("h")): "∂carry.h",
    Direction(Next("h").name): "direction.next.h",
    Setting("chunk", ":", "begins"): "chunk:begins",
    Fed("x", "said"): "x.said",
    Joined(("W", "U")): "W|U",
    Transposed(Written("W"), "ij->ji"): "W~ij~ji",
    Beside(Part(Written("h"), 1)): "h.1~",
    LastIndex("t"): "last.t",
    Errors("h"): "~h",
}


@pytest.mark.parametrize("origin", NAMES, ids=NAMES.get)
def test_what_follows_from_an_origin(origin: Origin) -> None:
    assert origin.name == NAMES[origin]


def test_the_equation_of_a_part() -> None:
    h = Written("h")
    assert h.equation is h and Part(Part(h, 1), "coin").equation is h
    assert Beside(Part(h, 1)).equation is h and Transposed(h, "ij->ji").equation is h
    gradient = Adjoint(h)
    assert gradient.equation is gradient and Part(gradient, 1, 1).equation is gradient
    assert Adjoint(Part(h, 1)).equation == gradient


def test_every_kind_is_named() -> None:
    assert {type(origin) for origin in NAMES} == set(Origin.__subclasses__())


def test_names_are_composed_and_parsed_in_one_place() -> None:
    trees = {p: ast.parse(p.read_text()) for p in FOLDER.rglob("*.py") if p != PLACE}
    named = constants(trees.values())
    found = [
        f"{path.relative_to(FOLDER)}:{line}"
        for path, tree in trees.items()
        if not path.relative_to(FOLDER).as_posix().startswith(TEXTS)
        for line in operations(tree, named)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        'name.startswith("∂")',
        'name.startswith(("x", NEXT))',
        'name.removeprefix("last.")',
        'name.partition("~")[0]',
        '"|" in name',
        '"|".join(names)',
        'f"carry.{name}"',
        'f"{NEXT}{name}"',
        'f"{name}~"',
        '"∂" + name',
        "value.node[1:]",
    ],
)
def test_what_is_counted(text: str) -> None:
    assert list(operations(ast.parse(text), {"NEXT"})) == [1]


@pytest.mark.parametrize("text", ['"next." == x', 'f"at last. {x}"', "names[1:]", 'f"{a} {b}"'])
def test_what_is_not_counted(text: str) -> None:
    assert list(operations(ast.parse(text), {"NEXT"})) == []


def constants(trees: Iterable[ast.Module]) -> set[str]:
    """Return the names of the constants of modules that are marks, under all of their names."""
    pairs = [pair for tree in trees for node in tree.body for pair in assigned(node)]
    found, before = set[str](), None
    while found != before:
        before = set(found)
        found |= {name for name, value in pairs if is_mark(value, found)}
    return found


def assigned(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names that a statement gives to values."""
    if isinstance(node, ast.ImportFrom):
        yield from ((a.asname, ast.Name(a.name)) for a in node.names if a.asname)
    for target in node.targets if isinstance(node, ast.Assign) else ():
        value = node.value  # type: ignore[union-attr]
        if isinstance(target, ast.Name):
            yield target.id, value
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            names = (t.id for t in target.elts if isinstance(t, ast.Name))
            yield from zip(names, value.elts, strict=True)


def is_mark(node: ast.AST, named: set[str]) -> bool:
    """Return whether something is a mark, or a constant that is one."""
    if isinstance(node, ast.Name):
        return node.id in named
    if isinstance(node, ast.Tuple):
        return any(is_mark(e, named) for e in node.elts)
    return isinstance(node, ast.Constant) and node.value in MARKS


def is_joined(node: ast.AST, named: set[str]) -> bool:
    """Return whether a text has a mark right beside something that is filled in."""
    if not isinstance(node, ast.JoinedStr):
        return False
    for part, other in zip([None, *node.values], [*node.values, None], strict=True):
        if isinstance(part, ast.Constant) and other and BEFORE.search(str(part.value)):
            return True
        if isinstance(other, ast.Constant) and part and AFTER.search(str(other.value)):
            return True
        if isinstance(part, ast.FormattedValue) and is_mark(part.value, named):
            return True
    return False


def operations(tree: ast.AST, named: set[str]) -> Iterator[int]:
    """Yield the line of every operation on a generated name, top to bottom."""

    def is_operation(node: ast.AST) -> bool:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            some = (*node.args, node.func.value)
            return node.func.attr in CUTS and any(is_mark(a, named) for a in some)
        if isinstance(node, ast.Compare):
            inside = isinstance(node.ops[0], ast.In | ast.NotIn)
            return inside and is_mark(node.left, named) and not isinstance(node.left, ast.Tuple)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return is_mark(node.left, named) or is_mark(node.right, named)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            return isinstance(node.value, ast.Attribute) and node.value.attr in ("name", "node")
        return is_joined(node, named)

    yield from sorted(n.lineno for n in ast.walk(tree) if is_operation(n))  # type: ignore[attr-defined]
