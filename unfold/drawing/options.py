"""What the user wants of pictures: the section `draw` of a spec, and the lines of its parameters.

In: the section, which `unfold.settings.draw` checks, and the Program whose names it has. Out:
`Options`, with defaults for what the section does not say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from unfold.core.program import BATCH, Program
from unfold.drawing.palette import Styles
from unfold.errors import Location
from unfold.spec.file.model import Section


@dataclass(frozen=True)
class Options:
    """What the user wants; fields as in `unfold.settings.draw`.

    Attributes:
        every: the number of steps of axes that `steps` does not name, or None for the default.
        steps_at: where `steps` is written, if it is.
        styles: the lines of all parameters of the spec, in every picture of it.
    """

    steps: Mapping[str, int] = field(default_factory=dict)
    every: int | None = None
    steps_at: Location | None = None
    rows: tuple[tuple[str, ...], ...] = ()
    columns: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    colours: Mapping[str, str] = field(default_factory=dict)
    hide: tuple[str, ...] = ()
    direction: Literal["up", "right"] = "up"
    zeros: Literal["shown", "hidden"] = "shown"
    styles: Styles = field(default_factory=Styles)


def read_options(section: Section | None, program: Program) -> Options:
    """Check the `draw` section of a spec.

    Args:
        section: the section, or None where the file has none.
        program: whose names it speaks about.

    Raises:
        SpecError: every independent mistake, each with its place.
    """
    options = Options() if section is None else _read(section, program)
    return replace(options, styles=styles_of(program, options.colours))


def _read(section: Section, program: Program) -> Options:
    from unfold.settings.draw import AXIS, BOX, PARAMETER, read_draw

    named = [v for v in program if v.is_named and not v.is_constant]
    boxes = [v.name for v in named if not v.is_parameter]
    known = {
        AXIS: [a for a in program.axes if a != BATCH],
        BOX: boxes + [n.rpartition(".")[0] for n in boxes if "." in n],
        PARAMETER: [v.name for v in named if v.is_parameter],
    }
    found = read_draw(section, known)
    return Options(
        steps=found.steps if isinstance(found.steps, Mapping) else {},
        every=found.steps if isinstance(found.steps, int) else None,
        steps_at=section.locate(("steps",)) if "steps" in section.tree else None,
        rows=found.rows,
        columns=found.columns,
        labels=found.labels or {},
        colours=found.colours or {},
        hide=found.hide,
        direction=found.direction,
        zeros=found.zeros,
    )


def styles_of(program: Program, chosen: Mapping[str, str]) -> Styles:
    """Return the lines of a spec's parameters, matrices before vectors.

    Args:
        program: of the spec.
        chosen: colours that the user gave to parameters.
    """
    ordered = sorted(program.parameters, key=lambda v: len(v.type.shape) < 2)
    indexed = [v.name for v in ordered if v.axes]
    return Styles([v.name for v in ordered], chosen, indexed)
