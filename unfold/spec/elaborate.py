"""Elaboration: from a parsed file to a verified Program.

    Spec ──expand──▶ definitions ──infer──▶ axes and types ──build──▶ Program ──verify──▶

Types of recurrent equations need one another, so they are inferred by translating every equation
against what is known, until nothing changes; one more pass collects the mistakes, and only a spec
without any is built. An equation that depends on a mistaken one stays silent: one mistake is
reported once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from unfold.core.affine import Affine
from unfold.core.build import Builder, Term
from unfold.core.program import BATCH, Axis, Program
from unfold.core.types import BOOL, Dim, Type, dims
from unfold.core.verify import verify
from unfold.errors import Diagnostic, SpecError
from unfold.spec.boundaries import add_boundaries, boundary_axes
from unfold.spec.equations import define, name_root, translate
from unfold.spec.expand import Expansion, root_scope
from unfold.spec.expression import Expr, Reference, walk
from unfold.spec.model import Spec
from unfold.spec.problems import Problems, fail
from unfold.spec.scope import Definition, Scope
from unfold.spec.sections import parse_spec
from unfold.spec.sizes import size
from unfold.spec.sketch import UNKNOWN, Sketch
from unfold.spec.suggest import did_you_mean, listing
from unfold.spec.translate import Header, Translator

CELLS = Path(__file__).parent.parent / "cells"
MAX_ELEMENTS = 2**31
LOSS = "loss"


@dataclass(frozen=True)
class Elaborated:
    """What a file means.

    Attributes:
        spec: the file.
        program: the equations; its values keep their places in the file.
        sizes: the named sizes in force.
        stop: the value that ends a free run, and the most steps of each axis, if any.
    """

    spec: Spec
    program: Program
    sizes: Mapping[str, int]
    stop: str | None
    at_most: int | None


def elaborate(
    spec: Spec, *, sizes: Mapping[str, int] | None = None, axes: Mapping[str, int] | None = None
) -> Elaborated:
    """Turn a parsed file into a Program.

    Args:
        spec: from `parse_spec`, a model and not a cell.
        sizes: values in place of the file's sizes.
        axes: extents in place of the file's.

    Raises:
        SpecError: every independent mistake of the file.
    """
    problems = Problems()
    _check_overrides(spec, sizes or {}, axes or {})
    scope, found = root_scope(spec, problems, dict(sizes or {}), dict(axes or {}))
    problems.raise_if_any()
    _check_extents(spec, found)
    expansion = Expansion(
        CellFiles().load, problems, {BATCH: Axis(BATCH, Affine.number(1)), **found}
    )
    for declaration in spec.inputs:
        with problems.collect():
            own = expansion.axes_of(declaration.target, scope)
            expansion.define(
                Definition(
                    declaration.target.name, own, scope, declaration.target.at, input=declaration
                )
            )
    expansion.file(scope)
    return _Elaboration(spec, scope, expansion, problems).run()


class CellFiles:
    """Finds cells: those a file names in `use`, then those of the package."""

    def __init__(self) -> None:
        self.loaded: dict[Path, Spec] = {}

    def load(self, name: str, caller: Spec) -> Spec | None:
        """Return the cell a file calls by this name, or None.

        Raises:
            SpecError: the cell's file is missing, is not a cell, or has mistakes of its own.
        """
        use = next((u for u in caller.uses if u.name == name), None)
        path = CELLS / f"{name}.yaml" if use is None else Path(caller.file).parent / use.path
        if path in self.loaded:
            return self.loaded[path]
        if use is None and not path.is_file():
            return None
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError, ValueError) as error:
            assert use is not None, path
            raise fail(
                f"cannot read the cell file {use.path}",
                use.path_at.location,
                str(error),
                help="the path is relative to this file",
            ) from None
        cell = parse_spec(text, str(path) if use is not None else f"unfold/cells/{name}.yaml")
        if cell.kind != "cell":
            at = use.path_at.location if use is not None else cell.locate("unfold")
            raise fail(
                f"{path.name} is a model, not a cell",
                at,
                help="a cell's file has cell: instead of name:",
            )
        self.loaded[path] = cell
        return cell


class _Elaboration:
    """Infers, checks and builds; see the module's docstring."""

    def __init__(self, spec: Spec, scope: Scope, expansion: Expansion, problems: Problems) -> None:
        self.spec, self.scope, self.problems = spec, scope, problems
        self.axes, self.names = expansion.axes, expansion.names
        self.headers: dict[str, Header] = {}
        self.types: dict[str, Type] = {}

    def run(self) -> Elaborated:
        for definition in self.names.definitions.values():
            batch = (BATCH,) if definition.input is not None else ()
            self.headers[definition.name] = Header(batch + definition.axes, UNKNOWN)
            self.types[definition.name] = UNKNOWN
        while self.sweep(None):
            pass
        self.sweep(self.problems)
        self.check_loss()
        self.problems.raise_if_any()
        self.check_known()
        program = self.build()
        verify(program)
        stop = self.spec.stop
        at_most = (
            int(size(stop.at_most, self.scope.lookup, self.scope.sizes))
            if stop and stop.at_most
            else None
        )
        return Elaborated(
            self.spec,
            program,
            {n: int(d) for n, d in self.scope.sizes.items()},
            "stop" if stop and stop.when is not None else None,
            at_most,
        )

    def sweep(self, problems: Problems | None) -> bool:
        """Translate everything once, mistakes going to `problems`; return whether a header changed."""
        changed = self.bind_sizes(problems)
        ignored = problems or Problems()
        for definition in self.names.definitions.values():
            with ignored.collect():
                changed |= self.infer(definition)
        for boundary in self.names.boundaries:
            with ignored.collect():
                name, axes, term = boundary_axes(self.names, self.headers, boundary, self.sketch())
                if axes and term is not None and BATCH in term.axes:
                    changed |= self.update(name, batched=True)
        return changed

    def update(self, name: str, *, type: Type = UNKNOWN, batched: bool = False) -> bool:
        """Record what was found out about a value; return whether it is new."""
        old = self.headers[name]
        axes = old.axes
        if batched and BATCH not in axes and self.names.definitions[name].expression is not None:
            axes = (BATCH, *axes)
        new = Header(axes, type if old.type is UNKNOWN else old.type)
        self.headers[name], self.types[name] = new, new.type
        return new != old

    def sketch(self, node: str = "") -> Sketch:
        """Return a scratch builder for one equation."""
        return Sketch(dict(self.axes), node=node, pending=self.types)

    def infer(self, definition: Definition) -> bool:
        """Find out the type of one definition, and whether it differs per sequence."""
        if definition.expression is None:
            shape = self.declared(definition)
            return False if shape is None else self.update(definition.name, type=shape)
        builder = self.sketch(definition.name)
        term = translate(definition, builder, self.names, self.headers)
        return self.update(definition.name, type=term.type, batched=BATCH in term.axes)

    def declared(self, definition: Definition) -> Type | None:
        """Return the declared type of a parameter or input; None while a size is not bound."""
        scope = definition.scope
        declaration = definition.parameter or definition.input
        assert declaration is not None, definition
        sizes = declaration.shape
        if definition.input is not None and definition.input.category is not None:
            sizes = (definition.input.category,)
        if any(n in scope.unbound and n not in scope.sizes for n in _names(sizes)):
            return None
        shape = tuple(size(s, scope.lookup, scope.sizes) for s in sizes)
        extents = math.prod(
            self.axes[a].extent.constant if self.axes[a].extent.is_constant else 1
            for a in definition.axes
        )
        total = math.prod(shape) * extents
        if total > MAX_ELEMENTS:
            kind = "parameter" if definition.parameter is not None else "input"
            raise fail(
                f"{kind} {definition.name} would hold {total:.3g} numbers"
                f" ({total * 8 / 2**30:.3g} GiB in float64)",
                definition.at.location,
                f"its shape is {Type(shape).show()}",
                help=f"make its sizes smaller; at most {MAX_ELEMENTS} numbers per array",
            )
        category = definition.input is not None and definition.input.category is not None
        return Type(shape, "category" if category else "real")

    def bind_sizes(self, problems: Problems | None) -> bool:
        """Bind the sizes of cells to the shapes of their arguments."""
        changed = False
        for scope, declaration, argument in self.names.bindings:
            resolved = self.names.resolve(argument)
            header = self.headers.get(resolved) if resolved else None
            if header is None or header.type is UNKNOWN:
                continue
            wanted = declaration.shape if declaration.category is None else (declaration.category,)
            given = dims(header.type.shape)
            name = declaration.target.name
            if len(wanted) != len(given):
                if problems:
                    problems.add(
                        f"input {name} of cell {scope.spec.name} has {len(wanted)} dimensions",
                        self.names.definitions[resolved or ""].at.location,
                        f"{argument} is {header.type.show()}",
                        help=f"give it a {'vector' if len(wanted) == 1 else 'value of that shape'}",
                    )
                continue
            for expression, dim in zip(wanted, given, strict=True):
                text = expression.at.source
                if text in scope.unbound and text not in scope.sizes:
                    scope.sizes[text] = Dim(dim, dim.text if not dim.text.isdigit() else text)
                    changed = True
                elif problems and text in scope.sizes and scope.sizes[text] != dim:
                    problems.add(
                        f"input {name} of cell {scope.spec.name} does not fit",
                        self.names.definitions[resolved or ""].at.location,
                        f"{argument} is {header.type.show()}; {text} is {int(scope.sizes[text])}",
                        help=f"its shape must be [{text}]",
                    )
        return changed

    def translator(self, builder: Builder, axes: tuple[str, ...], what: str) -> Translator:
        return Translator(builder, self.names, self.headers, self.scope, axes, what)

    def check_loss(self) -> None:
        """Check what stands outside of the equations: loss, stop and outputs."""
        sketch = self.sketch(LOSS)
        if self.spec.loss is not None:
            with self.problems.collect():
                self.loss(sketch)
        with self.problems.collect():
            self.stop(self.sketch("stop"))
        for expression in self.spec.outputs:
            with self.problems.collect():
                self.output_name(expression)

    def loss(self, builder: Builder) -> Term:
        """Translate the loss: a number per sequence, then the mean over the batch."""
        expression = self.spec.loss
        assert expression is not None
        term = self.translator(builder, (), "the loss").term(expression)
        if term.type is not UNKNOWN and term.type != Type():
            raise fail(
                "the loss must be a number",
                expression.at.location,
                f"found {term.type.show()}",
                help="reduce it: sum(…) or mean(…) over features, mean[t](…) over an axis",
            )
        if BATCH not in term.axes:
            return term
        return builder.sum(term, [BATCH]) / builder.emit("count", (), reduced=[BATCH], type=Type())

    def stop(self, builder: Builder) -> Term | None:
        """Translate the condition that ends a free run."""
        stop = self.spec.stop
        if stop is None or stop.when is None:
            return None
        axes = tuple(self.scope.axes.values())
        term = self.translator(builder, axes, "stop").term(stop.when)
        own = [a for a in term.axes if a != BATCH]
        if term.type not in (UNKNOWN, BOOL) or len(own) != 1:
            raise fail(
                "stop needs a condition along one axis",
                stop.when.at.location,
                f"found {term.type.show()} with the axes {', '.join(own) or 'none'}",
                help="as in  when: argmax(o[t]) == eos",
            )
        return term

    def output_name(self, expression: Expr) -> str:
        """Return the value that an entry of `outputs` names."""
        at = expression.at.location
        if not isinstance(expression, Reference):
            raise fail(
                "an output is the name of a node", at, help="define a node for it and name that"
            )
        name = expression.name
        found = self.names.resolve(self.scope.full(name))
        if found is None:
            raise fail(
                f"unknown output {name}",
                at,
                help=did_you_mean(name, self.names.visible(self.scope)),
            )
        return found

    def check_known(self) -> None:
        """Report equations whose shape nothing decides."""
        unknown = [
            d for d in self.names.definitions.values() if self.headers[d.name].type is UNKNOWN
        ]
        if unknown:
            first = unknown[0]
            others = [d.name for d in unknown[1:]]
            notes = (f"neither can that of {listing(others)}",) if others else ()
            raise fail(
                f"the shape of {first.name} cannot be inferred",
                first.at.location,
                *notes,
                help=f"declare it: {first.at.source}: {{is: …, shape: [hidden]}}",
            )

    def build(self) -> Program:
        """Build the Program; nothing can be wrong any more but cycles."""
        builder = Builder(dict(self.axes), pending=self.types)
        for definition in self.names.definitions.values():
            define(definition, builder, self.names, self.headers)
        add_boundaries(self.names, self.headers, builder)
        values = builder.values
        loss = None
        builder.at = None
        if self.spec.loss is not None:
            builder.node, builder.at, loss = LOSS, self.spec.loss.at.location, LOSS
            name_root(builder, self.loss(builder), LOSS, ())
        if self.spec.stop is not None and self.spec.stop.when is not None:
            builder.node, builder.at = "stop", self.spec.stop.when.at.location
            term = self.stop(builder)
            assert term is not None
            name_root(builder, term, "stop", term.axes)
        ordered = sorted(values.values(), key=lambda v: {"parameter": 0, "input": 1}.get(v.op, 2))
        program = Program(
            self.spec.name, dict(builder.axes), {v.name: v for v in ordered}, (), loss
        )
        for value in program:
            if math.prod(value.type.shape) > MAX_ELEMENTS:
                raise SpecError(
                    Diagnostic(
                        f"{value.node} is too large",
                        value.at,
                        (f"a part of it is {value.type.show()}",),
                        "make its sizes smaller",
                    )
                )
        return replace(program, outputs=self.outputs(program))

    def outputs(self, program: Program) -> tuple[str, ...]:
        """Return the declared outputs, or what the loss reads, or what nothing else reads."""
        if self.spec.outputs:
            return tuple(dict.fromkeys(self.output_name(e) for e in self.spec.outputs))
        parts = [v for v in program if v.node == LOSS]
        if parts:
            read = [r.value for v in parts for r in program.reads(v)]
        else:
            seen = {
                r.value
                for v in program
                for r in program.reads(v)
                if v.node != program[r.value].node
            }
            read = [v.name for v in program if v.name not in seen]
        named = [
            n
            for n in dict.fromkeys(read)
            if program[n].is_named and program[n].node not in (LOSS, "stop")
        ]
        computed = [n for n in named if program[n].op not in ("input", "parameter", "constant")]
        return tuple(computed or named)


def _names(expressions: tuple[Expr, ...]) -> set[str]:
    return {e.name for x in expressions for e in walk(x) if isinstance(e, Reference)}


def _check_overrides(spec: Spec, sizes: Mapping[str, int], axes: Mapping[str, int]) -> None:
    """Check what the caller sets in place of the file's sizes and extents."""
    for kind, given, known in (
        ("size", sizes, [s.name for s in spec.sizes]),
        ("axis", axes, [a.name for a in spec.axes]),
    ):
        section = "sizes" if kind == "size" else "axes"
        for name, value in given.items():
            if name not in known:
                raise fail(
                    f"there is no {kind} {name} to set",
                    spec.locate(section),
                    help=did_you_mean(name, known) or f"there are: {listing(known) or 'none'}",
                )
            limit = MAX_ELEMENTS if kind == "size" else 10**9
            if not 1 <= value <= limit:
                raise fail(
                    f"{kind} {name} cannot be {value}",
                    spec.locate(section),
                    help=f"between 1 and {limit}",
                )


def _check_extents(spec: Spec, axes: Mapping[str, Axis]) -> None:
    """Check that extents do not depend on one another in a circle, and are at least 1."""
    for declaration in spec.axes:
        seen = [declaration.name]
        while True:
            used = [a for a in axes[seen[-1]].extent.axes if a in axes]
            if not used:
                break
            if used[0] in seen:
                raise fail(
                    f"the extent of {declaration.name} depends on itself",
                    declaration.at.location,
                    " -> ".join([*seen, used[0]]),
                    help="give one of them a number",
                )
            seen.append(used[0])
