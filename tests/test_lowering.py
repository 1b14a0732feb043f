"""The order of the passes is said in one place, `unfold.passes.lowering`, and nowhere else."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

import unfold
from unfold.core.program import Program
from unfold.passes import lowering
from unfold.passes.lowering import (
    ALIGN,
    ZEROS,
    lower,
    to_backend,
    to_chunk,
    to_derivative,
    to_mode,
    to_next,
    to_plan,
)
from unfold.passes.reach import Reach

PACKAGE = Path(__file__).parent.parent / "unfold"
FILES = sorted(PACKAGE.rglob("*.py"))
MAY = {"lowering.py"}
# What tidies up after a pass is a part of it.
TIDY = {"drop_dead", "merge_copies"}


def imported(source: str) -> dict[str, str]:
    """Return the functions that a file imports from modules of passes: name -> module."""
    return {
        name.name: node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("unfold.passes.")
        for name in node.names
        if node.module and name.name.islower()
    }


PASSES = set(imported(Path(lowering.__file__).read_text(encoding="utf-8"))) - TIDY


def composed(source: str) -> set[str]:
    """Return the passes that a file imports, if they are of more than one module."""
    found = {n: m for n, m in imported(source).items() if n in PASSES}
    return set(found) if len(set(found.values())) > 1 else set()


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_no_other_file_composes_passes(file: Path) -> None:
    if not (file.parent.name == "passes" and file.name in MAY):
        assert composed(file.read_text(encoding="utf-8")) == set()


def test_the_rule_can_fail() -> None:
    text = "from unfold.passes.pack import pack\nfrom unfold.passes.decompose import decompose"
    assert composed(text) == {"pack", "decompose"}
    assert {"lower_boundaries", "differentiate", "mask_lengths"} <= PASSES


def test_every_pass_says_why() -> None:
    every = (
        *ALIGN,
        *ZEROS,
        *to_mode("teacher", counted="t"),
        *to_chunk("t", {}),
        *to_next("t", {}),
        *to_derivative(()),
        *to_backend(("t",)),
        *to_plan(Reach()),
    )
    assert all(callable(rewrite) and why for rewrite, why in every)


def test_every_pass_is_verified() -> None:
    program = unfold.load("hello").program

    def spoil(program: Program) -> Program:
        return replace(program, outputs=("nothing",))

    def mend(program: Program) -> Program:
        return replace(program, outputs=())

    with pytest.raises(AssertionError):
        lower(program, ((spoil, "wrong"), (mend, "too late")))
