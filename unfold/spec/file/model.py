"""A spec file as written, section by section; `parse_spec` returns it and elaboration reads it.

Everything keeps the order of the file and knows its place. Its syntax has been checked (keys, kinds
of YAML nodes, names, expressions, duplicate definitions). Elaboration checks the meaning: whether
names exist, shapes fit and cycles have a delay.

    h[t]: tanh(W @ h[t-1])   under `nodes` is
    Equation(targets=(Target("h", (Name("t"),)),), expression=Call("tanh", …))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from unfold.errors import Location
from unfold.spec.text.expression import Expr, Name, Reference
from unfold.spec.text.text import Span

InitKind = Literal[
    "zeros", "ones", "glorot", "he", "orthogonal", "identity",
    "normal", "uniform", "constant", "values", "file",
]  # fmt: skip
InitialKind = Literal["zeros", "ones", "learned", "expression", "points"]
NestedNumbers = int | float | tuple["NestedNumbers", ...]
Tree = dict[str, "Tree"] | list["Tree"] | str | int | float | bool | None
KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class LeftSide:
    """The left side of a definition: `h[t]`, `W[l]`, `b`. `at` covers it with its axes."""

    name: str
    axes: tuple[Name, ...]
    at: Span = field(compare=False, repr=False)
    name_at: Span = field(compare=False, repr=False)

    @property
    def axis_names(self) -> tuple[str, ...]:
        """The axes as plain strings."""
        return tuple(axis.value for axis in self.axes)


@dataclass(frozen=True)
class AxisDeclaration:
    """An index axis and its default extent (None: that of the data, or of a cell's caller)."""

    name: str
    extent: Expr | None
    at: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class SizeDeclaration:
    """A named dimension (None in a cell: bound by the call)."""

    name: str
    value: Expr | None
    at: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class InputDeclaration:
    """An input: a category with some classes, or a real array of a shape (`()` is one number)."""

    target: LeftSide
    shape: tuple[Expr, ...]
    category: Expr | None
    at: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Init:
    """The initial value of a parameter.

    Attributes:
        kind: the rule's name.
        argument: a number for normal, uniform and constant; nested tuples of numbers (or one
            number) for values; a path for file; None for the others.
        path_at: of a file.
    """

    kind: InitKind
    argument: NestedNumbers | str | None
    at: Span = field(compare=False, repr=False)
    path_at: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class ParameterDeclaration:
    """A parameter, its shape without its axes, and its initial value (init None: by its rank)."""

    target: LeftSide
    shape: tuple[Expr, ...]
    init: Init | None
    frozen: bool
    at: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Use:
    """A cell file made available under a name; the path is relative to this file."""

    name: str
    path: str
    at: Span = field(compare=False, repr=False)
    path_at: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Equation:
    """One entry of `nodes`.

    Attributes:
        targets: the defined names; several for `i[t], f[t]: split(z[t], 2)`, with the same axes.
        expression: the right side (the value of `is:` in the mapping form).
        stack: the number of copies of the cell to chain, or None.
        reverse: the axes along which the cell runs backwards.
        share: the instance whose parameters are used, or None.
        shape: the declared shape, or None if it must be inferred.
        options_at: the value of each given option, by its name.
        at: the key of the entry.
    """

    targets: tuple[LeftSide, ...]
    expression: Expr
    stack: Expr | None
    reverse: tuple[Name, ...]
    share: Name | None
    shape: tuple[Expr, ...] | None
    options_at: Mapping[str, Span] = field(compare=False, repr=False)
    at: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Initial:
    """The value of a node outside its domain.

    Attributes:
        name: the node, dotted if it is inside a cell's instance (`l1.s`).
        axis: the axis of the boundary, or None for every axis.
        kind: zeros, ones, learned, an expression, or points with a value each.
        value: the expression (a number included), or None for the other kinds.
        at: the key of the entry; `value_at` its value.
        points: the values at single index points, each with its index: `{-1: a, -2: b}`.
    """

    name: str
    axis: Name | None
    kind: InitialKind
    value: Expr | None
    at: Span = field(compare=False, repr=False)
    value_at: Span = field(compare=False, repr=False)
    points: tuple[tuple[Expr, Initial], ...] = ()

    @property
    def expressions(self) -> tuple[Expr, ...]:
        """Every expression of a value outside the domain."""
        own = () if self.value is None else (self.value,)
        return (*own, *(e for _, point in self.points for e in point.expressions))


@dataclass(frozen=True)
class Stop:
    """The end of a free run: a condition with a bound, or predicted extents by axis."""

    when: Expr | None
    at_most: Expr | None
    extent: tuple[tuple[Name, Expr], ...]
    at: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Section:
    """A section that other layers read, such as `data` or `draw`, as plain values.

    Attributes:
        tree: nested dicts, lists and scalars.
        locate: from a path of keys and list positions to the place of that value in the file; a
            path that does not exist gives the place of its longest existing part.
        locate_key: the same for the key rather than its value.
    """

    tree: Mapping[str, Any]
    locate: Callable[[KeyPath], Location | None] = field(compare=False, repr=False)
    locate_key: Callable[[KeyPath], Location | None] = field(compare=False, repr=False)

    @classmethod
    def at(cls, place: Location | None, tree: Mapping[str, Any]) -> Section:
        """Return a section that is not in the file; all of it is shown at one place, or at none."""
        return cls(tree, lambda path: place, lambda path: place)


@dataclass(frozen=True)
class Spec:
    """A whole file.

    Attributes:
        kind: "spec" for a model (`name:`), "cell" for a function of indexed inputs (`cell:`).
        file: the path as the user wrote it.
        output: a cell's result; None in a model.
        outputs: the results of a model's run, as references; empty if the file names none.
        sections_at: the key of every section that is in the file.
    """

    kind: Literal["spec", "cell"]
    file: str
    name: str
    about: str
    axes: tuple[AxisDeclaration, ...]
    sizes: tuple[SizeDeclaration, ...]
    inputs: tuple[InputDeclaration, ...]
    parameters: tuple[ParameterDeclaration, ...]
    uses: tuple[Use, ...]
    nodes: tuple[Equation, ...]
    initial: tuple[Initial, ...]
    loss: Expr | None
    outputs: tuple[Reference, ...]
    output: Expr | None
    stop: Stop | None
    data: Section | None
    train: Section | None
    memory: Section | None
    generate: Section | None
    draw: Section | None
    sections_at: Mapping[str, Span] = field(compare=False, repr=False)

    def locate(self, section: str) -> Location:
        """Return the place of a section's key, or that of `unfold` if there is no such section."""
        span = self.sections_at.get(section) or self.sections_at["unfold"]
        return span.location
