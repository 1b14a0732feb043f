"""Linked pictures with what a run computed: the block that a page is about.

In: a Program, its finished pictures, the unfolded one first, and what `observe` found. Out: a
`Graph`.

    make_graph(program, {"unfolded": unfolded.picture, "folded": folded.picture}, observed)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unfold.core.program import Program
from unfold.drawing import palette
from unfold.drawing.picture import Picture
from unfold.drawing.scheme import parameters_of
from unfold.page.document import Drawing, Graph, Named, Points
from unfold.page.drawing import Shared, drawn
from unfold.page.observe import Observed
from unfold.page.points import features, points_of
from unfold.page.steps import backward_steps, forward_steps
from unfold.passes.differentiate import adjoint_name

MOST_NUMBERS = 60_000
"""Features of first sequences on a page; each takes about seven bytes."""
WITHOUT_GRADIENT = ("boundary", "target")


def make_graph(
    program: Program,
    pictures: Mapping[str, Picture],
    observed: Observed | None = None,
    *,
    symbols: Mapping[str, Sequence[str]] | None = None,
    about: str = "",
) -> Graph:
    """Return linked pictures.

    Args:
        program: of the spec.
        pictures: by title; the first is unfolded.
        observed: the numbers of a run.
        symbols: names of classes, by input.
        about: what the numbers were computed from.
    """
    shared = Shared({adjoint_name(n): n for n in program.values})
    drawings = [drawn(picture, title, shared) for title, picture in pictures.items()]
    lead = next(iter(pictures.values()))
    shown = [n for n in lead.nodes if n.label or n.shape != "words"]
    forward = forward_steps(lead)
    backward = _backward(program, lead)
    kinds = _kinds(drawings)
    return Graph(
        pictures=drawings,
        names=shared.names,
        values=[
            _named(program, n, kinds.get(i, "node"), (symbols or {}).get(n, ()))
            for i, n in enumerate(shared.names)
        ],
        points=_points(shared, drawings, observed) if observed else {},
        forward=[forward.get(n.id, -1) for n in shown],
        backward=[backward.get(n.id, -1) for n in shown],
        lines=shared.lines,
        fills=shared.fills,
        scale=palette.NORM_SCALE,
        about=about,
    )


def _backward(program: Program, picture: Picture) -> dict[str, int]:
    """Return the steps of gradients, by node."""
    losses = [n.id for n in picture.nodes if any(m[0] == program.loss for m in n.members)]
    excluded = {n.id for n in picture.nodes if n.kind in WITHOUT_GRADIENT}
    for node in picture.nodes:
        values = [program[m[0]] for m in node.members if m[0] in program.values]
        if values and all(v.type.kind != "real" for v in values):
            excluded.add(node.id)
    return backward_steps(picture, losses, excluded)


def _kinds(drawings: Sequence[Drawing]) -> dict[int, str]:
    """Return the kind of the first node that shows each value."""
    found: dict[int, str] = {}
    for drawing in drawings:
        for kind, members in zip(drawing.kind.at, drawing.members, strict=True):
            for member in members:
                found.setdefault(member[0], drawing.kind.texts[kind])
    return found


def _named(program: Program, name: str, kind: str, symbols: Sequence[str]) -> Named:
    if name not in program.values:
        return Named("", "", kind)
    value = program[name]
    written = value.at.source.strip() if value.at else ""
    named = frozenset(v.name for v in program if v.is_named and not v.is_given)
    parameters = parameters_of(program, value, named)
    return Named(written, value.type.show(), kind, parameters, symbols)


def _points(shared: Shared, drawings: Sequence[Drawing], observed: Observed) -> dict[int, Points]:
    """Return the numbers at all points that any picture shows."""
    at: dict[int, dict[tuple[int, ...], None]] = {}
    for drawing in drawings:
        for members in drawing.members:
            for number, *point in members:
                name = shared.names[number]
                if len(point) == len(observed.axes.get(name, (None,))):
                    at.setdefault(number, {})[tuple(point)] = None
    found: dict[int, Points] = {}
    left = MOST_NUMBERS
    for number, own in at.items():
        name = shared.names[number]
        if name not in observed.values:
            continue
        array, inside = observed.values[name], observed.inside[name]
        points = [p for p in own if all(i < n for i, n in zip(p, inside.shape[1:], strict=True))]
        count = len(points) * features(array, len(observed.axes[name]))
        fits = count <= left
        left -= count if fits else 0
        norms = observed.norms.get(name)
        found[number] = points_of(points, array, inside, norms, first=fits)
    return found
