"""Exact depth measures of a recurrent network: feedforward depth, recurrent depth, skips.

In: a Program and the axis that time runs along. Out: `Measures`, after Zhang et al. 2016
("Architectural Complexity Measures of Recurrent Neural Networks"). With l the length of a path and
σ the sum of its delays,

    recurrent depth         d_r = max over cycles of l/σ
    feedforward depth       d_f = max over simple input -> output paths of l - σ d_r
    recurrent skip          s   = 1 / (min over cycles of l/σ)      infinite where a cycle has l = 0

on the folded graph, restricted to the nodes on some route from an input to an output. For

    h[t] = tanh(W @ h[t-1] + U @ x[t]), o[t] = V @ h[t]      d_r = 1, d_f = 2, s = 1

A length is counted in "layers" (a product with weights is 1, all else 0), "nodes" (named equations)
or "ops".

The best ratio is found by Dinkelbach's iteration: take a cycle with positive l - λσ, set λ to its
ratio, until there is none (Dasdan 2004 compares such methods), in integers. No cycle has a positive
l - σ d_r, so that the longest simple path is the longest path, found by relaxation inside of each
strongly connected component.

Recurrences in both directions are measured one direction at a time, the other's delays cut: the
greater result counts. A cycle never has delays of both signs (`core.dependence.order`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from unfold.core.paths import reachable
from unfold.core.program import Program
from unfold.errors import DataError, UnsupportedError
from unfold.unfolded.folded import Arc, FoldedGraph, fold


@dataclass(frozen=True)
class Measures:
    """Depth measures along one axis.

    Attributes:
        axis: the axis they are measured along.
        count: the unit of length: "layers", "nodes" or "ops".
        directions: the directions of its recurrences: +1, -1, both, or none.
        recurrent_depth: d_r, growth of depth per step; 0 without recurrence.
        feedforward_depth: d_f, depth that does not come from recurrence; 0 without any route.
        recurrent_skip: s, steps per unit of length of the shortest cycle; None without recurrence.
        cycle: names along a cycle of the greatest l/σ.
        skip_cycle: names along a cycle of the smallest l/σ.
        path: names along a path of the greatest l - σ d_r.
    """

    axis: str
    count: str
    directions: tuple[int, ...]
    recurrent_depth: Fraction
    feedforward_depth: Fraction
    recurrent_skip: Fraction | float | None
    cycle: tuple[str, ...] = ()
    skip_cycle: tuple[str, ...] = ()
    path: tuple[str, ...] = ()


def measures(
    program: Program,
    axis: str = "t",
    count: str = "layers",
    direction: int | None = None,
    *,
    extents: Mapping[str, int] | None = None,
    outputs: Collection[str] | None = None,
) -> Measures:
    """Measure a Program.

    Args:
        program: any Program; feedback must have been resolved to see the graph of one mode.
        axis: the axis that delays are measured along; other axes are unfolded at their extents.
        count: "layers", "nodes" or "ops".
        direction: +1 for recurrences over t-1, -1 for those over t+1; default: those there are.
        extents: of the other axes; the default is the Program's.
        outputs: where routes end; the default is the Program's outputs.

    Raises:
        DataError: no such axis, way of counting or direction.
        UnsupportedError: see `fold`; or a recurrence without a fixed delay, as h[2*t+1].
    """
    if direction not in (None, 1, -1):
        raise DataError(f"a direction is 1 (over t-1) or -1 (over t+1), found {direction!r}")
    graph = fold(program, axis=axis, count=count, extents=extents, outputs=outputs)
    parts = connected(graph)
    signs = [sign_of(arcs) for arcs in parts.within]
    directions = [d for d in (1, -1) if d in signs and direction in (None, d)]
    found = [_one_direction(graph, parts, signs, d) for d in directions or [direction or 1]]
    depth = max(found, key=lambda m: m.recurrent_depth)
    skips = [m for m in found if m.recurrent_skip is not None]
    skip = max(skips, key=lambda m: m.recurrent_skip or 0) if skips else None
    way = max(found, key=lambda m: m.feedforward_depth)
    return Measures(
        axis, count, tuple(directions), depth.recurrent_depth, way.feedforward_depth,
        skip.recurrent_skip if skip else None, depth.cycle, skip.skip_cycle if skip else (),
        way.path,
    )  # fmt: skip


@dataclass(frozen=True)
class Parts:
    """A folded graph in strongly connected components.

    Attributes:
        order: the nodes of each component, in the order of reads.
        within: for each component, its own edges that exist at every step.
        into: for each component, the edges to it from others.
    """

    order: tuple[tuple[int, ...], ...]
    within: tuple[tuple[Arc, ...], ...]
    into: tuple[tuple[Arc, ...], ...]


def connected(graph: FoldedGraph) -> Parts:
    """Split a folded graph in strongly connected components, keeping what is on routes."""
    import networkx

    arcs = _routed(graph)
    view = networkx.DiGraph((a.source, a.target) for a in arcs)
    view.add_nodes_from({*graph.inputs, *graph.outputs})
    # networkx yields a component before the ones that lead to it.
    order = tuple(tuple(c) for c in reversed(list(networkx.strongly_connected_components(view))))
    owner = {node: i for i, c in enumerate(order) for node in c}
    within: list[list[Arc]] = [[] for _ in order]
    into: list[list[Arc]] = [[] for _ in order]
    for arc in arcs:
        i, j = owner[arc.source], owner[arc.target]
        if i != j:
            into[j].append(arc)
        elif not arc.once:
            within[i].append(arc)
    return Parts(order, tuple(map(tuple, within)), tuple(map(tuple, into)))


def _routed(graph: FoldedGraph) -> list[Arc]:
    """Return the edges on some route from an input to an output (to an output, without inputs)."""
    count = len(graph.names)
    forward: list[list[int]] = [[] for _ in range(count)]
    backward: list[list[int]] = [[] for _ in range(count)]
    for arc in graph.arcs:
        forward[arc.source].append(arc.target)
        backward[arc.target].append(arc.source)
    keep = reachable(graph.outputs, backward.__getitem__)
    if graph.inputs:
        keep &= reachable(graph.inputs, forward.__getitem__)
    return [a for a in graph.arcs if a.source in keep and a.target in keep]


def sign_of(arcs: Sequence[Arc]) -> int:
    """Return the direction of a component's recurrence; 0 where it has none."""
    delays = [a.delay for a in arcs if a.delay]
    return 0 if not delays else 1 if delays[0] > 0 else -1


def _one_direction(
    graph: FoldedGraph, parts: Parts, signs: Sequence[int], direction: int
) -> Measures:
    """Measure the recurrences in one direction; the other ones are cut."""
    turned = [
        tuple(
            replace(a, delay=a.delay * direction) for a in arcs if sign == direction or not a.delay
        )
        for arcs, sign in zip(parts.within, signs, strict=True)
    ]
    into = [tuple(replace(a, delay=a.delay * direction) for a in arcs) for arcs in parts.into]
    loops = [arcs for arcs, sign in zip(turned, signs, strict=True) if sign == direction]
    deepest = _best_cycle(graph, loops, 1)
    shallowest = _best_cycle(graph, loops, -1)
    depth = Fraction(*deepest[1]) if deepest else Fraction(0)
    turned_parts = Parts(parts.order, tuple(turned), tuple(into))
    feedforward, path = _longest_path(graph, turned_parts, depth)
    skip: Fraction | float | None = None
    if shallowest:
        length, delay = shallowest[1]
        skip = Fraction(delay, length) if length else math.inf
    return Measures(
        "", "", (), depth, feedforward, skip,
        _names(graph, deepest[0]) if deepest else (),
        _names(graph, shallowest[0]) if shallowest else (),
        _names(graph, path),
    )  # fmt: skip


def _best_cycle(
    graph: FoldedGraph, components: Iterable[Sequence[Arc]], sign: int
) -> tuple[list[int], tuple[int, int]] | None:
    """Return a cycle with the greatest (sign 1) or smallest (-1) l/σ: its nodes and (l, σ)."""
    best: tuple[list[int], tuple[int, int]] | None = None
    ratio: Fraction | None = None
    for arcs in components:
        ordered = by_step(graph, arcs)
        while True:
            # With every cycle still welcome, any λ below all sign * l/σ will do.
            bound = ratio if ratio is not None else Fraction(-len(arcs) - 1)
            cycle = _positive_cycle(ordered, bound, sign)
            if cycle is None:
                break
            length, delay = sum(a.length for a in cycle), sum(a.delay for a in cycle)
            ratio = Fraction(sign * length, delay)
            best = [a.source for a in cycle], (length, delay)
    return best


def by_step(graph: FoldedGraph, arcs: Sequence[Arc]) -> list[Arc]:
    """Order edges so that one sweep follows all paths inside of a step.

    Raises:
        UnsupportedError: a cycle has no delay that is the same at every step, as h[2*t+1].
    """
    nodes = dict.fromkeys(n for a in arcs for n in (a.source, a.target))
    waiting = dict.fromkeys(nodes, 0)
    inside: dict[int, list[int]] = {}
    for arc in arcs:
        if not arc.delay:
            waiting[arc.target] += 1
            inside.setdefault(arc.source, []).append(arc.target)
    ready = [n for n in nodes if not waiting[n]]
    for node in ready:
        for other in inside.get(node, ()):
            waiting[other] -= 1
            if not waiting[other]:
                ready.append(other)
    if len(ready) < len(nodes):
        stuck = ", ".join(sorted(set(_names(graph, [n for n in nodes if waiting[n]]))))
        raise UnsupportedError(
            f"cannot measure depth: {stuck} reads itself at a distance that varies from "
            f"step to step"
        )
    position = {node: i for i, node in enumerate(ready)}
    return sorted(arcs, key=lambda a: position[a.source])


def _positive_cycle(arcs: Sequence[Arc], ratio: Fraction, sign: int) -> list[Arc] | None:
    """Return a cycle in which the sum of sign * l - ratio * σ is positive, if there is one."""
    p, q = ratio.numerator, ratio.denominator
    weights = [sign * a.length * q - a.delay * p for a in arcs]
    value = dict.fromkeys((n for a in arcs for n in (a.source, a.target)), 0)
    came: dict[int, Arc] = {}
    sweep, check = 0, 1
    while _relax(arcs, weights, value, came):
        sweep += 1
        if sweep == check:  # looking for a cycle costs as much as a sweep, so look ever more rarely
            check *= 2
            cycle = _cycle_in(came)
            if cycle is not None:
                return cycle
    return None


def _relax(
    arcs: Sequence[Arc], weights: Sequence[int], value: dict[int, int], came: dict[int, Arc]
) -> bool:
    """Lengthen paths by one sweep over the edges; return whether any grew."""
    grew = False
    for arc, weight in zip(arcs, weights, strict=True):
        start = value.get(arc.source)
        if start is None:
            continue
        reached = value.get(arc.target)
        if reached is None or start + weight > reached:
            value[arc.target] = start + weight
            came[arc.target] = arc
            grew = True
    return grew


def _cycle_in(came: Mapping[int, Arc]) -> list[Arc] | None:
    """Return a cycle among the edges that paths came by, in its direction."""
    done: set[int] = set()
    for start in came:
        trail: dict[int, None] = {}
        node = start
        while node in came and node not in done and node not in trail:
            trail[node] = None
            node = came[node].source
        if node in trail:
            return list(_back(came, node, node))[::-1]
        done |= set(trail)
    return None


def _back(came: Mapping[int, Arc], start: int, stop: int) -> Iterator[Arc]:
    """Yield the edges that a path came by, last first, until it is at `stop` (again)."""
    node = start
    while node in came:
        yield came[node]
        node = came[node].source
        if node == stop:
            return


def _longest_path(graph: FoldedGraph, parts: Parts, depth: Fraction) -> tuple[Fraction, list[int]]:
    """Return the greatest l - σ d_r over input -> output paths, and the nodes of one."""
    p, q = depth.numerator, depth.denominator
    value: dict[int, int] = dict.fromkeys(graph.inputs, 0)
    came: dict[int, Arc] = {}
    for within, into in zip(parts.within, parts.into, strict=True):
        _relax(into, [a.length * q - a.delay * p for a in into], value, came)
        ordered = by_step(graph, within)
        weights = [a.length * q - a.delay * p for a in ordered]
        while _relax(ordered, weights, value, came):
            pass
    ends = [n for n in graph.outputs if n in value]
    if not ends:
        return Fraction(0), []
    end = max(ends, key=lambda n: value[n])
    nodes = [end, *(a.source for a in _back(came, end, -1))]
    return Fraction(value[end], q), nodes[::-1]


def _names(graph: FoldedGraph, nodes: Iterable[int]) -> tuple[str, ...]:
    """Return the named equations among some nodes."""
    return tuple(graph.names[n] for n in nodes if graph.names[n])
