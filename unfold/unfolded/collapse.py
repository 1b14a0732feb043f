"""Levels of detail: the same Program with fewer, larger equations, for graphs and pictures.

In: a Program. Out: a Program that says which values read which, at which index points, and nothing
else (its equations cannot be evaluated). With detail

    op     every value                                         unchanged
    node   the named equations of the spec and the sources     parts are composed away
    cell   as node, but all of `l1.z`, `l1.h`, ... is `l1`

A composed reference has the composed index, also through reduced axes, which are renamed where they
would clash with the reader's:

    a.1[t,s] = exp(e[t,s])   a.2[t] = sum[s](a.1[t,s])   a[t,s] = a.1[t,s] / a.2[t]
    node detail:  a[t,s] reads e[t,s'] for all s'

Attributes of a collapsed equation: "guards", per operand, the conditions under which it is read at
all (a part that is read outside of its own domain is zero); "feedback", the operands that come
through a choice between teacher and free run; "boundaries", per axis, all that is read outside of
it, where a boundary is an expression or a cell has several. The graph of cells has a cycle where a
cell is left and entered within a step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from unfold.core.affine import Affine
from unfold.core.bounds import moved
from unfold.core.program import BATCH, Axis, Program, Ref, Value
from unfold.unfolded.cells import find_cells, instance_of
from unfold.unfolded.reading import Guard

DETAILS = ("op", "node", "cell")


@dataclass(frozen=True)
class Access:
    """One reference of a collapsed equation.

    Attributes:
        ref: what is read, in terms of the equation's axes and of axes bound by the reference.
        guards: conditions on it.
        feedback: whether it goes through a choice between teacher and free run.
    """

    ref: Ref
    guards: tuple[Guard, ...] = ()
    feedback: bool = False

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes used, "batch" left out."""
        used = [*self.ref.axes, *(a for g in self.guards for a in g.index.axes)]
        return tuple(a for a in dict.fromkeys(used) if a != BATCH)

    def substitute(self, replacements: Mapping[str, Affine]) -> Access:
        """Replace axes in every index."""
        guards = [replace(g, index=g.index.substitute(replacements)) for g in self.guards]
        return replace(self, ref=self.ref.substitute(replacements), guards=tuple(guards))


def collapse(program: Program, detail: str, *, feedback: Collection[str] = ()) -> Program:
    """Return the Program at a level of detail.

    Args:
        program: any Program.
        detail: "op", "node" or "cell".
        feedback: names of the values that choose between teacher and free run.
    """
    assert detail in DETAILS, detail
    if detail == "op":
        return _op_detail(program, feedback)
    nodes = _node_detail(program, feedback)
    return nodes if detail == "node" else _cell_detail(nodes)


def boundary_refs(value: Value, axis: str) -> tuple[Ref, ...]:
    """Return what a reference reads that leaves a value's domain on an axis."""
    several: Mapping[str, tuple[Ref, ...]] = value.attributes.get("boundaries", {})
    if axis in several:
        return several[axis]
    return (value.boundary[axis],) if axis in value.boundary else ()


def operand_guards(value: Value, operand: int) -> tuple[Guard, ...]:
    """Return the conditions on an operand."""
    guards = value.attributes.get("guards")
    return guards[operand] if guards else ()


def may_leave(index: Affine, axis: str) -> bool:
    """Return whether an index can be outside of an axis; aliases such as s' range over s."""
    plain = len(index.terms) == 1 and index.offset_from(index.terms[0][0]) == 0
    if plain and root(index.terms[0][0]) == root(axis):
        return False
    return index not in (Affine.number(0), Affine.last(axis))


def root(axis: str) -> str:
    """Return the axis that an alias such as s' ranges over."""
    return axis.rstrip("'")


def _op_detail(program: Program, feedback: Collection[str]) -> Program:
    if not feedback:
        return program
    marked = {
        v.name: replace(v, attributes={**v.attributes, "feedback": tuple(range(len(v.operands)))})
        for v in program
        if v.name in feedback
    }
    return program.with_values(marked.get(v.name, v) for v in program)


class _Inseparable(Exception):
    """A part that cannot be composed away."""

    def __init__(self, part: str) -> None:
        super().__init__(part)
        self.part = part


def _node_detail(program: Program, feedback: Collection[str]) -> Program:
    kept = {v.name for v in program if v.is_named and not v.is_constant}
    kept |= {n for n in _held(program) if not program[n].operands}
    kept |= {*program.outputs, *([program.loss] if program.loss else [])}
    while True:
        composer = _Composer(program, kept, feedback)
        try:
            values = [composer.bounded(v) for n, v in program.values.items() if n in kept]
            found = [(v, composer.accesses(v)) for v in values]
            break
        except _Inseparable as part:
            kept.add(part.part)
    return _rebuilt(program, found)


class _Composer:
    """Composes references through parts until they end at a value that is kept."""

    def __init__(self, program: Program, kept: Collection[str], feedback: Collection[str]) -> None:
        self.program, self.kept, self.feedback = program, kept, feedback
        self.done: dict[str, list[Access]] = {}
        self.open: set[str] = set()

    def accesses(self, value: Value) -> list[Access]:
        """Return what a value reads, in terms of its axes and of bound ones."""
        if value.name in self.done:
            return self.done[value.name]
        if value.name in self.open and value.name not in self.kept:
            raise _Inseparable(value.name)
        self.open.add(value.name)
        found: list[Access] = []
        for ref in value.operands:
            part = self.program[ref.value]
            if part.name in self.kept:
                found.append(Access(ref))
            elif part.operands:
                found += [self._through(value, ref, part, a) for a in self.accesses(part)]
        if value.name in self.feedback:
            found = [replace(a, feedback=True) for a in found]
        self.open.discard(value.name)
        self.done[value.name] = _distinct(value, found)
        return self.done[value.name]

    def bounded(self, value: Value) -> Value:
        """Return a value with what its boundaries read composed through parts."""
        several: dict[str, tuple[Ref, ...]] = {}
        for axis, ref in value.boundary.items():
            part = self.program[ref.value]
            if part.name in self.kept:
                continue
            found = [self._through(value, ref, part, a) for a in self.accesses(part)]
            computed = [a.ref for a in found if not self.program[a.ref.value].is_given]
            bound = any(a.guards or set(a.axes) - set(value.axes) for a in found)
            # What orders the equations must be one plain reference.
            if bound or not found or len(computed) > 1:
                raise _Inseparable(part.name)
            refs = dict.fromkeys([*computed, *(a.ref for a in found)])
            several[axis] = tuple(refs)
        if not several:
            return value
        first = {axis: refs[0] for axis, refs in several.items()}
        attributes = {**value.attributes, "boundaries": several}
        return replace(value, boundary={**value.boundary, **first}, attributes=attributes)

    def _through(self, reader: Value, ref: Ref, part: Value, access: Access) -> Access:
        """Return what a reader reads through a part that it reads at some index."""
        taken = set(reader.iteration)
        replacements = {a: i for a, i in zip(part.axes, ref.index, strict=True) if a != BATCH}
        for bound in access.axes:
            if bound not in part.axes:
                name = bound
                while name in taken:
                    name += "'"
                taken.add(name)
                replacements[bound] = Affine.axis(name)
        own = [
            Guard(axis, index)
            for axis, index in zip(part.axes, ref.index, strict=True)
            if axis != BATCH and may_leave(index, axis)
        ]
        try:
            # Bounds over axes that the access does not bind are those of other accesses.
            known = {*part.axes, *access.axes}
            forms = [f for f in part.within if set(f.axes) <= known]
            own += [Guard(None, f) for f in moved(forms, replacements)]
            composed = access.substitute(replacements)
        except ValueError as error:  # two divided indices have no common affine form
            raise _Inseparable(part.name) from error
        return replace(composed, guards=(*own, *composed.guards))


def _distinct(reader: Value, accesses: Iterable[Access]) -> list[Access]:
    """Drop accesses that repeat another one, or are an instance of one that binds an axis."""
    unique: dict[tuple[Ref, tuple[Guard, ...]], Access] = {}
    for access in accesses:
        key = access.ref, access.guards
        same = unique.get(key)
        unique[key] = access if same is None or access.feedback else same
    found = list(unique.values())
    return [a for a in found if not any(b is not a and _covers(reader, b, a) for b in found)]


def _covers(reader: Value, general: Access, special: Access) -> bool:
    """Whether one access, for some value of the axes it alone binds, is the other."""
    if general.ref.value != special.ref.value or general.guards or not general.ref.index:
        return False
    uses = [a for index in general.ref.index for a in index.axes]
    fixed = {*reader.axes, *special.axes}
    covered = False
    for wide, narrow in zip(general.ref.index, special.ref.index, strict=True):
        if wide == narrow:
            continue
        lone = len(wide.terms) == 1 and wide.offset_from(wide.terms[0][0]) == 0
        if not lone or uses.count(wide.terms[0][0]) > 1 or wide.terms[0][0] in fixed:
            return False
        if may_leave(narrow, root(wide.terms[0][0])):
            return False
        covered = True
    return covered


def _rebuilt(program: Program, equations: Iterable[tuple[Value, Sequence[Access]]]) -> Program:
    """Return a Program whose equations read what the accesses say."""
    axes = dict(program.axes)
    values: list[Value] = []
    for value, accesses in equations:
        bound = list(dict.fromkeys(a for x in accesses for a in x.axes if a not in value.axes))
        for name in bound:
            axes.setdefault(name, Axis(name, Affine.axis(root(name))))
        reduced = ((BATCH,) if BATCH in value.reduced else ()) + tuple(bound)
        attributes: dict[str, Any] = {k: v for k, v in value.attributes.items() if k != "guards"}
        if any(x.guards for x in accesses):
            attributes["guards"] = tuple(x.guards for x in accesses)
        attributes["feedback"] = tuple(i for i, x in enumerate(accesses) if x.feedback)
        operands = tuple(x.ref for x in accesses)
        values.append(replace(value, operands=operands, attributes=attributes, reduced=reduced))
    return replace(program.with_values(values), axes=axes)


def _cell_detail(program: Program) -> Program:
    found = find_cells(program)
    owner, cells = found.owner, found.members(program)
    absorbed = {v.name for v in program if v.is_given and instance_of(v.name) in cells}
    absorbed -= _held(program)
    axes = {
        cell: ((BATCH,) if all(m.batched for m in members) else ()) + found.axes[cell]
        for cell, members in cells.items()
    }
    grouping = _Grouping(program, owner, absorbed, axes)
    equations: dict[str, tuple[Value, Sequence[Access]]] = {}
    for value in program:
        if value.name in absorbed:
            continue
        cell = owner.get(value.name)
        if cell is None:
            equations[value.name] = grouping.bounded(value), grouping.accesses(value)
        elif cell not in equations:
            members = cells[cell]
            found = [a for m in members for a in grouping.accesses(m)]
            whole = grouping.equation(cell, members)
            equations[cell] = whole, _distinct(whole, found)
    collapsed = _rebuilt(program, equations.values())
    loss = program.loss and owner.get(program.loss, program.loss)
    outputs = tuple(dict.fromkeys(owner.get(n, n) for n in program.outputs))
    aliases = {a: owner.get(n, n) for a, n in program.aliases.items() if a not in equations}
    return replace(collapsed, outputs=outputs, loss=loss, aliases=aliases)


def _held(program: Program) -> set[str]:
    """Return the names of what boundaries hold."""
    return {r.value for v in program for axis in v.boundary for r in boundary_refs(v, axis)}


@dataclass(frozen=True)
class _Grouping:
    """Which values belong to which cell, and how references change."""

    program: Program
    owner: Mapping[str, str]
    absorbed: Collection[str]
    axes: Mapping[str, tuple[str, ...]]

    @cached_property
    def left(self) -> set[tuple[str, str]]:
        """Values with the axes along which something may read outside of them."""
        read = [
            r
            for v in self.program
            for r in (*v.operands, *(h for a in v.boundary for h in boundary_refs(v, a)))
        ]
        return {
            (r.value, a)
            for r in read
            for a, i in zip(self.program[r.value].axes, r.index, strict=True)
            if may_leave(i, a)
        }

    def accesses(self, value: Value) -> list[Access]:
        """Return what a value reads, in terms of cells."""
        feedback = value.attributes.get("feedback", ())
        found: list[Access] = []
        for i, ref in enumerate(value.operands):
            access = Access(ref, operand_guards(value, i), i in feedback)
            found += self._rewritten(value, access, frozenset())
        return found

    def _rewritten(self, value: Value, access: Access, seen: frozenset[str]) -> list[Access]:
        ref = access.ref
        if ref.value in self.absorbed:
            return []
        cell = self.owner.get(ref.value)
        if cell is None:
            return [access]
        source = self.program[ref.value]
        at = dict(zip(source.axes, ref.index, strict=True))
        found: list[Access] = []
        for axis, held in ((a, r) for a in source.boundary for r in boundary_refs(source, a)):
            # The cell does not have this axis: it reads what is outside of it itself.
            if axis not in self.axes[cell] and may_leave(at[axis], axis) and ref.value not in seen:
                left = (*access.guards, Guard(axis, at[axis], inside=False))
                beyond = replace(access, ref=held.substitute(at), guards=left)
                found += self._rewritten(value, beyond, seen | {ref.value})
        here = self._moved(ref)
        itself = all(at[a] == Affine.axis(a) for a in self.axes[cell])
        if not (itself and self.owner.get(value.name) == cell):
            projected = [
                Guard(a, i) for a, i in at.items() if a not in self.axes[cell] and may_leave(i, a)
            ]
            found.append(replace(access, ref=here, guards=(*access.guards, *projected)))
        return found

    def _moved(self, ref: Ref) -> Ref:
        """Return a reference to a value as one to its cell, if it has one."""
        cell = self.owner.get(ref.value)
        if cell is None:
            return ref
        at = dict(zip(self.program[ref.value].axes, ref.index, strict=True))
        return Ref(cell, tuple(at[a] for a in self.axes[cell]))

    def bounded(self, value: Value) -> Value:
        """Return a value whose boundaries read cells."""
        several = {a: boundary_refs(value, a) for a in value.boundary}
        moved = {a: tuple(dict.fromkeys(map(self._moved, refs))) for a, refs in several.items()}
        first = {axis: refs[0] for axis, refs in moved.items()}
        return replace(value, boundary=first, attributes={**value.attributes, "boundaries": moved})

    def equation(self, cell: str, members: Sequence[Value]) -> Value:
        """Return the equation of a cell, without its operands."""
        axes = self.axes[cell]
        face = next((m for m in members if m.name == cell), members[-1])
        boundaries: dict[str, tuple[Ref, ...]] = {}
        for axis in axes:
            left = [m for m in members if (m.name, axis) in self.left]
            held = [self._moved(r) for m in left for r in boundary_refs(m, axis)]
            fitting = [r for r in held if set(r.axes) <= set(axes)]
            if fitting:
                boundaries[axis] = tuple(dict.fromkeys(fitting))
        reduced = (BATCH,) if any(BATCH in m.reduced for m in members) and BATCH not in axes else ()
        return Value(
            cell, axes, face.type, "cell", (), {"boundaries": boundaries}, reduced,
            {a: refs[0] for a, refs in boundaries.items()}, cell, face.at,
        )  # fmt: skip
