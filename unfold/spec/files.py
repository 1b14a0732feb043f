"""The files and settings around a spec: cells it calls, and what the caller sets in its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from unfold.core.program import Axis
from unfold.errors import SpecError
from unfold.spec.model import Spec
from unfold.spec.problems import fail
from unfold.spec.reader import read_file
from unfold.spec.sections import parse_spec
from unfold.spec.sizes import MAX_EXTENT, MAX_SIZE
from unfold.spec.suggest import did_you_mean, listing

CELLS = Path(__file__).parent.parent / "cells"


def cell_names(spec: Spec) -> list[str]:
    """Return the cells a file may call: those it uses, and those of the package."""
    return [*(u.name for u in spec.uses), *sorted(p.stem for p in CELLS.glob("*.yaml"))]


class CellFiles:
    """Finds cells: those a file names in `use`, then those of the package."""

    def __init__(self) -> None:
        self.loaded: dict[Path, Spec] = {}

    def load(self, name: str, caller: Spec) -> Spec | None:
        """Return the cell a file calls by this name, or None.

        Raises:
            SpecError: the cell's file is missing, is not a cell, or has mistakes of its own.
        """
        use = next((u for u in caller.uses if u.name == name), None)
        path = CELLS / f"{name}.yaml" if use is None else Path(caller.file).parent / use.path
        if path in self.loaded:
            return self.loaded[path]
        if use is None and not path.is_file():
            return None
        shown = str(path) if use is not None else f"unfold/cells/{name}.yaml"
        try:
            text = read_file(str(path))
        except SpecError as error:
            assert use is not None, path
            raise fail(
                f"cannot read the cell file {use.path}",
                use.path_at.location,
                *(d.message for d in error.diagnostics),
                help="the path is relative to this file",
            ) from None
        cell = parse_spec(text, shown)
        if cell.kind != "cell":
            at = use.path_at.location if use is not None else cell.locate("unfold")
            raise fail(
                f"{path.name} is a model, not a cell",
                at,
                help="a cell's file has cell: instead of name:",
            )
        self.loaded[path] = cell
        return cell


def check_overrides(spec: Spec, sizes: Mapping[str, int], axes: Mapping[str, int]) -> None:
    """Check what the caller sets in place of the file's sizes and extents."""
    for kind, given, known in (
        ("size", sizes, [s.name for s in spec.sizes]),
        ("axis", axes, [a.name for a in spec.axes]),
    ):
        section = "sizes" if kind == "size" else "axes"
        for name, value in given.items():
            if name not in known:
                raise fail(
                    f"there is no {kind} {name} to set",
                    spec.locate(section),
                    help=did_you_mean(name, known) or f"there are: {listing(known) or 'none'}",
                )
            limit = MAX_SIZE if kind == "size" else MAX_EXTENT
            if not 1 <= value <= limit:
                raise fail(
                    f"{kind} {name} cannot be {value}",
                    spec.locate(section),
                    help=f"between 1 and {limit}",
                )


def check_extents(spec: Spec, axes: Mapping[str, Axis]) -> None:
    """Check that extents do not depend on one another in a circle."""
    for declaration in spec.axes:
        seen = [declaration.name]
        while True:
            used = [a for a in axes[seen[-1]].extent.axes if a in axes]
            if not used:
                break
            if used[0] in seen:
                raise fail(
                    f"the extent of {declaration.name} depends on itself",
                    declaration.at.location,
                    " -> ".join([*seen, used[0]]),
                    help="give one of them a number",
                )
            seen.append(used[0])
