"""Show where the gradient goes: gains over the distance, Lyapunov exponents, a verdict.

    unfold gradients lstm
    unfold gradients runs/adding-1 -o flow.svg

The Jacobians of the steps are taken at the states and inputs of real sequences: those of the spec's
data, or random ones. Their products say how much a change of the state some steps back can move the
state at the end.
"""

from __future__ import annotations

import csv as comma
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unfold.errors import UnfoldError
from unfold.files import explain, write_whole
from unfold.terminal.loading import choose_backend, read_mode
from unfold.terminal.options import (
    BackendOption,
    JsonOption,
    ModeOption,
    SetOption,
    output_option,
    seed_option,
)
from unfold.terminal.report import plural, print_json, table
from unfold.terminal.screen import echo, paint

if TYPE_CHECKING:
    from unfold import analysis
    from unfold.terminal.subject import Subject

PICTURES = {".svg": "svg", ".png": "png", ".pdf": "pdf"}
DISTANCES = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
SHOWN = 4  # exponents and singular values


def gradients(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="The folder of a run, or a spec with its initial parameters."
        ),
    ],
    output: Annotated[str | None, output_option("Draw to FILE: svg, png or pdf.")] = None,
    axis: Annotated[
        str | None,
        typer.Option(
            "--axis", metavar="AXIS", help="Step along AXIS; default: the first with a state."
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", min=1, metavar="N", help="Follow the last N steps; default: all."),
    ] = None,
    seed: Annotated[int, seed_option("fresh parameters and random inputs")] = 0,
    mode: ModeOption = None,
    backend: BackendOption = None,
    changes: SetOption = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print the gains as CSV.")] = False,
    json: JsonOption = False,
) -> int:
    """Follow the gradients of a run or a spec, and return the exit code."""
    from unfold import analysis
    from unfold.backends import MEANING
    from unfold.terminal.subject import open_subject

    form: Any = PICTURES.get(Path(output).suffix.lower()) if output else None
    if output and form is None:
        raise UnfoldError(f"-o {output}: expected one of {', '.join(PICTURES)}")
    if csv and json:
        raise UnfoldError("--csv and --json exclude each other")
    subject = open_subject(run, changes, mode, seed)
    found = analysis.gradient_flow(
        subject.model,
        subject.params,
        subject.inputs,
        lengths=subject.lengths,
        axis=axis,
        mode=read_mode(mode) or "teacher",
        steps=steps,
        backend=choose_backend(backend or MEANING),
    )
    if output:
        picture = analysis.draw_gradients(subject.model.name, found, format=form)
        try:
            write_whole(Path(output), picture)
        except OSError as error:
            raise UnfoldError(f"-o {output}: cannot be written: {explain(error)}") from None
    if json:
        print_json(_document(subject, found, output))
    elif csv:
        echo(_csv(found), nl=False)
    else:
        _show(subject, found, output)
    return 0


def _document(subject: Subject, found: analysis.GradientFlow, output: str | None) -> dict[str, Any]:
    return {
        "ok": True,
        "name": subject.model.name,
        "parameters": subject.told,
        "axis": found.axis,
        "sequences": found.sequences,
        "steps": found.steps,
        "verdict": list(found.verdict),
        "rates": {n: _number(r) for n, r in found.rates.items()},
        "log_gains": {n: [_number(g) for g in own] for n, own in found.gains.items()},
        "log_norms": [_number(g) for g in found.norms],
        "singular_values": [float(s) for s in found.singular],
        "spectral_radius": found.radius,
        "lyapunov_exponents": [float(x) for x in found.exponents],
        "picture": output,
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _csv(found: analysis.GradientFlow) -> str:
    text = io.StringIO()
    writer = comma.writer(text, lineterminator="\n")
    writer.writerow(("distance", *(f"log_gain_{n}" for n in found.gains), "log_norm"))
    writer.writerows(zip(range(found.steps + 1), *found.gains.values(), found.norms, strict=True))
    return text.getvalue()


def _show(subject: Subject, found: analysis.GradientFlow, output: str | None) -> None:
    echo(f"{paint(subject.model.name, bold=True)}  {subject.told}")
    sequences = plural(found.sequences, "sequence")
    echo(f"{plural(found.steps, 'step')} along {found.axis} of {sequences}\n")
    for line in found.verdict:
        echo(line)
    echo()
    table(
        ("distance", *found.gains),
        list(_rows(found)),
        right=range(len(found.gains) + 1),
    )
    echo("\ngain: how much a change of a part of the state can move the state so many steps later")
    echo(f"Lyapunov exponents, for each step: {_first(found.exponents)}")
    echo(f"singular values of a step, median: {_first(found.singular)}")
    echo(f"spectral radius of a step, median: {found.radius:.3f}")
    if output:
        echo(f"\npicture in {output}")


def _rows(found: analysis.GradientFlow) -> Iterator[tuple[str, ...]]:
    shown = [k for k in DISTANCES if k < found.steps] + [found.steps]
    for k in shown:
        yield (f"{k:,}", *(_power(float(own[k])) for own in found.gains.values()))


def _power(log: float) -> str:
    """Return a gain, given its logarithm: 0.0312, or a power of ten where that is shorter."""
    if log == -math.inf:
        return "0"
    power = log / math.log(10)
    if -4 < power < 5:
        return f"{math.exp(log):.3g}"
    return f"{10 ** (power % 1):.1f}e{math.floor(power)}"


def _first(numbers: Any) -> str:
    more = " …" if len(numbers) > SHOWN else ""
    return ", ".join(f"{float(x):.3f}" for x in numbers[:SHOWN]) + more
