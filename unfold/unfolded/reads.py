"""The reads of a value through its parts: composed indices, factors and conditions.

In: a Program and the names of the values that are kept. Out: for any value the `Line`s into it
(`of`), and into the content of its boundary (`held`), each from a kept value. Parts of an equation
disappear by composing their indices, so lines are exact at every level of detail.

    a.1[t,s] = exp(e[t,s])   a.2[t] = sum[s](a.1[t,s])   a[t,s] = a.1[t,s] / a.2[t]
    kept a and e:  a -> reads e at [t,s#1], s#1 over all of s

A line passes on to the one it is composed with:

    index       composed
    bound       of the reader and of the part; every reduction binds names of its own
    guards      those of the part, moved to the reader; that the part is read inside of its domain,
                where it may be left (a part is zero outside); the bounds of reader and part; which
                branch is taken, where a mode is given
    via         the parameters that the reader multiplies the part with are further from the source
    feedback    of either

Lines with one index and equal guards are one, and a line that runs over an axis includes those that
read points of it under the same conditions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from itertools import count

from unfold.core.affine import Affine
from unfold.core.align import root
from unfold.core.program import BATCH, Program, Ref, Value
from unfold.unfolded.conditions import is_static
from unfold.unfolded.lines import Line, may_leave, merged
from unfold.unfolded.reading import Guard

NEVER = Guard(Affine.number(-1))


class Reads:
    """Reads of a value through everything that is not kept, remembered per value.

    Args:
        program: any Program.
        kept: names of the values at which lines start.
        feedback: names of the values that choose between teacher and free run.
        mode: which branch they take: "teacher", "free", or "scheduled" for both. With a mode,
            conditions that the index point decides are guards; without one, all branches are read.

    Attributes:
        origins: of axes; see `lines.may_leave`.
        cut: values in cycles that pass by nothing that is kept; lines through them are missing.
    """

    def __init__(
        self,
        program: Program,
        kept: Collection[str],
        feedback: Collection[str],
        mode: str | None = None,
    ) -> None:
        self.program, self.kept, self.feedback, self.mode = program, kept, feedback, mode
        self.origins = {a: root(program, a) for a in program.axes}
        self.cut: set[str] = set()
        self.known: dict[str, tuple[Line, ...]] = {}
        self.open: set[str] = set()
        self.fresh = count(1)

    def of(self, name: str) -> tuple[Line, ...]:
        """Return the lines into a value, their targets named after it."""
        if name not in self.known:
            if name in self.open:
                self.cut.add(name)
                return ()
            order = below(self.program, name, self.kept)
            self.open.update(order)
            for pending in order:
                if pending not in self.known:
                    self.known[pending] = merged(self._lines(self.program[pending]), self.origins)
            self.open.difference_update(order)
        return self.known[name]

    def held(self, value: Value, axis: str) -> tuple[Line, ...]:
        """Return the lines from what a reference reads that leaves a value's domain on an axis."""
        return self._through(value.boundary[axis], value.name, ())

    def _lines(self, value: Value) -> Iterable[Line]:
        fresh = {a: f"{a}#{next(self.fresh)}" for a in value.reduced if a != BATCH}
        bound = tuple((new, axis) for axis, new in fresh.items())
        rename = {axis: Affine.axis(new) for axis, new in fresh.items()}
        bounds = tuple(Guard(form).substitute(rename) for form in value.within)
        for position, written in self._operands(value):
            ref = written.substitute(rename)
            factors = self._factors(value, position, rename)
            guards = bounds + self._guards(value, position, rename)
            for line in self._through(ref, value.name, bound):
                yield replace(
                    line,
                    bound=line.bound + bound,
                    via=line.via + factors,
                    guards=tuple(dict.fromkeys(line.guards + guards)),
                    feedback=line.feedback or value.name in self.feedback,
                )

    def _operands(self, value: Value) -> list[tuple[int, Ref]]:
        operands = list(enumerate(value.operands))
        if value.row.by_mode and self.mode == "teacher":
            return operands[:1]
        return operands[1:] if self._is_decided(value) else operands

    def _is_decided(self, value: Value) -> bool:
        """Whether the index point alone decides which branch of a value is read."""
        chooses = value.row.chooses and self.mode is not None
        return chooses and is_static(self.program, value.operands[0])

    def _through(self, ref: Ref, target: str, bound: Iterable[tuple[str, str]]) -> tuple[Line, ...]:
        """Return the lines from what a reference reads; `bound` names run over their axes."""
        source = self.program[ref.value]
        at = {a: i for a, i in zip(source.axes, ref.index, strict=True) if a != BATCH}
        if source.name in self.kept:
            return (Line(source.name, target, tuple(at.values())),)
        if not source.operands:
            return ()
        origins = {**self.origins, **{name: self.origins[a] for name, a in bound}}
        own = tuple(Guard(i, a) for a, i in at.items() if may_leave(i, a, origins))
        moved = (line.substitute(at, target) for line in self.of(source.name))
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
    ) -> tuple[Guard, ...]:
        if value.row.by_mode and self.mode == "free":
            # A free run has no output yet where the teacher's reference leaves the domain.
            teacher = value.operands[0]
            pairs = zip(self.program[teacher.value].axes, teacher.index, strict=True)
            leaving = [(a, i) for a, i in pairs if a != BATCH and may_leave(i, a, self.origins)]
            if position == 0:
                return tuple(Guard(i, a, wanted=False) for a, i in leaving[:1]) or (NEVER,)
            return tuple(Guard(i, a) for a, i in leaving)
        if not self._is_decided(value):
            return ()
        return (Guard(value.operands[0].substitute(rename), wanted=position == 1),)


def below(program: Program, name: str, kept: Collection[str]) -> list[str]:
    """Return a value and its parts, down to kept values, parts before wholes."""
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
            work += [(r.value, False) for r in program[current].operands if r.value not in kept]
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
