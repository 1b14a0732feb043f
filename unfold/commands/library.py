"""`unfold specs` and `unfold schema`: what comes with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from unfold.commands.report import first_sentence, named, print_json, table


def specs(*, as_json: bool) -> int:
    """List the packaged specs: name, axes, number of parameters, and what they are."""
    import unfold

    found: list[dict[str, Any]] = []
    for path in unfold.library():
        model = unfold.load(str(path))
        found.append({"path": str(path), "about": model.about, **model.summary()})
    if as_json:
        print_json({"ok": True, "specs": found})
        return 0
    rows = [
        (
            Path(spec["path"]).stem,
            named(spec["axes"]),
            f"{spec['parameter_count']:,}",
            first_sentence(spec["about"]),
        )
        for spec in found
    ]
    table(("name", "axes", "parameters", "about"), rows, right=[2])
    typer.echo(f"\nRun one with  unfold run {rows[0][0] if rows else 'NAME'}")
    return 0


def schema() -> int:
    """Print the JSON Schema of a spec file."""
    from unfold.spec.schema import json_schema

    print_json(json_schema())
    return 0
