"""The view of cells is that of equations, contracted: every node, edge, parameter and number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from cases import EVERY_NAME
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_specs import specs

import unfold
from unfold.api import Model
from unfold.core.affine import Affine
from unfold.core.program import BATCH, Program, Ref, Value
from unfold.drawing import Figure
from unfold.drawing.blocks import Plan, plan_adjoint, plan_blocks
from unfold.drawing.cells import join_cells
from unfold.drawing.scheme import Scheme, make_scheme
from unfold.drawing.sketch import Sketch
from unfold.drawing.unroll import Unrolling
from unfold.drawing.views.backward import adjoint_scheme, forward_scheme
from unfold.drawing.window import GAP
from unfold.errors import CycleError, SpecError
from unfold.passes.pipeline import Pipeline
from unfold.runs.domain import Domain
from unfold.unfolded.graph import UnfoldedGraph
from unfold.unfolded.lines import Line
from unfold.unfolded.reading import inner

Edges = dict[tuple[str, str], set[str]]


class Contraction:
    """Contracts nodes and lines as the documentation says, from the names of equations alone."""

    def __init__(self, program: Program, axes: Mapping[str, tuple[str, ...]]) -> None:
        self.axes = axes
        groups: dict[str, list[tuple[str, list[str]]]] = {}
        for value in program:
            plain = value.name == value.name.lstrip("∂")
            if plain and value.is_named and value.op not in ("input", "parameter", "constant"):
                own = [a for a in value.axes if a != BATCH]
                groups.setdefault(prefix(value.name) or value.name, []).append((value.name, own))
        self.cells: dict[str, str] = {}
        self.kept: dict[str, list[str]] = {}
        for cell, members in groups.items():
            indexed = [own for _, own in members if own] or [[]]
            common = [a for a in indexed[0] if all(a in own for own in indexed)]
            inside = [name for name, own in members if set(common) <= set(own)]
            if any(map(prefix, inside)):
                self.cells |= dict.fromkeys(inside, cell)
                self.kept[cell] = common

    def name(self, name: str) -> str:
        """Return the cell of an equation, or of an adjoint."""
        plain = name.lstrip("∂")
        return name.removesuffix(plain) + self.cells.get(plain, plain)

    def take(self, name: str, index: Iterable[str]) -> list[str]:
        """Return the part of an index point that the cell has."""
        at = dict(zip(self.axes[name], index, strict=True))
        cell = self.cells.get(name.lstrip("∂"))
        return [at[a] for a in (self.axes[name] if cell is None else self.kept[cell])]

    def node(self, text: str) -> str:
        """Return the contracted name of a node, such as `l1[0]` of `l1.s[0,3]`."""
        name, _, point = text.removesuffix("]").partition("[")
        kept = self.take(name, point.split(",") if point else [])
        return self.name(name) + (f"[{','.join(kept)}]" if kept else "")

    def line(self, line: Line) -> tuple[str, str, str]:
        """Return what a folded picture says of a line; what runs over its points is a star."""
        own = self.take(line.target, self.axes[line.target])
        index = self.take(line.source, (shown(i, own) for i in line.index))
        return self.name(line.source), self.name(line.target), ",".join(index)


def contraction(scheme: Scheme) -> Contraction:
    """Return the contraction of a scheme of equations."""
    return Contraction(scheme.program, {n: b.axes for n, b in scheme.boxes.items()})


def prefix(name: str) -> str | None:
    """Return the instance that an equation belongs to."""
    found = re.match(r"([^.]+(\.layer\d+)?)\.", name)
    return found[1] if found else None


def shown(index: Affine, own: Iterable[str]) -> str:
    """Return an index in which axes that the reader lacks are stars."""
    return index.show(lambda n: n if n in own else "*")


@dataclass(frozen=True)
class View:
    """A picture as data, before it has places."""

    scheme: Scheme
    unrolling: Unrolling
    sketch: Sketch

    @property
    def edges(self) -> Edges:
        """Edges with the parameters of all their ways; frames stand for what they hold."""
        frames = {n.id: n.frames for n in self.sketch.nodes if n.frames}
        found: Edges = {}
        for edge, ways in zip(self.sketch.edges, self.unrolling.ways.values(), strict=True):
            parameters = {p for way in ways for p in way.parameters}
            assert {edge.parameter} == parameters if len(parameters) == 1 else not edge.parameter
            for a in frames.get(edge.source, (edge.source,)):
                for b in frames.get(edge.target, (edge.target,)):
                    found.setdefault((a, b), set()).update(parameters)
        return found

    @property
    def members(self) -> dict[str, tuple[object, ...]]:
        """Return values and index points of every node that is neither dots nor boundary."""
        return {n.id: n.members for n in self.sketch.nodes if n.members}

    def nodes(self, *, outside: bool) -> set[str]:
        """Return the nodes inside or outside of the domain."""
        found = [n for n in self.sketch.nodes if not n.frames]
        return {n.id for n in found if (n.kind == "boundary") == outside}


def view(scheme: Scheme, plan: Plan, extents: Mapping[str, int], steps: int) -> View:
    """Unfold a scheme."""
    unrolling = Unrolling(scheme, extents, dict.fromkeys(extents, steps), plan)
    return View(scheme, unrolling, unrolling.sketch("", dots=False))


def drawn(edges: Edges) -> Edges:
    """Leave out what ends at dots, which stand for points or for a part of a frame."""
    return {pair: parameters for pair, parameters in edges.items() if GAP not in "".join(pair)}


def compare_unfolded(fine: View, coarse: View) -> None:
    """Compare the picture of equations, contracted, with that of cells."""
    contracted = contraction(fine.scheme)
    edges: Edges = {}
    for (a, b), parameters in fine.edges.items():
        pair = contracted.node(a), contracted.node(b)
        if pair[0] != pair[1]:
            edges.setdefault(pair, set()).update(parameters)
    found, wanted = drawn(coarse.edges), drawn(edges)
    assert found == wanted
    inside, outside = (set(map(contracted.node, fine.nodes(outside=o))) for o in (False, True))
    assert {n for n in coarse.nodes(outside=False) ^ inside if GAP not in n} == set()
    assert coarse.nodes(outside=True) == outside - inside
    places: dict[str, set[object]] = {}
    for node, own in fine.members.items():
        places.setdefault(contracted.node(node), set()).update(own)
    assert {node: set(own) for node, own in coarse.members.items()} == places


def compare_folded(fine: Scheme, coarse: Scheme) -> None:
    """Compare the lines of equations, contracted, with those of cells."""
    contracted = contraction(fine)
    within = {(n, n, ",".join(b.axes)) for n, b in coarse.boxes.items()}
    for few, many in ((coarse.lines, fine.lines), (coarse.starts, fine.starts)):
        wanted = {contracted.line(x) for x in many} - within
        found = {
            (x.source, x.target, ",".join(shown(i, coarse.boxes[x.target].axes) for i in x.index))
            for x in few
        }
        assert found <= wanted
        assert [w for w in wanted if not any(covers(f, w) for f in found)] == []


def compare_graphs(program: Program, most: int) -> None:
    """Compare the unfolded graph of equations, contracted, with that of cells."""
    domain = Domain(program, dict.fromkeys(Domain(program).free, most))
    fine, coarse = (UnfoldedGraph(program, domain, detail=d) for d in ("node", "cell"))
    contracted = Contraction(program, {v.name: inner(v) for v in fine.program})
    edges = list(coarse.edges())
    pairs = {(e.source, e.target) for e in fine.edges()}
    wanted = {tuple(contracted.node(str(n)) for n in pair) for pair in pairs}
    inside, outside = (
        {contracted.node(str(n)) for n in some} for some in (fine.nodes(), fine.boundary_nodes())
    )
    known = coarse.program.values  # parameters of a cell are inside of it
    assert {(str(e.source), str(e.target)) for e in edges} == {
        p for p in wanted if p[0] != p[1] and p[0].partition("[")[0] in known
    }
    assert set(map(str, coarse.nodes())) == {n for n in inside if n.partition("[")[0] in known}
    assert set(map(str, coarse.boundary_nodes())) == outside - inside
    for node in (n for n in coarse.nodes() if n.value in contracted.kept):
        into, out = coarse.in_edges(node), coarse.out_edges(node)
        assert set(into) == {e for e in edges if e.target == node}
        assert set(out) == {e for e in edges if e.source == node}
        assert len({e.source for e in into}) == len(into)


def covers(general: tuple[str, str, str], special: tuple[str, str, str]) -> bool:
    """Return whether a line is another one, or runs over all points of an axis."""
    pairs = zip(general[2].split(","), special[2].split(","), strict=True)
    return general[:2] == special[:2] and all(a in (b, "*") for a, b in pairs)


def compare(program: Program, adjoint: Program | None, steps: int, most: int) -> None:
    """Compare all views of a Program and of its adjoint."""
    extents = extents_of(program, most)
    for mode in ("teacher", "free", "scheduled") if program.of("feedback") else ("teacher",):
        fine = make_scheme(program, mode=mode)
        coarse = join_cells(fine, {})
        compare_folded(fine, coarse)
        compare_unfolded(*(view(s, plan_blocks(s), extents, steps) for s in (fine, coarse)))
    if adjoint is not None:
        whole = make_scheme(adjoint)
        parts = [(adjoint_scheme(whole), forward_scheme(whole))]
        parts += [(join_cells(a, {}), join_cells(b, {})) for a, b in parts]
        plans = [plan_adjoint(plan_blocks(b), a) for a, b in parts]
        extents = extents_of(adjoint, most)  # it has axes of its own where indices are divided
        compare_unfolded(
            *(view(a, plan, extents, steps) for (a, _), plan in zip(parts, plans, strict=True))
        )


def extents_of(program: Program, most: int) -> dict[str, int]:
    """Return the extents of all axes where free ones have `most` points."""
    free = dict.fromkeys(Domain(program).free, most)
    return {a: n for a, n in Domain(program, free).extents.items() if a != BATCH}


def adjoint_of(pipeline: Pipeline) -> Program | None:
    """Return the adjoint by all parameters, where there is a loss."""
    if pipeline.program.loss is None:
        return None
    return pipeline.adjoint(pipeline.wrt(None), mode="teacher", training=False)


@pytest.mark.parametrize("name", EVERY_NAME)
def test_cells_are_equations_contracted(name: str) -> None:
    pipeline = unfold.load(name).pipeline
    scheme = make_scheme(pipeline.program)
    if join_cells(scheme, {}).boxes == scheme.boxes:
        assert not contraction(scheme).cells
        return
    compare(pipeline.program, adjoint_of(pipeline), steps=2, most=5)
    compare_graphs(pipeline.resolved(mode="teacher"), most=3)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(text=specs(), owners=st.lists(st.sampled_from(["", "c.", "d."]), min_size=4, max_size=4))
def test_random_cells_are_equations_contracted(text: str, owners: list[str]) -> None:
    try:
        program = unfold.loads(text).program
    except SpecError as error:
        assume(not isinstance(error, CycleError))
        assume("any number of steps outside" not in str(error))
        raise
    names = {f"n{i}": f"{owner}n{i}" for i, owner in enumerate(owners)}
    pipeline = Pipeline(renamed(program, names))
    compare(pipeline.program, adjoint_of(pipeline), steps=9, most=3)
    compare(pipeline.program, None, steps=2, most=6)
    compare_graphs(pipeline.program, most=3)


def test_a_cell_that_reads_along_an_axis_inside_of_it_has_a_place() -> None:
    text = (
        "unfold: 1\nname: mixed\naxes: {t: 5, s: 4, l: 2}\ninputs: {x[t]: []}\nnodes:\n"
        "  a[s]: {is: tanh(a[s-1] + 1), shape: []}\n  b[l]: x[l] * mean[s](a[2*s])\noutputs: [b]\n"
    )
    program = renamed(unfold.loads(text).program, {"a": "c.a", "b": "c.b"})
    compare(program, None, steps=9, most=3)
    compare_graphs(program, most=3)


def renamed(program: Program, names: Mapping[str, str]) -> Program:
    """Return a Program in which equations have other names; parts follow."""

    def called(name: str) -> str:
        head, dot, tail = name.partition(".")
        return names.get(head, head) + dot + tail

    def made(origin: Any) -> Any:
        of = origin.of
        return replace(origin, of=called(of) if isinstance(of, str) else made(of))

    def moved(ref: Ref) -> Ref:
        return replace(ref, value=called(ref.value))

    def value(old: Value) -> Value:
        return replace(
            old,
            name=called(old.name),
            origin=made(old.origin),
            operands=tuple(map(moved, old.operands)),
            boundary={a: moved(r) for a, r in old.boundary.items()},
        )

    loss = program.loss and called(program.loss)
    outputs = tuple(map(called, program.outputs))
    return program.with_values(map(value, program), loss=loss, outputs=outputs)


SEQUENCES = """\
unfold: 1
name: s2
axes: {s: 4, t: 4}
sizes: {src: 9, tgt: 7, m: 12}
inputs:
  x[s]: {category: src}
  y[t]: {category: tgt}
parameters:
  V: [tgt, m]
  M: [m, m]
nodes:
  e[s]: gru(x[s], hidden=m)
  d[t]: gru(y[t-1], hidden=m)
  o[t]: V @ d[t]
initial:
  d: tanh(M @ e[last])
loss: mean[t](cross_entropy(o[t], y[t]))
"""

BOTH_WAYS = """\
unfold: 1
name: bilstm
axes: {t: 3}
sizes: {n: 3, m: 4, classes: 5}
inputs:
  x[t]: [n]
  y[t]: {category: classes}
parameters:
  V: [classes, 2*m]
nodes:
  f[t]: {is: "lstm(x[t], hidden=m)", stack: 2}
  b[t]: {is: "lstm(x[t], hidden=m)", stack: 2, reverse: t}
  o[t]: V @ concat(f[t], b[t])
loss: mean[t](cross_entropy(o[t], y[t]))
"""


def words(figure: Figure) -> set[str]:
    """Return what stands below a picture."""
    return {w.text for w in figure.picture.words}


def test_cell_view_of_a_decoder_that_starts_from_its_encoder() -> None:
    figure = unfold.loads(SEQUENCES).draw(detail="cell")
    edges = {(e.source, e.target): e for e in figure.picture.edges}
    assert edges["e[3]", "d[-1]"].parameter == "M"
    assert not any(a.startswith("x[") and b.startswith("d[") for a, b in edges)
    assert {"M", "V"} <= words(figure)
    assert "U_z, W_z, b_z, U_r, W_r, b_r, U_g, W_g, b_g in e" in words(figure)
    assert "U_z, W_z, b_z, U_r, W_r, b_r, U_g, W_g, b_g in d" in words(figure)


def test_cell_view_of_gradients_has_their_numbers() -> None:
    model = unfold.loads(BOTH_WAYS)
    params, inputs = sample(model)
    norms = model.gradient_norms(params, inputs)
    found = {
        n.id: n
        for n in model.draw("gradients", params=params, inputs=inputs, detail="cell").picture.nodes
    }
    for t in range(3):
        members = [n for n in norms if n.startswith("f.layer1.")]
        whole = sum(float(norms[n][t]) ** 2 for n in members) ** 0.5
        node = found[f"f.layer1[{t}]"]
        assert len(members) == 7 and node.fill not in (None, "#ffffff")
        assert f"gradient norm: {whole:.3e}" in node.tooltip


def test_cell_view_of_the_backward_pass_is_in_order() -> None:
    found = {n.id: n for n in unfold.loads(BOTH_WAYS).draw("backward", detail="cell").picture.nodes}
    rows = ["∂loss", "∂loss.9[1]", "∂o[1]", "∂f.layer2[1]", "∂f.layer1[1]"]
    heights = [found[n].y for n in rows if n in found]
    assert heights == sorted(heights, reverse=True) and len(heights) >= 4
    assert {found[n].kind for n in rows if n in found} == {"adjoint"}


def sample(model: Model) -> tuple[dict, dict]:
    """Return parameters and inputs."""
    from unfold.training.data import random_inputs

    return model.init(seed=0), random_inputs(model.program, batch=2, seed=0)
