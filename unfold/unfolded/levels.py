"""Longest-path levels of the unfolded graph, and its wavefronts of independent nodes.

In: a Program and a Domain. Out: for each value an array over its index points with the length of
the longest path that ends there (`levels`), or the nodes grouped by level (`wavefronts`). A value
that reads nothing has level 0, and so has what a boundary holds if that is a number; a boundary
that reads another value has that value's level.

    h[t] = tanh(W @ h[t-1] + U @ x[t])      W @ h: 1 4 7 ...   +: 2 5 8 ...   h: 3 6 9 ...

Equations outside loops (`core.dependence.order`) are levelled at all points by array arithmetic.
In a loop levels are eventually periodic (they are the orbit of a max-plus linear map: Baccelli,
Cohen, Olsder & Quadrat 1992), so a few iterations are computed, the rest is guessed by continuing
their increments, and the guess is checked against the equations, for all iterations at once. By
induction it is exact up to the first iteration that violates one; from there it goes on. Levels
with sequences of different lengths are those of the union of the sequences' graphs, which is
acyclic because `order` does not depend on lengths.

Known weakness: a loop whose levels do not become periodic costs one step of Python per iteration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfold.core.dependence import Block, Loop, Single, order
from unfold.core.program import Program, Value
from unfold.runs.domain import Domain
from unfold.unfolded.collapse import bound_axes, operand_guards
from unfold.unfolded.reading import (
    Bools,
    Environment,
    Environments,
    Ints,
    Reading,
    bounded,
    deciding_axis,
    inner,
    locate,
    open_mesh,
    within,
)

Front = list[tuple[str, Ints]]
Window = tuple[slice, ...]
ALL = slice(None)
FIRST_ITERATIONS = 4
LONGEST_PERIOD = 64


def levels(program: Program, domain: Domain) -> dict[str, Ints]:
    """Return the level of every node.

    Args:
        program: any Program.
        domain: its index domain.

    Returns:
        for each value, an array over its axes but "batch", with -1 where no sequence has the point.
    """
    levelling = _Levelling(program, domain)
    levelling.run(order(program, domain.extents), {})
    return levelling.level


def check_levels(program: Program, domain: Domain, found: Mapping[str, Ints]) -> None:
    """Assert that each node is one level above the highest node it reads."""
    levelling = _Levelling(program, domain)
    levelling.level = dict(found)
    for value in program:
        wanted = levelling.evaluate(value, _window(value, {}))
        wrong = np.argwhere(wanted != found[value.name])
        if len(wrong):
            at = tuple(map(int, wrong[0]))
            raise AssertionError(
                f"{value.name}{list(at)} has level {found[value.name][at]}, expected {wanted[at]}"
            )


def wavefronts(program: Program, domain: Domain) -> Iterator[Front]:
    """Yield the nodes level by level, equations in the Program's order.

    Each front is a list of (value name, index points [n, axes but "batch"]); the nodes of a front
    do not read one another, and read only nodes of earlier fronts.
    """
    fronts: dict[int, list[tuple[str, tuple[int, ...], Ints]]] = {}
    for name, level in levels(program, domain).items():
        flat = level.ravel()
        sorting = np.argsort(flat, kind="stable")
        starts = np.flatnonzero(np.diff(flat[sorting], prepend=-2))
        for nodes in np.split(sorting, starts[1:]):
            fronts.setdefault(int(flat[nodes[0]]), []).append((name, level.shape, nodes))
    for number in sorted(fronts):
        if number >= 0:
            yield [(name, _unravel(nodes, shape)) for name, shape, nodes in fronts[number]]


def _unravel(nodes: Ints, shape: tuple[int, ...]) -> Ints:
    if not shape:
        return np.empty((len(nodes), 0), dtype=np.int64)
    return np.stack(np.unravel_index(nodes, shape), axis=1)


@dataclass(frozen=True)
class _Operand:
    """What a reference reads in one sequence, as arrays that broadcast to the box of some axes.

    Attributes:
        source: the value read.
        environment: of the sequence.
        points: the index points that are read.
        held: the same, moved into the box of the source's axes.
        inside: where they are in it, and something is read; None stands for everywhere.
        outside: where something is read outside of it; None stands for nowhere.
        over: the dimensions of the axes that the reference binds.
    """

    source: Value
    environment: Environment
    points: Sequence[Ints]
    held: Sequence[Ints]
    inside: Bools | None
    outside: Bools | None
    over: tuple[int, ...]

    @classmethod
    def of(
        cls,
        source: Value,
        environment: Environment,
        reading: Reading,
        extents: Sequence[int],
        over: tuple[int, ...] = (),
    ) -> _Operand:
        """Return a reading as an operand; `extents` are those of the source's axes."""
        points, inside = reading.points, reading.inside & reading.exists
        if inside.all():
            return cls(source, environment, points, points, None, None, over)
        held = [np.clip(p, 0, n - 1) for p, n in zip(points, extents, strict=True)]
        outside = ~reading.inside & reading.exists
        some = source.boundary and outside.any()
        return cls(source, environment, points, held, inside, outside if some else None, over)


def _part(array: Any, window: Window) -> Any:
    """Return a part of an array that broadcasts to a box: some of its dimensions have length 1."""
    if not array.ndim:
        return array
    sizes = array.shape[: len(window)]
    return array[tuple(w if n > 1 else ALL for w, n in zip(window, sizes, strict=True))]


class _Levelling:
    """Levels found so far, and the equations they satisfy."""

    def __init__(self, program: Program, domain: Domain) -> None:
        self.program, self.domain = program, domain
        self.environments = Environments(domain)
        self.level = {v.name: np.zeros(domain.shape(inner(v)), dtype=np.int64) for v in program}
        self._operands: dict[str, tuple[list[_Operand], Bools | None]] = {}

    def run(self, blocks: Sequence[Block], fixed: Mapping[str, slice]) -> None:
        """Level some blocks in order, at fixed iterations of the loops around them."""
        for block in blocks:
            if isinstance(block, Loop):
                self._loop(block, fixed)
                continue
            window = _window(self.program[block.name], fixed)
            self.level[block.name][window] = self.evaluate(self.program[block.name], window)
            if not fixed:
                del self._operands[block.name]

    def _loop(self, loop: Loop, fixed: Mapping[str, slice]) -> None:
        extent = self.domain.extents[loop.axis]
        values = [self.program[name] for name in _names(loop.body)]
        rows = {v.name: self._rows(v, loop, fixed) for v in values}
        done, ahead = 0, FIRST_ITERATIONS
        while done < extent:
            for i in range(extent)[:: loop.direction][done : done + ahead]:
                self.run(loop.body, {**fixed, loop.axis: slice(i, i + 1)})
            done = min(extent, done + ahead)
            ahead *= 2
            if done < extent and _continue(list(rows.values()), done):
                done = self._verified(values, loop, fixed, rows, done)

    def _rows(self, value: Value, loop: Loop, fixed: Mapping[str, slice]) -> Ints:
        """Return a view of a value's levels, with the loop's iterations first, in its direction."""
        return self._turned(value, loop, self.level[value.name][_window(value, fixed)])

    def _turned(self, value: Value, loop: Loop, levels: Ints) -> Ints:
        return np.moveaxis(levels, inner(value).index(loop.axis), 0)[:: loop.direction]

    def _verified(
        self,
        values: Sequence[Value],
        loop: Loop,
        fixed: Mapping[str, slice],
        rows: Mapping[str, Ints],
        done: int,
    ) -> int:
        """Return the first iteration, from `done` on, whose guess violates an equation."""
        extent = self.domain.extents[loop.axis]
        left = slice(done, extent) if loop.direction > 0 else slice(0, extent - done)
        good = extent - done
        for value in values:
            found = self.evaluate(value, _window(value, {**fixed, loop.axis: left}))
            wanted = self._turned(value, loop, found)
            same = (wanted == rows[value.name][done:]).reshape(extent - done, -1).all(axis=1)
            good = min(good, int(np.argmin(same)) if not same.all() else good)
        return done + good

    def evaluate(self, value: Value, window: Window) -> Ints:
        """Return a value's levels from those of its operands.

        Args:
            value: the equation.
            window: the part of the box of its axes but "batch".

        Returns:
            levels in the window.
        """
        if value.name not in self._operands:
            self._operands[value.name] = self._located(value)
        operands, exists = self._operands[value.name]
        result = np.zeros(self.level[value.name][window].shape, dtype=np.int64)
        for operand in operands:
            level = self._gather(operand, window)
            if level.ndim and operand.over:
                level = level.max(axis=operand.over)
            np.maximum(result, level, out=result)
        if value.operands:
            result += 1
        return result if exists is None else np.where(_part(exists, window), result, -1)

    def _located(self, value: Value) -> tuple[list[_Operand], Bools | None]:
        """Return what an equation reads, and where it exists; None if that is everywhere."""
        mesh = {a: np.arange(self.domain.extents[a]) for a in inner(value)}
        operands = [
            self._locate(value, operand, mesh, environment)
            for operand, ref in enumerate(value.operands)
            if not self._is_low(self.program[ref.value])
            for environment in self.environments.of(value)
        ]
        if self.domain.uniform and not value.within:
            return operands, None
        return operands, self.environments.exists(value, list(open_mesh(mesh).values()))

    def _is_low(self, source: Value) -> bool:
        """Whether a value and what its boundaries hold all have level 0."""
        held = (self.program[r.value] for r in source.boundary.values())
        return not source.operands and not any(h.operands or h.boundary for h in held)

    def _locate(
        self,
        value: Value,
        operand: int,
        mesh: Mapping[str, Ints],
        environment: Environment,
    ) -> _Operand:
        """Return what an operand reads, over the box of the reader's axes."""
        ref, bound = value.operands[operand], bound_axes(value, operand)
        ranges = {a: np.arange(environment.own[a]) for a in bound}
        at = open_mesh({**mesh, **ranges})
        source = self.program[ref.value]
        reading = locate(source, ref, at, environment, operand_guards(value, operand))
        if environment is not self.environments.longest or value.within:
            here = within(value, [at[a] for a in mesh], environment) & bounded(
                value, at, environment
            )
            reading = Reading(reading.points, reading.inside, reading.exists & here)
        over = tuple(range(len(mesh), len(mesh) + len(bound)))
        return _Operand.of(source, environment, reading, self._extents(source), over)

    def _extents(self, value: Value) -> tuple[int, ...]:
        return self.domain.shape(inner(value))

    def _gather(self, operand: _Operand, window: Window) -> Ints:
        """Return the levels that are read in a window of the box; zero where nothing is."""
        source = operand.source
        level = self.level[source.name][tuple(_part(p, window) for p in operand.held)]
        if operand.inside is not None:
            level = np.where(_part(operand.inside, window), level, 0)
        if operand.outside is None:
            return level
        outside = np.broadcast_to(_part(operand.outside, window), level.shape)
        if outside.any():
            read = (_part(p, window) for p in operand.points)
            points = [np.broadcast_to(p, level.shape)[outside] for p in read]
            level[outside] = self._held(source, points, operand.environment)
        return level

    def _held(self, source: Value, points: list[Ints], environment: Environment) -> Ints:
        """Return the levels of a value's boundaries at points outside of its domain."""
        level = np.zeros(len(points[0]), dtype=np.int64)
        deciding = deciding_axis(source, points, environment)
        for i, axis in enumerate(inner(source)):
            chosen = deciding == i
            ref = source.boundary.get(axis)
            if ref is None or not chosen.any():
                continue
            at = {a: p[chosen] for a, p in zip(inner(source), points, strict=True)}
            target = self.program[ref.value]
            reading = locate(target, ref, at, environment)
            read = _Operand.of(target, environment, reading, self._extents(target))
            level[chosen] = self._gather(read, ())
        return level


def _names(blocks: Sequence[Block]) -> list[str]:
    """Return the equations of some blocks and the loops in them."""
    found: list[str] = []
    for block in blocks:
        found += [block.name] if isinstance(block, Single) else _names(block.body)
    return found


def _window(value: Value, fixed: Mapping[str, slice]) -> Window:
    """Return the part of a value's array that belongs to some iterations of some loops."""
    return tuple(fixed.get(a, ALL) for a in inner(value))


def _continue(rows: Sequence[Ints], done: int) -> bool:
    """Guess the rows from `done` on by repeating the increments of the last period.

    Returns:
        whether the last rows repeat at all.
    """
    for period in range(1, min(done // 3, LONGEST_PERIOD) + 1):
        steps = [_increments(r, done, period) for r in rows]
        if all(np.array_equal(now, before) for now, before in steps):
            break
    else:
        return False
    for row, (step, _) in zip(rows, steps, strict=True):
        ahead = np.arange(len(row) - done)
        times = (ahead // period + 1).reshape((-1,) + (1,) * (row.ndim - 1))
        row[done:] = row[done - period + ahead % period] + step[ahead % period] * times
    return True


def _increments(row: Ints, done: int, period: int) -> tuple[Ints, Ints]:
    """Return the increments of the last period of rows, and those of the period before."""
    last, middle, first = (row[done - (i + 1) * period : done - i * period] for i in range(3))
    return last - middle, middle - first
