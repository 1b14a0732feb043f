"""Lengths of paths over n steps: against the graph unfolded step by step, and known formulas."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import networkx
import pytest

import unfold
from unfold.core.program import Program
from unfold.errors import DataError
from unfold.unfolded.distances import formula, paths
from unfold.unfolded.folded import fold

STEPS = 7
NAMES = (
    *("zhang-sh", "zhang-st", "zhang-bu", "zhang-td", "dots-rnn", "skip-in-time", "lstm"),
    *("recurrent-highway", "deep-output-highway", "bidirectional", "frame-window"),
)


def program_of(name: str) -> tuple[Program, tuple[str, ...]]:
    model = unfold.load(name)
    return model.pipeline.resolved(mode="teacher"), model.program.outputs


def unfolded(program: Program, outputs: tuple[str, ...], count: str, direction: int) -> list[Any]:
    """Return the lengths (longest, shortest) by enumeration of a graph of many steps."""
    folded = fold(program, axis="t", count=count, outputs=outputs)
    graph = networkx.DiGraph()
    span = range(-2 * STEPS, 3 * STEPS)
    cyclic = networkx.DiGraph((a.source, a.target) for a in folded.arcs)
    parts = {n: i for i, c in enumerate(networkx.strongly_connected_components(cyclic)) for n in c}
    for arc in folded.arcs:
        inside = parts[arc.source] == parts[arc.target]
        if inside and (arc.once or arc.delay * direction < 0):
            continue
        for step in span:
            there = (arc.target, step + arc.delay * direction)
            before = graph.get_edge_data((arc.source, step), there, {"length": arc.length})
            assert before["length"] == arc.length
            graph.add_edge((arc.source, step), there, length=arc.length)
    found: list[Any] = []
    for n in range(STEPS + 1):
        lengths = []
        for start in folded.inputs:
            for end in folded.outputs:
                if not (graph.has_node((start, 0)) and graph.has_node((end, n))):
                    continue
                between = networkx.descendants(graph, (start, 0)) | {(start, 0)}
                if (end, n) not in between:
                    continue
                part = graph.subgraph(between & (networkx.ancestors(graph, (end, n)) | {(end, n)}))
                lengths.append(networkx.dag_longest_path_length(part, weight="length"))
                way = networkx.shortest_path_length(part, (start, 0), (end, n), weight="length")
                lengths.append(way)
        found.append((max(lengths), min(lengths)) if lengths else None)
    return found


@pytest.mark.parametrize("count", ["layers", "nodes"])
@pytest.mark.parametrize("name", NAMES)
def test_lengths_are_those_of_the_unfolded_graph(name: str, count: str) -> None:
    program, outputs = program_of(name)
    own = paths(program, "t", STEPS, count, outputs=outputs)
    wanted = [
        unfolded(program, outputs, count, d) for d in ((1, -1) if name == "bidirectional" else (1,))
    ]
    for n in range(STEPS + 1):
        there = [w[n] for w in wanted if w[n] is not None]
        if not there:
            assert own.longest[n] is None and own.shortest[n] is None
            continue
        assert own.longest[n] == max(w[0] for w in there)
        assert own.shortest[n] == min(w[1] for w in there)


@pytest.mark.parametrize("name", NAMES)
def test_bounds_hold_and_are_reached(name: str) -> None:
    program, outputs = program_of(name)
    own = paths(program, "t", 40, outputs=outputs)
    gaps = [n * own.depth + own.limit - x for n, x in enumerate(own.longest) if x is not None]
    assert min(gaps) == 0
    if own.rise is not None:
        assert own.least is not None
        rests = [x - n * own.rise for n, x in enumerate(own.shortest) if x is not None]
        assert min(rests) == own.least


def test_known_formulas() -> None:
    found = {}
    for name in ("zhang-td", "zhang-st", "skip-in-time", "recurrent-highway"):
        program, outputs = program_of(name)
        own = paths(program, "t", 100, outputs=outputs)
        assert own.rise is not None and own.least is not None
        found[name] = (
            formula(own.depth, own.limit),
            own.longest[100],
            formula(own.rise, own.least),
            own.shortest[100],
        )
    assert found == {
        "zhang-td": ("2 n + 3", 203, "n + 3", 103),
        "zhang-st": ("n + 3", 103, "n + 3", 103),
        "skip-in-time": ("n + 2", 102, "(1/3) n + 2", 36),
        "recurrent-highway": ("3 n + 4", 304, "2", 2),
    }


def test_formula() -> None:
    assert formula(Fraction(0), Fraction(0)) == "0"
    assert formula(Fraction(1, 2), Fraction(0)) == "(1/2) n"


@pytest.mark.parametrize("distance", [-1, 100_001])
def test_a_distance_is_a_number_of_steps(distance: int) -> None:
    program, outputs = program_of("zhang-sh")
    with pytest.raises(DataError, match="a distance is from 0 to 100,000 steps, found"):
        paths(program, "t", distance, outputs=outputs)
