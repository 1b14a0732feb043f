"""Inference: which axes and type every definition has.

Types of recurrent equations need one another, so every equation is translated against what is known
so far, again and again, until nothing changes. A size of a cell without a value is bound on the
way, when the argument that decides it is known.
"""

from __future__ import annotations

import math

from unfold.core.program import BATCH, Axis
from unfold.core.types import Dim, Type, dims
from unfold.spec.boundaries import boundary_axes
from unfold.spec.equations import translate
from unfold.spec.expression import Expr, Reference, walk
from unfold.spec.problems import Problems, fail
from unfold.spec.scope import Definition, Names
from unfold.spec.sizes import size
from unfold.spec.sketch import UNKNOWN, Sketch
from unfold.spec.suggest import listing
from unfold.spec.translate import Header

MAX_ELEMENTS = 2**31


class Inference:
    """The axes and types of all definitions.

    Args:
        names: every definition.
        axes: every axis.

    Attributes:
        headers: axes and type of each definition; UNKNOWN until it is found out.
        types: the types alone.
    """

    def __init__(self, names: Names, axes: dict[str, Axis]) -> None:
        self.names, self.axes = names, axes
        self.headers: dict[str, Header] = {}
        self.types: dict[str, Type] = {}
        for definition in names.definitions.values():
            batch = (BATCH,) if definition.input is not None else ()
            self.headers[definition.name] = Header(batch + definition.axes, UNKNOWN)
            self.types[definition.name] = UNKNOWN

    def run(self, problems: Problems) -> None:
        """Infer everything; then add the mistakes to `problems`."""
        while self.sweep(None):
            pass
        self.sweep(problems)

    def sweep(self, problems: Problems | None) -> bool:
        """Translate everything once, mistakes into `problems`; return whether a header changed."""
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
        shape = tuple(size(s, scope) for s in sizes)
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


def _names(expressions: tuple[Expr, ...]) -> set[str]:
    return {e.name for x in expressions for e in walk(x) if isinstance(e, Reference)}
