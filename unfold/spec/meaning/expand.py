"""Inline cells: from a file and the cells it calls to one flat set of definitions.

    l1[t]: lstm(x[t], hidden=128)     defines l1.W, l1.U, l1.b, l1.z[t], ..., l1.h[t]; `l1` means
    l1.h

A cell's own axes without an extent are the caller's; the others are new (`l1.depth`). Axes of the
caller that the cell does not have become outer axes of all its equations. The shape of an argument
binds the sizes without a value that it uses. No later stage knows of cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from unfold.core.affine import Affine
from unfold.core.program import Axis
from unfold.core.types import Dim
from unfold.errors import Location, SpecError
from unfold.spec.file.model import Equation, InputDeclaration, LeftSide, Spec
from unfold.spec.meaning.files import MAX_AXES
from unfold.spec.meaning.operators import is_operator
from unfold.spec.meaning.scope import Argument, Boundary, Definition, Names, Scope, Sharing
from unfold.spec.meaning.sizes import extent, size, whole
from unfold.spec.text.expression import Call, Expr, Reference, walk
from unfold.spec.text.problems import Problems, already_reported, fail
from unfold.spec.text.suggest import did_you_mean, listing
from unfold.spec.text.text import Span

MAX_DEPTH = 16
MAX_STACK = 256
MAX_DEFINITIONS = 10_000
MAX_CALLS = 3000
MAX_OWN_AXES = 16
GENERATED = ("carry", "direction", "directional", "extent")

LoadCell = Callable[[str, Spec], Spec | None]


@dataclass
class Expansion:
    """The definitions made so far.

    Attributes:
        load: finds a cell's file: (name, file that calls it) -> its Spec, or None.
        problems: mistakes found.
        axes: every axis of the Program.
        names: every value.
    """

    load: LoadCell
    problems: Problems
    axes: dict[str, Axis]
    names: Names = field(init=False)
    calls: int = 0
    is_full: bool = False
    refused: set[Span] = field(default_factory=set[Span])

    def __post_init__(self) -> None:
        """Share the record of mistaken definitions."""
        self.names = Names(broken=self.problems.broken)

    @contextmanager
    def collect(self, scope: Scope, *names: str) -> Iterator[None]:
        """Record the mistakes of a block, and mark its definitions in the scope as mistaken."""
        with self.problems.collect(*(scope.prefix + n for n in names)):
            try:
                yield
            except SpecError as error:
                raise scope.traced(error) from None

    def define(self, definition: Definition) -> None:
        """Add one definition."""
        if self.is_full or definition.name in self.names.definitions:
            raise already_reported()
        if len(self.names.definitions) >= MAX_DEFINITIONS:
            self.is_full = True
            raise fail(
                f"the model has more than {MAX_DEFINITIONS:,} values after all cells are inlined",
                _outermost(definition.scope, definition.at),
                help="use fewer or smaller stacks of cells",
            )
        self.names.definitions[definition.name] = definition

    def file(self, scope: Scope, depth: int = 0) -> None:
        """Add everything a file defines, in its scope."""
        spec = scope.spec
        for use in spec.uses:
            with self.collect(scope):
                if is_operator(use.name):
                    raise fail(
                        f"{use.name} is an operator and cannot be the name of a cell",
                        use.at.location,
                        help="choose another name for the cell",
                    )
        for declaration in spec.parameters:
            target = declaration.target
            if target.name not in scope.names:  # shared parameters belong to another instance
                with self.collect(scope, target.name):
                    axes = self.axes_of(target, scope)
                    self.define(
                        Definition(
                            scope.prefix + target.name,
                            axes,
                            scope,
                            target.at,
                            parameter=declaration,
                        )
                    )
        for equation in spec.nodes:
            if self.is_full:
                return
            with self.collect(scope, *(t.name for t in equation.targets)):
                self.equation(equation, scope, depth)
        for initial in spec.initial:
            self.names.boundaries.append(Boundary(scope.full(initial.name), initial, scope))

    def axes_of(self, target: LeftSide, scope: Scope) -> tuple[str, ...]:
        """Return the full names of a target's axes."""
        found: list[str] = []
        if len(target.axes) > MAX_OWN_AXES:
            raise fail(
                f"{target.name} has {len(target.axes)} axes",
                target.name_at.location,
                help=f"a value has at most {MAX_OWN_AXES}",
            )
        for axis in target.axes:
            name = axis.value
            if name not in scope.axes and name in scope.broken:
                raise already_reported()
            if name not in scope.axes:
                advice = f"declare it, as in  axes: {{{name}: 50}}"
                known = f"  (the axes are {listing(scope.axes)})" if scope.axes else ""
                raise fail(
                    f"unknown axis {name}",
                    axis.at.location,
                    help=did_you_mean(name, scope.axes) or advice + known,
                )
            if scope.axes[name] in found:
                raise fail(
                    f"axis {name} is given twice", axis.at.location, help="give every axis once"
                )
            found.append(scope.axes[name])
        return tuple(found)

    def equation(self, equation: Equation, scope: Scope, depth: int) -> None:
        """Add an equation, or the instance of a cell."""
        own = self.axes_of(equation.targets[0], scope)
        axes = (*(a for a in scope.outer if a not in own), *own)
        call = equation.expression
        if isinstance(call, Call) and call.axes is None:
            cell = self.load(call.function, scope.spec)
            if cell is not None:
                self.call(equation, call, cell, axes, scope, depth)
                return
        misspelt = isinstance(call, Call) and not is_operator(call.function)
        for option in ("stack", "reverse", "share"):
            if option in equation.options_at and not misspelt:
                raise fail(
                    f"{option} needs a cell",
                    equation.options_at[option].location,
                    help=f"{option} applies only to a call of a cell, such as lstm(x[t], "
                    f"hidden=64)",
                )
        split = len(equation.targets) > 1
        for part, target in enumerate(equation.targets):
            self.define(
                Definition(
                    scope.prefix + target.name,
                    axes,
                    scope,
                    target.at,
                    equation.expression,
                    equation,
                    part if split else None,
                )
            )

    def call(
        self,
        equation: Equation,
        call: Call,
        cell: Spec,
        axes: tuple[str, ...],
        scope: Scope,
        depth: int,
    ) -> None:
        """Add one instance of a cell, or a chain of them."""
        chain = [s.spec for s in scope.callers() if s.called_at is not None]
        if cell in chain or depth >= MAX_DEPTH:
            if call.function_at in self.refused:
                raise already_reported()
            self.refused.add(call.function_at)
            raise _too_deep(call, cell, chain)
        self.calls += 1
        if self.calls > MAX_CALLS:
            self.is_full = True
            raise fail(
                f"cells are called more than {MAX_CALLS:,} times",
                _outermost(scope, call.at),
                help="use fewer or smaller cells",
            )
        target, *others = equation.targets
        if others:
            raise fail(
                f"the cell {cell.name} has one output, but there are "
                f"{len(equation.targets)} names on the left",
                equation.at.location,
                help=f"keep one name and read its other values, as in  {target.name}.s[t]",
            )
        if not scope.prefix and target.name in GENERATED:
            raise fail(
                f"{target.name} cannot name an instance of a cell",
                target.name_at.location,
                help="choose another name; unfold reserves the names below this one",
            )
        count = 1
        if equation.stack is not None:
            count = whole(equation.stack, scope, "the number of cells in a stack", 1, MAX_STACK)
        name = scope.prefix + target.name
        below: str | None = None
        for layer in range(1, count + 1):
            own = name if equation.stack is None else f"{name}.layer{layer}"
            instance = self.instance(own, equation, call, cell, axes, scope)
            if equation.share is not None:
                self.share(instance, equation, own, name, scope)
            self.bind(instance, call, scope, below)
            self.file(instance, depth + 1)
            self.output(own, instance, axes)
            below = own
        if equation.stack is not None:
            self.names.aliases[name] = f"{name}.layer{count}"
            self.names.tops[name] = f"{name}.layer{count}"

    def instance(
        self,
        name: str,
        equation: Equation,
        call: Call,
        cell: Spec,
        axes: tuple[str, ...],
        scope: Scope,
    ) -> Scope:
        """Make the scope of one instance: its axes and the sizes that the call gives."""
        free = [a.name for a in cell.axes if a.extent is None]
        by_name = {a: scope.axes[a] for a in free if scope.axes.get(a) in axes}
        left = [a for a in axes if a not in by_name.values()]
        missing = [a for a in free if a not in by_name]
        if len(missing) > len(left):
            raise fail(
                f"the cell {cell.name} runs along the axis {listing(free)}, but "
                f"{equation.targets[0].at.source} has "
                f"{'no axis' if not axes else 'only ' + ', '.join(map(scope.local, axes))}",
                equation.at.location,
                help=f"add the axes, as in  {equation.targets[0].name}[{', '.join(free)}]",
            )
        chosen = left[len(left) - len(missing) :] if missing else []
        mapping = {**by_name, **dict(zip(missing, chosen, strict=True))}
        outer = tuple(a for a in axes if a not in mapping.values())
        instance = Scope(
            cell,
            f"{name}.",
            mapping,
            outer,
            reversed=self.reversals(equation, axes, scope),
            caller=scope,
            called_at=equation.targets[0].at,
        )
        self.sizes_of(instance, call, cell, scope)
        for axis in cell.axes:
            if axis.extent is not None:
                full = f"{name}.{axis.name}"
                instance.axes[axis.name] = full
                value = extent(axis.extent, instance)
                self.axes[full] = Axis(full, value.rename(instance.axes))
        return instance

    def reversals(self, equation: Equation, axes: tuple[str, ...], scope: Scope) -> frozenset[str]:
        """Return the axes along which an instance runs backwards; twice is forwards."""
        turned: set[str] = set(scope.reversed)
        for axis in equation.reverse:
            full = scope.axes.get(axis.value)
            if full not in axes:
                raise fail(
                    f"{equation.targets[0].name} has no axis {axis.value} to reverse",
                    axis.at.location,
                    help=f"its axes are {listing(map(scope.local, axes)) or 'none'}",
                )
            turned ^= {full}
        return frozenset(turned)

    def sizes_of(self, instance: Scope, call: Call, cell: Spec, scope: Scope) -> None:
        """Evaluate the sizes of an instance: options of the call, then the cell's defaults."""
        inputs = {i.target.name for i in cell.inputs}
        given = {k.name: k for k in call.keywords if k.name not in inputs}
        declared = {s.name for s in cell.sizes}
        for keyword in given.values():
            if keyword.name not in declared:
                raise fail(
                    f"the cell {cell.name} has no size or input {keyword.name}",
                    keyword.name_at.location,
                    help=did_you_mean(keyword.name, declared | inputs)
                    or f"it has {listing([*sorted(inputs), *(s.name for s in cell.sizes)])}",
                )
        told = {
            e.at.source
            for i in cell.inputs
            for e in ((i.category,) if i.category is not None else i.shape)
        }
        for declaration in cell.sizes:
            own = declaration.name
            value, whose = declaration.value, instance
            if own in given:
                value, whose = given[own].value, scope
            if value is not None and whose.is_pending(value):
                instance.deferred[own] = (value, whose)
                instance.unbound.add(own)
            elif value is not None:
                found = size(value, whose)
                instance.sizes[own] = found if whose is scope else Dim(found, own)
            elif own in told:
                instance.unbound.add(own)
            else:
                raise fail(
                    f"the cell {cell.name} needs its size {own}",
                    call.at.location,
                    "no input determines this size, so the call must set it",
                    help=f"write  {cell.name}(…, {own}=128)",
                )
        if instance.unbound:
            self.names.instances.append(instance)

    def share(self, instance: Scope, equation: Equation, own: str, name: str, scope: Scope) -> None:
        """Take the parameters of another instance."""
        assert equation.share is not None
        other = scope.prefix + equation.share.value + own.removeprefix(name)
        place = equation.share.at.location
        for declaration in instance.spec.parameters:
            full = self.names.resolve(f"{other}.{declaration.target.name}")
            if full is None and self.names.is_broken(other):
                raise already_reported()
            if full is None:
                raise fail(
                    f"{equation.share.value} is not an earlier instance"
                    f" of the cell {instance.spec.name}",
                    place,
                    help="share the parameters of an instance of the same cell that is "
                    "defined above",
                )
            instance.names[declaration.target.name] = full
            self.names.sharings.append(Sharing(instance, declaration, full, equation.share.at))

    def bind(
        self,
        instance: Scope,
        call: Call,
        scope: Scope,
        below: str | None,
    ) -> None:
        """Bind a cell's inputs to the call's arguments, the first to the layer below in a chain."""
        cell = instance.spec
        count = len(cell.inputs)
        if len(call.arguments) > count:
            raise fail(
                f"the cell {cell.name} has {count} input{'' if count == 1 else 's'},"
                f" but {len(call.arguments)} are given",
                call.arguments[count].at.location,
                help=f"its inputs are {listing(i.target.name for i in cell.inputs)}; give "
                f"sizes by name",
            )
        named = {k.name: k for k in call.keywords}
        for position, declaration in enumerate(cell.inputs):
            name = declaration.target.name
            if position < len(call.arguments) and name in named:
                raise fail(
                    f"the input {name} of the cell {cell.name} is given twice",
                    named[name].at.location,
                    help="delete one of them",
                )
            if position >= len(call.arguments) and name not in named:
                raise fail(
                    f"the cell {cell.name} needs its input {name}",
                    call.at.location,
                    help=f"write  {cell.name}({name}=…)",
                )
            by_place = position < len(call.arguments)
            given = call.arguments[position] if by_place else named[name].value
            full = below if position == 0 else None
            full = full or self.argument(instance, declaration, given, scope)
            instance.names[name] = full
            self.names.bindings.append(Argument(instance, declaration, full, given))

    def argument(
        self,
        instance: Scope,
        declaration: InputDeclaration,
        argument: Expr,
        scope: Scope,
    ) -> str:
        """Return the full name of an argument; all but a plain reference becomes an equation."""
        wanted = (*instance.outer, *self.axes_of(declaration.target, instance))
        plain = not any(i.name == declaration.target.name for i in instance.spec.initial)
        if plain and isinstance(argument, Reference):
            indices = [
                i.name
                for i in argument.indices or ()
                if isinstance(i, Reference) and i.indices is None
            ]
            if [scope.axes.get(i) for i in indices] == list(wanted) and len(indices) == len(
                argument.indices or ()
            ):
                return scope.full(argument.name)
        name = f"{instance.prefix}{declaration.target.name}"
        assert instance.called_at is not None, name
        what = instance.called_at.source
        self.define(Definition(name, wanted, scope, argument.at, argument, what=what))
        return name

    def output(self, name: str, instance: Scope, axes: tuple[str, ...]) -> None:
        """Let the instance's name mean its output."""
        output = instance.spec.output
        assert output is not None, instance.spec.file
        if isinstance(output, Reference):
            indices = [
                i.name
                for i in output.indices or ()
                if isinstance(i, Reference) and i.indices is None
            ]
            found = self.names.resolve(instance.full(output.name))
            if found and [instance.axes.get(i) for i in indices] == list(
                axes[len(instance.outer) :]
            ):
                self.names.aliases[name] = found
                return
        self.define(Definition(name, axes, instance, output.at, output, what="the output"))


def _outermost(scope: Scope, at: Span) -> Location:
    """Return the call in the spec itself that led to a piece of a cell, or the piece."""
    return [at, *(s.called_at for s in scope.callers() if s.called_at is not None)][-1].location


def _too_deep(call: Call, cell: Spec, chain: Sequence[Spec]) -> SpecError:
    """Describe a cell that uses itself, or cells that are nested too deep."""
    place = call.function_at.location
    if cell not in chain:
        return fail(
            f"cells are nested more than {MAX_DEPTH} deep here",
            place,
            help="write out some of the cells",
        )
    path = [c.name for c in chain[: chain.index(cell) + 1]][::-1]
    return fail(
        f"the cell {cell.name} uses itself",
        place,
        " -> ".join([*path, cell.name]),
        help="a cell cannot be recursive; express repetition over time with an index, as in h[t-1]",
    )


def _ended(spec: Spec) -> set[str]:
    """Return the axes along which `stop` gives every sequence a length of its own."""
    if spec.stop is None:
        return set()
    used = () if spec.stop.when is None else walk(spec.stop.when)
    return {a.value for a, _ in spec.stop.extent} | {
        e.name for e in used if isinstance(e, Reference) and e.indices is None
    }


def root_scope(
    spec: Spec, problems: Problems, overrides: dict[str, int], axes: dict[str, int]
) -> tuple[Scope, dict[str, Axis]]:
    """Make the scope of a spec, with the sizes and extents that the caller sets."""
    scope = Scope(spec, broken=problems.broken)
    for declaration in spec.sizes:
        with problems.collect(declaration.name):
            if declaration.name in overrides:
                scope.sizes[declaration.name] = Dim(overrides[declaration.name], declaration.name)
            elif declaration.value is not None:
                value = size(declaration.value, scope)
                scope.sizes[declaration.name] = Dim(value, declaration.name)
    data_axes = {a for i in spec.inputs for a in i.target.axis_names} | _ended(spec)
    found: dict[str, Axis] = {}
    scope.axes = {a.name: a.name for a in spec.axes}
    for position, axis in enumerate(spec.axes):
        value = Affine.number(1)
        with problems.collect():
            if position >= MAX_AXES:
                pass  # reported by `check_extents`
            elif axis.name in axes:
                value = Affine.number(axes[axis.name])
            elif axis.extent is not None:
                value = extent(axis.extent, scope)
        found[axis.name] = Axis(axis.name, value, axis.name in data_axes)
    return scope, found
