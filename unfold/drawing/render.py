"""Write a picture as DOT, SVG, PNG or PDF; users get a `Figure`.

In: a `Picture` with every place known. Out: DOT text (built with the `graphviz` package, so names
are quoted and escaped), which Graphviz's engine `nop2` draws without a new layout. Words are data:
backslash escapes, HTML and entities in a name appear as written.

    figure = Figure(picture);  figure.save("rnn.svg");  figure.to_png(dpi=200)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import graphviz
from graphviz.quoting import quote

from unfold.drawing import palette
from unfold.drawing.dot import POINTS_PER_INCH, drawn
from unfold.drawing.picture import Edge, Node, Patch, Picture, Shape, Words
from unfold.errors import UnsupportedError

FORMATS = ("svg", "png", "pdf", "dot")
LARGEST_BITMAP = 30000  # pixels; cairo's limit is 32767
MARGIN = 14.0
LONGEST_PIECE = 16_000
SHAPES = {
    "circle": "ellipse",
    "box": "box",
    "square": "square",
    "words": "none",
    "bar": "box",
    "frame": "box",
}
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_TITLED = re.compile(r'<g id="([a-z]\d+)" class="(?:node|edge)[^"]*">\n<title>[^<]*</title>')
_SVG_TAG = re.compile(r"<svg ([^>]*)>")


class Figure:
    """A picture that notebooks display, and that can be saved as SVG, PNG, PDF or DOT.

    Args:
        picture: to show and save.
    """

    def __init__(self, picture: Picture) -> None:
        self.picture = picture

    @cached_property
    def _svg(self) -> str:
        return _with_titles(drawn(to_dot(self.picture, tooltips=False), "svg"), self.picture)

    def to_svg(self) -> str:
        """Return an SVG document; hovering over a shape shows its description."""
        return self._svg

    def to_dot(self) -> str:
        """Return DOT text with places; draw it with `neato -n2` or `nop2`."""
        return to_dot(self.picture)

    def to_png(self, dpi: float = 144.0) -> bytes:
        """Return a PNG; very wide pictures get fewer dots per inch to fit a bitmap.

        Args:
            dpi: dots per inch; the picture's points are 1/72 inch.
        """
        left, bottom, right, top = self.picture.box
        longest = max(right - left, top - bottom) + 2 * MARGIN
        dpi = min(dpi, LARGEST_BITMAP * POINTS_PER_INCH / longest)
        return drawn(to_dot(self.picture, tooltips=False, dpi=dpi), "png")

    def to_pdf(self) -> bytes:
        """Return a PDF of one page, as large as the picture."""
        return drawn(to_dot(self.picture, tooltips=False), "pdf")

    def render(self, form: str) -> str | bytes:
        """Return the picture as "svg" or "dot" text, or "png" or "pdf" bytes."""
        if form not in FORMATS:
            raise UnsupportedError(
                f"cannot draw a picture as {form!r}; choose {', '.join(FORMATS)}"
            )
        return {"svg": self.to_svg, "png": self.to_png, "pdf": self.to_pdf, "dot": self.to_dot}[
            form
        ]()

    def save(self, path: str | Path) -> Path:
        """Write the picture to a file in the format of its suffix (.svg, .png, .pdf, .dot).

        Raises:
            UnsupportedError: another suffix.
        """
        path = Path(path)
        content = self.render(path.suffix.removeprefix(".").lower())
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        return path

    def _repr_svg_(self) -> str:
        return self.to_svg()

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None, **_: Any
    ) -> dict[str, str]:
        bundle = {"image/svg+xml": self.to_svg, "text/plain": self.__repr__}
        wanted = set(include or bundle) - set(exclude or ())
        return {kind: make() for kind, make in bundle.items() if kind in wanted}

    def __repr__(self) -> str:
        count = sum(n.shape != "words" for n in self.picture.nodes)
        return f"<Figure {self.picture.title}: {count} nodes, {len(self.picture.edges)} edges>"


def printable(text: str) -> str:
    """Replace characters that no format can hold (control characters, lone surrogates)."""
    return _UNPRINTABLE.sub("�", text)


def _inches(points: float) -> str:
    return f"{points / POINTS_PER_INCH:.4f}"


def to_dot(picture: Picture, *, tooltips: bool = True, dpi: float | None = None) -> str:
    """Return DOT text of a picture, every node and edge at its place.

    Args:
        picture: what is drawn.
        tooltips: whether to write them (the SVG has better ones).
        dpi: dots per inch of a bitmap.
    """
    graph = graphviz.Digraph(
        name=_named(picture.title),
        graph_attr={
            "bgcolor": palette.PAPER,
            "fontname": palette.FONT,
            "outputorder": "edgesfirst",
            "pad": _inches(MARGIN),
            "splines": "true",
            **({"dpi": f"{dpi:.1f}"} if dpi else {}),
        },
        node_attr={"fixedsize": "true", "fontname": palette.FONT, "margin": "0"},
        edge_attr={
            "fontname": palette.FONT,
            "arrowsize": "0.8",
            "fontsize": str(palette.NOTE_SIZE),
        },
    )
    # `graph.node` and `graph.edge` spend 70 µs each on quoting; the few styles are quoted once.
    graph.body.append(f"\tgraph [_background={_background(picture.patches)}]\n")
    names = {node_id: _quoted(name) for node_id, name in _names(picture).items()}
    graph.body += [
        _statement(names[n.id], _node(n, i, tooltips), _node_style(n.kind, n.shape, n.fill))
        for i, n in enumerate(picture.nodes)
    ]
    graph.body += [_statement(f'"words {i}"', _words(w, i)) for i, w in enumerate(picture.words)]
    graph.body += [
        _statement(
            f"{names[e.source]} -> {names[e.target]}",
            _edge(e, i, tooltips),
            _edge_style(e.kind, e.colour, e.dash, e.width),
        )
        for i, e in enumerate(picture.edges)
    ]
    return graph.source


def _quoted(text: str) -> str:
    """Quote words for DOT, so that it shows any content unchanged; newlines end lines."""
    # Graphviz reads entities in plain labels too, so an ampersand must be one.
    lines = (graphviz.escape(printable(line).replace("&", "&amp;")) for line in text.split("\n"))
    return quote(graphviz.nohtml("\\n".join(lines)))


def _named(title: str) -> str:
    """Return a graph's name, without the characters that have a meaning in DOT."""
    return re.sub(r"[^\w ,.-]", "_", printable(title)) or "picture"


def _statement(subject: str, attributes: Mapping[str, str], style: str = "") -> str:
    """Return one DOT statement; the attributes' values are quoted already."""
    return f"\t{subject} [{' '.join(f'{k}={v}' for k, v in attributes.items())} {style}]\n"


def _names(picture: Picture) -> dict[str, str]:
    """Return names for DOT: the ids, without characters that it interprets (ports, escapes)."""
    names: dict[str, str] = {}
    used: set[str] = set()
    for node in picture.nodes:
        plain = re.sub(r"[^\w\[\],.∂'… -]", "_", node.id)
        name = plain
        while name in used or name.startswith("words "):
            name = f"{plain} {len(used)}"
        used.add(name)
        names[node.id] = name
    return names


@lru_cache(maxsize=4096)
def _node_style(kind: str, shape: Shape, fill: str | None) -> str:
    style = palette.NODES[kind]
    colour = fill or style.fill
    if shape == "words":
        rest = {"fontcolor": palette.SOFT_INK}
    elif shape == "square":
        rest = {"style": "filled", "fillcolor": palette.INK, "color": palette.INK}
    else:
        rounded = "" if shape == "circle" else ",rounded"
        rest = {
            "style": ("" if shape == "frame" else "filled,") + style.dash + rounded,
            **({} if shape == "frame" else {"fillcolor": colour}),
            "color": style.outline,
            "penwidth": f"{style.width:g}",
            "fontcolor": palette.ink_on(colour),
        }
    return _attributes({"class": kind, "shape": SHAPES[shape], **rest})


@lru_cache(maxsize=4096)
def _edge_style(kind: str, colour: str, dash: str, width: float) -> str:
    return _attributes(
        {
            "class": kind,
            "color": colour,
            "fontcolor": colour,
            "style": dash,
            "penwidth": f"{width:.2f}",
        }
    )


def _attributes(attributes: Mapping[str, str]) -> str:
    return " ".join(f"{k}={quote(v)}" for k, v in attributes.items())


def _node(node: Node, number: int, tooltips: bool) -> dict[str, str]:
    attributes = {
        "id": f"n{number}",
        "label": _quoted(node.label),
        "pos": f'"{node.x:.1f},{node.y:.1f}"',
        "width": _inches(node.width),
        "height": _inches(node.height),
        "fontsize": f"{palette.NOTE_SIZE if chr(10) in node.label else palette.LABEL_SIZE:g}",
    }
    if tooltips and node.tooltip:
        attributes["tooltip"] = _quoted("\n".join(node.tooltip))
    return attributes


def _edge(edge: Edge, number: int, tooltips: bool) -> dict[str, str]:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in edge.curve)
    attributes = {"id": f"e{number}", "pos": f'"e,{edge.tip[0]:.1f},{edge.tip[1]:.1f} {points}"'}
    if edge.label and edge.label_at:
        attributes["label"] = _quoted(edge.label)
        attributes["lp"] = f'"{edge.label_at[0]:.1f},{edge.label_at[1]:.1f}"'
    if tooltips and edge.tooltip:
        attributes["tooltip"] = _quoted("\n".join(edge.tooltip))
    return attributes


def _words(words: Words, number: int) -> dict[str, str]:
    shift = {"centre": 0.0, "left": words.width / 2, "right": -words.width / 2}[words.align]
    return {
        "id": f"w{number}",
        "label": _quoted(words.text),
        "pos": f'"{words.x + shift:.1f},{words.y:.1f}"',
        "width": _inches(words.width + 2),
        "height": _inches(words.size + 2),
        "shape": "none",
        "fontsize": f"{words.size:g}",
        "fontcolor": quote(words.colour),
    }


def _background(patches: Iterable[Patch]) -> str:
    """Return filled rectangles in Graphviz's xdot language: they lie below edges and nodes.

    The string is written in pieces, since Graphviz reads at most 16,384 bytes between quotes.
    """
    pieces = [""]
    for p in patches:
        x, y, w, h = p.x, p.y, p.width / 2, p.height / 2
        corners = ((x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h))
        points = " ".join(f"{a:.1f} {b:.1f}" for a, b in corners)
        colour = f"{len(p.fill)} -{p.fill}"
        if len(pieces[-1]) > LONGEST_PIECE:
            pieces.append("")
        pieces[-1] += f"c {colour} C {colour} P 4 {points} "
    return " + ".join(f'"{piece}"' for piece in pieces)


def _with_titles(svg: bytes, picture: Picture) -> str:
    """Give every shape of an SVG its hover title, and the document a name for screen readers."""
    titles: dict[str, str] = {}
    for letter, things in (("n", picture.nodes), ("e", picture.edges)):
        titles |= {f"{letter}{i}": "\n".join(thing.tooltip) for i, thing in enumerate(things)}

    def titled(found: re.Match[str]) -> str:
        head = found[0].partition("<title>")[0]
        title = titles.get(found[1], "")
        return f"{head}<title>{escape(printable(title))}</title>" if title else head

    text = _TITLED.sub(titled, svg.decode("utf-8"))
    name = quoteattr(printable(picture.title or "picture"))
    return _SVG_TAG.sub(lambda m: f'<svg role="img" aria-label={name} {m[1]}>', text, count=1)
