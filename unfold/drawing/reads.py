"""What a value reads through all that is not drawn: composed indices, factors and conditions.

In: a Program and the names of the values that are drawn. Out: for any value the `Line`s into it.
Parts of an equation disappear by composing their indices, so a line is exact at every level of
detail.

    a.1[t,s] = exp(e[t,s])   a.2[t] = sum[s](a.1[t,s])   a[t,s] = a.1[t,s] / a.2[t]
    drawn a and e:  a -> reads e at [t,s#1], s#1 over all of s
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import count

from unfold.core.affine import Affine
from unfold.core.op import Source
from unfold.core.program import BATCH, Program, Ref, Value
from unfold.drawing.boxes import Line
from unfold.drawing.guards import Bounded, Condition, Guard, Within, is_static


class Reads:
    """Reads of a value through everything that is not drawn, remembered per value.

    Args:
        program: any Program.
        drawn: names of the values that are drawn; lines start there.
        mode: which branch of a `feedback` is in force: "teacher", "free", or "scheduled" for both.
    """

    def __init__(self, program: Program, drawn: frozenset[str], mode: str) -> None:
        self.program, self.drawn, self.mode = program, drawn, mode
        self.known: dict[str, tuple[Line, ...]] = {}
        self.open: set[str] = set()
        self.fresh = count(1)

    def of(self, name: str) -> tuple[Line, ...]:
        """Return the lines into a value, their targets named after it."""
        if name not in self.known:
            if name in self.open:  # a cycle of values that are all hidden
                return ()
            order = below(self.program, name, self.drawn)
            self.open.update(order)
            for pending in order:
                if pending not in self.known:
                    self.known[pending] = merged(self._lines(self.program[pending]))
            self.open.difference_update(order)
        return self.known[name]

    def _lines(self, value: Value) -> Iterable[Line]:
        fresh = {a: f"{a}#{next(self.fresh)}" for a in value.reduced if a != BATCH}
        bound = tuple((new, axis) for axis, new in fresh.items())
        rename = {axis: Affine.axis(new) for axis, new in fresh.items()}
        bounds = tuple(Bounded(form).substitute(rename) for form in value.within)
        for position, written in self._operands(value):
            ref = written.substitute(rename)
            factors = self._factors(value, position, rename)
            guards = bounds + self._guards(value, position, rename)
            for line in self._through(ref, value.name):
                yield replace(
                    line,
                    bound=line.bound + bound,
                    via=line.via + factors,
                    guards=tuple(dict.fromkeys(line.guards + guards)),
                    feedback=line.feedback or value.row.by_mode,
                )

    def _operands(self, value: Value) -> list[tuple[int, Ref]]:
        operands = list(enumerate(value.operands))
        if value.row.by_mode and self.mode == "teacher":
            return operands[:1]
        if value.row.chooses and is_static(self.program, value.operands[0]):
            return operands[1:]
        return operands

    def _through(self, ref: Ref, target: str) -> tuple[Line, ...]:
        source = self.program[ref.value]
        if is_invisible(source):
            return ()
        kept = [(a, i) for a, i in zip(source.axes, ref.index, strict=True) if a != BATCH]
        if source.name in self.drawn:
            return (Line(source.name, target, tuple(i for _, i in kept)),)
        own = tuple(Within(a, i) for a, i in kept if _may_leave(i, a))
        moved = (line.substitute(dict(kept), target) for line in self.of(source.name))
        return tuple(replace(line, guards=own + line.guards) for line in moved)

    def _factors(
        self, value: Value, position: int, rename: Mapping[str, Affine]
    ) -> tuple[Ref, ...]:
        if not value.row.factors and value.op != "div":
            return ()
        others = (r.substitute(rename) for i, r in enumerate(value.operands) if i != position)
        return tuple(p for other in others for p in _parameters(self.program, other))

    def _guards(
        self, value: Value, position: int, rename: Mapping[str, Affine]
    ) -> tuple[Condition, ...]:
        if value.row.by_mode and self.mode == "free":
            # A free run has no output yet where the teacher's reference leaves the domain.
            teacher = value.operands[0]
            pairs = zip(self.program[teacher.value].axes, teacher.index, strict=True)
            leaving = [(a, i) for a, i in pairs if a != BATCH and _may_leave(i, a)]
            if position == 0:
                leaving = leaving[:1] or [("", Affine())]
            return tuple(Within(a, i, position == 1) for a, i in leaving)
        if not value.row.chooses or not is_static(self.program, value.operands[0]):
            return ()
        return (Guard(value.operands[0].substitute(rename), position == 1),)


def is_invisible(value: Value) -> bool:
    """Whether no node is drawn for a value, named or not: a source that is no input."""
    return value.source not in (None, Source.INPUT)


def _may_leave(index: Affine, axis: str) -> bool:
    """Whether an index can be outside of an axis; a bound one, `s#1`, ranges over its axis."""
    lone = index.axes[0] if len(index.axes) == 1 else ""
    if lone.partition("#")[0] == axis and index.offset_from(lone) == 0:
        return False
    return index not in (Affine.number(0), Affine.last(axis))


def below(program: Program, name: str, drawn: frozenset[str]) -> list[str]:
    """Return a value and the undrawn values it is made of, parts before wholes."""
    order: list[str] = []
    seen: set[str] = set()
    work = [(name, False)]
    while work:
        current, done = work.pop()
        if done:
            order.append(current)
        elif current not in seen:
            seen.add(current)
            work.append((current, True))
            work += [(r.value, False) for r in program[current].operands if r.value not in drawn]
    return order


def _parameters(program: Program, ref: Ref) -> tuple[Ref, ...]:
    """Return the parameters of an operand made of parameters and constants alone."""
    found: list[Ref] = []
    work = [ref]
    while work:
        current = work.pop()
        value = program[current.value]
        if value.is_parameter:
            found.append(current)
        elif not value.is_constant:
            if not value.operands or value.is_named or value.reduced:
                return ()
            at = dict(zip(value.axes, current.index, strict=True))
            work += [r.substitute(at) for r in value.operands]
    return tuple(found)


def merged(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Join lines that read the same value at the same index."""
    found: dict[object, Line] = {}
    for line in lines:
        used = {
            a for part in (*line.index, *line.guards, *line.via, *line.others) for a in part.axes
        }
        line = replace(line, bound=tuple(b for b in line.bound if b[0] in used))
        names = {new: f"{axis}~{i}" for i, (new, axis) in enumerate(line.bound)}
        points = {new: Affine.axis(name) for new, name in names.items()}
        guards = tuple(g.substitute(points) for g in line.guards)
        key = (line.source, line.target, tuple(i.rename(names) for i in line.index), guards)
        if key in found:
            others = dict.fromkeys((*found[key].others, *line.via[:1], *line.others))
            carries = dict.fromkeys((*found[key].carries, *line.carries))
            feedback = found[key].feedback or line.feedback
            found[key] = replace(
                found[key], others=tuple(others), carries=tuple(carries), feedback=feedback
            )
        else:
            found[key] = line
    lines = tuple(found.values())
    return tuple(x for x in lines if not any(_covers(y, x) for y in lines if y is not x))


def _covers(general: Line, special: Line) -> bool:
    """Whether a line that runs over the points of an axis includes another one."""
    if (general.source, general.target) != (special.source, special.target):
        return False
    bound = dict(general.bound)
    uses = [a for index in general.index for a in index.axes]
    wide = [(a, b) for a, b in zip(general.index, special.index, strict=True) if a != b]
    at: dict[str, Affine] = {}
    for index, narrow in wide:
        axis = index.axes[0] if index.axes else ""
        whole = axis in bound and uses.count(axis) == 1 and index.offset_from(axis) == 0
        if not whole or _may_leave(narrow, bound[axis]):
            return False
        at[axis] = narrow
    return bool(wide) and {g.substitute(at) for g in general.guards} <= set(special.guards)
