"""Boxes and lines: indices, parameters, conditions; and agreement with the unfolded graph."""

from __future__ import annotations

import pytest
from cases import EVERY_NAME
from programs import Net, S, T

import unfold
from tests.work import work
from unfold.api import Model
from unfold.core.program import Program
from unfold.drawing.blocks import plan_blocks
from unfold.drawing.cells import join_cells
from unfold.drawing.scheme import Scheme, make_scheme
from unfold.drawing.unroll import Unrolling
from unfold.unfolded.lines import Line

LIBRARY = {p.stem: p for p in unfold.library()}


def library(name: str, **axes: int) -> Model:
    """Load a spec of the library."""
    return unfold.load(name, axes=axes)


def shown(scheme: Scheme) -> set[str]:
    """Return the lines as text: `h -> h [t-1] W`."""
    return {text(line) for line in scheme.lines}


def text(line: Line) -> str:
    """Return one line as text; bound indices by their axis."""
    index = ",".join(i.show(lambda n: n.partition("#")[0] + "'" * ("#" in n)) for i in line.index)
    via = " ".join(r.value for r in line.via)
    return f"{line.source} -> {line.target} [{index}] {via}".strip()


def test_a_simple_network() -> None:
    scheme = make_scheme(library("pattern-hidden").program)
    assert {b.name: b.kind for b in scheme.boxes.values()} == {
        "x": "input",
        "y": "target",
        "a": "node",
        "h": "state",
        "o": "output",
        "loss.9": "loss",
        "loss": "loss",
    }
    assert scheme.boxes["loss.9"].label == "L"
    assert shown(scheme) == {
        "h -> a [t-1] W",
        "x -> a [t] U",
        "a -> h [t]",
        "h -> o [t] V",
        "o -> loss.9 [t]",
        "y -> loss.9 [t]",
        "loss.9 -> loss [t']",
    }


def test_a_softmax_over_an_axis_reads_every_point_once() -> None:
    lines = shown(make_scheme(library("attention").program, mode="teacher"))
    assert "e -> a [t,s']" in lines
    assert "e -> a [t,s]" not in lines, "the direct reading is one of those"
    assert "a -> c [t,s']" in lines and "h -> c [s']" in lines
    assert "d -> e [t-1] A v" in lines, "the parameter nearest to the source comes first"


def test_conditions_on_the_index_point_are_decided() -> None:
    edges = unrolled(library("recurrent-highway", t=2, l=3).program)
    assert ("x[0]", "u[0,0]") in edges and ("x[0]", "u[0,1]") not in edges
    assert ("s[0,2]", "u[1,0]") in edges, "the boundary of an inner axis is another value"


def test_modes_choose_the_branch() -> None:
    program = library("teacher-forcing", t=3).program
    teacher, free = unrolled(program, "teacher"), unrolled(program, "free")
    assert ("y[0]", "prev[1]") in teacher and ("choice[0]", "prev[1]") not in teacher
    assert ("choice[0]", "prev[1]") in free and ("y[0]", "prev[1]") not in free
    assert ("y[-1]", "prev[0]") in free, "a free run starts from the teacher's initial value"
    both = unrolled(program, "scheduled")
    assert {("y[0]", "prev[1]"), ("choice[0]", "prev[1]")} <= both


def test_hidden_equations_are_read_through() -> None:
    lines = shown(make_scheme(library("pattern-hidden").program, hide=["a"]))
    assert "h -> h [t-1] W" in lines and "x -> h [t] U" in lines


def test_a_hidden_recurrence_is_cut() -> None:
    scheme = make_scheme(library("shared").program, hide=["h"])
    assert "x -> o [last(t)] U V" in shown(scheme)
    assert "h" not in scheme.boxes


def test_cells_become_boxes() -> None:
    scheme = join_cells(make_scheme(library("lstm-stack").program), {})
    assert list(scheme.boxes) == ["x", "target", "l1", "l2", "o", "loss.9", "loss"]
    own = {(x.source, x.target, text(x)) for x in scheme.lines if x.target in ("l1", "l2")}
    assert {(a, b) for a, b, _ in own} == {("x", "l1"), ("l1", "l1"), ("l1", "l2"), ("l2", "l2")}
    loop = next(x for x in scheme.lines if (x.source, x.target) == ("l1", "l1"))
    assert [i.show() for i in loop.index] == ["t-1"]
    assert [r.value for r in loop.nearest] == ["l1.W"]
    assert set(loop.carries) == {"l1.h", "l1.s"}


def test_every_operation_is_a_box_at_that_detail() -> None:
    scheme = make_scheme(library("pattern-hidden").program, detail="op")
    labels = {b.label for b in scheme.boxes.values()}
    assert {"W @ ·", "U @ ·", "h", "exp", "log", "sum[t]"} <= labels


def test_products_of_a_value_with_itself_do_not_multiply_lines() -> None:
    net = Net(t=3)
    net.input("x", "t")
    term = net.read("x", T)
    for _ in range(40):
        term = term * term
    net.node("z", "t", term)
    with work(1_000_000):
        scheme = make_scheme(net.program("z"))
    assert shown(scheme) == {"x -> z [t]"}


def test_an_axis_with_the_points_of_another_cannot_be_left() -> None:
    """Keys are read at s, an axis over the points of t: that they exist is no condition."""
    program = library("looped-transformer", t=3).program
    scheme = make_scheme(program, mode="teacher", hide=["n", "q", "key", "v", "p"])
    lines = [x for x in scheme.lines if "K" in {r.value for r in x.via} and x.bound]
    assert lines and all(g.is_bound for x in lines for g in x.guards)


def test_general_lines_leave_out_special_ones_and_never_one_another() -> None:
    model = unfold.loads(
        "unfold: 1\nname: general\naxes: {t: 4, s: 3}\ninputs: {'z[s]': []}\n"
        "nodes:\n  a: z[last] + sum[s](z[s]) + sum[s](z[2*s-1]) + sum[t,s](z[s] * cos(t))\n"
    )
    assert shown(make_scheme(model.program)) == {"z -> a [s']", "z -> a [2*s'-1]"}


def test_a_line_knows_one_parameter_only_if_there_is_one() -> None:
    net = Net(t=3)
    net.input("x", "t")
    net.node("z", "t", net.layer(net.read("x", T)) + net.layer(net.read("x", T)))
    net.node("w", "t", net.layer(net.read("x", T)) + net.read("x", T))
    lines = {x.target: x for x in make_scheme(net.program("z", "w")).lines}
    assert len(lines["z"].nearest) == 2 and " and " in lines["z"].factors
    assert len(lines["w"].nearest) == 1


def test_a_part_read_outside_of_its_domain_is_zero() -> None:
    model = library("shared", t=4)
    adjoint = model.pipeline.adjoint(["W"], training=False)
    edges = unrolled(adjoint)
    assert ("∂h[1]", "∂h[0]") in edges
    assert not any(a == "∂h[4]" for a, _ in edges)
    assert ("∂o", "∂h[3]") in edges and ("∂o", "∂h[2]") not in edges


def unrolled(program: Program, mode: str = "teacher") -> set[tuple[str, str]]:
    """Return the edges of the whole unfolding as pairs; frames stand for what they hold."""
    scheme = make_scheme(program, mode=mode)
    extents = {
        a: x.extent.evaluate({}, {})[0] for a, x in program.axes.items() if not x.extent.terms
    }
    extents = {a: n for a, n in extents.items() if a != "batch"}
    steps = dict.fromkeys(extents, 1000)
    sketch = Unrolling(scheme, extents, steps, plan_blocks(scheme)).sketch("", dots=False)
    frames = {n.id: n.frames for n in sketch.nodes if n.frames}
    return {
        (a, b)
        for e in sketch.edges
        for a in frames.get(e.source, (e.source,))
        for b in frames.get(e.target, (e.target,))
    }


def graph_edges(model: Model) -> set[tuple[str, str]]:
    """Return the unfolded graph's edges between values; aliases at boundaries are contracted."""
    graph = model.unfold(mode="teacher")
    edges = [e for e in graph.edges() if e.kind != "parameter"]
    named = {*model.pipeline.nodes}
    starts = {
        v.name: {r.value for r in v.boundary.values()} & (named | {v.name}) for v in model.program
    }
    aliases = [e for e in edges if e.target.boundary and e.source.value in starts[e.target.value]]
    held = {str(e.target): str(e.source) for e in aliases}
    pairs = {(held.get(str(e.source), str(e.source)), str(e.target)) for e in edges}
    outside = {str(n) for e in edges for n in (e.source, e.target) if n.boundary}
    return {p for p in pairs if not outside & set(p)}


@pytest.mark.parametrize("name", EVERY_NAME)
def test_the_unrolled_scheme_is_the_collapsed_unfolded_graph(name: str) -> None:
    axes = {a: 3 for a in library(name).program.axes if a != "batch"}
    model = library(name, **axes)
    expected = graph_edges(model)
    found = unrolled(model.program)
    # The loss is drawn in two parts; dead branches are drawn though a run drops them.
    nodes = {n for pair in expected for n in pair if not n.startswith("loss")}
    compared = {p for p in found if set(p) <= nodes}
    wanted = {p for p in expected if set(p) <= nodes}
    # A picture decides conditions on the index point, the graph has both of their branches.
    lines = LIBRARY[name].read_text(encoding="utf-8").splitlines()
    chosen = {line.partition("[")[0].strip() for line in lines if "where(" in line}
    assert compared - wanted == set()
    assert {p[1].partition("[")[0] for p in wanted - compared} <= chosen
    assert wanted


def test_reads_follow_strides() -> None:
    net = Net(t=8, s=4)
    net.input("x", "t")
    net.node("g", "s", net.read("x", S * 2) + net.read("x", S * 2 + 1))
    edges = unrolled(net.program("g"))
    assert ("x[6]", "g[3]") in edges and ("x[7]", "g[3]") in edges and len(edges) == 8
