"""The `draw` section of a spec: what the user wants of pictures, checked.

    draw:
      steps: {t: 4}              # how many index points of an axis to draw (or one number for all)
      rows: [x, h, [o, y]]       # boxes from the bottom to the top of an unfolded picture
      columns: t                 # the axis (or axes) across the page
      labels: {h: hidden}        # what boxes are called
      colours: {W: "#0072B2"}    # of parameters
      hide: [choice]             # equations that are not drawn; what reads them reads through them
      direction: right           # of a folded picture: up (default) or right
      zeros: hidden              # the zeros outside of the domain: shown (default) or hidden

In: the section's plain values and where each of them is in the file. Out: `Options`, or one
`SpecError` with a diagnostic for each independent mistake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Literal, Protocol

from unfold.core.program import BATCH, Program
from unfold.drawing.palette import Styles
from unfold.errors import Diagnostic, Location, SpecError

KeyPath = tuple[str | int, ...]
KEYS = ("steps", "rows", "columns", "labels", "colours", "hide", "direction", "zeros")
MOST_STEPS = 10_000
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


class Section(Protocol):
    """The section of a spec file, as the front end gives it."""

    @property
    def tree(self) -> Mapping[str, Any]:
        """The values."""
        ...

    @property
    def locate(self) -> Callable[[KeyPath], Location]:
        """From a path of keys and positions to the place of that value."""
        ...

    @property
    def locate_key(self) -> Callable[[KeyPath], Location]:
        """The same for the key rather than its value."""
        ...


@dataclass(frozen=True)
class Options:
    """What the user wants; fields as in the module's example.

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
    options = Options() if section is None else _Reader(section, program).read()
    return replace(options, styles=styles_of(program, options.colours))


def styles_of(program: Program, chosen: Mapping[str, str]) -> Styles:
    """Return the lines of a spec's parameters, matrices before vectors.

    Args:
        program: of the spec.
        chosen: colours that the user gave to parameters.
    """
    ordered = sorted(program.parameters, key=lambda v: len(v.type.shape) < 2)
    indexed = [v.name for v in ordered if v.axes]
    return Styles([v.name for v in ordered], chosen, indexed)


class _Reader:
    """Reads one section and collects what is wrong with it."""

    def __init__(self, section: Section, program: Program) -> None:
        self.section = section
        self.problems: list[Diagnostic] = []
        self.axes = [a for a in program.axes if a != BATCH]
        named = [v for v in program if v.is_named and not v.is_constant]
        self.parameters = [v.name for v in named if v.is_parameter]
        self.boxes = [v.name for v in named if not v.is_parameter]
        self.boxes += [n.rpartition(".")[0] for n in self.boxes if "." in n]

    def read(self) -> Options:
        tree = self.section.tree
        for key in tree:
            if key not in KEYS:
                self._unknown(
                    f"draw has no key {key!r}", key, KEYS, self.section.locate_key((key,))
                )
        steps, every = self._steps(tree.get("steps"))
        options = Options(
            steps=steps,
            every=every,
            steps_at=self.section.locate(("steps",)) if "steps" in tree else None,
            rows=tuple(self._row(i, row) for i, row in enumerate(self._list(tree, "rows"))),
            columns=tuple(
                self._name(c, self.axes, "axis", ("columns", i))
                for i, c in enumerate(self._list(tree, "columns"))
            ),
            labels=self._texts(tree.get("labels"), "labels", self.boxes, "equation or input"),
            colours=self._colours(tree.get("colours")),
            hide=tuple(
                self._name(n, self.boxes, "equation or input", ("hide", i))
                for i, n in enumerate(self._list(tree, "hide"))
            ),
            direction=self._choice(tree, "direction", ("up", "right")),
            zeros=self._choice(tree, "zeros", ("shown", "hidden")),
        )
        if self.problems:
            raise SpecError(*self.problems)
        return options

    def _problem(self, message: str, path: KeyPath, help: str | None = None) -> None:
        self.problems.append(Diagnostic(message, self.section.locate(path), (), help))

    def _unknown(self, message: str, name: str, known: Iterable[str], at: Location) -> None:
        known = list(dict.fromkeys(known))
        close = get_close_matches(str(name)[:60], known, n=1)
        shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
        help = f"did you mean {close[0]}?" if close else f"choose from {shown}"
        self.problems.append(Diagnostic(message, at, (), help))

    def _name(self, name: Any, known: list[str], kind: str, path: KeyPath) -> str:
        if not isinstance(name, str):
            self._problem(f"expected the name of an {kind}, found {_kind(name)}", path)
            return ""
        if name not in known:
            self._unknown(f"there is no {kind} {name!r}", name, known, self.section.locate(path))
        return name

    def _list(self, tree: Mapping[str, Any], key: str) -> list[Any]:
        found = tree.get(key, [])
        return found if isinstance(found, list) else [found]

    def _row(self, position: int, row: Any) -> tuple[str, ...]:
        names = row if isinstance(row, list) else [row]
        paths = [
            ("rows", position, i) if isinstance(row, list) else ("rows", position)
            for i in range(len(names))
        ]
        return tuple(
            self._name(n, self.boxes, "equation or input", path)
            for n, path in zip(names, paths, strict=True)
        )

    def _steps(self, steps: Any) -> tuple[dict[str, int], int | None]:
        if steps is None:
            return {}, None
        if not isinstance(steps, dict):
            return {}, self._count(steps, ("steps",))
        found: dict[str, int] = {}
        for axis, number in steps.items():
            if axis not in self.axes:
                self._unknown(
                    f"there is no axis {axis!r}",
                    axis,
                    self.axes,
                    self.section.locate_key(("steps", axis)),
                )
            else:
                found[axis] = self._count(number, ("steps", axis))
        return found, None

    def _count(self, number: Any, path: KeyPath) -> int:
        if isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= MOST_STEPS:
            return number
        self._problem(f"expected a number of steps from 1 to {MOST_STEPS}, found {number!r}", path)
        return 1

    def _texts(self, texts: Any, key: str, known: list[str], kind: str) -> dict[str, str]:
        if texts is None:
            return {}
        if not isinstance(texts, dict):
            self._problem(f"{key} must be a mapping from names to texts", (key,))
            return {}
        for name in texts:
            if name not in known:
                at = self.section.locate_key((key, name))
                self._unknown(f"there is no {kind} {name!r}", name, known, at)
        wrong = {k: v for k, v in texts.items() if isinstance(v, dict | list | None)}
        for name, found in wrong.items():
            self._problem(f"expected a text, found {_kind(found)}", (key, name))
        return {str(k): str(v) for k, v in texts.items() if k not in wrong}

    def _colours(self, colours: Any) -> dict[str, str]:
        found = self._texts(colours, "colours", self.parameters, "parameter")
        for name, colour in found.items():
            if not COLOUR.fullmatch(colour):
                self._problem(
                    f"expected a colour, found {colour!r}",
                    ("colours", name),
                    'write it as "#0072B2"',
                )
        return found

    def _choice(self, tree: Mapping[str, Any], key: str, choices: tuple[str, str]) -> Any:
        """Return one of two words; the first is the default."""
        found = tree.get(key, choices[0])
        if found not in choices:
            self._problem(f"{key} must be {choices[0]} or {choices[1]}, found {found!r}", (key,))
            return choices[0]
        return found


def _kind(value: Any) -> str:
    """Say what stands in place of a name or a text."""
    kinds = {dict: "a mapping", list: "a list", type(None): "nothing"}
    return kinds.get(type(value), repr(value))
