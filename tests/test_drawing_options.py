"""The `draw` section: what it changes, and what is said about mistakes in it."""

from __future__ import annotations

from pathlib import Path

import pytest

import unfold
import unfold.shipped
from unfold.cli import invoke
from unfold.drawing import Figure, scene
from unfold.errors import SpecError, UnsupportedError

SPEC = """\
unfold: 1
name: small
axes: {t: 6}
sizes: {f: 3, n: 4}
inputs:
  x[t]: [f]
  y[t]: [n]
parameters: {W: [n, n], U: [n, f]}
nodes:
  a[t]: W @ h[t-1] + U @ x[t]
  h[t]: tanh(a[t])
  spare[t]: h[t] * 2
loss: mean[t](mse(h[t], y[t]))
"""


def draw(section: str, view: str = "unfolded") -> Figure:
    """Draw the small spec with a `draw` section."""
    return unfold.loads(f"{SPEC}draw:\n{section}", file="small.yaml").draw(view)


def labels(figure: Figure) -> set[str]:
    """Return the labels of all nodes."""
    return {n.label for n in figure.picture.nodes}


def test_steps() -> None:
    assert "h[4]" in labels(draw("  steps: 6\n"))
    assert "h[1]" not in labels(draw("  steps: {t: 2}\n"))
    one = unfold.loads(f"{SPEC}draw:\n  steps: 2\n").draw(steps=6)
    assert "h[4]" in labels(one), "the caller goes before the file"


def test_labels_colours_and_hiding() -> None:
    figure = draw("  labels: {h: hidden}\n  colours: {W: '#123456'}\n  hide: [spare, a]\n")
    assert "hidden[0]" in labels(figure) and "h[0]" not in labels(figure)
    assert not any(label.startswith(("spare", "a[")) for label in labels(figure))
    drawn = {(e.source, e.target): e for e in figure.picture.edges}
    assert drawn["h[0]", "h[1]"].colour == "#123456"
    assert drawn["x[0]", "h[0]"].colour != "#123456"


def test_rows_from_the_bottom() -> None:
    plain, turned = draw("  rows: [x, a]\n"), draw("  rows: [a, x]\n")
    heights = [{n.id: n.y for n in f.picture.nodes} for f in (plain, turned)]
    assert heights[0]["x[0]"] < heights[0]["a[0]"]
    assert heights[1]["x[0]"] > heights[1]["a[0]"]


def test_columns() -> None:
    text = SPEC.replace("axes: {t: 6}", "axes: {t: 3, l: 3}").replace(
        "  spare[t]: h[t] * 2", "  spare[t]: h[t] * 2\n  g[t,l]: h[t] * l"
    )
    model = unfold.loads(f"{text}draw: {{columns: l}}\n")
    places = {n.id: n.x for n in model.draw().picture.nodes}
    assert len({places[f"g[{t},1]"] for t in range(3)}) == 3
    assert places["g[0,0]"] < places["g[0,1]"] < places["g[0,2]"]


def test_a_folded_picture_to_the_right() -> None:
    up, right = draw("  hide: [y]\n", "folded"), draw("  direction: right\n", "folded")
    places = [{n.id: (n.x, n.y) for n in f.picture.nodes} for f in (up, right)]
    assert places[0]["x"][1] < places[0]["a"][1] < places[0]["h"][1]
    assert places[1]["x"][0] < places[1]["a"][0] < places[1]["h"][0]


@pytest.mark.parametrize(
    ("section", "place", "message", "help"),
    [
        ("  stepps: 3\n", "15:3", "unknown key 'stepps' in draw", "did you mean 'steps'?"),
        ("  steps: {u: 3}\n", "15:11", "there is no axis 'u'", "choose from t"),
        ("  steps: 0\n", "15:10", "draw.steps: expected a number of steps from 1 to 10000", None),
        (
            "  steps: many\n",
            "15:10",
            "draw.steps: expected a number of steps from 1 to 10000",
            None,
        ),
        (
            "  hide: [spar]\n",
            "15:10",
            "there is no equation or input 'spar'",
            "did you mean spare?",
        ),
        ("  rows: [x, [h, q]]\n", "15:17", "there is no equation or input 'q'", "choose from"),
        ("  columns: s\n", "15:12", "there is no axis 's'", "choose from t"),
        ("  labels: {hh: x}\n", "15:12", "there is no equation or input 'hh'", "did you mean h?"),
        ("  labels: [h]\n", "15:11", "draw.labels: expected a mapping, got", None),
        (
            "  colours: {W: red}\n",
            "15:16",
            'draw.colours.W: expected a colour such as "#0072B2", got "red"',
            None,
        ),
        ("  colours: {h: '#000000'}\n", "15:13", "there is no parameter 'h'", "choose from W, U"),
        ("  labels: {h: [1]}\n", "15:15", "draw.labels.h: expected a text, got [1]", None),
        ("  hide: [[h]]\n", "15:10", "draw.hide.0: expected the name of an equation or in", None),
        ("  direction: down\n", "15:14", "draw.direction: expected 'up' or 'right', got", None),
    ],
)
def test_mistakes(section: str, place: str, message: str, help: str | None) -> None:
    with pytest.raises(SpecError) as caught:
        draw(section)
    (found,) = caught.value.diagnostics
    assert str(found.location) == f"small.yaml:{place}"
    assert found.message.startswith(message)
    assert (found.help or "").startswith(help or "")


def test_all_mistakes_are_reported_in_one_go() -> None:
    with pytest.raises(SpecError) as caught:
        draw("  steps: -1\n  hide: [q]\n  direction: left\n")
    assert len(caught.value.diagnostics) == 3


def test_zeros_outside_of_the_domain_can_be_left_out() -> None:
    text = unfold.shipped.find("nettalk").read_text(encoding="utf-8")
    head = text.partition("\ndraw:")[0]
    drawn = {
        choice: unfold.loads(f"{head}\ndraw: {{zeros: {choice}}}\n").draw("unfolded", steps=3)
        for choice in ("shown", "hidden")
    }
    outside = {c: [n for n in f.picture.nodes if n.kind == "boundary"] for c, f in drawn.items()}
    assert outside["shown"] and not outside["hidden"]
    with pytest.raises(SpecError, match=r"draw\.zeros: expected 'shown' or 'hidden', got"):
        unfold.loads(f"{head}\ndraw: {{zeros: gone}}\n").draw("unfolded")


GRID = """\
unfold: 1
name: g
axes: {i: 10000, j: 10000}
sizes: {n: 2}
inputs: {x[i,j]: [n]}
parameters: {A: [n, n]}
nodes: {h[i,j]: tanh(A @ h[i-1,j] + A @ h[i,j-1] + x[i,j])}
loss: sum(h[last,last])
"""


@pytest.mark.parametrize("command", ["check", "run", "render"])
def test_draw_steps_of_two_axes(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Boxes and edges are limited together; nothing is drawn, or left, before that is known."""
    monkeypatch.chdir(tmp_path)
    Path("g.yaml").write_text(f"{GRID}draw: {{steps: {{i: 10000, j: 10000}}}}\n", encoding="utf-8")
    assert invoke([command, "g.yaml"]) == 1
    out, err = capfd.readouterr()
    assert "g.yaml:9:15: the unfolded picture would have up to 500,000,002 boxes and" in out + err
    assert "help: draw fewer steps, as in  steps: {i: 70, j: 70}" in out + err
    assert [p.name for p in tmp_path.iterdir()] == ["g.yaml"]


DRAWS = [
    ["render", "w.yaml", "-o", "w.svg"],
    ["run", "w.yaml", "--runs", "."],
]


@pytest.mark.parametrize("command", DRAWS, ids=lambda c: c[0])
def test_draw_can_be_set_on_the_command_line(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside what the file says, in every command that draws, and the spec of a run has it."""
    monkeypatch.chdir(tmp_path)
    Path("w.yaml").write_text(f"{SPEC}draw: {{steps: 2, hide: [spare]}}\n", encoding="utf-8")
    assert invoke([*command, "--set", "draw.labels.h=hidden", "--set", "draw.steps={t: 6}"]) == 0
    (drawn,) = [*tmp_path.glob("w.svg"), *tmp_path.glob("*/graph-unfolded.svg")]
    content = drawn.read_text(encoding="utf-8")
    assert "hidden[5]" in content and "spare" not in content
    for spec in tmp_path.glob("*/spec.yaml"):
        section = unfold.load(spec).spec.draw
        assert section is not None
        assert section.tree == {"steps": {"t": 6}, "hide": ["spare"], "labels": {"h": "hidden"}}


@pytest.mark.parametrize("command", ["check", "run", "render"])
def test_mistakes_in_a_changed_draw_are_shown(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.yaml").write_text(f"{SPEC}draw: {{steps: 2}}\n", encoding="utf-8")
    for change, told in (
        ("draw.steps=0", "w.yaml:14:15: draw.steps: expected a number of steps from 1 to 10000"),
        ("draw.stepps=3", "w.yaml:14:1: unknown key 'stepps' in draw"),
        ("draw.hide=[spar]", "w.yaml:14:7: there is no equation or input 'spar'"),
    ):
        assert invoke([command, "w.yaml", "--set", change]) == 1
        assert told in "".join(capfd.readouterr())


def test_steps_of_a_caller_are_limited_too() -> None:
    model = unfold.loads(GRID)
    for view in ("unfolded", "compare", "backward"):
        with pytest.raises(UnsupportedError, match=r"at most 25,000 .*; draw fewer steps, as in"):
            model.draw(view, steps=1000)
    assert model.draw(steps=3), "of long axes few points are drawn"


def test_where_nobody_asks_for_steps_as_many_are_drawn_as_can_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = labels(unfold.loads(GRID).draw())
    monkeypatch.setattr(scene, "MOST_DRAWN", 60)
    fewer = labels(unfold.loads(GRID).draw())
    assert "h[2,9999]" in whole and "h[2,9999]" not in fewer
    assert "h[1,9999]" in fewer
    with pytest.raises(UnsupportedError, match="at most 60"):
        unfold.loads(GRID).draw(steps=4)


def test_check_does_not_read_draw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Both `check` and `run` read it, and a run leaves no folder if it is wrong."""
    monkeypatch.chdir(tmp_path)
    section = "draw: {zeros: 5, colours: {W: red}, rows: {h: 1}}\n"
    Path("w.yaml").write_text(f"{SPEC}{section}", encoding="utf-8")
    for command in ("check", "run"):
        assert invoke([command, "w.yaml"]) == 1
        told = "".join(capfd.readouterr())
        assert "w.yaml:14:15: draw.zeros: expected 'shown' or 'hidden', got 5" in told
        assert "w.yaml:14:31: draw.colours.W: expected a colour" in told
        assert "w.yaml:14:43: draw.rows: expected a list of equations and inputs" in told
        assert [p.name for p in tmp_path.iterdir()] == ["w.yaml"]
