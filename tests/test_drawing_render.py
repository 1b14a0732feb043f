"""Writing pictures: every format, hostile names, hover titles, notebooks."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pygraphviz
import pytest

import unfold
from unfold.drawing import Figure
from unfold.drawing.curves import line
from unfold.drawing.picture import Edge, Node, Picture, Words
from unfold.errors import UnsupportedError

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    "\\N",
    "\\G\\L\\l",
    "a\\nb",
    "<b>bold</b>",
    "<",
    ">",
    "&amp;",
    "&lt;&#65;",
    'quo"te',
    "back\\slash\\",
    "end\\",
    "]]>",
    "--",
    "a:b:c",
    "-->",
    "{x|y}",
    "; rank=same",
    "ünïcødé ∂ 漢字",
    "' onload='alert(1)",
    "%s {0}",
)


def node(label: str, number: int = 0, **changes: object) -> Node:
    """Return a node at a place of its own."""
    given = {"id": label, "label": label, "kind": "state", "x": 90.0 * number, "y": 0.0}
    return Node(**{**given, "width": 80.0, "height": 40.0, **changes})  # type: ignore[arg-type]


def edge(source: Node, target: Node, label: str = "") -> Edge:
    """Return a straight edge between two nodes."""
    start, end = (source.x + 40, 0.0), (target.x - 48, 0.0)
    return Edge(
        source=source.id,
        target=target.id,
        kind="data",
        curve=line(start, end),
        tip=(end[0] + 8, 0.0),
        colour="#0072B2",
        label=label,
        label_at=(source.x + 45, 10.0),
        tooltip=(label,),
    )


def texts(svg: str) -> list[str]:
    """Return every text of an SVG document."""
    return ["".join(t.itertext()) for t in ET.fromstring(svg).iter(f"{SVG}text")]


def titles(svg: str) -> list[str]:
    """Return the hover titles of an SVG document."""
    return ["".join(t.itertext()) for t in ET.fromstring(svg).iter(f"{SVG}title")]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_as_they_are(name: str) -> None:
    first, second = node(name, 0, tooltip=(name, "second line")), node(name + "x", 1)
    words = Words(text=name, x=0.0, y=60.0)
    picture = Picture(name, (first, second), (edge(first, second, name),), (words,))
    svg = Figure(picture).to_svg()
    assert texts(svg).count(name) == 3, texts(svg)
    assert name + "x" in texts(svg)
    assert f"{name}\nsecond line" in titles(svg)
    assert name in titles(svg)  # the edge's


@pytest.mark.parametrize("name", HOSTILE)
def test_dot_with_hostile_names_is_read_back(name: str) -> None:
    first, second = node(name, 0, tooltip=(name,)), node(name + "x", 1)
    dot = Figure(Picture(name, (first, second), (edge(first, second, name),))).to_dot()
    read = pygraphviz.AGraph(string=dot)
    assert read.number_of_nodes() == 2 and read.number_of_edges() == 1


def test_characters_that_xml_cannot_hold_are_replaced() -> None:
    svg = Figure(Picture("x", (node("a\x00b\x1bc\ud800"),))).to_svg()
    assert texts(svg) == ["a�b�c�"]


def test_names_that_differ_only_in_odd_characters_stay_two_nodes() -> None:
    dot = Figure(Picture("x", (node("a:b", 0), node("a;b", 1), node("a_b", 2)))).to_dot()
    assert pygraphviz.AGraph(string=dot).number_of_nodes() == 3


def test_every_format(tmp_path: Path) -> None:
    figure = unfold.load("hello").draw()
    starts = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"digraph"}
    for form, start in starts.items():
        path = figure.save(tmp_path / f"picture.{form}")
        assert path.read_bytes().startswith(start)
    with pytest.raises(UnsupportedError, match=r"choose svg, png, pdf, dot"):
        figure.save(tmp_path / "picture.jpg")


def test_a_notebook_shows_the_figure() -> None:
    figure = Figure(Picture("two words", (node("h"),)))
    bundle = figure._repr_mimebundle_()
    assert bundle["image/svg+xml"] == figure._repr_svg_() == figure.to_svg()
    assert bundle["text/plain"] == "<Figure two words: 1 nodes, 0 edges>"
    assert set(figure._repr_mimebundle_(include=["text/plain"])) == {"text/plain"}
    assert set(figure._repr_mimebundle_(exclude=["text/plain"])) == {"image/svg+xml"}


def test_the_document_has_a_size_a_background_and_a_name() -> None:
    svg = ET.fromstring(Figure(Picture("the name", (node("h"),))).to_svg())
    assert svg.get("aria-label") == "the name"
    left, top, width, height = (float(v) for v in svg.get("viewBox", "").split())
    assert (left, top) == (0, 0) and width > 80 and height > 40
    assert svg.get("width") == f"{width:.0f}pt"
    background = next(svg.iter(f"{SVG}polygon"))
    assert background.get("fill") == "#ffffff"


def test_a_picture_that_is_too_wide_for_a_bitmap_gets_fewer_dots() -> None:
    figure = Figure(Picture("wide", (node("a"), node("b", 400))))
    width = int.from_bytes(figure.to_png()[16:20], "big")
    assert 20_000 < width < 32_767


def test_drawing_writes_nothing_to_the_terminal() -> None:
    code = (
        "from unfold.drawing.render import Figure\n"
        "from unfold.drawing.picture import Node, Picture\n"
        "n = Node(id='a', label='far too long', kind='state', x=0, y=0, width=9, height=9)\n"
        "f = Figure(Picture('p', (n,)))\n"
        "f.to_svg(), f.to_png(), f.to_pdf(), f.to_dot()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("", "")


def test_ten_thousand_nodes_are_all_there() -> None:
    model = unfold.load("shared")
    svg = model.draw(steps=5000, extents={"t": 5000}).to_svg()
    assert svg.count('class="node state"') == 5000
    assert svg.count('class="node input"') == 5000
    assert svg.count('class="edge delay"') == 4999
    ET.fromstring(svg)
