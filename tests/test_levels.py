"""Levels and wavefronts: against a graph written down node by node, and fast on 10^6 nodes."""

from __future__ import annotations

import tracemalloc

import naive
import numpy as np
import pytest
from programs import SMALL, Net, S, T, attention, grid, lstm, rnn

from tests.work import work
from unfold.core.program import BATCH, Program
from unfold.runs.domain import Domain
from unfold.unfolded.levels import check_levels, levels, wavefronts


@pytest.mark.parametrize("name", SMALL)
def test_levels_are_those_of_the_graph_written_down(name: str) -> None:
    program = SMALL[name]
    domain = Domain(program)
    expected = naive.levels([naive.unfolded(program, domain.extents)])
    found = levels(program, domain)
    assert {(n, p): int(a[p]) for n, a in found.items() for p in np.ndindex(a.shape)} == expected
    check_levels(program, domain, found)


@pytest.mark.parametrize("name", ["rnn", "highway", "attention", "both ways", "windows"])
def test_unequal_lengths_are_the_union_of_their_graphs(name: str) -> None:
    program = SMALL[name]
    axes = [a for a, axis in program.axes.items() if a != BATCH and axis.extent.is_constant]
    lengths = {a: [n + 2, n, 1 + n // 2] for n, a in enumerate(axes, 1) if a not in "kl"}
    domain = Domain(program, None, lengths, batch=3)
    graphs = []
    for which in range(3):
        extents = domain.sequence(which).extents
        graphs.append(naive.unfolded(program, extents))
    expected = naive.levels(graphs)
    found = levels(program, domain)
    for (value, point), level in expected.items():
        assert found[value][point] == level, (value, point)
    missing = {(n, p) for n, a in found.items() for p in np.ndindex(a.shape)} - set(expected)
    assert all(found[value][point] == -1 for value, point in missing if program[value].batched)
    check_levels(program, domain, found)


def test_check_levels_sees_a_wrong_level() -> None:
    program = rnn()
    domain = Domain(program)
    found = levels(program, domain)
    found["h"][3] += 1
    with pytest.raises(AssertionError, match=r"h.1\[4\] has level 13, expected 14"):
        check_levels(program, domain, found)


@pytest.mark.parametrize("name", SMALL)
def test_wavefronts_hold_every_node_once_and_in_order(name: str) -> None:
    program = SMALL[name]
    graph = naive.unfolded(program, Domain(program).extents)
    seen: dict[tuple[str, tuple[int, ...]], int] = {}
    for number, front in enumerate(wavefronts(program, Domain(program))):
        for value, points in front:
            assert points.shape[1] == len(naive.inner(program[value]))
            for point in points.tolist():
                assert (value, tuple(point)) not in seen
                seen[value, tuple(point)] = number
    assert set(seen) == {n for n in graph if n[0] != "outside"}
    for a, b in graph.edges():
        if a[0] != "outside" and b[0] != "outside":
            assert seen[a] < seen[b]


def test_wavefronts_leave_out_what_no_sequence_has() -> None:
    program = attention(4, 5)
    domain = Domain(program, None, {"s": [4, 1], "t": [2, 5]}, batch=2)
    points = [
        p for f in wavefronts(program, domain) for n, ps in f if n == "e" for p in ps.tolist()
    ]
    assert sorted(points) == sorted([s, t] for s in range(4) for t in range(5) if (t < 2 or s < 1))


def test_a_loop_that_never_becomes_periodic_is_still_exact() -> None:
    """The input's level grows with the square of t, so no increment ever repeats."""
    net = Net(s=20, t=20)
    net.input("x", "t")
    net.node("c", "st", net.read("c", S - 1, T + 1) + net.read("x", T))
    net.node("m", "t", net.read("c", T, T).apply("tanh"))
    net.node("h", "t", net.layer(net.read("h", T - 1)) + net.read("m", T))
    program = net.program("h")
    expected = naive.levels([naive.unfolded(program, Domain(program).extents)])
    assert levels(program, Domain(program))["h"].tolist() == [
        expected["h", (t,)] for t in range(20)
    ]


@pytest.mark.parametrize(
    ("program", "nodes"), [(lstm(100_000), 1_100_001), (grid(500, 500), 1_000_001)]
)
def test_a_million_nodes_take_few_calls_and_300_megabytes(program: Program, nodes: int) -> None:
    with work(100_000):
        found = levels(program, Domain(program))
    assert sum(a.size for a in found.values()) == nodes
    tracemalloc.start()
    levels(program, Domain(program))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300e6
    check_levels(program, Domain(program), found)


def test_long_levels_are_the_closed_form() -> None:
    """A step of the LSTM is a, z, i, u, s, h: six; across steps s needs k, s: two."""
    found = levels(lstm(100_000), Domain(lstm(100_000)))
    t = np.arange(100_000)
    assert (found["h"] == 6 + 6 * t).all()
