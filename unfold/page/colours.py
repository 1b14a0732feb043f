"""The text of a spec in pieces with roles, for syntax colours.

In: the text of a spec, and the roles of names. Out: `Code`. Pygments reads the YAML; expressions
are cut into names, numbers and signs here, so that a parameter looks the same wherever it stands.

    colour("W: [2]", {"W": "parameter"})    (("parameter", "W"), ("sign", ":"), ("", " "), …)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pygments.lexers.data import YamlLexer
from pygments.token import Comment, Name, Punctuation, String

from unfold.core.op import OPS
from unfold.core.program import Program
from unfold.page.document import Code, Role

_PIECE = re.compile(r"(\s+)|([^\W\d][\w.]*)|(\d[\w.]*)|([^\s\w]+)")
WHOLE = ((Comment, "comment"), (String, "text"), (Name.Constant, "text"), (Punctuation, "sign"))


def colour(text: str, roles: Mapping[str, Role], title: str = "") -> Code:
    """Return the lines of a YAML text."""
    lines: list[list[tuple[Role, str]]] = [[]]
    lexer = YamlLexer(stripnl=False, ensurenl=False)
    for kind, piece in lexer.get_tokens(text):
        for role, part in _roles(kind, piece, roles):
            first, *rest = part.split("\n")
            lines[-1] += [(role, first)] if first else []
            for line in rest:
                lines.append([(role, line)] if line else [])
    while lines and not lines[-1]:
        lines.pop()
    return Code([_joined(line) for line in lines], title)


def plain_code(lines: Iterable[str], title: str = "", *, wrap: bool = False) -> Code:
    """Return lines without colours."""
    return Code([[("", line)] for line in lines], title, wrap)


def roles_of(program: Program) -> dict[str, Role]:
    """Return the roles of the names of a Program, and of operators."""
    found: dict[str, Role] = {name: "function" for name in OPS}
    for value in program:
        if value.is_named and not value.is_constant:
            given = "parameter" if value.is_parameter else "input" if value.is_input else "node"
            found[value.name] = given
    return found


def _roles(kind: Any, piece: str, roles: Mapping[str, Role]) -> Iterator[tuple[Role, str]]:
    whole = next((role for token, role in WHOLE if kind in token), None)
    if whole is not None:
        yield whole, piece
        return
    is_key = kind in Name.Tag
    for space, name, number, sign in _PIECE.findall(piece):
        if name:
            role = roles.get(name, "")
            yield ("key" if is_key and role in ("", "function") else role), name
        else:
            yield ("number" if number else "sign" if sign else ""), space or number or sign


def _joined(line: list[tuple[Role, str]]) -> list[tuple[Role, str]]:
    """Join neighbours of one role."""
    found: list[tuple[Role, str]] = []
    for role, text in line:
        if found and found[-1][0] == role:
            found[-1] = role, found[-1][1] + text
        else:
            found.append((role, text))
    return found
