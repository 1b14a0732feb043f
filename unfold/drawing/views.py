"""The views a person asks for, each as one function.

In: a Program and what to show of it. Out: a `Figure`. Every view goes scheme → sketch → picture.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from unfold.core.program import BATCH, Program
from unfold.drawing import palette
from unfold.drawing.backward import ADJOINT, adjoint_scheme, forward_scheme, with_norms
from unfold.drawing.blocks import Plan, plan_adjoint, plan_blocks
from unfold.drawing.cells import join_cells
from unfold.drawing.finish import finish
from unfold.drawing.fold import fold
from unfold.drawing.legend import notes
from unfold.drawing.options import MOST_STEPS, Options, Section, read_options, styles_of
from unfold.drawing.picture import Picture, Words, joined
from unfold.drawing.render import Figure
from unfold.drawing.scheme import Detail, Scheme, make_scheme
from unfold.drawing.unroll import Unrolling
from unfold.errors import Diagnostic, Location, SpecError, UnsupportedError
from unfold.runs.domain import Domain

Mode = str | tuple[str, float]
Steps = int | Mapping[str, int] | None
DETAILS = ("cell", "node", "op")
DEFAULT_STEPS = 4
NARROW_STEPS = 3
MOST_DRAWN = 25_000  # boxes and edges; that many take a few seconds and 20 MB of SVG
SIDE_GAP = 60.0


def check_options(section: Section | None, program: Program) -> None:
    """Check the `draw` section of a spec as drawing would, without drawing anything.

    Args:
        section: the section, or None where the file has none.
        program: of the spec.

    Raises:
        SpecError: every independent mistake; or more boxes and edges than can be drawn.
    """
    options = read_options(section, program)
    if options.steps_at is not None:
        scheme = _scheme(program, "node", "teacher", options)
        _unrolling(scheme, plan_blocks(scheme, options.columns), program, None, None, options)


def draw_folded(
    program: Program,
    *,
    detail: str = "node",
    mode: Mode = "teacher",
    options: Options | None = None,
) -> Figure:
    """Draw the circuit diagram, a delay being a black square on its edge with its length beside it.

    Args:
        program: any Program.
        detail: "cell", "node" (named equations) or "op".
        mode: which branch of a `feedback` is drawn: "teacher", "free", or ("scheduled", p) for
            both.
        options: the `draw` section of the spec.
    """
    options = options or Options()
    scheme, styles = _scheme(program, detail, mode, options), _styles(options, program)
    return Figure(finish(fold(scheme, program.name, styles, options.rows, options.direction)))


def draw_unfolded(
    program: Program,
    *,
    steps: Steps = None,
    extents: Mapping[str, int] | None = None,
    detail: str = "node",
    mode: Mode = "teacher",
    options: Options | None = None,
    run: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw the unfolded graph: columns are steps, rows are values, one colour per shared parameter.

    Args:
        program: any Program.
        steps: how many points of an axis to draw, for all axes or by name; longer axes are elided.
            Work is
            proportional to what is drawn, whatever the extents are.
        extents: number of points of each axis; the default is the spec's.
        detail: "cell", "node" (named equations) or "op".
        mode: as in `draw_folded`.
        options: the `draw` section of the spec.
        run: arrays by value, [batch, *axes, *shape], whose ranges are shown on hovering.

    Raises:
        DataError: extents that do not fit the Program.
    """
    options = options or Options()
    scheme = _scheme(program, detail, mode, options)
    plan = plan_blocks(scheme, options.columns)
    unrolling = _unrolling(scheme, plan, program, steps, extents, options, run)
    return Figure(finish(unrolling.sketch(program.name, _styles(options, program), options.rows)))


def draw_backward(
    adjoint: Program,
    *,
    steps: Steps = None,
    extents: Mapping[str, int] | None = None,
    detail: str = "node",
    options: Options | None = None,
    parameters: bool = False,
) -> Figure:
    """Draw the adjoint Program unfolded: gradients flow from the loss down and back in time.

    Args:
        adjoint: a differentiated Program.
        steps: as in `draw_unfolded`; likewise `extents`, `detail` and `options`.
        parameters: whether to draw the gradients of parameters, which sum over the steps.
    """
    options = options or Options()
    if not adjoint.depth:
        raise UnsupportedError("a backward picture needs a differentiated Program")
    whole = make_scheme(adjoint, detail=_level(detail), hide=options.hide, labels=options.labels)
    scheme, forward = (
        _at_level(part, detail, options)
        for part in (adjoint_scheme(whole, parameters), forward_scheme(whole))
    )
    plan = plan_adjoint(plan_blocks(forward, options.columns), scheme, ADJOINT)
    unrolling = _unrolling(scheme, plan, adjoint, steps, extents, options)
    title = f"{adjoint.name}, backward"
    return Figure(finish(unrolling.sketch(title, _styles(options, adjoint))))


def draw_gradients(
    program: Program,
    norms: Mapping[str, Any],
    *,
    steps: Steps = None,
    extents: Mapping[str, int] | None = None,
    detail: str = "node",
    mode: Mode = "teacher",
    options: Options | None = None,
) -> Figure:
    """Draw gradient norms as colour and width over the forward picture, on a logarithmic scale.

    Args:
        program: any Program.
        norms: for each value, the norm of the loss's gradient at every index point, [*axes].
        steps: as in `draw_unfolded`; likewise `extents`, `detail`, `mode` and `options`.
    """
    options = options or Options()
    scheme = _scheme(program, detail, mode, options)
    plan = plan_blocks(scheme, options.columns)
    unrolling = _unrolling(scheme, plan, program, steps, extents, options)
    title = f"{program.name}, gradient norms"
    sketch = unrolling.sketch(title, _styles(options, program), options.rows)
    picture = finish(replace(sketch, legend=tuple(notes(scheme, ()))))  # colours are norms
    return Figure(with_norms(picture, norms, unrolling.places))


def draw_modes(
    program: Program,
    *,
    modes: tuple[Mode, Mode] = ("teacher", "free"),
    steps: Steps = None,
    extents: Mapping[str, int] | None = None,
    detail: str = "node",
    options: Options | None = None,
) -> Figure:
    """Draw two modes side by side, such as training (teacher forcing) and use (free running).

    Args:
        program: a Program, with `feedback` for the two to differ.
        modes: left and right.
        steps: as in `draw_unfolded`; likewise `extents`, `detail` and `options`.
    """
    if steps is None and not (options and (options.every or options.steps)):
        steps = NARROW_STEPS
    left, right = (
        draw_unfolded(program, steps=steps, extents=extents, detail=detail, mode=m, options=options)
        for m in modes
    )
    return draw_compare(left, right, (_mode_title(modes[0]), _mode_title(modes[1])))


def draw_compare(left: Figure, right: Figure, titles: tuple[str, str]) -> Figure:
    """Put two figures side by side, each below its title."""
    pictures = [figure.picture for figure in (left, right)]
    boxes = [p.box for p in pictures]
    base = max(b[3] for b in boxes)
    moved: list[Picture] = []
    x = 0.0
    for number, (picture, box, title) in enumerate(zip(pictures, boxes, titles, strict=True)):
        heading = Words(
            text=title, x=(box[0] + box[2]) / 2, y=box[3] + 26.0, size=palette.TITLE_SIZE,
            colour=palette.INK,
        )  # fmt: skip
        titled = replace(picture, words=(*picture.words, heading))
        moved.append(titled.shifted(x - box[0], base - box[3], prefix=f"{number}:"))
        x += box[2] - box[0] + SIDE_GAP
    return Figure(joined(" and ".join(titles), moved))


def _styles(options: Options, program: Program) -> palette.Styles:
    return options.styles if options.styles.names else styles_of(program, options.colours)


def _mode_title(mode: Mode) -> str:
    names = {"teacher": "training (teacher forcing)", "free": "use (free running)"}
    return names.get(mode, str(mode)) if isinstance(mode, str) else f"{mode[0]}, p = {mode[1]:g}"


def _scheme(program: Program, detail: str, mode: Mode, options: Options) -> Scheme:
    kind = mode if isinstance(mode, str) else mode[0]
    level = _level(detail)
    found = make_scheme(program, detail=level, mode=kind, hide=options.hide, labels=options.labels)
    return _at_level(found, detail, options)


def _level(detail: str) -> Detail:
    """Return the level of detail that is contracted to another one, or is that itself."""
    if detail not in DETAILS:
        raise UnsupportedError(f"unknown level of detail {detail!r}; choose {', '.join(DETAILS)}")
    return "op" if detail == "op" else "node"


def _at_level(scheme: Scheme, detail: str, options: Options) -> Scheme:
    return join_cells(scheme, options.labels) if detail == "cell" else scheme


def _unrolling(
    scheme: Scheme,
    plan: Plan,
    program: Program,
    steps: Steps,
    extents: Mapping[str, int] | None,
    options: Options,
    run: Mapping[str, Any] | None = None,
) -> Unrolling:
    """Return the unfolding of a scheme, not drawn yet.

    Raises:
        SpecError: there would be too many boxes and edges at the spec's own `draw.steps`.
        UnsupportedError: the same at other steps.
    """
    known = Domain(program, dict(extents or {})).extents
    inner = {a: n for a, n in known.items() if a != BATCH}
    every = steps if isinstance(steps, int) else options.every
    named = {**options.steps, **(steps if isinstance(steps, Mapping) else {})}
    if isinstance(steps, int):
        named = {}

    def unrolling(most: int) -> Unrolling:
        counts = {a: max(1, min(most, named.get(a, every or DEFAULT_STEPS))) for a in known}
        return Unrolling(scheme, inner, counts, plan, run, zeros=options.zeros == "shown")

    found = unrolling(MOST_STEPS)
    if (size := found.count()) <= MOST_DRAWN:
        return found
    fits = [n for n in range(1, MOST_STEPS) if n < max(inner.values())]
    most = bisect_right(fits, MOST_DRAWN, key=lambda n: unrolling(n).count())
    if most and not named and every is None:  # nobody asked for so many
        return unrolling(most)
    raise _too_large(size, most, inner, options.steps_at if steps is None else None)


def _too_large(
    size: int, most: int, extents: Mapping[str, int], place: Location | None
) -> UnsupportedError | SpecError:
    """Say how large a picture would be, and which steps make it small enough."""
    told = (
        f"the unfolded picture would have up to {size:,} boxes and edges;"
        f" at most {MOST_DRAWN:,} can be drawn"
    )
    steps = ", ".join(f"{a}: {min(n, most)}" for a, n in extents.items())
    help = f"draw fewer steps, as in  steps: {{{steps}}}" if most else "hide some equations"
    if place is None:
        return UnsupportedError(f"{told}; {help}")
    return SpecError(Diagnostic(told, place, help=help))
