"""`unfold explain`: the Program of a spec and its adjoint, as text."""

from __future__ import annotations

import typer

from unfold.commands.loading import load, read_changes
from unfold.commands.report import print_json


def explain(spec: str, items: list[str], *, as_json: bool) -> int:
    """Print what the model's own explanation says."""
    model = load(spec, read_changes(items))
    text = model.explain()
    if as_json:
        print_json({"ok": True, "name": model.name, "explanation": text})
    else:
        typer.echo(text)
    return 0
