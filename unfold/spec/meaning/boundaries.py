"""The `initial` section: the values of references outside of a domain.

    initial: {h: learned, d: tanh(M @ C), s[l]: s[t-1, last]}

Each entry becomes the boundary of a value along one axis, or along all of its axes. Its operands
need no boundaries themselves: if an entry's reference could leave a domain again, it first becomes
a separate equation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from unfold.core.affine import Affine
from unfold.core.build import Builder, Term, dense
from unfold.core.origin import Written
from unfold.core.program import BATCH, Value
from unfold.core.types import Type
from unfold.errors import Diagnostic, ShapeError, SpecError
from unfold.spec.file.model import Initial
from unfold.spec.meaning.hints import part_of
from unfold.spec.meaning.outside import Outside, differs, outside
from unfold.spec.meaning.scope import Boundary, Names
from unfold.spec.meaning.sketch import UNKNOWN, Sketch
from unfold.spec.meaning.translate import Header, Translator
from unfold.spec.text.expression import Expr, Number, Unary
from unfold.spec.text.problems import Problems, already_reported, fail
from unfold.spec.text.suggest import did_you_mean, listing, shortened


def boundary_axes(
    names: Names, headers: Mapping[str, Header], boundary: Boundary, builder: Builder
) -> tuple[str, tuple[str, ...], Term | None]:
    """Return the value of an entry, its axes, and the term that is read there.

    Zeros and learned values have no term.

    Raises:
        SpecError: an unknown name or axis, or a value that does not fit.
    """
    name, axes = concerned(names, headers, boundary)
    if boundary.initial.kind in ("zeros", "learned"):
        return name, axes, None
    return name, axes, _value(names, headers, boundary, name, axes, builder)


def concerned(
    names: Names, headers: Mapping[str, Header], boundary: Boundary
) -> tuple[str, tuple[str, ...]]:
    """Return the value of an entry, and its axes.

    Raises:
        SpecError: an unknown name or axis, or a value that cannot be learned.
    """
    initial = boundary.initial
    name = names.resolve(boundary.name)
    if name is None and names.is_broken(boundary.name):
        raise already_reported()
    if name is None:
        known = names.visible(boundary.scope)
        plain = listing(n for n in known if "." not in n)
        raise fail(
            f"unknown name {initial.name}",
            initial.at.location,
            help=part_of(initial.name, known)
            or did_you_mean(initial.name, known)
            or f"initial can name only nodes and inputs: {plain}",
        )
    scope = boundary.scope
    own = tuple(a for a in headers[name].axes if a != BATCH and a not in scope.outer)
    axes = own
    if initial.axis is not None:
        axis = scope.axes.get(initial.axis.value)
        if axis is None and initial.axis.value in scope.broken:
            raise already_reported()
        if axis not in own:
            known = listing(map(scope.local, own))
            raise fail(
                f"{initial.name} has no axis {initial.axis.value}",
                initial.axis.at.location,
                help=f"its axes are {known}" if own else f"{initial.name} has no axes at all",
            )
        axes = (axis,)
    if not own:
        raise fail(
            f"{initial.name} has no axis, so no point is outside its domain",
            initial.at.location,
            help="use initial only for values with an index, such as h[t]",
        )
    header = headers[name]
    entries = (initial, *(point for _, point in initial.points))
    taught = next((e for e in entries if e.kind == "learned"), None)
    if taught is not None and header.type.kind in ("category", "bool"):
        raise fail(
            f"the initial value of {initial.name} cannot be learned",
            taught.value_at.location,
            f"{initial.name} is {header.type.show()}, and only numbers can be learned",
            help="give a class number, or omit the entry for no class"
            if header.type.kind == "category"
            else "omit the entry for false",
        )
    return name, axes


def declared(names: Names, headers: Mapping[str, Header]) -> set[tuple[str, str]]:
    """Return the values and axes of entries, those of zeros included."""
    pairs = (concerned(names, headers, b) for b in names.boundaries)
    return {(name, axis) for name, axes in pairs for axis in axes}


def _value(
    names: Names,
    headers: Mapping[str, Header],
    boundary: Boundary,
    name: str,
    axes: tuple[str, ...],
    builder: Builder,
) -> Term:
    """Translate a value outside of the domain, and fit it to the type of the node."""
    initial, header = boundary.initial, headers[name]
    axis, several = axes[0], len(axes) > 1
    own = f".{axis}" if initial.axis is not None else ""
    builder.origin = Written(f"{name}.initial{own}")
    builder.at = initial.value_at.location
    what = f"the initial value of {initial.name}"
    allowed = tuple(a for a in header.axes if a != BATCH and a not in axes)
    translator = Translator(builder, names, headers, boundary.scope, allowed, what)
    if initial.points and several:
        known = [boundary.scope.local(a) for a in axes]
        raise fail(
            f"{what} lists points, but {initial.name} has the axes {listing(known)}",
            initial.at.location,
            help=f"name the axis along which the points are outside, as in  "
            f"{initial.name}[{known[0]}]: {{-1: …}}",
        )
    if several or not differs(boundary, axis):
        return _entry(translator, initial, header)
    places = [(_place(translator, p, axis, initial), v) for p, v in initial.points]
    points = outside(builder, name, axis, boundary, [p for p, _ in places])
    points.add(builder)
    translator = translator.moving(points.name, points.moved())
    full = points.name if initial.axis is not None and allowed else f"{name}.initial"
    said = declared(names, headers)
    if not places:
        known = set(builder.values)
        term = _entry(translator, initial, header)
        _refuse_empty_reads(headers, said, boundary, points, points.ends, known, term)
        return points.read(term)
    found: list[Term] = []
    for place, own in places:
        known, at = set(builder.values), [points.number(place)]
        term = _point(translator, own, header, full, place)
        entry = replace(boundary, initial=own)
        _refuse_empty_reads(headers, said, entry, points, at, known, term)
        found.append(term)
    if isinstance(builder, Sketch) and UNKNOWN in (header.type, *(t.type for t in found)):
        return next((t for t in found if not builder.is_literal(t)), found[0])
    term = _nothing(builder, header)
    for (place, _), own in zip(places, found, strict=True):
        here = translator.position((Affine.axis(axis) - place).substitute(points.moved()))
        term = here.apply("equal", builder.number(0.0)).apply("where", own, term)
    return points.read(term)


def _refuse_empty_reads(
    headers: Mapping[str, Header],
    declared: Collection[tuple[str, str]],
    boundary: Boundary,
    points: Outside,
    at: Sequence[Affine],
    known: Collection[str],
    term: Term,
) -> None:
    """Refuse an initial value that reads only points outside of data, which have no value either.

    Args:
        headers, boundary: as for `_value`.
        declared: values and axes that have an entry of their own.
        points: those at which the boundary has values.
        at: the numbers of those at which this one stands, or of the first and last.
        known: names of the values that were there before it was translated.
        term: the initial value.
    """
    builder = term.builder
    new = [v for name, v in builder.values.items() if name not in known]
    initial = boundary.initial
    for ref in (term.ref, *(r for v in new for r in v.operands)):
        source = headers.get(ref.value) or builder.values.get(ref.value)
        for axis, index in zip(source.axes if source else (), ref.index, strict=False):
            if points.misses(index, axis, at) and (ref.value, axis) not in declared:
                local = boundary.scope.local(axis)
                raise fail(
                    f"the initial value of {initial.name} reads {ref.value} outside its domain",
                    initial.value_at.location,
                    f"it is used before the first or after the last step of {local}, where "
                    f"{ref.value} reads zero",
                    help=f"read a step that exists, as in {ref.value}[first] or {ref.value}[last];"
                    f" or reduce over {local}, as in mean[{local}](…)",
                )


def _entry(translator: Translator, initial: Initial, header: Header) -> Term:
    """Translate one initial value, and fit it to the value's type."""
    builder = translator.builder
    builder.at = initial.value_at.location
    if header.type.kind == "category" and initial.kind in ("ones", "expression"):
        classes, number = int(header.type.shape[0]), _number(initial)
        if number is not None:
            if not isinstance(number, int) or not -1 <= number < classes:
                raise fail(
                    f"{initial.name} has no class {number}",
                    initial.value_at.location,
                    f"{initial.name} is {header.type.show()}",
                    help=f"use a class from 0 to {classes - 1}, or -1 for no class",
                )
            return builder.emit("constant", (), {"value": number}, type=header.type)
    if initial.kind == "ones":
        term = builder.number(1.0)
    else:
        assert initial.value is not None, initial
        term = translator.whole(initial.value)
    if UNKNOWN in (header.type, term.type):
        return term
    if header.type.kind == "real":
        term = dense(term)
    if term.type == Type() and header.type.shape and header.type.kind == "real":
        term = term.apply("broadcast_to", shape=header.type.shape)
    if term.type != header.type:
        raise ShapeError(
            Diagnostic(
                f"the initial value of {initial.name} has the wrong type",
                initial.value_at.location,
                (
                    f"{initial.name} is {header.type.show()}; "
                    f"its initial value is {term.type.show()}",
                ),
                "use the same shape, or a number, which is repeated"
                if header.type.kind == "real"
                else "give a class number, or a category of the same classes"
                if header.type.kind == "category"
                else "give a condition, such as 1 > 0",
            )
        )
    return term


def _place(translator: Translator, point: Expr, axis: str, initial: Initial) -> Affine:
    """Translate the index point of an initial value: -1, or last+1."""
    found = translator.index(point, axis)
    ends = found.is_constant or found.lasts == ((axis, 1),)
    if ends and not found.terms and found.is_outside(axis):
        return found
    raise fail(
        f"{shortened(point.at.source)} is not a point outside the domain of {initial.name}",
        point.at.location,
        help="use whole numbers below 0, or last+1, last+2, …",
    )


def _point(
    translator: Translator, initial: Initial, header: Header, full: str, place: Affine
) -> Term:
    """Translate the value at one index point; a learned value is a separate parameter."""
    if initial.kind == "zeros":
        return _nothing(translator.builder, header)
    if initial.kind != "learned":
        return _entry(translator, initial, header)
    distance = f"after{place.constant}" if place.lasts else f"before{-place.constant}"
    return learned(translator.builder, f"{full}.{distance}", header.type, initial)


def _nothing(builder: Builder, header: Header) -> Term:
    """Return zero, no class or false, in the shape of a value."""
    if header.type.kind in ("category", "bool"):
        empty = -1 if header.type.kind == "category" else False
        return builder.emit("constant", (), {"value": empty}, type=header.type)
    zero = builder.number(0.0)
    return zero.apply("broadcast_to", shape=header.type.shape) if header.type.shape else zero


def _number(initial: Initial) -> int | float | None:
    """Return the number that an initial value is, if it is one."""
    match initial.value:
        case None:
            return 1 if initial.kind == "ones" else None
        case Number(value=value):
            return value
        case Unary(operator="-", operand=Number(value=value)):
            return -value
        case _:
            return None


def add_boundaries(names: Names, headers: Mapping[str, Header], builder: Builder) -> None:
    """Give the Program's values their boundaries; an entry of the caller replaces the cell's."""
    chosen: dict[tuple[str, str], Boundary] = {}
    for boundary in names.boundaries:
        name, axes = concerned(names, headers, boundary)
        for axis in axes:
            other = chosen.get((name, axis))
            if other is None or _rank(boundary) <= _rank(other):
                chosen[name, axis] = boundary
    done: dict[int, Term] = {}
    # How far outside a value is read may depend on the boundaries of others.
    for (name, axis), boundary in sorted(chosen.items(), key=lambda c: differs(c[1], c[0][1])):
        if boundary.initial.kind == "zeros":
            continue
        if id(boundary) not in done:
            done[id(boundary)] = _term(names, headers, boundary, builder)
        value = builder.values[name]
        builder.values[name] = replace(
            value, boundary={**value.boundary, axis: done[id(boundary)].ref}
        )
    for (name, axis), boundary in chosen.items():
        if boundary.initial.kind == "expression" and not differs(boundary, axis):
            _settle(builder, name, axis)


def _rank(boundary: Boundary) -> tuple[int, bool]:
    """Order entries: the caller's before the cell's, those of one axis before those of all."""
    return len(boundary.scope.prefix), boundary.initial.axis is None


def check_twice(names: Names, headers: Mapping[str, Header], problems: Problems) -> None:
    """Report entries of one file for the same boundary."""
    seen: dict[tuple[str, tuple[str, ...], str], Boundary] = {}
    for boundary in names.boundaries:
        with suppress(SpecError):
            name, axes = concerned(names, headers, boundary)
            first = seen.setdefault((name, axes, boundary.scope.prefix), boundary)
            if first is not boundary:
                problems.add(
                    f"the initial value of {boundary.initial.name} is given twice",
                    boundary.initial.at.location,
                    f"first given at {first.initial.at.location}",
                    help="delete one of them",
                )


def _term(
    names: Names, headers: Mapping[str, Header], boundary: Boundary, builder: Builder
) -> Term:
    """Add the values that an entry needs and return its own."""
    name, _ = concerned(names, headers, boundary)
    initial = boundary.initial
    if initial.kind != "learned":
        found = boundary_axes(names, headers, boundary, builder)[2]
        assert found is not None, boundary
        return found
    own = [a for a in headers[name].axes if a != BATCH]
    suffix = f".{initial.axis.value}" if initial.axis is not None and len(own) > 1 else ""
    full = f"{name}.initial{suffix}"
    return learned(builder, full, headers[name].type, initial)


def learned(builder: Builder, full: str, type: Type, initial: Initial) -> Term:
    """Add the parameter that a learned initial value is."""
    attributes = {"init": "zeros", "argument": None, "frozen": False}
    at = initial.at.location
    origin = Written(full)
    value = Value(full, (), type, "parameter", attributes=attributes, origin=origin, at=at)
    return builder.add(value)


def _settle(builder: Builder, name: str, axis: str) -> None:
    """Make a boundary a separate equation if its reference could need another boundary."""
    value = builder.values[name]
    ref = value.boundary[axis]
    source = builder.values[ref.value]
    at = dict(zip(source.axes, ref.index, strict=True))
    if any(at[a].may_leave(a) for a in source.boundary):
        builder.origin = Written(f"{name}.initial")
        settled = builder.emit("identity", (builder.read(ref),))
        builder.values[name] = replace(value, boundary={**value.boundary, axis: settled.ref})
