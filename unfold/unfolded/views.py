"""Explicit views of an unfolded graph: a networkx graph, and node-link JSON.

In: an `UnfoldedGraph`. Out: every node and edge with its attributes. Both views cost memory per
node, the graph itself does not:

    to_networkx(graph).nodes[Node("h", (3,))] == {
        "value": "h", "point": {"t": 3}, "kind": "value", "op": "tanh", "shape": (128,),
        "label": "h[3]",
    }
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from unfold.unfolded.graph import Edge, Node, UnfoldedGraph

if TYPE_CHECKING:
    import networkx

MANY_NODES = 200_000
BYTES_PER_NODE = 1_200  # measured: a million nodes with attributes and edges take about 1.2 GB


def to_networkx(graph: UnfoldedGraph) -> networkx.MultiDiGraph:
    """Return a networkx graph whose nodes are `Node`s, boundary nodes included.

    Nodes carry value, point, kind ("input", "parameter", "constant", "boundary" or "value"), op,
    shape and label; edges carry kind, delay and operand. Warns before it makes a large one.
    """
    import networkx

    _warn_of_size(graph)
    view = networkx.MultiDiGraph(**_about(graph))
    for node in _all_nodes(graph):
        view.add_node(node, **_node_attributes(graph, node))
    for edge in graph.edges():
        view.add_edge(edge.source, edge.target, **_edge_attributes(edge))
    return view


def to_json(graph: UnfoldedGraph) -> dict[str, Any]:
    """Return node-link data that `json.dump` takes and `networkx.node_link_graph` reads."""
    _warn_of_size(graph)
    numbers = {node: i for i, node in enumerate(_all_nodes(graph))}
    return {
        "directed": True,
        "multigraph": True,
        "graph": _about(graph),
        "nodes": [{"id": i, **_node_attributes(graph, node)} for node, i in numbers.items()],
        "links": [
            {"source": numbers[e.source], "target": numbers[e.target], "key": i}
            | _edge_attributes(e)
            for i, e in enumerate(graph.edges())
        ],
    }


def _all_nodes(graph: UnfoldedGraph) -> list[Node]:
    return [*graph.nodes(), *graph.boundary_nodes()]


def _about(graph: UnfoldedGraph) -> dict[str, Any]:
    own = {a: n for a, n in graph.domain.extents.items() if not a.endswith("'")}
    return {"name": graph.program.name, "detail": graph.detail, "extents": own}


def _node_attributes(graph: UnfoldedGraph, node: Node) -> dict[str, Any]:
    value, given = graph.program[node.value], graph.given(node.value)
    return {
        "value": node.value,
        "point": dict(zip(graph.axes(node.value), node.point, strict=True)),
        "kind": "boundary" if node.boundary else given.value if given else "value",
        "op": value.op,
        "shape": tuple(int(d) for d in value.type.shape),
        "label": str(node),
    }


def _edge_attributes(edge: Edge) -> dict[str, Any]:
    return {"kind": edge.kind, "delay": dict(edge.delay), "operand": edge.operand}


def _warn_of_size(graph: UnfoldedGraph) -> None:
    count = graph.number_of_nodes()
    if count <= MANY_NODES:
        return
    advice = "fewer steps" if graph.detail != "op" else "fewer steps or detail='node'"
    warnings.warn(
        f"this view will hold {count:,} nodes, about {count * BYTES_PER_NODE / 1e9:.2g} GB; use"
        f" {advice}, or ask the unfolded graph itself, which needs no memory per node",
        UserWarning,
        stacklevel=4,
    )
