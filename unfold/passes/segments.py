"""Cut a Program along an axis, so that its gradients need the memory of one segment.

Going through the segments in order keeps the state at the start of each; going back, each is run
once more from there, with its gradients. That is exact, because along the axis only states go from
one segment to the next. A Program falls into

    before     what has no point on the axis and needs none (an encoder, normalised weights)
    body       what has the axis, and sums over it; a segment runs it over a part of the axis
    after      what needs the sums or the last states (the loss)

The body's forward Program has the sums and the next states as outputs. Its backward Program is
given the gradients of these, `direction.NAME`, and returns those of the parameters, of what comes
from before and of the states it starts from: the adjoint of sum(direction * output).

In: a resolved Program with boundaries. Out: `Segments`. Raises `UnsupportedError` for what looks
ahead along the axis, or reads what needs all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import inf

from unfold.core.affine import Affine
from unfold.core.bounds import reach
from unfold.core.build import Builder, Term
from unfold.core.dependence import fixed_extents
from unfold.core.op import SUM, Source
from unfold.core.origin import Carried, Direction, Next, Part, StateAxis, Written
from unfold.core.paths import descendants, reads, uses
from unfold.core.program import Program, Ref, Value
from unfold.core.types import Type
from unfold.core.verify import verify
from unfold.errors import UnsupportedError
from unfold.passes.carry import delays
from unfold.passes.lowering import ZEROS, lower, to_chunk, to_derivative, to_next
from unfold.passes.simplify import drop_dead

SEGMENT = Written("segment")
TOTAL = Part(SEGMENT, "total")


@dataclass(frozen=True)
class Gradients:
    """A Program of gradients: by what they are, and of which of its outputs."""

    program: Program
    wrt: tuple[str, ...]
    of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Body:
    """The Programs of a segment: what it computes, and its gradients."""

    forward: Program
    backward: Gradients


@dataclass(frozen=True)
class Segments:
    """The pieces of a Program.

    Attributes:
        axis: along which it is cut.
        first, later: of a segment that begins the sequence, or goes on.
        before: values that bodies read, None where there are none; and its gradients.
        after: the loss, and its gradients.
        shared: what `before` computes.
        sums: what segments add up.
        states: how many of the last values of each state go on to the next segment.
    """

    axis: str
    first: Body
    later: Body
    before: Program | None
    before_back: Gradients | None
    after: Gradients
    shared: tuple[str, ...]
    sums: tuple[str, ...]
    states: Mapping[str, int]


def segments(
    start: Program,
    later: Program,
    axis: str,
    wrt: Iterable[str],
    *,
    states: Mapping[str, int],
    going_on: bool = False,
    some_begin: bool = False,
) -> Segments:
    """Return the pieces of a Program.

    Args:
        start: resolved for the first segment, with a loss and boundaries.
        later: resolved for a run that goes on, without the state it is given.
        axis: along which to cut.
        wrt: parameters to differentiate by.
        states: how many of the last values of a state whoever goes on may read.
        going_on: whether the first segment is given a state, too.
        some_begin: whether some of its sequences begin nevertheless, as `carry.BEGINS` says.

    Raises:
        UnsupportedError: it cannot be cut there.
    """
    wrt = tuple(wrt)
    cut = _Cut(start, axis)
    states = cut.states(states)
    if going_on:
        start = _carried(start, axis, states, some_begin)
    later = _carried(later, axis, states)
    if any(later[v.name].batched != v.batched for v in cut.program if v.name in later.values):
        raise _refused(axis, "its state differs per sequence only from the second segment on")
    before, back = cut.before(wrt)
    return Segments(
        axis,
        _body(cut, start, states, wrt),
        _body(cut, later, states, wrt),
        before,
        back,
        cut.after(states, wrt),
        tuple(cut.shared),
        tuple(cut.sums),
        states,
    )


def _carried(
    program: Program, axis: str, states: Mapping[str, int], some_begin: bool = False
) -> Program:
    """Return the Program of a segment that is given states, which are as long as they are read."""
    program = lower(program, to_chunk(axis, states, some_begin=some_begin))
    ends = {a.name for a in program.axes.values() if isinstance(a.origin, StateAxis)}
    return program.with_values(
        replace(v, boundary={a: r for a, r in v.boundary.items() if a not in ends}) for v in program
    )


def _refused(axis: str, why: str) -> UnsupportedError:
    return UnsupportedError(
        f"a run cannot be cut into segments along {axis} (memory.checkpoint): {why}"
    )


class _Cut:
    """Which part of a Program each value belongs to."""

    def __init__(self, program: Program, axis: str) -> None:
        self.program, self.axis = program, axis
        computed = [v for v in program if not v.is_given]
        if not program.axes[axis].extent.is_constant:
            raise _refused(axis, f"it is as long as {program.axes[axis].extent}")
        for other in program.axes.values():
            if axis in (*other.extent.axes, *other.extent.ends):
                raise _refused(axis, f"{other.name} is as long as {other.extent}")
        self.body = {v.name for v in computed if axis in v.axes}
        self.sums = [v.name for v in computed if axis in v.reduced and v.source is not Source.COUNT]
        self.body |= set(self.sums)
        self.late = descendants(program, self.body) - self.body
        for name in self.body:
            self._check(program[name])
        needed = self.body | self.late
        read = {r for n in needed for r in reads(program)[n]}
        self.shared = [v.name for v in computed if v.name in read and v.name not in needed]

    def _check(self, value: Value) -> None:
        """Refuse what cannot be computed from a segment and the state before it."""
        if self.axis in value.reduced and value.row.reduces is not SUM:
            raise _refused(self.axis, f"{value.node} takes a {value.op} over it")
        if value.source is Source.INDEX and value.attributes["index"].ends:
            raise _refused(self.axis, f"{value.node} uses its end")
        for ref in self.program.reads(value):
            source = self.program[ref.value]
            if ref.value in self.late or ref.value in self.sums:
                why = f"{value.node} reads {source.node}, which needs the whole of {self.axis}"
                raise _refused(self.axis, why)
            for own, index in zip(source.axes, ref.index, strict=True):
                if not self._is_near(value, source, own, index):
                    why = f"{value.node} reads {source.node} at {index}, which is not a delay"
                    raise _refused(self.axis, why)

    def _is_near(self, value: Value, source: Value, own: str, index: Affine) -> bool:
        """Whether an index reads the segment's own part of the axis, or the state before it."""
        if own != self.axis:
            return self.axis not in index.axes
        if any(self.axis in p.inner.axes for p, _ in index.parts):
            return False  # a segment does not know where it is
        if source.is_parameter:
            return index == Affine.axis(self.axis)
        around = reach(index, self.axis, fixed_extents(self.program), value.within)
        return -inf < around.low and around.high <= 0

    def states(self, asked: Mapping[str, int]) -> dict[str, int]:
        """Return how many of the last values of each state have to be kept."""
        found = {n: d for n, d in asked.items() if n in self.program.values}
        for name, delay in delays(self.program, self.axis).items():
            if name in self.body or self.program[name].is_input:
                found[name] = max(found.get(name, 0), delay)
        for name in self.late:
            for ref in self.program.reads(self.program[name]):
                source = self.program[ref.value]
                if self.axis not in source.axes:
                    continue
                index = ref.index[source.axes.index(self.axis)]
                back = index - Affine.last(self.axis)
                if not back.is_constant or back.constant > 0 or not source.batched:
                    raise _refused(
                        self.axis, f"{self.program[name].node} reads {source.node}[{index}]"
                    )
                found[ref.value] = max(found.get(ref.value, 0), 1 - back.constant)
        return found

    def before(self, wrt: tuple[str, ...]) -> tuple[Program | None, Gradients | None]:
        """Return what is computed first, and its gradients."""
        if not self.shared:
            return None, None
        program = needed(replace(self.program, outputs=tuple(self.shared), loss=None))
        lowered = lower(program, ZEROS)
        return program, pullback(lowered, self.shared, wrt)

    def after(self, states: Mapping[str, int], wrt: tuple[str, ...]) -> Gradients:
        """Return the loss and its gradients."""
        handed = lower(self.program, to_next(self.axis, states))
        builder = Builder.of(handed)
        given = (*self.sums, *self.shared, *(Next(n).name for n in states))
        for name in given:
            builder.values[name] = _source(builder.values[name])
        for name in states:  # beyond its other axes, what stands outside of the state
            full, kept = Next(name).name, self.program[name].boundary
            around = {a: r for a, r in kept.items() if self.axis not in (a, *r.axes)}
            builder.values[full] = replace(builder.values[full], boundary=around)
        for name in self.late:
            value = builder.values[name]
            operands = tuple(self._ended(handed, r, states) for r in value.operands)
            builder.values[name] = replace(value, operands=operands)
        program = drop_dead(builder.build(handed, outputs=()))
        lowered = lower(program, ZEROS)
        names = _read(lowered, (*wrt, *given))
        return Gradients(needed(lower(lowered, to_derivative(names))), names)

    def _ended(self, handed: Program, ref: Ref, states: Mapping[str, int]) -> Ref:
        """Read the last values of a state from where the last segment hands them over."""
        source = self.program[ref.value]
        if self.axis not in source.axes:
            return ref
        at = dict(zip(source.axes, ref.index, strict=True))
        back = at[self.axis] - Affine.last(self.axis)
        name = Next(ref.value).name
        extra = StateAxis(ref.value, self.axis).name
        at[extra] = Affine.number(states[ref.value] - 1 + back.constant)
        return Ref(name, tuple(at[a] for a in handed[name].axes))


def _body(cut: _Cut, program: Program, states: Mapping[str, int], wrt: tuple[str, ...]) -> Body:
    """Return the Programs of a segment."""
    handed = lower(program, to_next(cut.axis, states))
    outputs = (*cut.sums, *(Next(n).name for n in states))
    values = [_source(v) if v.name in cut.shared else v for v in handed]
    values = [
        replace(_source(v), boundary=v.boundary)
        if v.source is Source.INDEX and cut.axis in v.axes
        else v
        for v in values
    ]
    forward = needed(handed.with_values(values, outputs=outputs, loss=None))
    carried = tuple(Carried(n).name for n in states)
    lowered = lower(forward, ZEROS)
    return Body(forward, pullback(lowered, outputs, (*wrt, *cut.shared, *carried)))


def _source(value: Value) -> Value:
    """Return a value that is given from outside."""
    op = "input" if value.batched else "parameter"
    attributes = {n: value.attributes[n] for n in ("index",) if n in value.attributes}
    if not value.batched:
        attributes |= {"init": "zeros", "argument": None, "frozen": True}
    return replace(value, op=op, operands=(), reduced=(), attributes=attributes, within=())


def needed(program: Program) -> Program:
    """Return what a Program's outputs need, without parameters and inputs that nothing reads."""
    program = drop_dead(program)
    read = {r.value for v in program for r in v.refs}
    read |= set(program.outputs)
    return verify(program.with_values(v for v in program if not v.is_given or v.name in read))


def _is_real(program: Program, name: str) -> bool:
    return name in program.values and program[name].type.kind == "real"


def _read(program: Program, names: Iterable[str]) -> tuple[str, ...]:
    """Return the real values among some that a Program reads."""
    return tuple(n for n in names if _is_real(program, n) and uses(program)[n])


def pullback(lowered: Program, outputs: Iterable[str], wrt: Iterable[str]) -> Gradients:
    """Return the gradients of outputs whose own gradients are given, as `direction.NAME`.

    Args:
        lowered: without boundaries.
        outputs: those that are no real numbers are left out.
        wrt: those that are not read are left out.
    """
    of = tuple(n for n in outputs if _is_real(lowered, n))
    names = _read(lowered, wrt)
    builder = Builder.of(lowered)
    builder.origin = SEGMENT
    if not of or not names:
        return Gradients(replace(lowered, outputs=(), loss=None), ())
    terms: list[Term] = []
    for name in of:
        value = lowered[name]
        origin = Direction(name)
        given = replace(_source(value), name=origin.name, origin=origin)
        product = builder.term(name) * builder.add(given)
        flat = product.apply("sum_to", shape=()) if value.type.shape else product
        terms.append(builder.sum(flat, value.axes))
    builder.emit("identity", (builder.total(terms),), origin=TOTAL, type=Type())
    whole = lower(builder.build(lowered, outputs=()), to_derivative(names, of=TOTAL.name))
    return Gradients(needed(replace(whole, loss=None)), names, of)
