"""`unfold analyze`: the fixed points of what a network does in a step, and the way there.

    unfold analyze runs/two-unit-srn-1                     one panel for each symbol it may read
    unfold analyze runs/two-unit-srn-1 --input x=1 -o states.svg
    unfold analyze latch --json                            a spec: fresh parameters, or frozen ones

A step is repeated with the same input. States to start from are those that sequences of the data
go through, in the network that is analyzed. The table, or the JSON, has every fixed point that was
found; the picture shows them among the sequences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unfold import analysis
from unfold.backends import MEANING
from unfold.errors import DataError, UnfoldError
from unfold.files import explain, write_whole
from unfold.generation import Alphabet
from unfold.terminal.loading import choose_backend, read_mode, yaml_value
from unfold.terminal.report import print_json, table
from unfold.terminal.resume import is_run_folder
from unfold.terminal.screen import echo, paint
from unfold.terminal.task import prepare
from unfold.terminal.trained import open_trained

if TYPE_CHECKING:
    import unfold

Array = np.ndarray
PICTURES: Mapping[str, analysis.Format] = {".svg": "svg", ".png": "png", ".pdf": "pdf"}
SEQUENCES, MOST_CLASSES, MOST_ROWS = 16, 6, 12


@dataclass(frozen=True)
class Question:
    """What the command line asks.

    Attributes:
        inputs: items NAME=VALUE; several of one name make several panels.
        mode: which branch of an output feedback is in force; None: that of training.
        axis: along which the steps are; None: the first with a state.
        period: steps of the map.
        starts: states that searches begin from.
        seed: of these, and of fresh parameters.
        backend: what computes.
        output: a file for the picture.
    """

    inputs: list[str]
    mode: str | None
    axis: str | None
    period: int
    starts: int
    seed: int
    backend: str | None
    output: str | None


@dataclass(frozen=True)
class Subject:
    """What is analyzed.

    Attributes:
        model: the spec.
        params: its parameters.
        inputs, lengths: sequences of its data.
        vocabularies: symbols by input, where the data name them.
        told: what parameters these are, in words.
    """

    model: unfold.Model
    params: Mapping[str, Any]
    inputs: Mapping[str, Array]
    lengths: Mapping[str, Array]
    vocabularies: Mapping[str, Any]
    told: str


def analyze(name: str, items: list[str], asked: Question, *, as_json: bool) -> int:
    """Analyze a run or a spec, and return the exit code."""
    form = PICTURES.get(Path(asked.output).suffix.lower()) if asked.output else None
    if asked.output and form is None:
        raise UnfoldError(f"-o {asked.output}: expected one of {', '.join(PICTURES)}")
    subject = _subject(name, items, asked)
    mode = read_mode(asked.mode) or "teacher"
    backend = choose_backend(asked.backend or MEANING)
    options = {"axis": asked.axis, "mode": mode, "steps": asked.period, "backend": backend}
    flow = analysis.state_map(subject.model, subject.params, **options)
    run = subject.model.forward(
        subject.params,
        subject.inputs,
        lengths=subject.lengths,
        mode=mode,
        backend=MEANING,
        state=False,
    )
    paths = analysis.trajectories(flow, run)
    visited = paths[np.isfinite(paths).all(axis=-1)]
    if not len(visited):
        raise UnfoldError(
            f"no sequence is long enough for a state of {flow.parts[0].shape[0]} steps"
        )
    begins = analysis.starts(visited, asked.starts, seed=asked.seed)
    panels: list[analysis.Panel] = []
    for inputs, title in _conditions(subject, flow, asked.inputs):
        own = analysis.state_map(subject.model, subject.params, inputs, **options)
        panels.append(analysis.Panel(title, own, analysis.fixed_points(own, begins)))
    if asked.output and form:
        title = subject.model.name + (f", {asked.period} steps" if asked.period > 1 else "")
        picture = analysis.draw_dynamics(
            title, panels, paths, analysis.plane_of(visited), format=form
        )
        try:
            write_whole(Path(asked.output), picture)
        except OSError as error:
            told = f"-o {asked.output}: cannot be written: {explain(error)}"
            raise UnfoldError(told) from None
    if as_json:
        print_json(_document(subject, flow, panels, asked))
    else:
        _show(subject, flow, panels, asked)
    return 0


def _subject(name: str, items: list[str], asked: Question) -> Subject:
    """Return the model, its parameters, and sequences of its data, or random ones."""
    folder = is_run_folder(name)
    spec = str(Path(name) / "spec.yaml") if folder else name
    task = prepare(spec, items, None, "float64", asked.mode)
    params, told = task.model.init(seed=asked.seed), f"fresh parameters, seed {asked.seed}"
    if folder:
        trained = open_trained(name, lambda text: echo(paint(text, fg="yellow"), err=True))
        params, told = dict(trained.params), f"parameters after step {trained.step:,}"
    if task.data is None:
        from unfold.training.data import random_inputs

        inputs = random_inputs(task.model.program, batch=SEQUENCES, seed=asked.seed)
        return Subject(task.model, params, inputs, {}, {}, f"{told}; random inputs")
    batch = (task.data.validation or task.data.train).batch(0)
    return Subject(
        task.model,
        params,
        {n: a[:SEQUENCES] for n, a in batch.inputs.items()},
        {a: n[:SEQUENCES] for a, n in batch.lengths.items()},
        dict(task.data.facts.get("vocabularies", {})),  # pyright: ignore
        told,
    )


def _conditions(
    subject: Subject, flow: analysis.StateMap, items: list[str]
) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the inputs of each panel, and its title: every combination of what was asked for.

    Without a word, a step that reads a class is looked at with each of its classes, if few.
    """
    program = flow.how.forward
    names = [v.name for v in program.inputs if v.name in subject.model.program.values]
    values: dict[str, list[tuple[Any, str]]] = {}
    for item in items:
        name, equals, text = item.partition("=")
        if not equals or name not in names:
            known = ", ".join(names) or "none"
            raise UnfoldError(f"--input {item}: expected NAME=VALUE; a step reads {known}")
        value = _value(subject, name, item, text)
        values.setdefault(name, []).append((value, f"{name} = {text.strip()}"))
    if not items:
        classes = [n for n in names if program[n].type.kind == "category"]
        count = int(program[classes[0]].type.shape[0]) if len(classes) == 1 else 0
        if 0 < count <= MOST_CLASSES:
            symbols = subject.vocabularies.get(classes[0]) or [str(i) for i in range(count)]
            values[classes[0]] = [(i, f"{classes[0]} = {symbols[i]}") for i in range(count)]
    for chosen in product(*values.values()):
        given = {n: v for n, (v, _) in zip(values, chosen, strict=True)}
        rest = [n for n in names if n not in given]
        titles = [title for _, title in chosen] + ([f"{', '.join(rest)} = 0"] if rest else [])
        yield given, "; ".join(titles) or "no input"


def _value(subject: Subject, name: str, item: str, text: str) -> Any:
    """Read a number, a list of them, or a symbol of the data."""
    symbols = subject.vocabularies.get(name)
    if symbols is not None and text in symbols:
        try:
            return int(Alphabet.of(symbols).encode(text)[0])
        except DataError as error:
            raise UnfoldError(f"--input {item}: {error}") from None
    return yaml_value(f"--input {item}", text)


def _document(
    subject: Subject, flow: analysis.StateMap, panels: list[analysis.Panel], asked: Question
) -> dict[str, Any]:
    return {
        "ok": True,
        "name": subject.model.name,
        "parameters": subject.told,
        "axis": flow.how.axis,
        "period": flow.steps,
        "state": list(flow.labels),
        "picture": asked.output,
        "inputs": [
            {
                "input": panel.title,
                "tried": panel.found.tried,
                "found": panel.found.found,
                "slowest": panel.found.slowest,
                "fixed_points": [point.as_data() for point in panel.found.points],
            }
            for panel in panels
        ],
    }


def _show(
    subject: Subject, flow: analysis.StateMap, panels: list[analysis.Panel], asked: Question
) -> None:
    parts = ", ".join(f"{p.name} {list(p.shape[1:])}" for p in flow.parts)
    echo(f"{paint(subject.model.name, bold=True)}  {subject.told}")
    steps = "one step" if flow.steps == 1 else f"{flow.steps} steps"
    size = "1 number" if flow.size == 1 else f"{flow.size} numbers"
    echo(f"{steps} along {flow.how.axis}; a state has {size}: {parts}")
    for panel in panels:
        found = panel.found
        echo(f"\n{panel.title}: {_told(found)}")
        rows = [
            (
                point.kind,
                f"{point.residual:.0e}",
                str(point.starts),
                _eigenvalues(point),
                _turning(point),
                "  ".join(f"{x:.4f}" for x in point.state[:2]) + (" …" if flow.size > 2 else ""),
            )
            for point in found.points[:MOST_ROWS]
        ]
        if rows:
            heads = ("kind", "residual", "starts", "eigenvalues", "nearby states", "state")
            table(heads, rows, right=[1, 2])
        if len(found.points) > MOST_ROWS:
            echo(f"and {len(found.points) - MOST_ROWS} more; --json has all")
    if asked.output:
        echo(f"\npicture in {asked.output}")


def _told(found: analysis.FixedPoints) -> str:
    number = len(found.points)
    points = "1 fixed point" if number == 1 else f"{number} fixed points"
    told = f"{points} from {found.found} of {found.tried} starts"
    if found.slowest is not None:
        told += f"; the slowest step elsewhere moves by {found.slowest:.1e}"
    return told


def _eigenvalues(point: analysis.FixedPoint) -> str:
    """Show the two largest eigenvalues, a conjugate pair as one."""
    above = [complex(v) for v in point.eigenvalues if v.imag >= -1e-9]
    shown = (f"{v.real:.3f}" + (f"±{v.imag:.3f}i" if v.imag > 1e-9 else "") for v in above[:2])
    return "  ".join(shown) + (" …" if len(above) > 2 else "")


def _turning(point: analysis.FixedPoint) -> str:
    """Say in words how states near a fixed point move along its leading direction."""
    moves = "move away" if point.expanding else "approach" if point.kind != "neutral" else "stay"
    if point.turn < 1e-9:
        return moves
    if abs(point.turn - np.pi) < 1e-9:
        return f"{moves}, alternating sides"
    return f"{moves}, rotating by {np.degrees(point.turn):.0f}°"
