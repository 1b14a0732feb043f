"""Reverse-mode differentiation of recurrence equations: the adjoint of a Program is a Program.

For each equation `u[c] = op(…, v[f(c)], …)` the op's row gives the cotangent of that operand at the
reader's index point, `q[c]`. What `v` receives from it is

    ∂v[p] += sum over c with f(c) = p of q[c]

`transpose` solves f(c) = p for as many reader's axes as it can: a delay t-1 becomes t+1, a window
t+k-2 becomes p-k+2 summed over k, a fixed point `last` becomes a condition p == last. Nothing here
knows what time is, and the result is an ordinary Program that can be verified, drawn, scheduled and
differentiated again.

In: a Program without boundaries and feedback. Out: the same values, and for each active value `h`
its adjoint `∂h` (`∂²h` when the Program is itself an adjoint).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache

from unfold.core.affine import Affine
from unfold.core.align import align
from unfold.core.bounds import at_reader, implies, moved
from unfold.core.build import Builder, Term
from unfold.core.op import OPS, Kind
from unfold.core.origin import Adjoint, Written
from unfold.core.paths import reachable, readers, reads
from unfold.core.program import BATCH, Program, Ref, Value
from unfold.core.types import Type
from unfold.passes.absence import Absence
from unfold.passes.boundaries import inside
from unfold.passes.simplify import drop_dead, merge_copies
from unfold.passes.solve import point, solve


@cache
def adjoint_name(name: str, depth: int = 1) -> str:
    """Return the name of a value's adjoint: `∂h`, or `∂²h` when differentiating a second time."""
    return Adjoint(Written(name), depth).name


def differentiate(program: Program, wrt: Iterable[str], *, of: str | None = None) -> Program:
    """Return the Program extended by the adjoints of a scalar.

    Args:
        program: a Program without boundaries and feedback.
        wrt: names of real values whose gradients become outputs, named by `adjoint_name`.
        of: the scalar to differentiate, by default the Program's loss.

    Returns:
        a Program whose outputs are the former ones and the gradients.
    """
    wrt = tuple(wrt)
    of = of or program.loss
    assert of is not None and program[of].axes == () and program[of].type == Type(), of
    depth = program.depth + 1
    active = active_values(program, wrt, of)
    builder = Builder.of(program)
    # `∂h.1` is the adjoint of h.1, `∂h:1` a part of the adjoint of h, `∂²h::1` of its second.
    builder.order = depth
    adjoints = {v.name: Adjoint(v.origin, depth) for v in program}
    builder.pending = {adjoints[n].name: program[n].type for n in active}
    pass_ = _Adjoint(builder, program, Absence(builder, program, active, of), adjoints)
    pass_.contributions[of] = [builder.number(1.0)]
    for value in program:
        if value.name in active:
            pass_.visit(value)
    for name in [n for n in program.values if n in active or n in wrt]:
        pass_.collect(program[name])
    gradients = tuple(adjoint_name(n, depth) for n in wrt)
    whole = builder.build(program, outputs=program.outputs + gradients, depth=depth)
    return align(merge_copies(drop_dead(whole)))


def active_values(program: Program, wrt: tuple[str, ...], of: str) -> set[str]:
    """Return the real values that depend on `wrt` and that `of` depends on."""
    smooth = {v.name for v in program if v.row.vjp}
    below = reachable(wrt, lambda n: smooth.intersection(readers(program)[n]))
    above = reachable((of,), lambda n: reads(program)[n] if n in smooth else ())
    return {n for n in below & above if program[n].type.kind == "real"}


class _Adjoint:
    """One differentiation: contributions to each adjoint, collected equation by equation."""

    def __init__(
        self,
        builder: Builder,
        program: Program,
        absence: Absence,
        adjoints: Mapping[str, Adjoint],
    ) -> None:
        self.builder, self.program, self.adjoints = builder, program, adjoints
        self.absence, self.active = absence, absence.coverage.active
        self.contributions: dict[str, list[Term]] = {}

    def _begin(self, value: Value) -> Adjoint:
        """Write parts of the adjoint of a value; return its origin."""
        b, adjoint = self.builder, self.adjoints[value.name]
        b.origin, b.at, b.within = adjoint.equation, value.at, value.within
        return adjoint

    def visit(self, value: Value) -> None:
        """Send the adjoint of an equation to what it reads."""
        vjp = OPS[value.op].vjp
        if vjp is None or not any(r.value in self.active for r in value.operands):
            return
        b, adjoint = self.builder, self._begin(value)
        g = Term(b, replace(value.here, value=adjoint.name), value.type)
        if OPS[value.op].factors:
            operands = [self.absence.factor(r, value.name) for r in value.operands]
        else:
            operands = [b.read(r) for r in value.operands]
            g = self.absence.cotangent(g, value.name)
        cotangents = vjp(g, b.term(value.name), operands, value)
        for ref, cotangent in zip(value.operands, cotangents, strict=True):
            if cotangent is not None and ref.value in self.active:
                b.within = value.within
                fitted = _fit_shape(cotangent, self.program[ref.value].type)
                term = transpose(fitted, ref, value, self.program[ref.value])
                self.contributions.setdefault(ref.value, []).append(term)

    def collect(self, value: Value) -> None:
        """Define the adjoint of a value as the sum of what it received."""
        b, origin = self.builder, self._begin(value)
        terms = self.contributions.get(value.name) or [_fit_shape(b.number(0.0), value.type)]
        if len(terms) > 1:  # the last addition is the adjoint itself
            total = b.total(terms[:-1])
            b.emit("add", (total, terms[-1]), axes=value.axes, origin=origin)
        else:
            b.emit("identity", terms, axes=value.axes, origin=origin)
        adjoint = b.values[origin.name]
        # Axes are kept in the order of the value, so that gradients have its layout.
        b.values[adjoint.name] = replace(adjoint, axes=value.axes, at=value.at)


def _fit_shape(term: Term, type: Type) -> Term:
    """Undo the broadcasting of features: sum over what was repeated, repeat what was summed."""
    shape, wanted = term.type.shape, type.shape
    if shape == wanted:
        return term
    grows = not shape or (wanted and all(s in (1, w) for s, w in zip(shape, wanted, strict=True)))
    return term.apply("broadcast_to" if grows else "sum_to", shape=wanted)


def transpose(cotangent: Term, ref: Ref, reader: Value, read: Value) -> Term:
    """Move a cotangent from the reader's index points to those of the value that was read.

    Args:
        cotangent: at the reader's index points, own and reduced axes.
        ref: how the reader reads the value.
        reader: the equation that reads.
        read: the value that is read.

    Returns:
        sum of the cotangent over all reader's points that read the point, in terms of the value's
        axes.
    """
    b = cotangent.builder
    solution = solve(b, ref, reader, read)
    solved, conditions = solution.solved, solution.conditions
    batched, present = BATCH in reader.iteration, cotangent.axes
    guarded = {
        axis: index
        for axis, index in solved.items()
        if index != Affine.axis(point(axis))
        # Where a cotangent has no axis (or none of its own per sequence), nothing ends it there.
        and (axis not in present or (batched and BATCH not in present))
    }
    used = {a for e in (*solved.values(), *conditions) for a in e.axes}
    pairs = zip(read.axes, ref.index, strict=True)
    differ = any(_ends_per_sequence(b, i, a) for a, i in pairs)
    differ |= any(_varies(b, i, a) for a, i in solution.guards.items())
    if guarded or differ or any(e.ends for e in (*solved.values(), *conditions) if e.parts):
        used.add(BATCH)
    guarded |= solution.guards
    # A kernel has summed over what it binds, and over the points that it writes at once.
    kernel = reader.row.kind is Kind.KERNEL
    done = {*reader.reduced, reader.along} if kernel else set[str | None]()
    remaining = [a for a in reader.iteration if a not in solved and a not in done]
    first = [a for a in remaining if a not in used]
    cotangent = b.sum(cotangent, first)
    summed = [a for a in remaining if a in used] + solution.added
    names = {point(a): a for a in read.axes}
    for axis in summed:
        if axis in read.axes:
            names[axis] = b.alias(axis)
    solved = {a: e.rename(names) for a, e in solved.items()}
    at = {**solved, **{a: Affine.axis(names.get(a, a)) for a in summed}}
    # The bounds of what has been summed over have had their turn.
    forms = moved([f for f in reader.within if not set(f.axes) & set(first)], at)
    b.within = tuple(f for f in forms if not f.parts)
    term = cotangent.at(at)
    for axis, index in guarded.items():
        own = batched and (axis in reader.iteration or _varies(b, index, axis))
        here = inside(b, index.rename(names), axis, batched=own)
        term = here.apply("where", term, b.number(0.0))
    for form in forms:
        if form.parts:  # no bound of an equation has parts
            here = _number(b, form, batched=batched).apply("greater_equal", b.number(0.0))
            term = here.apply("where", term, b.number(0.0))
    for condition in conditions:
        difference = replace(condition.rename(names), divisor=1)
        here = _number(b, difference, batched=batched).apply("equal", b.number(0.0))
        term = here.apply("where", term, b.number(0.0))
    return _bounded(b.sum(term, [names.get(a, a) for a in summed]), read)


def _number(b: Builder, index: Affine, *, batched: bool) -> Term:
    """Return an index as a number."""
    axes = (*index.axes, BATCH) if index.ends and batched else index.axes
    return b.emit("index", (), {"index": index}, axes=axes, type=Type())


def _bounded(term: Term, read: Value) -> Term:
    """Let a cotangent be nothing where its reader was nothing."""
    b = term.builder
    value = b.values.get(term.ref.value)
    known = (*read.within, *(at_reader(value, term.ref) if value else ()))
    forms = [f for f in b.within if set(f.axes) <= set(read.axes) and not implies(known, f)]
    if not forms:
        return term
    axes = {a for f in forms for a in (*f.axes, *([BATCH] if f.lasts and read.batched else ()))}
    return b.emit("identity", (term,), axes=axes)


def _varies(b: Builder, index: Affine, axis: str) -> bool:
    """Whether sequences may differ in whether an index is inside of an axis."""
    return any(map(b.varies, (axis, *index.ends)))


def _ends_per_sequence(b: Builder, index: Affine, axis: str) -> bool:
    """Whether what an index reads depends on where the sequence ends."""
    if index.parts and not _varies(b, index, axis):
        return False
    return bool(index.ends) or index.may_pass_the_end(axis)


def gradients(program: Program, wrt: Iterable[str]) -> Mapping[str, str]:
    """Return which value of a differentiated Program holds the gradient of each name."""
    return {n: adjoint_name(n, program.depth) for n in wrt}
