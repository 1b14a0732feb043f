"""`unfold explain`: the Program of a spec and its adjoint, how deep it is and what it costs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import typer

from unfold.commands.loading import load, read_changes
from unfold.commands.report import print_json, table
from unfold.errors import UnsupportedError

COUNTS = ("layers", "nodes", "ops")
MEASURES = (
    ("recurrent depth", "recurrent_depth"),
    ("feedforward depth", "feedforward_depth"),
    ("recurrent skip", "recurrent_skip"),
)


def explain(spec: str, items: list[str], *, as_json: bool) -> int:
    """Print what the model's own explanation says, its measures and its cost."""
    model = load(spec, read_changes(items))
    text = model.explain()
    found = _measures(model)
    cost = asdict(model.cost())
    if as_json:
        whole = {"ok": True, "name": model.name, "explanation": text}
        print_json({**whole, "measures": found, "cost": cost})
        return 0
    typer.echo(text)
    for axis, counts in found.items():
        typer.echo(f"\nhow deep it is along {axis}, counting")
        rows = [(title, *(counts[c][key] for c in COUNTS)) for title, key in MEASURES]
        table(("", *COUNTS), rows, right=[1, 2, 3])
    typer.echo("\nwhat one sequence costs")
    rows = [(key.replace("_", " "), f"{n:,}") for key, n in cost.items() if n is not None]
    table(("", "number"), rows, right=[1])
    return 0


def _measures(model: Any) -> dict[str, dict[str, dict[str, str]]]:
    """Return measures as text, by axis with a recurrence and by way of counting."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for axis in model.summary()["axes"]:
        try:
            first = model.measures(axis)
        except UnsupportedError:  # a window's own axis, for one, is none to measure along
            continue
        if first.recurrent_depth or not found:
            counted = {c: model.measures(axis, c) for c in COUNTS}
            found[axis] = {
                c: {key: _fraction(getattr(m, key)) for _, key in MEASURES}
                for c, m in counted.items()
            }
    return found


def _fraction(value: Any) -> str:
    if value is None:
        return "–"
    return "∞" if value == float("inf") else str(value)
