"""What pictures show: columns, colours, boundaries, dots, squares, and nothing on another."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from cases import EVERY_NAME, SWEPT
from geometry import hidden_words, overlaps, run_through

import unfold
from tests.work import work
from unfold.api import Model
from unfold.cli import invoke
from unfold.drawing import VIEWS, Figure, Options, Scene, palette
from unfold.drawing.curves import sample
from unfold.drawing.picture import Edge, Node
from unfold.drawing.scene import View
from unfold.drawing.window import GAP, Window
from unfold.errors import DataError, UnsupportedError

LIBRARY = {p.stem: p for p in unfold.library()}
PLAIN = tuple(name for name, view in VIEWS.items() if not view.values)


def library(name: str, **axes: int) -> Model:
    """Load a spec of the library."""
    return unfold.load(name, axes=axes)


def nodes(figure: Figure, kind: str | None = None) -> dict[str, Node]:
    """Return the nodes of a kind, by id."""
    return {n.id: n for n in figure.picture.nodes if kind in (None, n.kind)}


def edges(figure: Figure) -> dict[tuple[str, str], Edge]:
    """Return the edges by their ends, the legend's left out."""
    return {(e.source, e.target): e for e in figure.picture.edges if e.kind != "legend"}


def legend(figure: Figure) -> dict[str, tuple[str, str]]:
    """Return colour and dash of every parameter in the legend."""
    found = [e for e in figure.picture.edges if e.kind == "legend"]
    return {e.parameter: (e.colour, e.dash) for e in found if e.parameter}


# Unfolded


def test_columns_are_steps_and_rows_are_values() -> None:
    found = nodes(library("pattern-hidden", t=4).draw(steps=9))
    for name in ("x", "a", "h", "o", "y"):
        row = [found[f"{name}[{t}]"] for t in range(4)]
        assert len({n.y for n in row}) == 1
        assert [n.x for n in row] == sorted(n.x for n in row)
        assert len({round(b.x - a.x, 6) for a, b in itertools.pairwise(row)}) == 1
    heights = [found[f"{n}[2]"].y for n in ("x", "a", "h", "o", "loss.9", "y")]
    assert heights == sorted(heights), "inputs at the bottom, the loss and its targets on top"
    bar = found["loss"]
    assert bar.shape == "bar" and bar.y > found["y[0]"].y
    assert bar.x - bar.width / 2 <= found["x[0]"].x and found["x[3]"].x <= bar.x + bar.width / 2


def test_a_recurrence_is_a_level_line_from_left_to_right() -> None:
    found = edges(library("char-rnn").draw(steps=5, extents={"t": 5}))
    curve = found["h[1]", "h[2]"].curve
    assert len({round(y, 6) for _, y in curve}) == 1 and curve[0][0] < curve[-1][0]


def test_a_backward_recurrence_points_to_the_left() -> None:
    curve = edges(library("bidirectional", t=3).draw())["g[2]", "g[1]"].curve
    assert curve[0][0] > curve[-1][0]


def test_one_colour_per_shared_parameter() -> None:
    figure = library("lstm-peephole", t=5).draw(steps=9)
    colours = legend(figure)
    assert len(set(colours.values())) == len(colours) == 12
    used = {n: 0 for n in colours}
    for edge in edges(figure).values():
        if edge.parameter:
            assert (edge.colour, edge.dash) == colours[edge.parameter]
            used[edge.parameter] += 1
    assert set(used.values()) == {5}


def test_unshared_parameters_differ_at_every_step() -> None:
    shared, unshared = (library(n, t=4).draw(steps=9) for n in ("shared", "unshared"))
    assert set(legend(shared)) == {"W", "U", "V"}
    steps = {f"{n}[{t}]" for n in "WU" for t in range(4)}
    assert set(legend(unshared)) == {*steps, "V"}
    assert len(set(legend(unshared).values())) == 9


def test_thirty_six_parameters_look_different() -> None:
    styles = {
        palette.Styles("abcdefghi", indexed="abcdefghi").of(n, (i,))
        for n in "abcdefghi"
        for i in range(4)
    }
    assert len(styles) == 36


def test_boundary_nodes_say_what_they_hold() -> None:
    zero = nodes(library("pattern-hidden", t=3).draw(), "boundary")
    assert {n.id: n.label for n in zero.values()} == {"h[-1]": "h[-1]\n= 0"}
    learned = nodes(library("pattern-last", t=3).draw(), "boundary")
    assert learned["h[-1]"].label == "h[-1]\nlearned"
    assert palette.NODES["boundary"].dash == "dashed"
    figure = library("encoder-decoder", s=2, t=2).draw()
    assert nodes(figure)["d[-1]"].label == "d[-1]"
    assert edges(figure)["C", "d[-1]"].parameter == "M"
    right = nodes(library("bidirectional", t=3).draw(), "boundary")["g[3]"]
    assert right.x > max(n.x for n in nodes(library("bidirectional", t=3).draw(), "state").values())


def test_long_axes_are_elided() -> None:
    figure = library("pattern-hidden").draw(steps=4, extents={"t": 50})
    states = nodes(figure, "state")
    assert list(states) == ["h[0]", "h[1]", "h[2]", "h[49]"]
    dots = nodes(figure, "gap")["h[…]"]
    assert states["h[2]"].x < dots.x < states["h[49]"].x and dots.label == "⋯"
    headers = [w.text for w in figure.picture.words]
    assert headers[:5] == ["t = 0", "1", "2", "49", "⋯"]
    assert ("h[2]", "a[…]") in edges(figure) and ("h[…]", "a[49]") in edges(figure)


def test_a_million_steps_cost_what_is_drawn() -> None:
    for name in ("char-rnn", "attention", "encoder-decoder", "rnn-2d"):
        model = library(name)
        axes = [a for a in model.program.axes if a != "batch"]
        with work(1_000_000):
            svg = model.draw(steps=3, extents=dict.fromkeys(axes, 1_000_000)).to_svg()
        assert "999999" in svg


def test_a_single_step_can_be_drawn() -> None:
    figure = library("gru").draw(steps=1, extents={"t": 1})
    assert set(nodes(figure, "state")) == {"h[0]"} and ("h[-1]", "h[0]") in edges(figure)
    elided = library("gru").draw(steps=1, extents={"t": 9})
    assert set(nodes(elided, "state")) == {"h[0]"} and "h[…]" in nodes(elided)
    ends = library("bidirectional").draw(steps=1, extents={"t": 9})
    assert "h[-1]" in nodes(ends)


def test_windows() -> None:
    whole, elided = Window.of(5, 4), Window.of(100, 4)
    assert whole.points == (0, 1, 2, 3, 4) and not whole.elided, "one more point is no elision"
    assert elided.points == (0, 1, 2, 99)
    assert [elided.slot(i) for i in (-1, 0, 3, 98, 99, 100)] == [-1, 0, GAP, GAP, 99, 100]
    elided.note(-5), elided.note(-2), elided.note(101)
    assert [elided.position(s) for s in (-5, -2, 0, 2, GAP, 99, 101)] == [-2, -1, 0, 2, 3, 4, 5]


def test_a_grid_has_rows_and_columns() -> None:
    found = nodes(library("rnn-2d", i=3, j=4).draw(steps=9))
    for i, j in itertools.product(range(3), range(4)):
        assert found[f"h[{i},{j}]"].y == found[f"h[{i},0]"].y
        assert found[f"h[{i},{j}]"].x == found[f"h[0,{j}]"].x
    assert found["h[0,0]"].y > found["h[2,0]"].y and found["h[0,0]"].x < found["h[0,3]"].x
    drawn = edges(library("rnn-2d", i=3, j=4).draw(steps=9))
    assert ("h[1,1]", "h[2,1]") in drawn and ("h[1,1]", "h[1,2]") in drawn


def test_an_encoder_stands_before_its_decoder() -> None:
    found = nodes(library("encoder-decoder", s=3, t=3).draw())
    assert max(found[f"h[{s}]"].x for s in range(3)) < min(found[f"d[{t}]"].x for t in range(3))
    assert found["C"].shape == "bar"


def test_micro_steps_are_stacked_inside_a_step() -> None:
    found = nodes(library("recurrent-highway", t=2, l=3).draw())
    heights = [found[f"s[0,{micro}]"].y for micro in range(3)]
    assert heights == sorted(heights)
    assert found["s[0,2]"].y == found["s[1,2]"].y and found["s[0,2]"].x < found["s[1,2]"].x


def test_what_is_read_as_a_whole_has_a_frame() -> None:
    figure = library("attention", s=3, t=2).draw()
    frame = nodes(figure)["a[0,·]"]
    for s in range(3):
        member = nodes(figure)[f"a[0,{s}]"]
        assert abs(member.x - frame.x) < frame.width / 2
        assert abs(member.y - frame.y) < frame.height / 2
    assert ("a[0,·]", "c[0]") in edges(figure) and ("h[·]", "c[0]") in edges(figure)
    assert edges(figure)["h[1]", "e[0,1]"].parameter == "B"


def test_hovering_shows_equation_shape_and_the_range_of_a_run() -> None:
    model = library("shared", t=3)
    params = model.init(seed=0)
    inputs = {"x": np.ones((2, 3, 8)), "y": np.zeros(2, dtype=np.int64)}
    figure = model.draw(params=params, inputs=inputs)
    tip = nodes(figure)["h[1]"].tooltip
    assert tip[:3] == (
        "h[1]",
        "h[t]: tanh(b + W @ h[t-1] + U @ x[t])",
        "shape: [hidden] = [32]",
    )
    values = model.forward(params, inputs)["h"][:, 1]
    assert tip[-1] == f"values: {values.min():.4g} to {values.max():.4g}"
    assert "h[0] → h[1], times W" in figure.to_svg()


def test_extents_must_fit() -> None:
    with pytest.raises(DataError, match="not an axis"):
        library("shared").draw(extents={"q": 3})
    with pytest.raises(UnsupportedError, match="choose cell, node, op"):
        library("shared").draw(detail="atom")


# Folded


@pytest.mark.parametrize("name", EVERY_NAME)
def test_every_delay_is_a_black_square_on_its_edge(name: str) -> None:
    figure = library(name).draw("folded")
    squares = list(nodes(figure, "delay").values())
    middles = [sample(e.curve) for e in figure.picture.edges]
    for square in squares:
        assert square.shape == "square" and square.tooltip[0].startswith("delay ")
        near = min(float(np.hypot(*(m - (square.x, square.y)).T).min()) for m in middles)
        assert near < 1.0, "the square lies on a curve"
    assert figure.to_svg().count('class="node delay"') == len(squares)


def test_the_length_stands_beside_the_square() -> None:
    model = unfold.loads(
        "unfold: 1\nname: skip\naxes: {t: 9}\nsizes: {f: 3, n: 4}\ninputs: {'x[t]': [f]}\n"
        "parameters: {W: [n, n], Q: [n, n], U: [n, f]}\n"
        "nodes:\n  h[t]: tanh(W @ h[t-1] + Q @ h[t-5] + U @ x[t])\n  g[t]: g[t+1] + h[t]\n"
        "outputs: [g[t]]\n"
    )
    figure = model.draw("folded")
    assert len(nodes(figure, "delay")) == 3
    assert {"1", "5", "t+1"} <= {w.text for w in figure.picture.words}
    loops = {e.parameter for e in figure.picture.edges if (e.source, e.target) == ("h", "h")}
    assert loops == {"W", "Q"}
    right = model.draw("folded").picture
    assert {n.label for n in right.nodes} >= {"h[t]", "x[t]", "g[t]"}


def test_what_is_read_elsewhere_says_where() -> None:
    labels = {e.label for e in library("tdnn").draw("folded").picture.edges}
    assert {"K[k]  (t-k)", "M[m]  (t-m)", "V  (all t)"} <= labels
    assert "last" in {e.label for e in library("encoder-decoder").draw("folded").picture.edges}


# Backward, gradients, side by side


def test_the_adjoint_has_its_arrows_the_other_way() -> None:
    model = library("pattern-hidden", t=4)
    forward, backward = model.draw(steps=9), model.draw("backward", steps=9)
    turned = {(f"∂{b}", f"∂{a}") for a, b in edges(forward)}
    drawn = set(edges(backward))
    assert drawn and drawn <= turned
    assert ("∂a[2]", "∂h[1]") in drawn and edges(backward)["∂a[2]", "∂h[1]"].parameter == "W"
    found = nodes(backward)
    assert found["∂o[0]"].y > found["∂h[0]"].y > found["∂a[0]"].y
    assert found["∂loss"].y > found["∂o[0]"].y


def test_gradients_of_parameters_are_left_out_of_the_adjoint() -> None:
    backward = library("shared", t=3).draw("backward")
    assert "∂h[1]" in nodes(backward) and "∂W" not in nodes(backward)


@pytest.mark.parametrize(("scale", "grows"), [(0.4, False), (1.6, True)])
def test_vanishing_and_exploding_gradients_are_seen(scale: float, grows: bool) -> None:
    model = library("pattern-last", t=8)
    params = model.init(seed=0)
    params["W"] = params["W"] * scale
    inputs = {"x": np.full((1, 8, 8), 1e-3), "y": np.zeros(1, dtype=np.int64)}
    figure = model.draw("gradients", params=params, inputs=inputs, steps=8)
    found, drawn = nodes(figure), edges(figure)
    fills = [found[f"h[{t}]"].fill for t in range(8)]
    assert len(set(fills)) == 8
    dark = [darkness(f) for f in fills]
    assert dark == sorted(dark, reverse=grows), "towards the past it fades, or gets darker"
    widths = [drawn[f"h[{t}]", f"h[{t + 1}]"].width for t in range(7)]
    assert widths == sorted(widths, reverse=grows)
    assert any("gradient norm" in line for line in found["h[0]"].tooltip)
    assert found["x[0]"].fill == palette.PAPER, "what has no norm is white"


def darkness(colour: str | None) -> float:
    """Return how dark a colour is."""
    assert colour is not None
    return -sum(w * int(colour[i : i + 2], 16) for w, i in ((0.299, 1), (0.587, 3), (0.114, 5)))


def test_norms_that_are_zero_or_infinite_are_drawn() -> None:
    program = library("shared", t=4).program
    for norms in ([0, 0, 0, 0], [np.inf, 1, 0, np.nan], [1, 1, 1, 1]):
        given = {"h": np.array(norms, dtype=float)}
        scene = Scene(program, norms=lambda given=given: given)
        ET.fromstring(VIEWS["gradients"].draw(scene).to_svg())


def test_a_view_is_a_function_and_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe of CONTRIBUTING: the view is then drawn by the library and by the command."""

    def bare(scene: Scene) -> Figure:
        return VIEWS["folded"].draw(replace(scene, options=Options(hide=("o",))))

    monkeypatch.setitem(cast(Any, VIEWS), "bare", View(bare))
    model = library("shared", t=3)
    assert set(nodes(model.draw("folded"))) - set(nodes(model.draw("bare"))) == {"o"}
    assert invoke(["render", "shared", "--view", "bare", "-o", "-"]) == 0


def test_two_modes_stand_side_by_side_with_one_layout() -> None:
    figure = library("teacher-forcing", t=3).draw("compare")
    left = {n.id[2:]: n for n in figure.picture.nodes if n.id.startswith("0:")}
    right = {n.id[2:]: n for n in figure.picture.nodes if n.id.startswith("1:")}
    common = [n for n in left if n in right and not n.startswith("legend")]
    assert len(common) > 15
    for shifts in (
        [right[n].x - left[n].x for n in common],
        [right[n].y - left[n].y for n in common],
    ):
        assert max(shifts) - min(shifts) < 1e-6
    fed = {(e.source, e.target) for e in figure.picture.edges if e.kind == "feedback"}
    assert ("0:y[0]", "0:prev[1]") in fed and ("1:choice[0]", "1:prev[1]") in fed
    colours = {e.colour for e in figure.picture.edges if e.kind == "feedback"}
    assert colours == {palette.FEEDBACK_LINE}
    assert "training (teacher forcing)" in {w.text for w in figure.picture.words}


# All of them


@pytest.mark.parametrize("view", PLAIN)
@pytest.mark.parametrize("name", SWEPT)
def test_every_picture_is_well_formed_and_nothing_covers_anything(name: str, view: str) -> None:
    figure = library(name).draw(view)
    ET.fromstring(figure.to_svg())
    picture = figure.picture
    assert list(overlaps(picture)) == []
    assert list(run_through(picture)) == []
    assert list(hidden_words(picture)) == []


def test_the_same_picture_every_time() -> None:
    code = (
        "import sys, unfold\n"
        "figure = unfold.load(sys.argv[1]).draw('compare', steps=3)\n"
        "sys.stdout.buffer.write(figure.to_svg().encode())\n"
    )
    command = [sys.executable, "-c", code, str(LIBRARY["attention"])]
    environments = [{**os.environ, "PYTHONHASHSEED": seed} for seed in ("1", "2")]
    first, second = (subprocess.check_output(command, env=e) for e in environments)
    assert first == second and first.startswith(b"<?xml")


@pytest.mark.parametrize("detail", ["cell", "op"])
@pytest.mark.parametrize("name", ["char-rnn", "lstm-stack", "recurrent-highway", "rnn-2d", "tdnn"])
def test_other_details_are_well_formed(name: str, detail: str) -> None:
    for view in ("folded", "unfolded"):
        figure = library(name).draw(view, detail=detail, steps=3)
        ET.fromstring(figure.to_svg())
        assert list(overlaps(figure.picture)) == []


@pytest.mark.parametrize("view", ["unfolded", "backward"])
def test_inner_points_of_one_step_stand_in_one_line(view: str) -> None:
    found = nodes(library("attention").draw(view, steps=3))
    rows = {(i.split("[")[0], n.y) for i, n in found.items() if "," in i and n.shape != "frame"}
    assert len(rows) == len({name for name, _ in rows}) == 2


@pytest.mark.parametrize("name", SWEPT)
def test_a_black_square_stands_on_one_line(name: str) -> None:
    figure = library(name).draw("folded")
    curves = [sample(e.curve) for e in figure.picture.edges if e.kind != "legend"]
    for square in nodes(figure, "delay").values():
        middle, half = np.array([square.x, square.y]), square.width / 2
        steps = np.linspace(0, 1, 20)[:, None, None]
        dense = [(c[:-1] + (c[1:] - c[:-1]) * steps).reshape(-1, 2) for c in curves]
        touched = [bool((np.abs(c - middle) < half).all(axis=1).any()) for c in dense]
        assert sum(touched) == 1, square.id


def test_a_state_that_starts_from_a_sum_over_an_axis_is_drawn_from_all_of_it() -> None:
    figure = unfold.loads(
        "unfold: 1\nname: pooled\naxes: {r: 3, t: 2}\nsizes: {n: 4}\n"
        "inputs: {x[r]: [n]}\nparameters: {M: [n, n], W: [n, n]}\n"
        "nodes:\n  a[r]: tanh(x[r])\n  h[t]: tanh(W @ h[t-1])\n"
        "initial: {h: 'tanh(M @ mean[r](a[r]))'}\nloss: sum[t](sum(h[t]))\n"
    ).draw("unfolded")
    sources = {source for source, target in edges(figure) if target == "h[-1]"}
    assert sources == {"a[0]", "a[1]", "a[2]"}


def test_a_bounded_reduction_is_drawn_within_its_bound() -> None:
    """No arrow comes from the future, no box stands where nothing exists, and labels say why."""
    spec = (
        "unfold: 1\nname: past\naxes: {t: 3, s: t}\ninputs: {x[t]: []}\n"
        "nodes:\n  e[t,s]: x[t] * x[s]\n  c[t]: sum[s](softmax[s <= t](e[t,s]) * x[s])\n"
    )
    model = unfold.loads(spec)
    reads = {(str(e.source), str(e.target)) for e in model.unfold().edges()}
    picture = model.draw("unfolded", steps=3).picture
    assert {(e.source, e.target) for e in picture.edges} == reads
    assert not any(name in {n.id for n in picture.nodes} for name in ("e[0,1]", "e[1,2]"))
    labels = {e.label for e in model.draw("folded").picture.edges}
    assert "s <= t" in labels and not any("all" in label for label in labels)
