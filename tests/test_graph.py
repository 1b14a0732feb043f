"""The unfolded graph, at every level of detail, against the graph written down node by node."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

import naive
import networkx as nx
import numpy as np
import pytest
from programs import SMALL, VECTOR, Net, S, T, attention, highway, last, lstm, rnn

import unfold
from tests.work import work
from unfold.core.affine import Affine
from unfold.core.program import BATCH, Program, Ref
from unfold.core.types import Type
from unfold.errors import DataError
from unfold.passes.boundaries import lower_boundaries
from unfold.passes.differentiate import differentiate
from unfold.passes.modes import resolve_modes
from unfold.runs.domain import Domain
from unfold.unfolded.graph import Edge, Node, UnfoldedGraph
from unfold.unfolded.levels import check_levels, levels


def plain(node: Node) -> tuple:
    """Return a node as the naive graph writes it."""
    return ("outside", node.value, node.point) if node.boundary else (node.value, node.point)


def pairs(edges: Iterable[Edge]) -> Counter:
    """Count edges by their ends."""
    return Counter((plain(e.source), plain(e.target)) for e in edges)


def ends(graph: nx.MultiDiGraph) -> Counter:
    """Count edges of the naive graph by their ends."""
    return Counter(graph.edges())


@pytest.mark.parametrize("name", SMALL)
def test_nodes_and_edges_are_those_of_the_graph_written_down(name: str) -> None:
    program = SMALL[name]
    graph = UnfoldedGraph(program, Domain(program))
    expected = naive.unfolded(program, graph.domain.extents)
    every = [*graph.nodes(), *graph.boundary_nodes()]
    assert Counter(map(plain, every)) == Counter(list(expected))
    assert pairs(graph.edges()) == ends(expected)
    assert graph.number_of_nodes() == sum(n[0] != "outside" for n in expected)
    assert graph.number_of_edges() == expected.number_of_edges()


@pytest.mark.parametrize("name", SMALL)
def test_edges_of_one_node_are_those_of_the_whole(name: str) -> None:
    graph = UnfoldedGraph(SMALL[name], Domain(SMALL[name]))
    edges = list(graph.edges())
    for node in [*graph.nodes(), *graph.boundary_nodes()]:
        wanted_in = Counter(e for e in edges if e.target == node)
        wanted_out = pairs(e for e in edges if e.source == node)
        assert Counter(graph.in_edges(node)) == wanted_in, node
        assert pairs(graph.out_edges(node)).keys() == wanted_out.keys(), node
        assert set(graph.predecessors(node)) == {e.source for e in wanted_in}
        assert set(graph.successors(node)) == {e.target for e in edges if e.source == node}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("detail", ["op", "node"])
def test_numbers_of_nodes_are_unique_and_lead_back(name: str, detail: str) -> None:
    graph = UnfoldedGraph(SMALL[name], Domain(SMALL[name]), detail=detail)
    every = [*graph.nodes(), *graph.boundary_nodes()]
    assert [graph.node_id(n) for n in every] == list(range(len(every)))
    assert [graph.node_at(i) for i in range(len(every))] == every


@pytest.mark.parametrize("name", ["rnn", "highway", "attention", "both ways", "windows"])
def test_a_batch_is_the_union_of_its_sequences(name: str) -> None:
    program = SMALL[name]
    axes = [
        a for a, x in program.axes.items() if a not in (BATCH, "k", "l") and x.extent.is_constant
    ]
    domain = Domain(program, None, {a: [n + 2, n, n + 2] for n, a in enumerate(axes, 2)}, batch=3)
    whole = UnfoldedGraph(program, domain)
    nodes, edges = set(), set()
    for which in range(3):
        one = UnfoldedGraph(program, domain, sequence=which)
        if any(BATCH in v.reduced for v in program):
            continue
        expected = naive.unfolded(program, one.domain.extents)
        assert pairs(one.edges()) == ends(expected)
        nodes |= {*one.nodes(), *one.boundary_nodes()}
        edges |= set(one.edges())
    if edges:
        assert {*whole.nodes(), *whole.boundary_nodes()} == nodes
        assert set(whole.edges()) == edges
    for node in [*whole.nodes(), *whole.boundary_nodes()]:
        assert set(whole.in_edges(node)) == {e for e in whole.edges() if e.target == node}
        assert set(whole.out_edges(node)) == {e for e in whole.edges() if e.source == node}


def through_parts(program: Program, graph: nx.MultiDiGraph) -> set[tuple]:
    """Return which named nodes reach which others through parts and constants alone."""

    def hidden(node: tuple) -> bool:
        value = program[node[-2]]
        return not value.is_named or value.op == "constant"

    found = set()
    for node in graph:
        if hidden(node):
            continue
        work, seen = list(graph.predecessors(node)), set()
        while work:
            source = work.pop()
            if source in seen:
                continue
            seen.add(source)
            if hidden(source):
                work += graph.predecessors(source)
            else:
                found.add((source, node))
    return found


@pytest.mark.parametrize("name", SMALL)
def test_node_detail_has_the_paths_through_parts(name: str) -> None:
    program = SMALL[name]
    graph = UnfoldedGraph(program, Domain(program), detail="node")
    expected = through_parts(program, naive.unfolded(program, graph.domain.extents))
    assert set(pairs(graph.edges())) == expected
    for node in [*graph.nodes(), *graph.boundary_nodes()]:
        assert {e.source for e in graph.in_edges(node)} == set(graph.predecessors(node))
        assert set(pairs(graph.out_edges(node))) == {p for p in expected if p[0] == plain(node)}


@pytest.mark.parametrize(
    "spec",
    [
        "attention",
        "bidirectional",
        "recurrent-highway",
        "encoder-decoder",
        "self-attention",
        "looped-transformer",
    ],
)
def test_specs_and_their_adjoints(spec: str) -> None:
    """Programs as elaborated, in free mode, and differentiated: op and node detail, and levels."""
    program = resolve_modes(unfold.load(spec).program, mode="free")
    adjoint = differentiate(lower_boundaries(program), [v.name for v in program.parameters])
    for which in (program, adjoint):
        short = {
            a: 2 if spec == "looped-transformer" else 3
            for a, x in which.axes.items()
            if a != BATCH and x.extent.is_constant
        }
        domain = Domain(which, short)
        written = naive.unfolded(which, domain.extents)
        graph = UnfoldedGraph(which, domain)
        assert pairs(graph.edges()) == ends(written)
        found = levels(which, domain)
        assert {n: int(found[n[0]][n[1]]) for n in naive.levels([written])} == naive.levels(
            [written]
        )
        nodes = UnfoldedGraph(which, domain, detail="node")
        assert set(pairs(nodes.edges())) == through_parts(which, written)
        check_levels(nodes.program, nodes.domain, levels(nodes.program, nodes.domain))


def test_what_starts_a_recurrence_is_composed_too() -> None:
    program = unfold.load("encoder-decoder").program
    graph = UnfoldedGraph(program, Domain(program), detail="node")
    start = Node("d", (-1,), boundary=True)
    assert set(graph.predecessors(start)) == {Node("C"), Node("M")}
    assert start in graph.successors(Node("C"))


def test_layers_of_a_stack_are_cells_of_their_own() -> None:
    text = """
unfold: 1
name: deep
axes: {t: 3}
sizes: {n: 4, m: 3}
inputs: {x[t]: [m]}
nodes:
  h[t]: {is: "gru(x[t], hidden=n)", stack: 2}
outputs: [h]
"""
    program = unfold.loads(text).program
    graph = UnfoldedGraph(program, Domain(program), detail="cell")
    assert set(graph.program.values) == {"x", "h.layer1", "h.layer2"}
    assert graph.predecessors(Node("h.layer2", (1,))) == (
        Node("h.layer2", (0,)),
        Node("h.layer1", (1,)),
    )


def test_a_softmax_reads_every_score_once() -> None:
    program = attention(3, 4)
    graph = UnfoldedGraph(program, Domain(program), detail="node")
    scores = [e for e in graph.in_edges(Node("a", (1, 2))) if e.source.value == "e"]
    assert [e.source.point for e in scores] == [(0, 2), (1, 2), (2, 2)]
    assert graph.program["a"].operands == (Ref("e", (Affine.axis(BATCH), Affine.axis("s'"), T)),)
    levelled = levels(graph.program, graph.domain)
    check_levels(graph.program, graph.domain, levelled)
    assert levelled["h"].tolist() == [1, 2, 3]
    assert levelled["d"].tolist() == [8, 12, 16, 20]


def test_a_softmax_over_the_past_reads_every_score_once() -> None:
    program = unfold.load("looped-transformer").program
    graph = UnfoldedGraph(program, Domain(program, {"t": 3}), detail="node")
    found = pairs(e for e in graph.edges() if e.target.value == "p")
    assert set(found.values()) == {1}
    assert {p[0] for p in found if p[1] == ("p", (1, 0, 0, 0)) and p[0][0] == "key"} == {
        ("key", (0, 0, 0)),
        ("key", (1, 0, 0)),
    }


def test_a_part_outside_of_its_domain_reads_nothing() -> None:
    """b[t] = p[t+1] and p[t] = c[t-1]: at the last t, p does not exist, so c[t] is not read."""
    net = Net(t=4)
    net.input("x", "t")
    net.node("c", "t", net.layer(net.read("x", T)))
    part = net.read("c", T - 1).apply("tanh")
    net.node("b", "t", part.at({"t": T + 1}).apply("exp"))
    graph = UnfoldedGraph(net.program("b"), Domain(net.program("b")), detail="node")
    assert graph.predecessors(Node("b", (2,))) == (Node("c", (2,)),)
    assert graph.predecessors(Node("b", (3,))) == ()
    assert graph.successors(Node("c", (3,))) == ()


def test_kinds_and_delays_of_edges() -> None:
    net = Net(t=3)
    net.input("x", "t")
    net.parameter("start")
    total = net.layer(net.read("h", T - 1), "W") + net.read("x", T) + net.read("o", T - 1)
    net.node("h", "t", total, t=Ref("start"))
    net.node("p", "t", net.read("h", T).apply("identity"))
    net.node("o", "t", net.read("p", T) * net.read("h", T))
    program = net.program("o")
    graph = UnfoldedGraph(program, Domain(program), detail="node", feedback=["p"])
    found = {(str(e.source), str(e.target)): (e.kind, dict(e.delay)) for e in graph.edges()}
    assert found["W", "h[1]"] == ("parameter", {})
    assert found["x[1]", "h[1]"] == ("data", {})
    assert found["h[0]", "h[1]"] == ("delay", {"t": 1})
    assert found["h[-1]", "h[0]"] == ("boundary", {"t": 1})
    assert found["start", "h[-1]"] == ("boundary", {})
    assert found["o[-1]", "h[0]"] == ("boundary", {"t": 1})
    assert found["h[1]", "p[1]"] == ("feedback", {})
    assert graph.predecessors(Node("o", (-1,), boundary=True)) == ()
    assert UnfoldedGraph(program, Domain(program)).number_of_edges() == 28


def test_micro_steps_start_where_the_step_before_ended() -> None:
    program = highway(3, 2)
    graph = UnfoldedGraph(program, Domain(program), detail="node")
    start = Node("s", (2, -1), boundary=True)
    assert start in graph.predecessors(Node("s", (2, 0)))
    (edge,) = graph.in_edges(start)
    assert (edge.source, edge.kind, dict(edge.delay)) == (
        Node("s", (1, 1)),
        "boundary",
        {"t": 1, "l": -2},
    )
    first = Node("s", (0, -1), boundary=True)
    assert graph.predecessors(first) == (Node("s", (-1, 1), boundary=True),)
    assert graph.successors(Node("s", (-1, 1), boundary=True)) == (first,)


def cells(net: Net | None = None) -> Program:
    """Two instances of a cell with a memory; the second starts from what the first ended with."""
    net = net or Net(t=3)
    net.input("x", "t")
    below = net.read("x", T)
    for cell in ("l1", "l2"):
        net.parameter(f"{cell}.W", type=Type((2, 2)))
        product = net.layer(net.read(f"{cell}.h", T - 1), f"{cell}.W")
        net.node(f"{cell}.z", "t", product + below)
        start = {"t": Ref("l1.s", (Affine.axis(BATCH), last("t")))} if cell == "l2" else {}
        net.node(f"{cell}.s", "t", net.read(f"{cell}.s", T - 1) * net.read(f"{cell}.z", T), **start)
        net.node(f"{cell}.h", "t", net.read(f"{cell}.s", T).apply("tanh"))
        net.node(cell, "t", net.read(f"{cell}.h", T))
        below = net.read(cell, T)
    net.node("o", "t", net.layer(net.read("l2", T), "V"))
    return net.program("o")


def test_cell_detail_shows_instances() -> None:
    program = cells()
    graph = UnfoldedGraph(program, Domain(program), detail="cell")
    assert set(graph.program.values) == {"x", "V", "l1", "l2", "o"}
    found = set(pairs(graph.edges()))
    expected = set()
    for t in range(3):
        expected |= {(("x", (t,)), ("l1", (t,))), (("l1", (t,)), ("l2", (t,)))}
        expected |= {(("l2", (t,)), ("o", (t,))), (("V", ()), ("o", (t,)))}
        for cell in ("l1", "l2"):
            before = (cell, (t - 1,)) if t else ("outside", cell, (-1,))
            expected.add((before, (cell, (t,))))
    expected.add((("l1", (2,)), ("outside", "l2", (-1,))))
    assert found == expected


def test_cell_detail_hides_micro_steps() -> None:
    """The axis l is inside of the cell: what is left is one node per step, with a delay on t."""
    net = Net(t=3, l=2)
    net.input("x", "t")
    here = net.layer(net.read("c.s", T, Affine.axis("l") - 1), "c.R") + net.read("x", T)
    before = Ref("c.s", (Affine.axis(BATCH), T - 1, last("l")))
    net.node("c.s", "tl", here, l=before)
    net.node("c.h", "t", net.read("c.s", T, last("l")))
    net.node("o", "t", net.read("c.h", T).apply("tanh"))
    program = net.program("o")
    graph = UnfoldedGraph(program, Domain(program), detail="cell")
    assert set(graph.program.values) == {"x", "c", "o"}
    assert {(str(e.source), str(e.target)) for e in graph.edges()} == {
        *((f"x[{t}]", f"c[{t}]") for t in range(3)),
        *((f"c[{t - 1}]", f"c[{t}]") for t in range(3)),
        *((f"c[{t}]", f"o[{t}]") for t in range(3)),
    }


def test_cell_detail_of_reads_outside_of_an_axis_inside() -> None:
    """What a reader outside of the cell reads before a first micro-step is of its cell."""
    net = Net(t=3, l=2)
    net.input("x", "t")
    before = Ref("c.s", (Affine.axis(BATCH), T - 1, last("l")))
    net.node("c.s", "tl", net.read("c.s", T, Affine.axis("l") - 1) + net.read("x", T), l=before)
    net.node("c.h", "t", net.read("c.s", T, last("l")))
    net.node("o", "t", net.read("c.s", T, Affine.number(-1)).apply("tanh"))
    program = net.program("o", "c.h")
    graph = UnfoldedGraph(program, Domain(program), detail="cell")
    assert set(graph.successors(Node("c", (1,)))) == {Node("c", (2,)), Node("o", (1,))}
    assert graph.predecessors(Node("o", (0,))) == (Node("c", (0,)),)
    assert set(graph.predecessors(Node("c", (0,)))) == {Node("x", (0,)), Node("c", (-1,), True)}


def test_cell_detail_has_an_edge_for_all_ways_of_a_cell() -> None:
    """Both gates of c read x at t, another x at t-1: there is one edge from x[t]."""
    net = Net(t=3)
    net.input("x", "t")
    net.node("c.z", "t", net.read("x", T).apply("tanh"))
    net.node("c.h", "t", net.read("c.z", T) * net.read("x", T) + net.read("x", T - 1))
    graph = UnfoldedGraph(net.program("c.h"), Domain(net.program("c.h")), detail="cell")
    assert set(pairs(graph.edges()).values()) == {1}
    assert [graph.number_of_edges(), graph.number_of_nodes()] == [6, 6]
    kinds = {n: data["kind"] for n, data in graph.to_networkx().nodes(data=True)}
    assert (kinds[Node("c", (1,))], kinds[Node("x", (1,))]) == ("value", "input")
    for node in graph.nodes():
        assert set(graph.out_edges(node)) == {e for e in graph.edges() if e.source == node}
        assert set(graph.in_edges(node)) == {e for e in graph.edges() if e.target == node}


def test_cell_detail_leaves_programs_without_cells_alone() -> None:
    for program in (rnn(), attention(3, 4), highway(3, 2)):
        fine = UnfoldedGraph(program, Domain(program), detail="node")
        coarse = UnfoldedGraph(program, Domain(program), detail="cell")
        assert pairs(fine.edges()) == pairs(coarse.edges())


def test_unknown_nodes_are_refused() -> None:
    program = rnn(3)
    graph = UnfoldedGraph(program, Domain(program), detail="node")
    for node, message in [
        (Node("k", (0,)), "no value 'k' at detail 'node'"),
        (Node("h.1", (0,)), "no value 'h.1'"),
        (Node("h", (0, 1)), "one index per axis of h: t"),
        (Node("h", (3,)), r"there is no node h\[3\]; the extents are {'t': 3}"),
        (Node("h", (-2,), boundary=True), r"there is no boundary node h\[-2\]"),
    ]:
        with pytest.raises(DataError, match=message):
            graph.in_edges(node)
    with pytest.raises(DataError, match="there is no node 99"):
        graph.node_at(99)


def test_a_networkx_view_has_all_attributes() -> None:
    program = highway(2, 2)
    graph = UnfoldedGraph(program, Domain(program), detail="node")
    view = graph.to_networkx()
    assert view.number_of_nodes() == graph.number_of_nodes() + len(list(graph.boundary_nodes()))
    assert view.number_of_edges() == graph.number_of_edges()
    assert nx.is_directed_acyclic_graph(view)
    node = view.nodes[Node("s", (1, 0))]
    assert node["point"] == {"t": 1, "l": 0}
    assert (node["value"], node["op"], node["shape"], node["kind"]) == ("s", "tanh", (2,), "value")
    assert view.nodes[Node("x", (1,))]["kind"] == "input"
    assert view.nodes[Node("R")]["kind"] == "parameter"
    assert view.nodes[Node("s", (0, -1), boundary=True)]["kind"] == "boundary"
    data = view.get_edge_data(Node("s", (1, 0)), Node("s", (1, 1)))
    assert list(data.values()) == [{"kind": "delay", "delay": {"l": 1}, "operand": 1}]


def test_a_json_view_is_node_link_data() -> None:
    program = rnn(2)
    graph = UnfoldedGraph(program, Domain(program), detail="node")
    document = json.loads(json.dumps(graph.to_json()))
    assert document["directed"] and document["multigraph"]
    assert document["graph"] == {"name": "net", "detail": "node", "extents": {"batch": 1, "t": 2}}
    again = nx.node_link_graph(document, edges="links")
    assert again.number_of_edges() == graph.number_of_edges()
    labels = {n: again.nodes[n]["label"] for n in again}
    found = {(labels[a], labels[b]) for a, b, *_ in again.edges}
    assert found == {(str(e.source), str(e.target)) for e in graph.edges()}


def test_a_large_networkx_view_warns_first(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = UnfoldedGraph(rnn(30), Domain(rnn(30)))
    monkeypatch.setattr("unfold.unfolded.views.MANY_NODES", 100)
    with pytest.warns(UserWarning, match=r"183 nodes.*detail='node'"):
        graph.to_networkx()


def test_a_million_nodes_are_built_and_counted_without_touching_each() -> None:
    program = lstm(100_000)
    with work(100_000):
        graph = UnfoldedGraph(program, Domain(program))
        assert graph.number_of_nodes() == 1_100_001
        levels(graph.program, graph.domain)
        after = graph.successors(Node("s", (77_777,)))
    assert after == (Node("k", (77_778,)), Node("h", (77_777,)))


def test_shared_scores_of_two_axes_have_an_inverse() -> None:
    """Readers of x[2*t+s-1] are found by solving for t and enumerating s."""
    net = Net(t=4, s=3, p=9)
    net.input("x", "p", VECTOR)
    net.node("y", "ts", net.read("x", T * 2 + S - 1))
    program = net.program("y")
    graph = UnfoldedGraph(program, Domain(program))
    found = {n.point for n in graph.successors(Node("x", (3,)))}
    assert found == {(t, s) for t in range(4) for s in range(3) if 2 * t + s - 1 == 3}
    assert np.array_equal(graph.boundary_points("x"), [[-1]])
