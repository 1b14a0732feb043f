"""One definition at a time: translate its right-hand side, and define it under its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from unfold.core.build import Builder, Term, dense
from unfold.core.origin import Written
from unfold.core.program import Value
from unfold.core.types import Dim, Type
from unfold.errors import Diagnostic, ShapeError
from unfold.spec.meaning.scope import Definition, Names
from unfold.spec.meaning.sizes import size
from unfold.spec.meaning.sketch import UNKNOWN, Sketch
from unfold.spec.meaning.translate import Header, Translator
from unfold.spec.text.expression import Call, Number
from unfold.spec.text.problems import fail
from unfold.spec.text.suggest import shortened


def translate(
    definition: Definition, builder: Builder, names: Names, headers: Mapping[str, Header]
) -> Term:
    """Return the right-hand side of an equation as a term.

    Raises:
        SpecError: a mistake in the expression.
    """
    assert definition.expression is not None, definition
    what = definition.what or definition.at.source
    target = what.partition("[")[0] if definition.equation or "[" in what else ""
    translator = Translator(
        builder, names, headers, definition.scope, definition.axes, what, target
    )
    if definition.part is not None:
        term = _part(definition, translator)
    else:
        term = translator.whole(definition.expression)
    equation = definition.equation
    if equation is None or equation.shape is None:
        return term
    if any(definition.scope.is_pending(s) for s in equation.shape):
        return term
    shape = tuple(size(s, definition.scope) for s in equation.shape)
    if term.type is UNKNOWN:
        assert isinstance(builder, Sketch), definition
        return Term(builder, term.ref, builder.declared(term, shape))
    if term.type == Type() and shape:
        return term.apply("broadcast_to", shape=shape)
    if term.type.shape != shape:
        raise ShapeError(
            Diagnostic(
                f"{what} does not have its declared shape",
                equation.options_at["shape"].location,
                (
                    f"declared {Type(shape).show()};"
                    f" {shortened(equation.expression.at.source)} is {term.type.show()}",
                ),
                "correct the shape, or omit it",
            )
        )
    return term


def _part(definition: Definition, translator: Translator) -> Term:
    """Translate one target of `i[t], f[t]: split(z[t], 2)`."""
    call, equation = definition.expression, definition.equation
    assert equation is not None and definition.part is not None, definition
    count = len(equation.targets)
    if not isinstance(call, Call) or call.function != "split":
        raise fail(
            f"{count} names on the left need split on the right",
            equation.at.location,
            help="write  i[t], f[t]: split(z[t], 2), or one line per name",
        )
    if not 1 <= len(call.arguments) <= 2 or call.keywords:
        raise fail(
            "split takes a value and a number of parts",
            call.at.location,
            help=f"write split(z[t], {count})",
        )
    if len(call.arguments) == 2:
        parts = call.arguments[1]
        if not isinstance(parts, Number) or parts.value != count:
            raise fail(
                f"split into {shortened(parts.at.source)}, but there are {count} names on the left",
                parts.at.location,
                help=f"write split({shortened(call.arguments[0].at.source)}, {count})",
            )
    term = dense(translator.whole(call.arguments[0]))
    if term.type is UNKNOWN:
        return term
    whole = term.type.shape[0] if term.type.shape else 1
    if not term.type.shape or whole % count:
        raise ShapeError(
            Diagnostic(
                f"cannot split into {count} equal parts",
                call.at.location,
                (f"{shortened(call.arguments[0].at.source)} is {term.type.show()}",),
                f"its first dimension must be a multiple of {count}",
            )
        )
    step = (whole if isinstance(whole, Dim) else Dim(whole)).divided(count)
    start = definition.part * int(step)
    return term.apply("slice", start=start, stop=start + int(step), dim=step)


def define(
    definition: Definition, builder: Builder, names: Names, headers: Mapping[str, Header]
) -> None:
    """Add a definition to the Program under its own name."""
    header = headers[definition.name]
    builder.origin, builder.at = Written(definition.name), definition.at.location
    if definition.expression is None:
        builder.add(_source(definition, header))
        return
    builder.at = (
        definition.equation.expression if definition.equation else definition.expression
    ).at.location
    term = translate(definition, builder, names, headers)
    name_root(builder, term, definition.name, header.axes)


def name_root(builder: Builder, term: Term, name: str, axes: tuple[str, ...]) -> None:
    """Give the last value of an equation the equation's name, with the axes of its key."""
    last = builder.values.get(term.ref.value)
    own = last is not None and last.node == name and not last.is_named and term.ref == last.here
    if own and last is not None and set(last.axes) == set(axes):
        del builder.values[last.name]
        builder.add(replace(last, name=name, axes=axes, origin=last.origin.equation))
    else:
        builder.emit("identity", (term,), axes=axes, origin=Written(name))
        builder.values[name] = replace(builder.values[name], axes=axes)


def _source(definition: Definition, header: Header) -> Value:
    origin, at = Written(definition.name), definition.at.location
    if definition.input is not None:
        return Value(definition.name, header.axes, header.type, "input", origin=origin, at=at)
    declaration = definition.parameter
    assert declaration is not None, definition
    init = declaration.init
    attributes = {
        "init": init.kind if init else ("zeros" if len(header.type.shape) < 2 else "glorot"),
        "argument": init.argument if init else None,
        "frozen": declaration.frozen,
    }
    if init is not None and init.path_at is not None:
        attributes["init_at"] = init.path_at.location
    return Value(
        definition.name,
        header.axes,
        header.type,
        "parameter",
        attributes=attributes,
        origin=origin,
        at=at,
    )
