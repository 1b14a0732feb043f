"""The files and settings around a spec: cells it calls, and values that the caller overrides."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from unfold.core.affine import Affine
from unfold.core.program import Axis
from unfold.errors import SpecError
from unfold.spec.file.model import AxisDeclaration, Spec, Use
from unfold.spec.file.sections import parse_spec
from unfold.spec.meaning.operators import is_operator
from unfold.spec.meaning.sizes import MAX_EXTENT, MAX_SIZE
from unfold.spec.text.problems import Problems, already_reported, fail
from unfold.spec.text.reader import read_file
from unfold.spec.text.suggest import closest, did_you_mean, listing, shortened

CELLS = Path(__file__).parents[2] / "cells"
MAX_AXES = 64


def cell_names(spec: Spec) -> list[str]:
    """Return the cells a file may call: those it uses, and those of the package."""
    return [*(u.name for u in spec.uses), *sorted(p.stem for p in CELLS.glob("*.yaml"))]


class CellFiles:
    """Finds cells: those a file names in `use`, then those of the package."""

    def __init__(self) -> None:
        self.loaded: dict[Path, Spec] = {}
        self.failed: set[Path] = set()

    def load(self, name: str, caller: Spec) -> Spec | None:
        """Return the cell a file calls by this name, or None.

        Raises:
            SpecError: the cell's file is missing, is not a cell, or has mistakes of its own.
        """
        if is_operator(name):
            return None
        use = next((u for u in caller.uses if u.name == name), None)
        path = CELLS / f"{name}.yaml" if use is None else Path(caller.file).parent / use.path
        if path in self.loaded:
            return self.loaded[path]
        if use is None and not path.is_file():
            return None
        if path in self.failed:
            raise already_reported()
        self.failed.add(path)
        if use is None:
            cell = parse_spec(read_file(str(path)), f"unfold/cells/{name}.yaml")
        else:
            cell = parse_spec(_text(use, path), str(path))
        if cell.kind != "cell":
            at = use.path_at.location if use is not None else cell.locate("unfold")
            raise fail(
                f"{path.name} is a model, not a cell",
                at,
                help="a cell file has cell: instead of name:",
            )
        self.failed.remove(path)
        self.loaded[path] = cell
        return cell


def _text(use: Use, path: Path) -> str:
    """Return the text of a cell's file that a spec names."""
    try:
        if path.exists() and not path.is_file():
            raise fail("it is not a file", use.path_at.location)
        return read_file(str(path))
    except (SpecError, ValueError, OSError) as error:
        found = "this is not a file path"
        if isinstance(error, SpecError):
            found = error.diagnostics[0].message
        elif isinstance(error, OSError):
            found = (error.strerror or str(error)).lower()
        with suppress(OSError, ValueError):
            if not path.exists():
                found = "there is no such file"
        raise fail(
            f"cannot read the cell file {shortened(use.path)}: {found.removeprefix(f'{path}: ')}",
            use.path_at.location,
            help=_other_file(use, path) or "the path is relative to the file that contains use",
        ) from None


def _other_file(use: Use, path: Path) -> str | None:
    """Ask whether a file beside the missing one was meant."""
    with suppress(OSError, ValueError):
        near = [p.name for p in path.parent.glob("*.y*ml")]
        found = closest(path.name, [n for n in near if n != path.name])
        return f"did you mean {Path(use.path).with_name(found)}?" if found else None
    return None


def check_overrides(spec: Spec, sizes: Mapping[str, int], axes: Mapping[str, int]) -> None:
    """Check the sizes and extents with which the caller overrides those of the file."""
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


def check_extents(spec: Spec, axes: Mapping[str, Axis], problems: Problems) -> bool:
    """Check that extents have no circular dependence, and leave every axis at least one point.

    Returns:
        whether they are all right.
    """
    before = problems.count
    known: dict[str, int | None] = {}
    for declaration in spec.axes:
        if len(known) >= MAX_AXES:
            problems.add(
                f"this file has more than {MAX_AXES} axes",
                declaration.at.location,
                help="let similar values share an axis",
            )
            return False
        with problems.collect():
            _default(declaration, spec, axes, known, ())
    return problems.count == before


def _default(
    declaration: AxisDeclaration,
    spec: Spec,
    axes: Mapping[str, Axis],
    known: dict[str, int | None],
    waiting: tuple[str, ...],
) -> int | None:
    """Return an axis's default extent, or None if only the data decides or it is mistaken."""
    name = declaration.name
    if name in waiting:
        circle = [*waiting[waiting.index(name) :], name]
        known.update(dict.fromkeys(circle, None))
        raise fail(
            f"the extent of {name} depends on itself",
            declaration.at.location,
            " -> ".join(circle),
            help="give one of them a number",
        )
    if name in known:
        return known[name]
    extent = axes[name].extent
    own = set(extent.axes)
    parents = [d for d in spec.axes if d.name in own]
    found = [_default(d, spec, axes, known, (*waiting, name)) for d in parents]
    if name in known or (declaration.extent is None and extent.constant == 1) or None in found:
        return known.setdefault(name, None)
    sizes = {d.name: n for d, n in zip(parents, found, strict=True) if n is not None}
    value = int(extent.evaluate(sizes, {})[0])
    known[name] = value
    if value < 1:
        where = ", ".join(f"{a} is {n}" for a, n in sizes.items())
        assert declaration.extent is not None, declaration
        raise fail(
            f"the axis {name} has {value} points where {where}",
            declaration.extent.at.location,
            help="every axis needs at least one point",
        )
    return value


def settle_open(spec: Spec, axes: Mapping[str, Axis], given: Mapping[str, int]) -> dict[str, Axis]:
    """Give axes without an extent the shortest one that leaves every derived axis a point.

    Args:
        spec: the file; extents are not in a circle.
        axes: its axes, those without an extent as short as can be.
        given: extents that the caller sets.
    """
    free = [d.name for d in spec.axes if d.extent is None and d.name not in given]
    for length in (1, 2, 3, 4, 6, 8, 16, 32, 64, 128, 256, 512, 1024):
        chosen = {a: replace(axes[a], extent=Affine.number(length)) for a in free}
        settled = {**axes, **chosen}
        known: dict[str, int] = {}
        if all(_points(a, settled, known) >= 1 for a in settled):
            return settled
    return dict(axes)


def _points(axis: str, axes: Mapping[str, Axis], known: dict[str, int]) -> int:
    if axis not in known:
        extent = axes[axis].extent
        parents = {a: _points(a, axes, known) for a in extent.axes}
        known[axis] = int(extent.evaluate(parents, {})[0])
    return known[axis]
