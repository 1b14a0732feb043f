"""The page about a run, or about a spec with fresh parameters.

In: a `Subject`: a model, its parameters and sequences of its data. Out: a `Page`, whose sections
are made here and in `report_sections`.

    page = report_page(open_subject("runs/gru-1", None, None, seed=0), Wanted())
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from unfold.core.program import BATCH
from unfold.errors import UnsupportedError
from unfold.page import Chart, Graph, Observed, Page, Section, Series, make_graph, observe
from unfold.terminal import report_sections as sections
from unfold.terminal.report import named, plural
from unfold.terminal.subject import Subject

SEQUENCES = 4
"""How many sequences the numbers of a page are computed from."""
LEAD = "unfolded"


@dataclass(frozen=True)
class Wanted:
    """What is to be shown.

    Attributes:
        steps: how many steps of each axis are drawn; default: what the spec says.
        detail: "cell", "node" or "op".
        mode: "teacher" or "free".
        seed: of random values.
    """

    steps: int | None = None
    detail: str = "node"
    mode: str = "teacher"
    seed: int = 0


def report_page(subject: Subject, wanted: Wanted) -> Page:
    """Return the page about a run."""
    model, task = subject.model, subject.task
    summary = model.summary()
    inputs = {n: a[:SEQUENCES] for n, a in subject.inputs.items()}
    lengths = {a: n[:SEQUENCES] for a, n in subject.lengths.items()}
    names = [v.name for v in model.program if not v.is_constant and not v.is_parameter]
    options: dict[str, Any] = {"mode": wanted.mode, "lengths": lengths, "seed": wanted.seed}
    observed = observe(model.pipeline, subject.params, inputs, names, **options)
    facts = {
        "axes": named(summary["axes"]),
        "sizes": named(summary["sizes"]),
        "parameters": f"{summary['parameter_count']:,}",
        "shown at": subject.told,
    }
    if task.data is not None:
        facts["data"] = task.data.told
    found = [
        Section("Unfolding", "", (_graph(subject, wanted, observed),)),
        sections.training(subject),
        _gradients(subject, observed, wanted),
        sections.samples(subject),
        sections.measures(model, wanted.mode),
        sections.spec(subject),
        sections.equations(model, wanted.mode),
        sections.plan(model, wanted.mode),
        sections.environment(subject),
    ]
    return Page(
        title=model.name,
        about=" ".join(model.about.split()),
        facts={k: v for k, v in facts.items() if v},
        sections=[s for s in found if s is not None],
    )


def _graph(subject: Subject, wanted: Wanted, observed: Observed) -> Graph:
    """Return the linked pictures."""
    model = subject.model
    extents = {a: int(np.max(n)) for a, n in observed.lengths.items() if a in model.program.axes}
    options: dict[str, Any] = {"steps": wanted.steps, "detail": wanted.detail, "extents": extents}
    views = {LEAD: (LEAD, wanted.mode), "folded": ("folded", wanted.mode)}
    if model.program.loss is not None:
        views["backward"] = ("backward", wanted.mode)
    if model.program.feedbacks and wanted.mode != "free":
        views["unfolded in use"] = (LEAD, "free")
    pictures: dict[str, Any] = {}
    for title, (view, mode) in views.items():
        try:
            pictures[title] = model.draw(view, mode=mode, **options).picture
        except UnsupportedError:
            if title == LEAD:
                raise
    count = len(next(iter(observed.inside.values()), ()))
    about = f"{subject.told}; {plural(count, 'sequence')}"
    symbols = {n: list(map(str, s)) for n, s in subject.vocabularies.items() if s is not None}
    return make_graph(model.program, pictures, observed, symbols=symbols, about=about)


def _gradients(subject: Subject, observed: Observed, wanted: Wanted) -> Section | None:
    """Return where the gradient goes: its norm along axes, and by parameters."""
    if subject.model.program.loss is None:
        return None
    charts: list[Chart] = []
    for axis in (a for a in subject.model.program.axes if a != BATCH):
        series = [
            Series(name, list(range(len(norm))), norm)
            for name, norm in observed.norms.items()
            if subject.model.program[name].is_named
            and observed.axes[name] == (axis,)
            and len(norm) > 1
            and np.any(norm)
        ]
        if series:
            title = f"norm of the loss's gradient along {axis}"
            charts.append(Chart(title, axis, "norm", series, log_y=True))
    text = "The norm is taken over the features of all shown sequences."
    table = sections.parameters(subject, SEQUENCES, wanted.mode)
    return Section("Gradients", text if charts else "", (*charts, table))
