"""Pages as files: what is escaped, what the policy allows, steps, numbers, sizes and failures."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unfold
from unfold import files
from unfold.drawing.picture import Edge, Node, Picture
from unfold.errors import UnfoldError
from unfold.page import Chart, Page, Section, Series, Table, make_graph, observe, write_page
from unfold.page import document as schema
from unfold.page.colours import colour
from unfold.page.drawing import Shared, drawn
from unfold.page.encode import as_json, plain
from unfold.page.html import LARGEST, asset, to_html
from unfold.page.steps import backward_steps, forward_steps

HOSTILE = (
    "</script><script>alert(1)</script>",
    "]]>",
    "<!--<script>",
    "\u2028\u2029",
    "&lt;b&gt; &amp;",
    "' onload='alert(1)",
    '" style="x"',
    "\x00\x1b\x7f\x9f",
    "\ud800",
    "{0} %s ${x} `y`",
)
LINEAR = """
unfold: 1
name: linear
axes: {t: 5}
inputs: {x[t]: [1]}
parameters: {w: {shape: [1, 1], init: {constant: 0.5}}}
nodes: {h[t]: w @ h[t-1] + x[t]}
loss: sum(h[last])
"""


class Parts(HTMLParser):
    """The scripts, styles and attributes of a document, as a browser cuts it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag, attributes = self.open[-1] if self.open else ("", {})
        if tag in ("script", "style", "title"):
            self.found.append((tag, attributes, data))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def texts(self, tag: str, kind: str | None = None) -> list[str]:
        return [t for n, a, t in self.found if n == tag and a.get("type") == kind]


def hostile_page() -> Page:
    table = Table(HOSTILE, [HOSTILE], HOSTILE[0])
    chart = Chart(HOSTILE[0], HOSTILE[1], HOSTILE[2], [Series(h, [h], [1.0]) for h in HOSTILE])
    code = colour("\n".join(HOSTILE[:8]), {})
    sections = [Section(h, h, (table, chart, code)) for h in HOSTILE]
    return Page(HOSTILE[0], HOSTILE[2], dict.fromkeys(HOSTILE, "x"), sections)


def test_hostile_text_stays_text() -> None:
    page = hostile_page()
    parts = Parts(to_html(page))
    (data,) = parts.texts("script", "application/json")
    assert not set("<>&\u2028\u2029") & set(data)
    document = json.loads(data)
    assert document["title"] == HOSTILE[0]
    assert document["sections"][0]["blocks"][0]["heads"] == [
        h.replace("\ud800", "\ufffd") for h in HOSTILE
    ]
    assert len(parts.texts("script")) == 1 and parts.texts("title") == [HOSTILE[0]]
    assert [t for t, _ in parts.tags].count("script") == 2


def test_the_policy_allows_the_asset_alone() -> None:
    parts = Parts(to_html(hostile_page()))
    (meta,) = [a for t, a in parts.tags if a.get("http-equiv") == "Content-Security-Policy"]
    policy = dict(p.split(" ", 1) for p in str(meta["content"]).split("; "))
    (script,), (style,) = parts.texts("script"), parts.texts("style")
    for name, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert policy.pop(name) == f"'sha256-{digest}'"
    assert policy == {
        "default-src": "'none'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    for _, attributes in parts.tags:
        assert not [n for n in attributes if n.startswith("on") or n in ("style", "src")]
    urls = set(re.findall(r"https?://[^\s\"'`)]+", script.partition("*/\n(")[2] + style))
    assert all("w3.org" in url for url in urls), urls


def test_numbers_are_written_as_json_can() -> None:
    values = [math.nan, math.inf, -math.inf, -0.0, 1e300, 0.1 + 0.2, np.float32(0.5), np.int64(3)]
    assert plain(values) == ["NaN", "Infinity", "-Infinity", 0, 1e300, 0.3, 0.5, 3]
    assert plain([None, True, "x"]) == [None, True, "x"]
    json.loads(as_json(values), parse_constant=pytest.fail)


def test_the_browser_knows_the_same_fields() -> None:
    source = Path(schema.__file__).parent / "browser" / "src" / "document.ts"
    found = re.findall(r"export interface (\w+) \{\n(.*?)\n\}", source.read_text(), re.S)
    written = {n: re.findall(r"^  (\w+): ", body, re.M) for n, body in found}
    classes = {n: c for n, c in vars(schema).items() if hasattr(c, "__dataclass_fields__")}
    blocks = {c.__name__ for c in schema.BLOCKS}
    expected = {
        n: (["block"] if n in blocks else []) + [f.name for f in fields(c)]
        for n, c in classes.items()
    }
    assert written == expected


def linear() -> tuple[unfold.Model, dict[str, Any]]:
    return unfold.loads(LINEAR), {"x": np.ones((3, 5, 1))}


def linear_graph(**changed: Any) -> schema.Graph:
    model, inputs = linear()
    params = {**model.init(), **changed}
    observed = observe(model.pipeline, params, inputs, ["x", "h", "loss"])
    views = ("unfolded", "folded", "backward")
    pictures = {v: model.draw(v, steps=5).picture for v in views}
    return make_graph(model.program, pictures, observed)


def test_steps_follow_the_longest_paths() -> None:
    graph = linear_graph()
    lead = graph.pictures[0]
    at = dict(zip(lead.label, zip(graph.forward, graph.backward, strict=True), strict=True))
    for t in range(5):
        assert at[f"x[{t}]"] == (t, 6 - t) and at[f"h[{t}]"] == (t + 1, 5 - t)
    assert at["loss"] == (6, 0)
    for source, target in zip(lead.source, lead.target, strict=True):
        if min(source, target) >= 0:
            assert graph.forward[source] < graph.forward[target]


def test_frames_pass_steps_on_to_what_they_hold() -> None:
    place = {"kind": "node", "x": 0, "y": 0, "width": 1, "height": 1, "label": "x"}
    ids = ("a", "b", "c", "d", "e")
    nodes = [Node(id=i, **place) for i in ids]
    frame = Node(id="f", shape="frame", frames=("b", "c"), **{**place, "label": ""})
    line = {"kind": "data", "curve": ((0, 0),) * 4, "tip": (0, 0), "colour": "#000000"}
    pairs = (("a", "f"), ("f", "d"), ("e", "d"))
    edges = [Edge(source=s, target=t, **line) for s, t in pairs]
    picture = Picture("", (frame, *nodes), tuple(edges))
    assert forward_steps(picture) == {"a": 0, "b": 1, "c": 1, "d": 2, "e": 1}
    backward = backward_steps(picture, ["d"], {"e"})
    assert backward == {"a": 2, "b": 1, "c": 1, "d": 0}


def test_a_cycle_of_a_contracted_picture_has_steps_too() -> None:
    place = {"kind": "node", "x": 0, "y": 0, "width": 1, "height": 1, "label": "x"}
    line = {"kind": "data", "curve": ((0, 0),) * 4, "tip": (0, 0), "colour": "#000000"}
    pairs = (("a", "b"), ("b", "c"), ("c", "b"), ("c", "d"))
    edges = tuple(Edge(source=s, target=t, **line) for s, t in pairs)
    picture = Picture("", tuple(Node(id=i, **place) for i in "abcd"), edges)
    assert forward_steps(picture) == {"a": 0, "b": 1, "c": 2, "d": 3}


def test_numbers_of_a_run_are_those_of_the_closed_form() -> None:
    graph = linear_graph()
    points = {graph.names[i]: p for i, p in graph.points.items()}
    h = points["h"]
    for (t,), mean, most, norm in zip(h.at, h.mean, h.most, h.norm, strict=True):
        assert mean == most == pytest.approx(2 - 0.5**t, rel=1e-3)
        # The loss is a mean over three sequences, each of which has the gradient w^(4-t).
        assert norm == pytest.approx(0.5 ** (4 - t) / math.sqrt(3), rel=1e-3)
    assert points["loss"].norm == [1.0] and h.first[4] == [pytest.approx(1.938)]
    value = graph.values[graph.names.index("h")]
    assert value.equation.endswith("h[t]: w @ h[t-1] + x[t]}")
    assert tuple(value.parameters) == ("w",)


def test_pictures_are_linked_by_their_members() -> None:
    graph = linear_graph()
    h = graph.names.index("h")
    unfolded, folded, backward = graph.pictures
    assert [m for m in unfolded.members if m == [[h, 3]]] == [[[h, 3]]]
    assert folded.members[folded.label.index("h[t]")] == [[h]]
    assert backward.members[backward.label.index("∂h[3]")] == [[h, 3]]


def test_points_behind_the_end_of_a_sequence_do_not_count() -> None:
    model = unfold.loads(LINEAR)
    x = np.ones((2, 5, 1))
    options = {"lengths": {"t": np.array([5, 2])}}
    observed = observe(model.pipeline, model.init(), {"x": x}, ["x", "h"], **options)
    assert observed.inside["h"].tolist() == [[True] * 5, [True, True, False, False, False]]
    picture = model.draw("unfolded", steps=5).picture
    graph = make_graph(model.program, {"unfolded": picture}, observed)
    h = graph.points[graph.names.index("h")]
    assert h.least[h.at.index((4,))] == pytest.approx(2 - 0.5**4, rel=1e-3)


def test_gradients_that_are_not_finite_are_told() -> None:
    graph = linear_graph(w=np.array([[np.nan]]))
    h = graph.names.index("h")
    assert math.isnan(graph.points[h].norm[0])
    assert '"NaN"' in as_json(graph)


def test_ten_thousand_nodes_fit() -> None:
    count = 10_000
    nodes = [
        Node(
            id=f"h[{i}]", label=f"h[{i}]", kind="state", x=40.0 * i, y=7.3 * i, width=40, height=40,
            members=(("h", (i,)),),
        )
        for i in range(count)
    ]  # fmt: skip
    edges = [
        Edge(
            source=f"h[{i}]", target=f"h[{i + 1}]", kind="delay", colour="#0072B2", parameter="W",
            curve=tuple((40.0 * i + k, 7.3 * i + k) for k in range(4)), tip=(40.0 * i + 9, 1.0),
            label="W", label_at=(40.0 * i, 3.0),
        )
        for i in range(count - 1)
    ]  # fmt: skip
    shared = Shared()
    size = len(as_json(drawn(Picture("long", tuple(nodes), tuple(edges)), "long", shared)))
    assert shared.names == ["h"] and len(shared.lines) == 1
    assert size + len(asset("page.js")) < LARGEST * 2 / 3


def test_a_file_appears_only_when_it_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, file = Page("x"), tmp_path / "page.html"
    size = write_page(page, file)
    assert size == file.stat().st_size and file.read_bytes() == to_html(page).encode()

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "flush", full)
    for target in (file, tmp_path / "new.html"):
        with pytest.raises(UnfoldError, match=r"page.html|new.html.* cannot be written: no space"):
            write_page(Page("y"), target)
    assert file.read_bytes() == to_html(page).encode()
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_what_is_no_page_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnfoldError, match=r"page.pdf: expected a file that ends with .html or"):
        write_page(Page("x"), tmp_path / "page.pdf")
    with pytest.raises(UnfoldError, match="at most 3,000,000 open quickly"):
        write_page(Page("x", "y" * LARGEST), tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_a_spec_is_coloured_and_stays_the_same_text() -> None:
    text = LINEAR.strip()
    code = colour(text, {"w": "parameter", "sum": "function", "h": "node"})
    assert "\n".join("".join(t for _, t in line) for line in code.lines) == text
    pieces = {(role, part.strip()) for line in code.lines for role, part in line}
    wanted = {("key", "axes"), ("parameter", "w"), ("number", "0.5"), ("function", "sum")}
    assert wanted | {("node", "h")} <= pieces
