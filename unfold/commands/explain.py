"""`unfold explain`: the Program of a spec and its adjoint, how deep it is and what it costs.

unfold explain gru                 equations, measures, cost
unfold explain gru --plan          how they are compiled: loops, products, kernels, what is kept
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from unfold.errors import UnfoldError
from unfold.terminal.depth import COUNTS, MEASURES, as_text, measured
from unfold.terminal.loading import Changes, load, read_changes, read_mode, section
from unfold.terminal.report import print_json, table
from unfold.terminal.screen import echo

if TYPE_CHECKING:
    import unfold


@dataclass(frozen=True)
class Question:
    """What to explain.

    Attributes:
        plan: whether the Plan, in place of the Program.
        forward: the Plan of a forward run, also where there is a loss.
        batch: sequences to count the Plan's cost for; default: as many as the spec's data has.
        mode: which branch of output feedback.
    """

    plan: bool = False
    forward: bool = False
    batch: int | None = None
    mode: str | None = None


def explain(spec: str, items: list[str], asked: Question, *, as_json: bool) -> int:
    """Print what the model's own explanation says, its measures and its cost; or its Plan."""
    if not asked.plan and (asked.forward or asked.batch is not None):
        raise UnfoldError("--forward and --batch apply only to the plan\n  help: add  --plan")
    changes = read_changes(items)
    model = load(spec, changes)
    if asked.plan:
        return _plan(model, changes, asked, as_json=as_json)
    mode = read_mode(asked.mode) or "teacher"
    text = model.explain(mode=mode)
    found = {
        axis: {c: {key: as_text(getattr(m, key)) for _, key in MEASURES} for c, m in own.items()}
        for axis, own in measured(model, mode).items()
    }
    cost = asdict(model.cost(mode=mode))
    if as_json:
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


def _plan(model: unfold.Model, changes: Changes, asked: Question, *, as_json: bool) -> int:
    """Print how the model is compiled."""
    from unfold.terminal.plan_text import echo_lines, plan_lines, terminal_width

    mode = read_mode(asked.mode) or "teacher"
    gradients = model.program.loss is not None and not asked.forward
    found = model.plan(gradients=gradients, mode=mode, batch=asked.batch or _batch(model, changes))
    if as_json:
        print_json({"ok": True, "name": model.name, "gradients": gradients, "plan": asdict(found)})
        return 0
    what = "forward and backward" if gradients else "forward"
    echo_lines(plan_lines(found, f"{what}, {asked.mode or 'teacher'}", terminal_width()))
    return 0


def _batch(model: unfold.Model, changes: Changes) -> int:
    """Return how many sequences a batch of the spec's data has; one without data."""
    from unfold.training.data import check_batch, read_data

    data = section(model, "data", changes)
    if data is None:
        return 1
    settings = read_data(data)
    check_batch(settings, data, model.program)
    return settings.batch
