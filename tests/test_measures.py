"""Depth measures: oracles from the literature, and random graphs against long finite unfoldings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import MATRIX, I, J, K, L, Net, T, attention, both_ways, grid, highway, last, rnn

import unfold
from unfold.core.affine import Affine
from unfold.core.program import BATCH, Program, Ref
from unfold.errors import DataError, UnsupportedError
from unfold.unfolded.measures import Measures, measures

DOCS = Path(__file__).parent.parent / "docs"
Links = Mapping[tuple[str, str], list[tuple[int, int]]]


def layered(links: Mapping[str, list[tuple[str, int]]]) -> Program:
    """Return a net whose every node is a sum of layers: {node: [(what it reads, delay)]}."""
    net = Net(t=9)
    net.input("x", "t")
    for name, reads in links.items():
        layers = [net.layer(net.read(source, T - delay)) for source, delay in reads]
        net.node(name, "t", net.builder.total(layers).apply("tanh"))
    return net.program("y")


HALF = Fraction(1, 2)
X = ("x", 0)
ORACLES: dict[
    str, tuple[dict[str, list[tuple[str, int]]], tuple[Fraction | int, int, Fraction | int]]
] = {
    "single layer": ({"h": [X, ("h", 1)], "y": [("h", 0)]}, (1, 2, 1)),
    "two layers": (
        {"a": [X, ("a", 1)], "b": [("a", 0), ("b", 1)], "y": [("b", 0)]},
        (1, 3, 1),
    ),
    "bottom-up delay": (
        {"a": [X, ("a", 1)], "b": [("a", 0), ("b", 1), ("a", 1)], "y": [("b", 0)]},
        (1, 3, 1),
    ),
    "top-down delay": (
        {"a": [X, ("a", 1), ("b", 1)], "b": [("a", 0), ("b", 1)], "y": [("b", 0)]},
        (2, 3, 1),
    ),
    "three layers, top to bottom": (
        {
            "a": [X, ("a", 1), ("c", 1)],
            "b": [("a", 0), ("b", 1)],
            "c": [("b", 0), ("c", 1)],
            "y": [("c", 0)],
        },
        (3, 4, 1),
    ),
    "delays 1 and 5": ({"h": [X, ("h", 1), ("h", 5)], "y": [("h", 0)]}, (1, 2, 5)),
    "delay 2 only": ({"h": [X, ("h", 2)], "y": [("h", 0)]}, (HALF, 2, 2)),
    "deep transition": ({"p": [X, ("h", 1)], "h": [("p", 0)], "y": [("h", 0)]}, (2, 3, HALF)),
    "deep transition with shortcuts": (
        {"p": [X, ("h", 1)], "h": [("p", 0), ("h", 1)], "y": [("h", 0)]},
        (2, 3, 1),
    ),
    "Jordan": ({"h": [X, ("y", 1)], "y": [("h", 0)]}, (2, 2, HALF)),
    "Elman and Jordan": ({"h": [X, ("h", 1), ("y", 1)], "y": [("h", 0)]}, (2, 2, 1)),
}


def triple(found: Measures) -> tuple[Fraction, Fraction, Fraction | float | None]:
    """Return the three measures."""
    return found.recurrent_depth, found.feedforward_depth, found.recurrent_skip


@pytest.mark.parametrize("name", ORACLES)
def test_networks_of_the_literature(name: str) -> None:
    links, expected = ORACLES[name]
    found = measures(layered(links))
    assert triple(found) == expected
    assert found.directions == (1,)
    assert all(isinstance(m, Fraction) for m in triple(found))


def test_the_table_in_the_documentation() -> None:
    text = (DOCS / "measures.md").read_text()
    table = text.split("| network |")[1].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table]
    shown = {name: tuple(map(Fraction, numbers)) for name, *numbers in rows}
    assert shown == {name: expected for name, (_, expected) in ORACLES.items()}


def test_the_critical_cycle_and_path_are_named() -> None:
    links, _ = ORACLES["three layers, top to bottom"]
    found = measures(layered(links))
    assert sorted(found.cycle) == ["a", "b", "c"]
    assert "abcabc".find("".join(found.cycle)) >= 0
    assert found.path == ("x", "a", "b", "c", "y")
    assert measures(layered(ORACLES["delays 1 and 5"][0])).skip_cycle == ("h",)


def lstm() -> Program:
    """A real LSTM: one product of the state, one of the input; the memory's own path has none."""
    net = Net(t=4)
    net.input("x", "t")
    gate = net.layer(net.read("h", T - 1), "W") + net.layer(net.read("x", T), "U")
    net.node("z", "t", gate)
    forget = net.read("z", T).apply("sigmoid") * net.read("s", T - 1)
    net.node("s", "t", forget + net.read("z", T).apply("tanh"))
    net.node("h", "t", net.read("z", T).apply("sigmoid") * net.read("s", T).apply("tanh"))
    net.node("y", "t", net.layer(net.read("h", T), "V"))
    return net.program("y")


def test_the_memory_of_an_lstm_has_length_zero() -> None:
    assert triple(measures(lstm())) == (1, 2, math.inf)
    assert measures(lstm()).skip_cycle == ("s",)


def test_ways_of_counting() -> None:
    by_nodes = measures(lstm(), count="nodes")
    assert triple(by_nodes) == (3, 4, 1)
    assert by_nodes.cycle in (("z", "s", "h"), ("s", "h", "z"), ("h", "z", "s"))
    by_ops = measures(rnn(), count="ops")
    # W@h, +, tanh per step; U@x, +, tanh, V@h from input to output.
    assert triple(by_ops) == (3, 4, Fraction(1, 3))


def test_no_recurrence() -> None:
    net = Net(t=5, k=3)
    net.input("x", "t")
    product = net.layer(net.read("x", T + K - 2))
    net.node("y", "t", net.layer(net.builder.sum(product, "k").apply("tanh")))
    found = measures(net.program("y"))
    assert triple(found) == (0, 2, None)
    assert (found.directions, found.cycle, found.skip_cycle) == ((), (), ())
    assert found.path == ("x", "y")


def test_a_recurrent_highway_is_as_deep_as_its_micro_steps() -> None:
    found = measures(highway(6, 4))
    assert triple(found) == (4, 5, Fraction(1, 4))
    assert set(found.cycle) == {f"s[t,{i}]" for i in range(4)}
    along_depth = measures(highway(6, 4), axis="l")
    assert along_depth.recurrent_depth == 1


def test_a_boundary_that_leads_outside_again_ends() -> None:
    """s[t,-1] is s[t-2,-1], ..., until before the first step: nothing of it is a cycle."""
    net = Net(t=6, l=2)
    net.input("x", "t")
    before = Ref("s", (Affine.axis(BATCH), T - 2, L))
    net.node("s", "tl", net.layer(net.read("s", T, L - 1)) + net.read("x", T), l=before)
    found = measures(net.program("s"))
    assert triple(found) == (0, 1, None)


def test_what_starts_a_recurrence_is_no_part_of_its_cycle() -> None:
    """h[-1] = A @ x[0] + k[0] where k[t] = B @ B @ h[t-1]: only h's own delay recurs."""
    net = Net(t=6)
    net.input("x", "t")
    net.node(
        "h",
        "t",
        net.layer(net.read("h", T - 1)) + net.read("x", T),
        t=Ref("c", (Affine.axis(BATCH),)),
    )
    net.node("c", "", net.layer(net.layer(net.layer(net.read("x", 0)))))
    net.node("y", "t", net.layer(net.read("h", T)))
    assert triple(measures(net.program("y"))) == (1, 5, 1)


def test_directions_are_measured_one_at_a_time() -> None:
    net = Net(t=5)
    net.input("x", "t")
    net.node("h", "t", net.layer(net.read("h", T - 2)) + net.layer(net.read("x", T)))
    middle = net.layer(net.read("g", T + 1)).apply("tanh")
    net.node("g", "t", net.layer(middle) + net.layer(net.layer(net.read("x", T))))
    net.node("y", "t", net.layer(net.read("h", T)) + net.layer(net.read("g", T)))
    program = net.program("y")
    assert triple(measures(program, direction=1)) == (HALF, 3, 2)
    assert triple(measures(program, direction=-1)) == (2, 3, HALF)
    both = measures(program)
    assert triple(both) == (2, 3, 2)
    assert (both.directions, both.cycle, both.skip_cycle) == ((1, -1), ("g",), ("h",))
    assert triple(measures(both_ways(4))) == (1, 2, 1)


def test_axes_are_measured_one_at_a_time() -> None:
    """Along i, the other axis is a chain of columns, which feeds forward."""
    assert triple(measures(grid(4, 3), axis="i")) == (1, 0, 1)
    net = Net(i=4, j=3)
    net.input("x", "ij")
    across = net.layer(net.read("h", I, J - 1)) + net.layer(net.read("x", I, J))
    net.node("h", "ij", net.layer(net.read("h", I - 1, J)) + across)
    net.node("y", "ij", net.layer(net.read("h", I, J)))
    assert triple(measures(net.program("y"), axis="i")) == (1, 4, 1)
    assert triple(measures(net.program("y"), axis="i", extents={"j": 7})) == (1, 8, 1)
    assert triple(measures(net.program("y"), axis="j")) == (1, 5, 1)


def test_an_attending_decoder() -> None:
    """Along t the encoder feeds forward, and C starts the decoder: U, W, W, M, D or A, V."""
    found = measures(attention(3, 4))
    assert triple(found) == (1, 6, 1)
    assert found.path[:5] == ("x[0]", "h[0]", "h[1]", "h[2]", "C")
    along_source = measures(attention(3, 4), axis="s")
    assert along_source.recurrent_depth == 1


def test_routes_leave_out_labels_and_dead_ends() -> None:
    net = Net(t=4)
    net.input("x", "t")
    net.input("label", "t")
    net.node("h", "t", net.layer(net.read("h", T - 1)) + net.read("x", T))
    deep = net.layer(net.layer(net.read("dead", T - 1))) + net.read("x", T)
    net.node("dead", "t", deep)
    net.node("y", "t", net.layer(net.read("h", T)))
    difference = net.layer(net.read("label", T)) + net.layer(net.read("y", T))
    net.node("loss", "", net.builder.emit("sum", (difference,), reduced=(BATCH, "t")))
    program = net.program("y", loss="loss")
    assert triple(measures(program)) == (1, 1, 1)
    assert measures(program).path == ("x", "h", "y")
    assert triple(measures(program, outputs=["loss"])) == (1, 2, 1)


def test_weights_that_are_computed_count_as_weights() -> None:
    net = Net(t=4)
    net.input("x", "t")
    weights = net.parameter("M", type=MATRIX).apply("tanh")
    product = net.builder.emit("einsum", (weights, net.read("h", T - 1)), {"equation": "ij,j->i"})
    net.node("h", "t", product + net.read("x", T))
    dot = net.builder.emit("einsum", (net.read("h", T), net.read("h", T)), {"equation": "i,i->"})
    net.node("y", "t", net.read("h", T) * dot)
    assert triple(measures(net.program("y"))) == (1, 0, 1)


def test_nets_without_inputs_still_recur() -> None:
    net = Net(t=4)
    net.node("h", "t", net.layer(net.layer(net.read("h", T - 1))))
    found = measures(net.program("h"))
    assert triple(found) == (2, 0, HALF)


def test_a_net_whose_only_input_is_what_it_should_say_still_recurs() -> None:
    assert triple(measures(unfold.load("clockwork-rnn").program)) == (1, 0, math.inf)


def test_refusals() -> None:
    with pytest.raises(DataError, match="net has no axis u; its axes are t"):
        measures(rnn(), axis="u")
    with pytest.raises(DataError, match="counted in layers, nodes, ops; found 'weights'"):
        measures(rnn(), count="weights")
    with pytest.raises(DataError, match=r"a direction is 1 .* found 2"):
        measures(rnn(), direction=2)
    with pytest.raises(UnsupportedError, match="unfolds the other axes to 4,000,000 nodes"):
        measures(grid(4, 3), axis="i", extents={"j": 1_000_000})
    net = Net(s=4, t=4)
    net.input("x", "s")
    net.node("y", "t", net.layer(net.read("x", T)))
    with pytest.raises(UnsupportedError, match="x is read at s = t, an index of another axis"):
        measures(net.program("y"))


@pytest.mark.parametrize(
    ("spec", "axis", "expected"),
    [
        ("pattern-hidden", "t", (1, 2, 1)),
        ("lstm-stack", "t", (1, 3, math.inf)),
        ("recurrent-highway", "t", (3, 4, math.inf)),
        ("bidirectional", "t", (1, 2, 1)),
        ("tdnn", "t", (0, 3, None)),
        ("rnn-2d", "i", (1, 6, 1)),
        ("unshared", "t", (1, 2, 1)),
    ],
)
def test_specs_of_the_library(spec: str, axis: str, expected: tuple) -> None:
    assert triple(measures(unfold.load(spec).program, axis)) == expected


@st.composite
def folded_graphs(draw: st.DrawFn) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Draw {(source, reader): [(length 0 or 1, delay)]} without a cycle of delay 0."""
    size = draw(st.integers(1, 4))
    nodes = [f"n{i}" for i in range(size)]
    links: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for i, source in enumerate(nodes):
        for j, reader in enumerate(nodes):
            delays = st.integers(0 if i < j else 1, 3)
            drawn = st.lists(st.tuples(st.integers(0, 1), delays), max_size=2, unique=True)
            if found := draw(drawn):
                links[source, reader] = found
    links["x", nodes[0]] = [(1, 0)]
    links["x", draw(st.sampled_from(nodes))] = [(draw(st.integers(0, 1)), draw(st.integers(0, 2)))]
    links[draw(st.sampled_from(nodes)), "y"] = [(1, draw(st.integers(0, 1)))]
    links[nodes[-1], "y"] = [(1, 0)]
    return links


def realised(links: Links) -> Program:
    """Return a Program with these edges: a layer for length 1, the value itself for length 0."""
    net = Net(t=9)
    net.input("x", "t")
    readers = dict.fromkeys(reader for _, reader in links)
    for name in {source for source, _ in links} - set(readers) - {"x"}:
        net.parameter(name, "t")
    for reader in readers:
        terms = [
            net.layer(net.read(source, T - delay)) if length else net.read(source, T - delay)
            for (source, target), edges in links.items()
            for length, delay in edges
            if target == reader
        ]
        net.node(reader, "t", net.builder.total(terms).apply("tanh"))
    return net.program("y")


def on_routes(links: Links) -> nx.MultiDiGraph:
    """Return the folded graph restricted to routes from x to y."""
    graph = nx.MultiDiGraph()
    graph.add_nodes_from("xy")
    for (source, reader), edges in links.items():
        for length, delay in edges:
            graph.add_edge(source, reader, length=length, delay=delay)
    keep = (nx.descendants(graph, "x") | {"x"}) & (nx.ancestors(graph, "y") | {"y"})
    return graph.subgraph(keep | {"x", "y"})


def walks(graph: nx.MultiDiGraph, nodes: list[str]) -> set[tuple[int, int]]:
    """Return (length, delay) of every way along a sequence of nodes, one per choice of edges."""
    found = {(0, 0)}
    for a, b in pairwise(nodes):
        edges = graph.get_edge_data(a, b).values()
        found = {(w + e["length"], d + e["delay"]) for w, d in found for e in edges}
    return found


def by_enumeration(links: Links) -> tuple[Fraction, Fraction, Fraction | float | None]:
    """Return the measures from all simple cycles and all simple paths, by their definition."""
    graph = on_routes(links)
    simple = nx.DiGraph(graph)
    cycles = {w for c in nx.simple_cycles(simple) for w in walks(graph, [*c, c[0]])}
    depth = max((Fraction(*c) for c in cycles), default=Fraction(0))
    least = min((Fraction(*c) for c in cycles), default=None)
    paths = {w for p in nx.all_simple_paths(simple, "x", "y") for w in walks(graph, p)}
    feedforward = max((w - d * depth for w, d in paths), default=Fraction(0))
    if least is None:
        return depth, feedforward, None
    return depth, feedforward, 1 / least if least else math.inf


STEPS = 72


def extreme_lengths(links: Links, better: Callable[..., int]) -> list[int | None]:
    """Return, for n = 0 ... STEPS, the extreme length of a path from x[0] to y[n], unfolded."""
    graph = on_routes(links)
    unfolded = nx.DiGraph()
    unfolded.add_nodes_from((n, t) for n in graph for t in range(STEPS + 1))
    for source, reader, edge in graph.edges(data=True):
        for t in range(edge["delay"], STEPS + 1):
            ends = (source, t - edge["delay"]), (reader, t)
            before = unfolded.get_edge_data(*ends)
            lengths = [edge["length"], *([before["length"]] if before else [])]
            unfolded.add_edge(*ends, length=better(lengths))
    found: dict[tuple[str, int], int] = {("x", 0): 0}
    for node in nx.topological_sort(unfolded):
        reached = [
            found[p] + unfolded.edges[p, node]["length"]
            for p in unfolded.predecessors(node)
            if p in found
        ]
        if reached:
            found[node] = better(reached)
    return [found.get(("y", t)) for t in range(STEPS + 1)]


@settings(max_examples=80)
@given(folded_graphs())
def test_random_graphs_equal_their_definition_and_long_unfoldings(
    links: dict[tuple[str, str], list[tuple[int, int]]],
) -> None:
    found = triple(measures(realised(links)))
    assert found == by_enumeration(links)
    depth, feedforward, skip = found
    longest = extreme_lengths(links, max)
    known = [(n, d) for n, d in enumerate(longest) if d is not None]
    if not known:
        return
    assert max(d - n * depth for n, d in known) == feedforward
    # No path is longer than n d_r + d_f, as was just seen; and some do grow by d_r per step.
    late = [(n, d) for n, d in known if n > STEPS // 2]
    if depth and late:
        assert any(Fraction(b - a, m - n) == depth for n, a in late for m, b in late if m > n)
    if skip is not None and late:
        shortest = [(n, d) for n, d in enumerate(extreme_lengths(links, min)) if d is not None]
        slope = Fraction(0) if skip == math.inf else 1 / Fraction(skip)
        far = [(n, d) for n, d in shortest if n > STEPS // 2]
        assert any(Fraction(b - a, m - n) == slope for n, a in far for m, b in far if m > n)


def test_last_is_a_step_of_no_delay() -> None:
    net = Net(t=6)
    net.input("x", "t")
    net.node("h", "t", net.layer(net.read("h", T - 1)) + net.layer(net.read("x", T)))
    net.node("y", "", net.layer(net.read("h", last("t"))))
    assert triple(measures(net.program("y"))) == (1, 2, 1)
