"""The unfolded graph of a Program, written down node by node: what fast graph code is tested with.

One loop over every index point, one dictionary, no arrays. A node is (value, point); a node outside
of its value's domain is ("outside", value, point). Edges keep their multiplicity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import networkx as nx

from unfold.core.program import BATCH, Program, Ref, Value

Point = tuple[int, ...]


def points(axes: tuple[str, ...], extents: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """Yield every index point of some axes."""
    for point in product(*(range(extents[a]) for a in axes)):
        yield dict(zip(axes, point, strict=True))


def inner(value: Value) -> tuple[str, ...]:
    """Return the axes of a value but batch."""
    return tuple(a for a in value.axes if a != BATCH)


def within(value: Value, at: Mapping[str, int], extents: Mapping[str, int]) -> bool:
    """Return whether the bounds of a value over some of its axes hold."""
    known = [f for f in value.within if set(f.axes) <= set(at)]
    return all(f.evaluate(at, {a: n - 1 for a, n in extents.items()})[0] >= 0 for f in known)


def target(
    program: Program, ref: Ref, at: Mapping[str, int], extents: Mapping[str, int]
) -> tuple | None:
    """Return the node that a reference reads, None where its index does not divide."""
    source = program[ref.value]
    found = []
    for axis, index in zip(source.axes, ref.index, strict=True):
        if axis == BATCH:
            continue
        position, exact = index.evaluate(at, {a: n - 1 for a, n in extents.items()})
        if not exact:
            return None
        found.append(position)
    at = dict(zip(inner(source), found, strict=True))
    good = all(0 <= p < extents[a] for a, p in at.items())
    if good and not within(source, at, extents):
        return None  # zero
    return (ref.value, tuple(found)) if good else ("outside", ref.value, tuple(found))


def unfolded(program: Program, extents: Mapping[str, int]) -> nx.MultiDiGraph:
    """Return the graph of one sequence with these extents."""
    graph = nx.MultiDiGraph()
    pending: list[tuple] = []

    def connect(source: tuple | None, reader: tuple) -> None:
        if source is not None:
            if source[0] == "outside" and source not in graph:
                pending.append(source)
            graph.add_edge(source, reader)

    for value in program:
        for own in points(inner(value), extents):
            if not within(value, own, extents):
                continue
            node = (value.name, tuple(own.values()))
            graph.add_node(node)
            for ref in value.operands:
                used = tuple(a for a in value.reduced if a in ref.axes and a != BATCH)
                for bound in points(used, extents):
                    if not within(value, {**own, **bound}, extents):
                        continue
                    connect(target(program, ref, {**own, **bound}, extents), node)
    while pending:
        outside = pending.pop()
        value = program[outside[1]]
        at = dict(zip(inner(value), outside[2], strict=True))
        left = next(a for a in inner(value) if not 0 <= at[a] < extents[a])
        if left in value.boundary:
            connect(target(program, value.boundary[left], at, extents), outside)
    return graph


def levels(graphs: list[nx.MultiDiGraph]) -> dict[tuple, int]:
    """Return the longest path to each node in a union of graphs; outside nodes are aliases."""
    whole = nx.DiGraph()
    for number, graph in enumerate(graphs):
        for a, b in graph.edges():
            named = [(*n, number) if n[0] == "outside" else n for n in (a, b)]
            whole.add_edge(*named)
        whole.add_nodes_from(n for n in graph if n[0] != "outside")
    found: dict[tuple, int] = {}
    for node in nx.topological_sort(whole):
        below = max((found[p] for p in whole.predecessors(node)), default=-1)
        found[node] = max(below, 0) if node[0] == "outside" else below + 1
    return {n: level for n, level in found.items() if n[0] != "outside"}
