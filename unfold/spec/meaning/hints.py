"""Mistakes with names: suggest meanings of a name, and explain misplaced indices.

unknown name hiden            help: did you mean hidden?
unknown name lstm             help: lstm is a cell; give it an entry of its own ...
o[t] has no axis s            help: name it on the left, o[t, s], or reduce over it ...
"""

from __future__ import annotations

from collections.abc import Sequence

from unfold.errors import SpecError
from unfold.spec.meaning.files import cell_names
from unfold.spec.meaning.operators import is_operator, operators
from unfold.spec.meaning.scope import Names, Scope
from unfold.spec.text.expression import Call, Reference
from unfold.spec.text.problems import fail
from unfold.spec.text.suggest import did_you_mean, listing
from unfold.spec.text.text import Span

# Words for numbers in other languages, in small letters.
_SPELLINGS = {"inf": "inf", "infty": "inf", "infinity": "inf", "nan": "nan"}


def unknown_name(expression: Reference, names: Names, scope: Scope) -> SpecError:
    """Describe a name that means nothing."""
    name = expression.name
    visible = names.visible(scope)
    known = [*visible, *scope.sizes, *scope.axes]
    if is_operator(name):
        hint = f"{name} is an operator, called with parentheses: {name}(…)"
    elif name in cell_names(scope.spec):
        hint = f"{name} is a cell; give it an entry of its own, as in  l1[t]: {name}(…)"
    elif name.rpartition(".")[2].lower() in _SPELLINGS:
        hint = f"write  {_SPELLINGS[name.rpartition('.')[2].lower()]}"
    else:
        hint = part_of(name, visible) or did_you_mean(name, known)
        plain = [n for n in known if "." not in n]
        hint = (
            hint or f"define it under nodes, inputs, parameters or sizes; known: {listing(plain)}"
        )
    return fail(f"unknown name {name}", expression.name_at.location, help=hint)


def part_of(name: str, visible: Sequence[str]) -> str | None:
    """Return the names in an instance of a cell, if a dotted name reaches into one in vain."""
    head, dot, inside = name.rpartition(".")
    parts = list(
        dict.fromkeys(
            n.removeprefix(f"{head}.").partition(".")[0]
            for n in visible
            if n.startswith(f"{head}.")
        )
    )
    if not dot or not parts:
        return None
    close = did_you_mean(inside, parts)
    return f"did you mean {head}.{close.split()[-1]}" if close else f"{head} has {listing(parts)}"


def unknown_operator(expression: Call, names: Names, scope: Scope) -> SpecError:
    """Describe a function that does not exist, or a cell that cannot be called here."""
    name, at = expression.function, expression.function_at.location
    cells = cell_names(scope.spec)
    if name in cells:
        return fail(
            f"the cell {name} is called inside an expression",
            at,
            help=f"give it an entry of its own, as in  l1[t]: {name}(…),  and use l1[t] here",
        )
    if names.resolve(scope.full(name)) is not None:
        hint = f"{name} is a value; index it with brackets, as in {name}[t]"
    elif name in scope.axes or name in scope.sizes:
        hint = f"{name} is a number; multiply with *"
    else:
        hint = did_you_mean(name, [*operators(), *cells]) or (
            f"the operators are {listing(operators(), most=99)}; the cells are {listing(cells)}"
        )
    return fail(f"unknown operator or cell {name}", at, help=hint)


def missing_axis(name: str, at: Span, what: str, allowed: Sequence[str], target: str) -> SpecError:
    """Describe an index along an axis that the equation does not have.

    Args:
        name: the axis.
        at: the piece that uses it.
        what: the equation, for messages.
        allowed: the axes it has, by their names in the file.
        target: the name on its left, "" if the piece is outside of the equations.
    """
    fixed = "read one step of it, as in h[0] or h[last]"
    reduce = f"reduce over it, as in sum[{name}](…) or mean[{name}](…)"
    if target:
        left = ",".join([*allowed, name])
        return fail(
            f"{what} has no axis {name}",
            at.location,
            help=f"name it on the left, as in {target}[{left}]; or {reduce}",
        )
    return fail(f"{what} has no axis {name}", at.location, help=f"{reduce}; or {fixed}")
