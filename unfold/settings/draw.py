"""The section `draw`: what pictures show.

draw:
  steps: {t: 4}              # how many index points of an axis to draw (or one number for all)
  rows: [x, h, [o, y]]       # boxes from the bottom to the top of an unfolded picture
  columns: t                 # the axis (or axes) across the page
  labels: {h: hidden}        # what boxes are called
  colours: {W: "#0072B2"}    # of parameters
  hide: [choice]             # equations that are not drawn; what reads them reads through them
  direction: right           # of a folded picture: up (default) or right
  zeros: hidden              # the zeros outside of the domain: shown (default) or hidden

Names are those of the spec, which the reader is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from unfold.settings import MOST_STEPS
from unfold.settings.model import Expected, Forms, Known, Settings
from unfold.settings.read import read
from unfold.spec.file.model import Section

AXIS, BOX, PARAMETER = "axis", "equation or input", "parameter"


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


def _rows(value: Any) -> tuple[tuple[str, ...], ...]:
    return tuple(value) if isinstance(value, list) else ((value,),)


Axis = Annotated[str, Expected("the name of an axis"), Known(AXIS)]
Box = Annotated[str, Expected("the name of an equation or input"), Known(BOX)]
Axes = Annotated[
    tuple[str, ...],
    Forms("an axis, or a list of axes", Axis | list[Axis]),
    AfterValidator(_tuple),
]
Boxes = Annotated[
    tuple[str, ...],
    Forms("an equation or input, or a list of them", Box | list[Box]),
    AfterValidator(_tuple),
]
Rows = Annotated[
    tuple[tuple[str, ...], ...],
    Forms("a list of equations and inputs, or of lists of them", Box | list[Boxes]),
    AfterValidator(_rows),
]
Steps = Annotated[
    int, Field(ge=1, le=MOST_STEPS), Expected(f"a number of steps from 1 to {MOST_STEPS}")
]
Label = Annotated[str, Forms("a text", str | int | float | bool), AfterValidator(str)]
Colour = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$"), Expected('a colour such as "#0072B2"')]


class DrawSettings(Settings):
    """How a spec is drawn.

    Attributes:
        steps: how many points of an axis to draw, for all axes or by name.
        rows: boxes from the bottom to the top of an unfolded picture.
        columns: the axes across the page.
        labels: what boxes are called.
        colours: of parameters.
        hide: equations that are not drawn; what reads them reads through them.
        direction: of a folded picture.
        zeros: whether the zeros outside of the domain are drawn.
    """

    steps: (
        Annotated[
            Steps | dict[Axis, Steps],
            Forms(f"a number of steps from 1 to {MOST_STEPS}, or {{axis: steps}}"),
        ]
        | None
    ) = None
    rows: Rows = ()
    columns: Axes = ()
    labels: dict[Box, Label] | None = None
    colours: dict[Annotated[str, Known(PARAMETER)], Colour] | None = None
    hide: Boxes = ()
    direction: Literal["up", "right"] = "up"
    zeros: Literal["shown", "hidden"] = "shown"


def read_draw(section: Section, known: Mapping[str, Iterable[str]]) -> DrawSettings:
    """Check the section; raises `SpecError` with a diagnostic for every mistake.

    Arguments:
        section: what the file says.
        known: the names of axes, boxes and parameters.
    """
    return read(DrawSettings, "draw", section, known)
