"""Order and legality from the reduced dependence graph (Allen & Kennedy 1987, loop distribution).

Nodes are equations, edges are references with the span of their offsets per axis. Strongly
connected components come out in topological order. A component that carries a dependence on an
axis, with all its offsets of one sign, becomes a `Loop` over that axis; the edges that the loop
satisfies are removed, and the rest is ordered again inside it. What is in no loop is computed for
all index points at once.

    z[t] = W @ h[t-1] + U @ x[t]        Single(z.2)              U @ x, for all t
    h[t] = tanh(z[t])                   Loop(t, +1, (z.1, z, h))

A component that no axis can carry is a mistake in the spec: a `CycleError` shows the cycle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite

from unfold.core.affine import Affine
from unfold.core.bounds import Offsets, reach
from unfold.core.cycles import explain_cycle
from unfold.core.program import BATCH, Program, Ref, Value, kept
from unfold.errors import CycleError, Diagnostic


@dataclass(frozen=True)
class Single:
    """An equation that is computed for all remaining index points at once."""

    name: str


@dataclass(frozen=True)
class Loop:
    """A loop over an axis; direction +1 runs from the first index point, -1 from the last."""

    axis: str
    direction: int
    body: tuple[Block, ...]


Block = Single | Loop


ANYWHERE = Offsets(-inf, inf)


@dataclass(frozen=True, eq=False)
class Dependence:
    """`reader` reads `ref`, with a span of offsets along each axis of what is read."""

    reader: str
    ref: Ref
    offsets: Mapping[str, Offsets]

    @property
    def source(self) -> str:
        """The value that is read."""
        return self.ref.value

    @property
    def immediate(self) -> bool:
        """Whether the value is read at the reader's own index point."""
        return all(o == (0, 0) for o in self.offsets.values())


def edges(program: Program, extents: Mapping[str, int] | None = None) -> Sequence[Dependence]:
    """Return every reference of every equation, boundary values included.

    What is never inside of its domain, as h[-1], or a[3] of two, is no dependence.

    Args:
        program: whose equations they are.
        extents: of the axes in the longest sequence; default: those that the Program fixes.
    """
    return _own_edges(program) if extents is None else _edges(program, extents)


@kept
def _own_edges(program: Program) -> Sequence[Dependence]:
    return _edges(program, fixed_extents(program))


def _edges(program: Program, extents: Mapping[str, int]) -> Sequence[Dependence]:
    found: list[Dependence] = []
    for value in program:
        for ref in program.reads(value):
            source = program[ref.value]
            if never_inside(ref, source, extents):
                continue
            offsets = {
                axis: reach(index, axis, extents, value.within) if axis in value.axes else ANYWHERE
                for axis, index in zip(source.axes, ref.index, strict=True)
                if axis != BATCH
            }
            found.append(Dependence(value.name, ref, offsets))
    return found


@kept
def fixed_extents(program: Program) -> Mapping[str, int]:
    """Return the extents that no data can change, those derived from others of them too."""
    open_axes = [a for a in program.axes.values() if not a.from_data]
    found: dict[str, int] = {}
    while True:
        lasts = {name: extent - 1 for name, extent in found.items()}
        known = [a for a in open_axes if a.name not in found and _follows(a.extent, found)]
        if not known:
            return found
        found |= {a.name: int(a.extent.evaluate(found, lasts)[0]) for a in known}


def _follows(extent: Affine, known: Mapping[str, int]) -> bool:
    """Whether an extent is a number, or an expression of known ones."""
    return {*extent.axes, *extent.ends} <= set(known)


def outreach(index: Affine, axis: str, extents: Mapping[str, int]) -> tuple[int, int]:
    """Return how far a linear index reaches before the first and after the last point."""
    low, high = _span(index, extents, extents)
    return max(0, -low), max(0, high - (extents[axis] - 1))


def _span(
    index: Affine, shortest: Mapping[str, int], longest: Mapping[str, int]
) -> tuple[int, int]:
    """Return the least and the largest number that a linear index has.

    Args:
        index: whose numbers they are.
        shortest: extents of the axes in the shortest sequence.
        longest: those in the longest.
    """
    low = high = index.constant
    for name, factor in index.lasts:
        ends = factor * (shortest[name] - 1), factor * (longest[name] - 1)
        low, high = low + min(ends), high + max(ends)
    for name, factor in index.terms:
        ends = (0, factor * (longest[name] - 1))
        low, high = low + min(ends), high + max(ends)
    return low, high


def never_inside(ref: Ref, source: Value, extents: Mapping[str, int]) -> bool:
    """Whether a reference reads no point of a value, whatever the reader's point is."""
    pairs = zip(source.axes, ref.index, strict=True)
    return any(a != BATCH and is_outside(i, a, extents) for a, i in pairs)


def is_outside(index: Affine, axis: str, extents: Mapping[str, int]) -> bool:
    """Whether an index along an axis is outside at every point.

    Args:
        index: in terms of the reader's axes.
        axis: of the value that is read.
        extents: of axes, as far as they are known; sequences may be shorter.
    """
    if index.is_outside(axis):
        return True
    if not (index.constant or index.lasts) or not index.is_linear:
        return False  # it is 0 at the reader's first point, or nothing is known of it
    if not {axis, *index.axes, *index.ends} <= extents.keys():
        return False
    low, high = _span(index, dict.fromkeys(index.ends, 1), extents)
    return high < 0 or low >= extents[axis]


def order(program: Program, extents: Mapping[str, int] | None = None) -> tuple[Block, ...]:
    """Return the equations as a nest of loops in an order that respects every dependence.

    Args:
        program: whose equations they are.
        extents: see `edges`.

    Raises:
        CycleError: cycles that have no delay, or need both directions of an axis.
    """
    return _own_order(program) if extents is None else _ordered(program, edges(program, extents))


@kept
def _own_order(program: Program) -> tuple[Block, ...]:
    return _ordered(program, edges(program))


def _ordered(program: Program, within: Sequence[Dependence]) -> tuple[Block, ...]:
    mistakes: list[Diagnostic] = []
    blocks = _order(program, list(program.values), within, frozenset(), mistakes)
    if mistakes:
        raise CycleError(*mistakes)
    return blocks


def is_ordered(program: Program, component: Sequence[str], inner: Sequence[Dependence]) -> bool:
    """Return whether the equations of a cycle have an order.

    Args:
        program: whose equations they are.
        component: their names.
        inner: the edges between them.
    """
    mistakes: list[Diagnostic] = []
    _order(program, component, inner, frozenset(), mistakes)
    return not mistakes


def _order(
    program: Program,
    names: Sequence[str],
    within: Sequence[Dependence],
    looped: frozenset[str],
    mistakes: list[Diagnostic],
) -> tuple[Block, ...]:
    blocks: list[Block] = []
    found = components(names, within)
    member = {name: position for position, component in enumerate(found) for name in component}
    inside: list[list[Dependence]] = [[] for _ in found]
    for e in within:
        if member[e.reader] == member[e.source]:
            inside[member[e.reader]].append(e)
    for component, inner in zip(found, inside, strict=True):
        if not inner:
            blocks.append(Single(component[0]))
            continue
        carrier = _carrier(program, component, inner, looped)
        if carrier is None:
            mistakes.append(explain_cycle(program, inner))
            continue
        axis, direction = carrier
        # Iteration order inside the loop: what earlier iterations have made is there already.
        left = [e for e in inner if e.offsets[axis].here]
        body = _order(program, component, left, looped | {axis}, mistakes)
        blocks.append(Loop(axis, direction, body))
    return tuple(blocks)


def _carrier(
    program: Program, component: Sequence[str], inner: Sequence[Dependence], looped: frozenset[str]
) -> tuple[str, int] | None:
    """Return the axis and direction of the loop that a component becomes.

    The first axis that can carry it, but rather one along which nothing reads all of its past: the
    layers of a transformer are a loop whose body is done for all steps at once.
    """
    found: list[tuple[bool, str, int]] = []
    for axis in program.axes:
        if axis == BATCH or axis in looped or any(axis not in program[n].axes for n in component):
            continue
        spans = [e.offsets[axis] for e in inner]
        bounded = all(isfinite(s.low) and isfinite(s.high) for s in spans)
        if all(s.high <= 0 for s in spans) and any(s.behind for s in spans):
            found.append((not bounded, axis, 1))
        elif all(s.low >= 0 for s in spans) and any(s.ahead for s in spans):
            found.append((not bounded, axis, -1))
    return min(found, key=lambda f: f[0])[1:] if found else None


def components(names: Sequence[str], within: Iterable[Dependence]) -> list[list[str]]:
    """Return strongly connected components, what is read before what reads it.

    The algorithm is Tarjan's (1972), without recursion.
    """
    sources: dict[str, list[str]] = {n: [] for n in names}
    for e in within:
        sources[e.reader].append(e.source)
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found: list[list[str]] = []
    position = {n: i for i, n in enumerate(names)}
    for root in names:
        if root in index:
            continue
        work = [(root, iter(sources[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, rest = work[-1]
            for other in rest:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(sources[other])))
                    break
                if other in on_stack:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component = [stack.pop()]
                    while component[-1] != node:
                        component.append(stack.pop())
                    on_stack.difference_update(component)
                    found.append(sorted(component, key=position.__getitem__))
    return found
