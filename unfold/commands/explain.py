"""Print the Program of a spec and its adjoint, or show how they are compiled.

    unfold explain gru
    unfold explain gru --plan

The depth along every axis and the cost of a run follow the equations.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from unfold.errors import UnfoldError
from unfold.terminal.depth import COUNTS, MEASURES, as_text, measured
from unfold.terminal.loading import load, read_changes, read_mode
from unfold.terminal.options import JsonOption, ModeOption, SetOption, SpecArgument
from unfold.terminal.report import print_json, table
from unfold.terminal.screen import echo

if TYPE_CHECKING:
    import unfold


def explain(
    spec: SpecArgument,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Show how it is compiled: loops, products, kernels, cost."),
    ] = False,
    forward: Annotated[
        bool, typer.Option("--forward", help="With --plan: show a forward run only.")
    ] = False,
    batch: Annotated[
        int | None,
        typer.Option("--batch", min=1, metavar="N", help="With --plan: use N sequences."),
    ] = None,
    mode: ModeOption = None,
    changes: SetOption = None,
    json: JsonOption = False,
) -> int:
    """Print what the model's own explanation says, its measures and its cost; or its Plan."""
    if not plan and (forward or batch is not None):
        raise UnfoldError("--forward and --batch apply only to the plan\n  help: add  --plan")
    read = read_changes(changes)
    model = load(spec, read)
    mode = mode or "teacher"
    if plan:
        return _plan(model, mode, forward, batch or _batch(model), json)
    return _program(model, mode, json)


def _program(model: unfold.Model, told: str, json: bool) -> int:
    """Print equations, depth and cost."""
    mode = read_mode(told) or "teacher"
    text = model.explain(mode=mode)
    found = {
        axis: {c: {key: as_text(getattr(m, key)) for _, key in MEASURES} for c, m in own.items()}
        for axis, own in measured(model, mode).items()
    }
    cost = asdict(model.cost(mode=mode))
    if json:
        whole = {"ok": True, "name": model.name, "explanation": text}
        print_json({**whole, "measures": found, "cost": cost})
        return 0
    echo(text)
    for axis, counts in found.items():
        echo(f"\ndepth along {axis}, counting")
        rows = [(title, *(counts[c][key] for c in COUNTS)) for title, key in MEASURES]
        table(("", *COUNTS), rows, right=[1, 2, 3])
    echo("\ncost of one sequence")
    rows = [(key.replace("_", " "), f"{n:,}") for key, n in cost.items() if n is not None]
    table(("", "number"), rows, right=[1])
    return 0


def _plan(model: unfold.Model, told: str, forward: bool, batch: int, json: bool) -> int:
    """Print how the model is compiled, for a mode as it was written."""
    from unfold.terminal.plan_text import echo_lines, plan_lines, terminal_width

    gradients = model.program.loss is not None and not forward
    found = model.plan(gradients=gradients, mode=read_mode(told) or "teacher", batch=batch)
    if json:
        print_json({"ok": True, "name": model.name, "gradients": gradients, "plan": asdict(found)})
        return 0
    what = "forward and backward" if gradients else "forward"
    echo_lines(plan_lines(found, f"{what}, {told}", terminal_width()))
    return 0


def _batch(model: unfold.Model) -> int:
    """Return how many sequences a batch of the spec's data has; one without data."""
    from unfold.training.data import check_batch, read_data

    data = model.spec.data
    if data is None:
        return 1
    settings = read_data(data)
    check_batch(settings, data, model.program)
    return settings.batch
