"""Parameters in pictures: every one is seen, with one colour for all pictures of its spec."""

from __future__ import annotations

import itertools
import re

import pytest
from cases import EVERY_NAME

import unfold
from unfold.api import Model
from unfold.drawing import Figure, palette
from unfold.drawing.blocks import plan_adjoint, plan_blocks
from unfold.drawing.cells import join_cells
from unfold.drawing.fold import fold
from unfold.drawing.labels import label
from unfold.drawing.legend import notes, short
from unfold.drawing.palette import HUES, NEAR, LineStyle, Styles, distance
from unfold.drawing.scheme import Scheme, make_scheme
from unfold.drawing.sketch import Sketch
from unfold.drawing.unroll import Unrolling
from unfold.drawing.views.backward import adjoint_scheme, forward_scheme
from unfold.runs.domain import Domain

ELMAN = """\
unfold: 1
name: elman
axes: {t: 5}
sizes: {n: 3, m: 16}
inputs:
  x[t]: [n]
  y[t]: [1]
parameters:
  W: [m, m]
  U: [m, n]
  V: [1, m]
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t])
  o[t]: V @ h[t]
loss: mean[t](mse(o[t], y[t]))
draw:
  steps: {t: 3}
  labels: {h: "h^{(t)}", x: "x^{(t)}", o: "$o^{(t)}$"}
  colours: {W: "#D55E00", U: "#009E73"}
  direction: right
"""

LOOPED = """\
unfold: 1
name: looped
axes: {t: 3, r: 2, k: 2}
sizes: {vocab: 5, d: 4, ff: 6}
inputs:
  x[t]: {category: vocab}
  y[t]: {category: vocab}
parameters:
  E: [d, vocab]
  P[t]: [d]
  A[k]: [ff, d]
  B[k]: [d, ff]
  L[r]: [d]
nodes:
  e[t]: E @ x[t] + P[t]
  u[t,r,k]: u[t,r,k-1] + B[k] @ gelu(A[k] @ u[t,r,k-1])
  o[t]: einsum("dv,d->v", E, u[t,last,last])
initial:
  u[k]: u[t,r-1,last] + L[r]
  u[r]: e[t]
loss: mean[t](cross_entropy(o[t], y[t]))
"""


def told(sketch: Sketch, scheme: Scheme, reader: str, parameter: str) -> bool:
    """Return whether a picture says that a box reads a parameter, or shows the parameter."""
    keys = {e.key.partition("[")[0] for e in sketch.legend if e.style}
    texts = [e.text.partition(" in ") for e in sketch.legend if not e.style]
    box = scheme.boxes[reader]
    where = label(box.label, {}) if box.indexed else box.name
    found = {
        re.sub(r"\[.*?\]", "", name)
        for names, _, places in texts
        if where in places.split(", ")
        for name in re.split(r", (?![^\[]*\])", names)
    }
    return parameter in keys or parameter in found or short(parameter, reader) in found


def read(scheme: Scheme, reader: str) -> set[str]:
    """Return the parameters in the equations of a box, up to what is another box."""
    program, boxes = scheme.program, (scheme.parts or scheme).boxes
    found: set[str] = set()
    work = list(scheme.boxes[reader].values)
    seen = set(work)
    while work:
        value = program[work.pop()]
        found |= {value.name} if value.op == "parameter" else set()
        refs = {r.value for r in (*value.operands, *value.boundary.values())}
        work += refs - seen - set(boxes)
        seen |= refs
    return found


def unrolled(scheme: Scheme, plan_of: Scheme | None = None) -> Sketch:
    """Unfold two steps of every axis."""
    program = scheme.program
    extents = Domain(program, dict.fromkeys(Domain(program).free, 2)).extents
    extents = {a: n for a, n in extents.items() if a != "batch"}
    plan = plan_blocks(plan_of or scheme)
    plan = plan_adjoint(plan, scheme) if plan_of else plan
    return Unrolling(scheme, extents, dict.fromkeys(extents, 2), plan).sketch("", dots=False)


@pytest.mark.parametrize("name", EVERY_NAME)
def test_every_parameter_is_seen_in_every_view(name: str) -> None:
    pipeline = unfold.load(name).pipeline
    fine = make_scheme(pipeline.program)
    for scheme in (fine, join_cells(fine, {})):
        norms = Sketch("", (), (), (), tuple(notes(scheme, ())))
        for sketch in (fold(scheme, "", Styles()), unrolled(scheme), norms):
            for reader in scheme.boxes:
                for parameter in read(scheme, reader):
                    assert told(sketch, scheme, reader, parameter), (reader, parameter)


def test_every_parameter_on_the_way_back_is_seen() -> None:
    pipeline = unfold.load("attention").pipeline
    whole = make_scheme(pipeline.adjoint(pipeline.wrt(None), training=False))
    scheme = adjoint_scheme(whole)
    sketch = unrolled(scheme, forward_scheme(whole))
    on_lines = {(x.target, r.value) for x in scheme.lines for r in (*x.via, *x.others)}
    assert on_lines and all(told(sketch, scheme, *pair) for pair in on_lines)


@pytest.mark.parametrize("view", ["folded", "unfolded"])
@pytest.mark.parametrize("detail", ["node", "cell"])
def test_looped(view: str, detail: str) -> None:
    """What an equation adds, or multiplies by after another matrix, stands in the legend."""
    figure = unfold.loads(LOOPED).draw(view, detail=detail)
    assert {"P[t] in e", "B[k], L[r] in u"} <= {w.text for w in figure.picture.words}


def colours(figure: Figure) -> dict[str, tuple[str, str]]:
    """Return colour and dash of every parameter that has a line in the legend."""
    found = [e for e in figure.picture.edges if e.kind == "legend"]
    return {e.parameter: (e.colour, e.dash) for e in found if e.parameter}


def test_colours() -> None:
    """No automatic colour is near a chosen one; labels mean what they say, and fit."""
    model = unfold.loads(ELMAN)
    chosen = {"W": ("#D55E00", "solid"), "U": ("#009E73", "solid")}
    for view in ("folded", "unfolded", "compare"):
        figure = model.draw(view)
        found = colours(figure)
        assert {n: found[n] for n in chosen} == chosen
        assert all(distance(found["V"][0], c) >= NEAR for c, _ in chosen.values())
        for node in figure.picture.nodes:
            lines = node.label.split("\n")
            size = palette.NOTE_SIZE if len(lines) > 1 else palette.LABEL_SIZE
            assert node.shape == "words" or all(
                palette.text_width(line, size) <= node.width for line in lines
            )
    assert {"h⁽ᵗ⁾", "x⁽ᵗ⁾", "o⁽ᵗ⁾", "y[t]"} <= {n.label for n in model.draw("folded").picture.nodes}
    unfolded = {n.label for n in model.draw("unfolded").picture.nodes}
    assert {"h⁽⁰⁾", "x⁽⁴⁾", "o⁽¹⁾", "h⁽⁻¹⁾\n= 0"} <= unfolded


@pytest.mark.parametrize("name", ["lstm-stack", "unshared"])
def test_a_parameter_has_one_colour_in_all_pictures(name: str) -> None:
    model = unfold.load(name)
    figures = [model.draw(v, steps=2) for v in ("folded", "unfolded", "backward", "compare")]
    figures += [
        model.draw(v, detail=d, steps=2) for v in ("unfolded", "backward") for d in ("cell",)
    ]
    known: dict[str, tuple[str, str]] = {}
    for figure in figures:
        for parameter, style in colours(figure).items():
            assert known.setdefault(parameter, style) == style, parameter
    single = {n: style for n, style in known.items() if not re.search(r"\[[a-z]", n)}
    assert len(set(single.values())) == len(single) > 2


def test_colours_stay_apart_whatever_is_chosen() -> None:
    for taken in itertools.chain([HUES], itertools.combinations(HUES, 2)):
        names = [f"C{i}" for i in range(len(taken))]
        styles = Styles([*names, "A", "B"], dict(zip(names, taken, strict=True)))
        automatic = [styles.of(n).colour for n in "AB"]
        assert automatic[0] != automatic[1]
        assert all(distance(a, c) >= NEAR for a in automatic for c in taken)
    assert Styles(["W"], {"W": "#000000"}).of("W", (1,)) == LineStyle("#000000", "dashed")
    assert distance("#000000", "#FFFFFF") == pytest.approx(1, abs=1e-4)


def test_a_chosen_colour_holds_for_all_parts_of_a_parameter() -> None:
    text = LOOPED + 'draw: {colours: {A: "#123456"}}\n'
    model: Model = unfold.loads(text)
    found = colours(model.draw("unfolded"))
    assert {found["A[0]"][0], found["A[1]"][0]} == {"#123456"} and found["A[0]"] != found["A[1]"]
    assert colours(model.draw("folded"))["A[k]"] == found["A[0]"]


@pytest.mark.parametrize(
    ("text", "at", "shown"),
    [
        ("h", {"t": "3"}, "h[3]"),
        ("h^{(t)}", {"t": "3"}, "h⁽³⁾"),
        ("h^{(t)}", {"t": "-1"}, "h⁽⁻¹⁾"),
        ("h_{t}", {"t": "3", "s": "1"}, "h₃[1]"),
        ("$s_{t-1}$", {"t": "3"}, "s₂"),
        ("$s_{t-1}$", {"t": "t"}, "sₜ₋₁"),
        (r"$\alpha_t$", {"t": "7"}, "α₇"),
        ("$x_{t,s}$", {"t": "7", "s": "1"}, "x₇,₁"),
        ("W_{Qb}", {}, "W_(Qb)"),
        ("c_x", {"t": "0"}, "c_x[0]"),
        ("$5", {}, "$5"),
        ("$", {}, "$"),
        ("a^{", {}, "a^{"),
    ],
)
def test_labels(text: str, at: dict[str, str], shown: str) -> None:
    assert label(text, at) == shown
