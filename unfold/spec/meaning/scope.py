"""Scopes: the meaning of one file's names, for the spec itself and for every instance of a cell.

Cells are inlined: `l1[t]: lstm(x[t], hidden=128)` adds the cell's equations with names below `l1.`.
A `Scope` maps the names a file uses to those of the whole Program: values, axes and sizes. A
`Definition` is a parameter, input or equation with its scope, under its full name.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from unfold.core.affine import Affine
from unfold.core.types import Dim
from unfold.errors import SpecError
from unfold.spec.file.model import Equation, Initial, InputDeclaration, ParameterDeclaration, Spec
from unfold.spec.text.expression import Expr, Reference, walk
from unfold.spec.text.text import Span


@dataclass
class Scope:
    """The meaning of a file's names.

    Attributes:
        spec: the file.
        prefix: of the full names of what it defines: "" or "l1.".
        axes: this file's axes -> full names.
        outer: axes of the caller that every equation gets in front of its own.
        sizes: known sizes.
        unbound: sizes that the call's arguments will decide, with the declaration's place.
        names: names bound by the call (a cell's inputs, shared parameters) -> full names.
        reversed: full names of the axes along which this instance runs backwards.
        broken: sizes and axes whose mistakes are reported already.
        deferred: unbound sizes that follow from other unbound ones: how, and whose names that uses.
        caller: for an instance, the scope of the file that calls the cell.
        called_at: for an instance, the key of the entry that makes it.
    """

    spec: Spec
    prefix: str = ""
    axes: dict[str, str] = field(default_factory=dict)
    outer: tuple[str, ...] = ()
    sizes: dict[str, Dim] = field(default_factory=dict)
    unbound: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    reversed: frozenset[str] = frozenset()
    broken: AbstractSet[str] = frozenset()
    deferred: dict[str, tuple[Expr, Scope]] = field(default_factory=dict)
    caller: Scope | None = None
    called_at: Span | None = None

    def callers(self) -> Iterator[Scope]:
        """Yield this scope and those of the files that called for it, inner before outer."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.caller

    def is_pending(self, expression: Expr) -> bool:
        """Tell whether an expression uses a size that arguments will decide, and have not yet."""
        return any(
            isinstance(e, Reference) and e.name in self.unbound and e.name not in self.sizes
            for e in walk(expression)
        )

    def traced(self, error: SpecError) -> SpecError:
        """Return an error that names the instance of a cell in which it was found."""
        if not error.diagnostics:
            return error
        notes = tuple(
            f"in the cell {s.spec.name}, used as {s.prefix[:-1]} at {s.called_at.location}"
            for s in self.callers()
            if s.called_at is not None
        )
        if not notes:
            return error
        found = (replace(d, notes=(*d.notes, *notes)) for d in error.diagnostics)
        return type(error)(*found)

    def full(self, name: str) -> str:
        """Return the full name of a value that this file defines or was given."""
        return self.names.get(name, self.prefix + name)

    def local(self, axis: str) -> str:
        """Return the name in this file of an axis, given by its full name."""
        return next((own for own, full in self.axes.items() if full == axis), axis)

    def lookup(self, name: str) -> Dim | None:
        """Return a size, or None where it is not known."""
        return self.sizes.get(name)

    def mirrored(self, index: Affine, axis: str) -> Affine:
        """Turn an index along `axis` around where this instance runs backwards: t-1 becomes t+1."""
        if not self.reversed:
            return index
        turned = index.substitute({a: Affine.last(a) - Affine.axis(a) for a in self.reversed})
        return Affine.last(axis) - turned if axis in self.reversed else turned


@dataclass(frozen=True)
class Definition:
    """One value by its full name.

    Attributes:
        name: full name.
        axes: full names of its axes, without batch, in the order of its key.
        scope: whose names its expressions use.
        at: its key in the file.
        equation: the entry it comes from, for equations; `part` counts the targets of a split.
        parameter, input: the declaration, for those.
        expression: the right-hand side, for equations (an argument of a call has no entry).
        what: the left side it belongs to, for messages.
    """

    name: str
    axes: tuple[str, ...]
    scope: Scope
    at: Span
    expression: Expr | None = None
    equation: Equation | None = None
    part: int | None = None
    parameter: ParameterDeclaration | None = None
    input: InputDeclaration | None = None
    what: str = ""


@dataclass(frozen=True)
class Argument:
    """An argument of a call: an instance's input, the value it is bound to, and as written."""

    scope: Scope
    declaration: InputDeclaration
    value: str
    argument: Expr


@dataclass(frozen=True)
class Sharing:
    """A parameter that an instance takes from another one: the value of that, and where."""

    scope: Scope
    declaration: ParameterDeclaration
    value: str
    at: Span


@dataclass(frozen=True)
class Boundary:
    """An entry of `initial`, with the scope it was written in and the full name it is about."""

    name: str
    initial: Initial
    scope: Scope


@dataclass
class Names:
    """All values of the Program that is being made.

    Attributes:
        definitions: by full name.
        aliases: names that stand for another value: `l1` for the cell's output `l1.h`.
        tops: instances that are a chain: `l1` -> `l1.layer3`, where `l1.s` is looked up.
        boundaries: entries of `initial`, a later one (of the caller) winning.
        bindings: arguments of calls, which decide sizes.
        sharings: parameters that instances take from others.
        instances: scopes of cells whose sizes are partly decided by arguments.
        broken: full names of definitions with mistakes that are reported already.
    """

    definitions: dict[str, Definition] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    tops: dict[str, str] = field(default_factory=dict)
    boundaries: list[Boundary] = field(default_factory=list)
    bindings: list[Argument] = field(default_factory=list)
    sharings: list[Sharing] = field(default_factory=list)
    instances: list[Scope] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def is_broken(self, full: str) -> bool:
        """Return whether a name, or the instance it is inside of, has a mistaken definition."""
        parts = full.split(".")
        return any(".".join(parts[: i + 1]) in self.broken for i in range(len(parts)))

    def resolve(self, full: str) -> str | None:
        """Return the name of the definition that a full name means, or None."""
        for _ in range(64):
            if full in self.definitions:
                return full
            if full in self.aliases:
                full = self.aliases[full]
                continue
            head = next((t for t in self.tops if full.startswith(t + ".")), None)
            if head is None:
                return None
            full = self.tops[head] + full[len(head) :]
        return None

    def other_names(self) -> dict[str, str]:
        """Return every other name of a value: instances of cells, and what is inside of a chain."""
        found = dict(self.aliases)
        for instance, top in self.tops.items():
            inside = [n for n in (*self.definitions, *self.aliases) if n.startswith(top + ".")]
            found.update({instance + n[len(top) :]: n for n in inside})
        resolved = {a: self.resolve(n) for a, n in found.items()}
        return {a: n for a, n in resolved.items() if n is not None}

    def visible(self, scope: Scope) -> list[str]:
        """Return the names a file may use, for suggestions."""
        own = [
            n.removeprefix(scope.prefix)
            for n in (*self.definitions, *self.aliases)
            if n.startswith(scope.prefix)
        ]
        return [*scope.names, *own]
