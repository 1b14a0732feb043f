"""The sections of a page about a run that are not pictures: curves, samples, measures, Plan, spec.

In: a `Subject`. Out: a `Section`, or None if the run has nothing to show there.

    training(subject)    loss, validation, norms of gradients, rate, from metrics.jsonl
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unfold.backends import MEANING
from unfold.errors import UnfoldError, UnsupportedError
from unfold.files import is_regular, parse_json, read_regular
from unfold.page import Chart, Code, Section, Series, Table, colour, plain_code, roles_of
from unfold.terminal.depth import COUNTS, MEASURES, as_text, measured
from unfold.terminal.language import loss_unit
from unfold.terminal.plan_text import plan_lines
from unfold.terminal.subject import Subject
from unfold.terminal.train import guess
from unfold.terminal.writing import sample
from unfold.training.metrics import read_metrics
from unfold.version import VERSION

if TYPE_CHECKING:
    import unfold

MOST_POINTS, WINDOWS = 2000, 40
DISTRIBUTION = "unfold-rnn"
Records = Sequence[Mapping[str, Any]]


def training(subject: Subject) -> Section | None:
    """Return the curves of a run."""
    if subject.folder is None or not is_regular(subject.folder / "metrics.jsonl"):
        return None
    records = read_metrics(subject.folder / "metrics.jsonl")
    if len(records) < 2:
        return None
    unit, level = loss_unit(subject.model.spec), guess(subject.task)
    loss = Chart(
        "loss",
        "step",
        f"loss ({unit})" if unit else "loss",
        [
            _series("loss of a step", records, "loss", faint=True),
            _running_mean(records),
            _series("validation", records, "validation_loss", mark="dots"),
        ],
        levels=[] if level is None else [(level, f"guessing: {level:.3f}")],
    )
    rest = (
        Chart("norm of the gradient", "step", "norm",
              [_series("norm", records, "gradient_norm")], log_y=True),
        Chart("learning rate", "step", "rate", [_series("rate", records, "rate")]),
        Chart("clipped entries", "step", "share", [_series("share", records, "clipped")]),
    )  # fmt: skip
    charts = [c for c in (_shown(loss), *map(_shown, rest)) if c.series and not _is_constant(c)]
    return Section("Training", "", charts)


def _series(name: str, records: Records, key: str, **how: Any) -> Series:
    """Return a series, thinned to what a chart can show: every point is the mean of several."""
    found = [(r["step"], r[key]) for r in records if r.get(key) is not None]
    x, y = np.array([p[0] for p in found]), np.array([p[1] for p in found], dtype=np.float64)
    group = -(-len(x) // MOST_POINTS)
    if group > 1:
        whole = len(x) // group * group
        x, y = x[:whole].reshape(-1, group)[:, -1], y[:whole].reshape(-1, group).mean(axis=1)
    return Series(name, x.tolist(), [float(f"{v:.6g}") for v in y], **how)


def _running_mean(records: Records) -> Series:
    """Return the mean over a fortieth of the run, as in the run's own picture of the loss."""
    losses = [(r["step"], r["loss"]) for r in records if r.get("loss") is not None]
    window = max(1, len(losses) // WINDOWS)
    if window == 1:
        return Series("", (), ())
    values = np.convolve([v for _, v in losses], np.ones(window) / window, mode="valid")
    found = [
        {"step": step, "mean": float(mean)}
        for (step, _), mean in zip(losses[window - 1 :], values, strict=True)
    ]
    return _series(f"mean of {window} steps", found, "mean")


def _shown(chart: Chart) -> Chart:
    """Leave out series without points."""
    return replace(chart, series=[s for s in chart.series if len(s.x)])


def _is_constant(chart: Chart) -> bool:
    """Say whether a chart would show one number only."""
    return len({v for s in chart.series for v in s.y}) < 2


def samples(subject: Subject) -> Section | None:
    """Return what a language model wrote."""
    text = None
    if subject.folder is not None:
        file = subject.folder / "sample.txt"
        if is_regular(file):
            text = read_regular(file).decode("utf-8", errors="replace")
        else:
            try:
                text = sample(subject.task, subject.params)
            except UnfoldError:  # such as a spec that looks ahead
                text = None
    if not text:
        return None
    told = "Written by the trained model; every output becomes the next input."
    return Section("Samples", told, (plain_code(text.rstrip("\n").split("\n"), wrap=True),))


def parameters(subject: Subject, sequences: int, mode: str) -> Table:
    """Return the parameters with their gradients."""
    model, inputs = subject.model, {n: a[:sequences] for n, a in subject.inputs.items()}
    lengths = {a: n[:sequences] for a, n in subject.lengths.items()}
    _, gradients = model.value_and_grad(
        subject.params, inputs, lengths=lengths, mode=mode, backend=MEANING, training=False
    )
    rows = [
        (
            name,
            " × ".join(map(str, value.shape)) or "1",
            int(value.size),
            _digits(np.linalg.norm(value)),
            _digits(np.linalg.norm(gradients[name])) if name in gradients else None,
        )
        for name, value in ((n, np.asarray(v)) for n, v in subject.params.items())
    ]
    heads = ("parameter", "shape", "numbers", "norm", "norm of gradient")
    return Table(heads, rows, "parameters")


def _digits(value: Any) -> float:
    return float(f"{float(value):.4g}")


def measures(model: unfold.Model, mode: str) -> Section:
    """Return depth along every axis, and the cost of one sequence."""
    tables = [
        Table(
            ("", *COUNTS),
            [(title, *(as_text(getattr(own[c], key)) for c in COUNTS)) for title, key in MEASURES],
            f"depth along {axis}, counting",
        )
        for axis, own in measured(model, mode).items()
    ]
    cost = asdict(model.cost(mode=mode))
    rows = [(key.replace("_", " "), n) for key, n in cost.items() if n is not None]
    return Section("Measures", "", (*tables, Table(("", "number"), rows, "cost of one sequence")))


def spec(subject: Subject) -> Section:
    """Return the text of the spec in colours."""
    file = Path(subject.model.spec.file)
    text = read_regular(file).decode("utf-8", errors="replace")
    roles = roles_of(subject.model.program)
    return Section("Spec", "", (colour(text, roles),))


def equations(model: unfold.Model, mode: str) -> Section:
    """Return the Program and its adjoint."""
    lines = model.explain(mode=mode).split("\n")
    return Section("Program", "", (plain_code(lines),), folded=True)


def plan(model: unfold.Model, mode: str) -> Section | None:
    """Return how a step is compiled, if the backend compiles."""
    gradients = model.program.loss is not None
    try:
        found = model.plan(gradients=gradients, mode=mode)
    except UnsupportedError:
        return None
    what = "forward and backward" if gradients else "forward"
    lines = [str(line) for line in plan_lines(found, f"{what}, {mode}")]
    code: Code = plain_code(lines)
    return Section("Plan", "", (code,), folded=True)


def environment(subject: Subject) -> Section:
    """Return the sessions of a run, and the versions that made the page."""
    found = {"unfold": VERSION, "Python": platform.python_version(), **_versions()}
    found["system"] = f"{platform.system()} {platform.machine()}"
    tables = [Table(("", "version"), list(found.items()), "this page was made with")]
    sessions = _sessions(subject.folder) if subject.folder else []
    if sessions:
        heads = ("ended", "from step", "to step", "seconds", "steps per second", "ending")
        tables.insert(0, Table(heads, sessions, "sessions of the run"))
    return Section("Environment", "", tables)


def _versions() -> dict[str, str]:
    """Return the versions of the packages that this one needs, if it is installed."""
    try:
        needed = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return {}
    names = [n.group() for r in needed if "extra" not in r and (n := re.match(r"[\w.-]+", r))]
    found: dict[str, str] = {}
    for name in names:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _sessions(folder: Path) -> list[tuple[Any, ...]]:
    """Return a row for each readable line of sessions.jsonl."""
    keys = ("ended", "from_step", "to_step", "seconds", "steps_per_second", "ending")
    if not is_regular(folder / "sessions.jsonl"):
        return []
    rows: list[tuple[Any, ...]] = []
    for line in read_regular(folder / "sessions.jsonl").splitlines():
        try:
            record = parse_json(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            rows.append(tuple(_cell(record.get(key)) for key in keys))
    return rows


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float) else str(value)
