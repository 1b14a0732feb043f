"""The folder rule of the design: which part of the package may import which, read from the AST.

Imports inside functions and under `TYPE_CHECKING` count like all others: the rule is about what a
reader has to know, not about when Python loads it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from unfold.backends import BACKENDS

PACKAGE = Path(__file__).parent.parent / "unfold"

SPEC = {"spec", "spec/text", "spec/file", "spec/meaning"}
PROGRAMS = {"core", "ops", "passes", "planning", "explain", "runs", "unfolded"}
LAYERS = {*SPEC, *PROGRAMS, "settings", "errors"}
STAGES = {*LAYERS, "analysis", "backends", "files", "generation", "speed", "streams"}
STAGES |= {"comparison", "training", "unfold"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "version": set(),
    "files": {"errors"},
    "streams": {"errors"},
    "core": {"errors"},
    "spec": set(),
    "spec/text": {"core", "errors"},
    "spec/file": {"core", "errors", "spec/text"},
    "spec/meaning": {"core", "errors", "spec/text", "spec/file"},
    "ops": {"core", "errors"},
    "passes": {"core", "errors"},
    "planning": {"core", "errors", "passes"},
    "explain": {"core", "errors", "passes", "planning"},
    "runs": {"core", "errors"},
    "settings": {"core", "errors", "spec/text", "spec/file", "training/rules"},
    "unfolded": {"core", "errors", "runs"},
    "backends": {"core", "errors", "files", "runs"},
    "backends/reference": {"backends", "core", "errors", "runs", "unfolded"},
    "backends/native": {"backends", "core", "errors", "files", "runs"},
    "backends/numba": {"backends", "backends/native", "core", "errors"},
    "drawing": LAYERS,
    "training": {*LAYERS, "training/rules", "files", "version"},
    "training/rules": {"core", "errors"},
    "execution": {*LAYERS, "backends"},
    "generation": {*LAYERS, "training", "execution"},
    "analysis": {*LAYERS, "backends", "execution"},
    "page": {*LAYERS, "backends", "drawing", "execution", "files"},
    "shipped": {"errors"},
    "api": {*LAYERS, "shipped", "drawing", "training", "backends", "execution", "generation"},
    "__init__": {"api", "comparison", "training", "errors", "version"},
    "speed": {"backends", "core", "errors", "unfold"},
    "comparison": {
        "analysis",
        "core",
        "errors",
        "files",
        "speed",
        "training",
        "unfold",
        "unfolded",
    },
    "terminal": {*STAGES, "training/rules", "execution", "page", "version"},
    "commands": {*STAGES, "drawing", "page", "terminal"},
    "cli": {"commands", "terminal", "errors", "streams", "version"},
    "__main__": {"cli"},
}


def part_of(file: Path) -> str:
    """Return the part a file belongs to: its folder in the package, or its own name."""
    return part_named(file.relative_to(PACKAGE).with_suffix("").parts)


def part_named(parts: Sequence[str]) -> str:
    """Return the part of a module: a room of its own in the table, or the folder around it."""
    room = "/".join(parts[:2])
    return room if room in MAY_IMPORT else parts[0]


def imported_parts(tree: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Yield (line, part) of every import from the package; the package itself is "unfold".

    Arguments:
        tree: a module.
        package: the folders the module is in, "unfold" first, to resolve relative imports.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = base + (node.module.split(".") if node.module else [])
            names = [[*module, alias.name] for alias in node.names]
        else:
            continue
        for parts in names:
            if parts[0] == "unfold":
                known = len(parts) > 1 and (parts[1] in MAY_IMPORT or is_part(parts[1]))
                yield node.lineno, part_named(parts[1:]) if known else "unfold"


def backend_names(tree: ast.AST) -> list[str]:
    """Return where a module has the name of a backend as a string of its own."""
    found = (n for n in ast.walk(tree) if isinstance(n, ast.Constant))
    return [f"line {n.lineno}: {n.value!r}" for n in found if n.value in NAMES]


def compilers(tree: ast.AST) -> list[str]:
    """Return where a module imports a compiler."""
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        else:
            continue
        tops = (name.partition(".")[0] for name in names)
        found += [f"line {node.lineno}: {top}" for top in tops if top in COMPILERS]
    return found


def is_part(name: str) -> bool:
    """Say whether the package has a folder or a module of this name."""
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


def violations(tree: ast.AST, part: str, package: tuple[str, ...]) -> list[str]:
    """Return the imports of a module that its part may not have."""
    found = imported_parts(tree, package)
    allowed = MAY_IMPORT[part] | {part}
    return [f"line {line}: {part} imports {other}" for line, other in found if other not in allowed]


REGISTRY = PACKAGE / "backends" / "__init__.py"
NAMES = tuple(BACKENDS)
COMPILERS = ("numba", "llvmlite")
FILES = sorted(p for p in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_a_file_keeps_the_rules_of_the_house(file: Path) -> None:
    """It imports what its folder may; a registry alone names backends, and they alone compilers."""
    part = part_of(file)
    assert part in MAY_IMPORT, f"{part} is not in the table of the design"
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert violations(tree, part, ("unfold", *file.relative_to(PACKAGE).parent.parts)) == []
    assert file == REGISTRY or backend_names(tree) == []
    assert part == "backends/numba" or compilers(tree) == []
    assert ast.get_docstring(tree), "a file says first what it is for"
    assert len(text.splitlines()) <= 500


def test_the_rule_of_names_can_fail() -> None:
    assert backend_names(ast.parse('def f(x):\n    return x == "numba"')) == ["line 2: 'numba'"]


def test_the_rule_of_compilers_can_fail() -> None:
    assert compilers(ast.parse("def f():\n    from numba.core import types")) == ["line 2: numba"]
    assert compilers(ast.parse("import numpy, llvmlite.ir")) == ["line 1: llvmlite"]


@pytest.mark.parametrize(
    ("source", "part", "expected"),
    [
        ("from unfold.core.program import Program", "spec/text", []),
        ("import unfold.passes.fuse", "core", ["line 1: core imports passes"]),
        ("def f():\n    from unfold.spec import parse", "ops", ["line 2: ops imports spec"]),
        ("from unfold import api", "training", ["line 1: training imports api"]),
        ("import unfold", "drawing", ["line 1: drawing imports unfold"]),
        ("from ..spec import model", "unfolded", ["line 1: unfolded imports spec"]),
        ("from . import domain", "unfolded", []),
        ("from unfold.backends import load", "execution", []),
        (
            "import unfold.backends.numba.machine",
            "execution",
            ["line 1: execution imports backends/numba"],
        ),
        ("import numpy, unfold.errors", "core", []),
    ],
)
def test_the_rule_can_fail(source: str, part: str, expected: list[str]) -> None:
    assert violations(ast.parse(source), part, ("unfold", part)) == expected
