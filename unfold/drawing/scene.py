"""The task of a view, and the steps that all views share.

In: a Program, the parts to show, and on demand its adjoint, a run, norms of gradients. Out, from a
view (`unfold.drawing.views`): a `Figure`. Every view goes scheme → sketch → picture.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from unfold.core.program import BATCH, Program
from unfold.drawing import palette
from unfold.drawing.blocks import Plan, plan_blocks
from unfold.drawing.cells import join_cells
from unfold.drawing.options import Options, read_options, styles_of
from unfold.drawing.render import Figure
from unfold.drawing.scheme import Detail, Scheme, make_scheme
from unfold.drawing.unroll import Unrolling
from unfold.errors import Diagnostic, Location, SpecError, UnsupportedError
from unfold.runs.domain import Domain
from unfold.settings import MOST_STEPS
from unfold.spec.file.model import Section

Mode = str | tuple[str, float]
Steps = int | Mapping[str, int] | None
Run = Mapping[str, Any] | None
DETAILS = ("cell", "node", "op")
DEFAULT_STEPS = 4
MOST_DRAWN = 25_000  # boxes and edges; this number takes a few seconds and 20 MB of SVG


def _missing() -> Any:
    raise UnsupportedError("this scene has no model; draw it with `Model.draw`")


@dataclass(frozen=True)
class Scene:
    """The content and the options of a picture.

    Attributes:
        program: any Program.
        steps: how many points of an axis to draw, for all axes or by name; longer axes are elided.
            The work is proportional to the drawn part, not to the extents.
        extents: number of points of each axis; the default is the spec's.
        detail: "cell", "node" (named equations) or "op".
        mode: which branch of a `feedback` is drawn: "teacher", "free", or ("scheduled", p) for
            both.
        options: the `draw` section of the spec.
        run: arrays by value, [batch, *axes, *shape], whose ranges are shown on hovering.
        adjoint: returns the differentiated Program.
        norms: returns, for each value, the norm of the loss's gradient at every index point,
            [*axes].
    """

    program: Program
    steps: Steps = None
    extents: Mapping[str, int] = field(default_factory=dict[str, int])
    detail: str = "node"
    mode: Mode = "teacher"
    options: Options = field(default_factory=Options)
    run: Run = None
    adjoint: Callable[[], Program] = _missing
    norms: Callable[[], Mapping[str, Any]] = _missing

    @property
    def styles(self) -> palette.Styles:
        """One colour per parameter, the same in all views."""
        given = self.options.styles
        return given if given.names else styles_of(self.program, self.options.colours)

    @property
    def level(self) -> Detail:
        """The level of detail that is contracted to the requested one, or equals it."""
        if self.detail not in DETAILS:
            message = f"unknown level of detail {self.detail!r}; choose {', '.join(DETAILS)}"
            raise UnsupportedError(message)
        return "op" if self.detail == "op" else "node"

    def whole_scheme(self, program: Program) -> Scheme:
        """Return the boxes and lines of a Program, before cells are joined."""
        kind = self.mode if isinstance(self.mode, str) else self.mode[0]
        hide, labels = self.options.hide, self.options.labels
        return make_scheme(program, detail=self.level, mode=kind, hide=hide, labels=labels)

    def joined(self, scheme: Scheme) -> Scheme:
        """Return a scheme at the requested level of detail."""
        return join_cells(scheme, self.options.labels) if self.detail == "cell" else scheme

    def scheme(self) -> Scheme:
        """Return the boxes and lines to draw of the Program."""
        return self.joined(self.whole_scheme(self.program))

    def unrolled(self, run: Run = None) -> Unrolling:
        """Return the Program unfolded; see `unrolling`."""
        scheme = self.scheme()
        return self.unrolling(scheme, plan_blocks(scheme, self.options.columns), run)

    def unrolling(self, scheme: Scheme, plan: Plan, run: Run = None) -> Unrolling:
        """Return the unfolding of a scheme, not drawn yet.

        Args:
            scheme: of the Program, or of a part of its adjoint.
            plan: where its boxes are placed.
            run: whose ranges are shown on hovering.

        Raises:
            DataError: extents that do not fit the Program.
            SpecError: there would be too many boxes and edges at the spec's own `draw.steps`.
            UnsupportedError: the same at other steps.
        """
        options, steps = self.options, self.steps
        known = Domain(scheme.program, dict(self.extents)).extents
        inner = {a: n for a, n in known.items() if a != BATCH}
        every = steps if isinstance(steps, int) else options.every
        named = {**options.steps, **(steps if isinstance(steps, Mapping) else {})}
        if isinstance(steps, int):
            named = {}

        def at_most(most: int) -> Unrolling:
            counts = {a: max(1, min(most, named.get(a, every or DEFAULT_STEPS))) for a in known}
            zeros = options.zeros == "shown"
            return Unrolling(scheme, inner, counts, plan, run, zeros=zeros)

        found = at_most(MOST_STEPS)
        if (size := found.count()) <= MOST_DRAWN:
            return found
        fits = [n for n in range(1, MOST_STEPS) if n < max(inner.values())]
        most = bisect_right(fits, MOST_DRAWN, key=lambda n: at_most(n).count())
        if most and not named and every is None:  # nobody requested so many
            return at_most(most)
        raise _too_large(size, most, inner, options.steps_at if steps is None else None)


@dataclass(frozen=True)
class View:
    """A way to draw a scene.

    Attributes:
        draw: the function that does it.
        values: whether it shows numbers, so that parameters and inputs are needed.
    """

    draw: Callable[[Scene], Figure]
    values: bool = False


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
        Scene(program, options=options).unrolled()


def _too_large(
    size: int, most: int, extents: Mapping[str, int], place: Location | None
) -> UnsupportedError | SpecError:
    """Tell the size of a picture, and the steps that would make it small enough."""
    told = (
        f"the unfolded picture would have up to {size:,} boxes and edges;"
        f" at most {MOST_DRAWN:,} can be drawn"
    )
    steps = ", ".join(f"{a}: {min(n, most)}" for a, n in extents.items())
    help = f"draw fewer steps, as in  steps: {{{steps}}}" if most else "hide some equations"
    if place is None:
        return UnsupportedError(f"{told}; {help}")
    return SpecError(Diagnostic(told, place, help=help))
