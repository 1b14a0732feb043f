"""Order and legality from the reduced dependence graph (Allen & Kennedy 1987, loop distribution).

Nodes are equations, edges are references with one offset per axis. Strongly connected components
come out in topological order. A component that carries a dependence on an axis, with all its
offsets of one sign, becomes a `Loop` over that axis; the edges that the loop satisfies are removed,
and the rest is ordered again inside it. What is in no loop is computed for all index points at
once.

    z[t] = W @ h[t-1] + U @ x[t]        Single(z.2)              U @ x, for all t
    h[t] = tanh(z[t])                   Loop(t, +1, (z.1, z, h))

A component that no axis can carry is a mistake in the spec: a `CycleError` shows the cycle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from unfold.core.program import BATCH, Program, Ref, Value
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


@dataclass(frozen=True)
class Edge:
    """`reader` reads `ref`, with one offset per axis: None where it is not `axis + constant`."""

    reader: str
    ref: Ref
    offsets: Mapping[str, int | None]

    @property
    def source(self) -> str:
        """The value that is read."""
        return self.ref.value

    @property
    def immediate(self) -> bool:
        """Whether the value is read at the reader's own index point."""
        return all(o == 0 for o in self.offsets.values())


def edges(program: Program) -> list[Edge]:
    """Return every reference of every equation, boundary values included."""
    found: list[Edge] = []
    for value in program:
        for ref in program.reads(value):
            found.append(Edge(value.name, ref, _offsets(value, program[ref.value], ref)))
    return found


def _offsets(value: Value, source: Value, ref: Ref) -> dict[str, int | None]:
    return {
        axis: index.offset_from(axis) if axis in value.axes else None
        for axis, index in zip(source.axes, ref.index, strict=True)
        if axis != BATCH
    }


def order(program: Program) -> tuple[Block, ...]:
    """Return the equations as a nest of loops in an order that respects every dependence.

    Raises:
        CycleError: a cycle has no delay, or needs both directions of an axis.
    """
    return _order(program, list(program.values), edges(program), frozenset())


def _order(
    program: Program, names: Sequence[str], within: Sequence[Edge], looped: frozenset[str]
) -> tuple[Block, ...]:
    blocks: list[Block] = []
    for component in components(names, within):
        members = set(component)
        inner = [e for e in within if e.reader in members and e.source in members]
        if not inner:
            blocks.append(Single(component[0]))
            continue
        axis, direction = _carrier(program, component, inner, looped)
        # Iteration order inside the loop: what earlier iterations have made is there already.
        left = [e for e in inner if e.offsets.get(axis) == 0]
        body = _order(program, component, left, looped | {axis})
        blocks.append(Loop(axis, direction, body))
    return tuple(blocks)


def _carrier(
    program: Program, component: Sequence[str], inner: Sequence[Edge], looped: frozenset[str]
) -> tuple[str, int]:
    for axis in program.axes:
        if axis == BATCH or axis in looped or any(axis not in program[n].axes for n in component):
            continue
        offsets = [e.offsets[axis] for e in inner]
        known = [o for o in offsets if o is not None]
        if len(known) < len(offsets) or not any(known):
            continue
        if max(known) <= 0 or min(known) >= 0:
            return axis, 1 if min(known) < 0 else -1
    raise _cycle_error(program, inner)


def components(names: Sequence[str], within: Iterable[Edge]) -> list[list[str]]:
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
                    cut = stack.index(node)
                    found.append(sorted(stack[cut:], key=position.__getitem__))
                    on_stack -= set(stack[cut:])
                    del stack[cut:]
    return found


def _path(start: str, goal: str, within: Sequence[Edge]) -> list[Edge] | None:
    """Return the shortest chain of edges in which `start` depends on ... `goal`."""
    came: dict[str, Edge | None] = {start: None}
    queue = [start]
    for node in queue:
        if node == goal:
            break
        for e in within:
            if e.reader == node and e.source not in came:
                came[e.source] = e
                queue.append(e.source)
    if goal not in came:
        return None
    chain: list[Edge] = []
    step = came[goal]
    while step is not None:
        chain.append(step)
        step = came[step.reader]
    return chain[::-1]


def _cycle_through(edge: Edge, within: Sequence[Edge]) -> list[Edge] | None:
    rest = _path(edge.source, edge.reader, within)
    return None if rest is None else [edge, *rest]


def _cycle_error(program: Program, inner: Sequence[Edge]) -> CycleError:
    immediate = [e for e in inner if e.immediate]
    cycles = [c for e in immediate if (c := _cycle_through(e, immediate))]
    if cycles:
        cycle = min(cycles, key=len)
        return CycleError(
            _diagnostic(
                program,
                cycle,
                "these equations need each other at the same index point",
                "give one of these references a delay, as in h[t-1]",
            )
        )
    axes = {a for e in inner for a, o in e.offsets.items() if o}
    for axis in sorted(axes):
        back = [e for e in inner if (e.offsets.get(axis) or 0) < 0]
        ahead = [e for e in inner if (e.offsets.get(axis) or 0) > 0]
        for first in back:
            for second in ahead:
                there = _path(first.source, second.reader, inner)
                home = _path(second.source, first.reader, inner)
                if there is not None and home is not None:
                    return CycleError(
                        _diagnostic(
                            program,
                            [first, *there, second, *home],
                            f"this cycle needs both earlier and later values of axis {axis}",
                            "split it: a cycle may use t-1 or t+1, not both",
                        )
                    )
    cycle = min((c for e in inner if (c := _cycle_through(e, inner))), key=len)
    return CycleError(
        _diagnostic(
            program,
            cycle,
            "this cycle cannot be computed in the order of any axis",
            "every reference of a cycle must be a delay such as h[t-1] along one common axis",
        )
    )


def _diagnostic(program: Program, cycle: Sequence[Edge], message: str, help: str) -> Diagnostic:
    """Describe a cycle by its named equations; the parts in between are left out."""
    steps: list[str] = []
    for e in cycle:
        reader, source = program[e.reader], program[e.source]
        if reader.node == source.node and not source.is_named:
            continue
        line = f"   (line {reader.at.line})" if reader.at else ""
        whole = program.values.get(reader.node, reader)
        left = f"{reader.node}{_indices(whole)}"
        shown = ",".join(
            i.show() for a, i in zip(source.axes, e.ref.index, strict=True) if a != BATCH
        )
        steps.append(f"{left} needs {source.name}[{shown}]{line}")
    named = next((program[e.reader] for e in cycle if program[e.reader].at), None)
    return Diagnostic(message, named.at if named else None, tuple(steps), help)


def _indices(value: Value) -> str:
    axes = [a for a in value.axes if a != BATCH]
    return f"[{','.join(axes)}]" if axes else ""
