"""Find the fixed points of a recurrence, and report and draw their stability.

    unfold analyze runs/two-unit-srn-1 -o states.svg
    unfold analyze latch --input x=1

Every step gets the same input. Without --input, each class that a step may read is analyzed in
turn, if there are few. The search starts from states that sequences of the data pass through, and
the picture shows the fixed points among these sequences.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
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
from unfold.terminal.report import print_json, table
from unfold.terminal.screen import echo, paint

if TYPE_CHECKING:
    from unfold import analysis
    from unfold.terminal.subject import Subject

PICTURES: Mapping[str, analysis.Format] = {".svg": "svg", ".png": "png", ".pdf": "pdf"}
MOST_ROWS = 12


def analyze(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="The folder of a run, or a spec with its initial parameters."
        ),
    ],
    items: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME=VALUE",
            help="Set an input of every step (repeatable); default 0.",
        ),
    ] = None,
    output: Annotated[str | None, output_option("Draw to FILE: svg, png or pdf.")] = None,
    axis: Annotated[
        str | None,
        typer.Option(
            "--axis", metavar="AXIS", help="Step along AXIS; default: the first with a state."
        ),
    ] = None,
    period: Annotated[
        int, typer.Option("--period", min=1, metavar="N", help="Find cycles of N steps.")
    ] = 1,
    starts: Annotated[
        int, typer.Option("--starts", min=1, metavar="N", help="Search from N states.")
    ] = 100,
    seed: Annotated[int, seed_option("the starts")] = 0,
    mode: ModeOption = None,
    backend: BackendOption = None,
    changes: SetOption = None,
    json: JsonOption = False,
) -> int:
    """Analyze a run or a spec, and return the exit code."""
    import numpy as np

    from unfold import analysis
    from unfold.backends import MEANING
    from unfold.terminal.subject import conditions, open_subject

    form = PICTURES.get(Path(output).suffix.lower()) if output else None
    if output and form is None:
        raise UnfoldError(f"-o {output}: expected one of {', '.join(PICTURES)}")
    subject = open_subject(run, changes, mode, seed)
    chosen = read_mode(mode) or "teacher"
    backend = choose_backend(backend or MEANING)
    options = {"axis": axis, "mode": chosen, "steps": period, "backend": backend}
    flow = analysis.state_map(subject.model, subject.params, **options)
    found = subject.model.forward(
        subject.params,
        subject.inputs,
        lengths=subject.lengths,
        mode=chosen,
        backend=MEANING,
        state=False,
    )
    paths = analysis.trajectories(flow, found)
    visited = paths[np.isfinite(paths).all(axis=-1)]
    if not len(visited):
        raise UnfoldError(
            f"no sequence is long enough for a state of {flow.parts[0].shape[0]} steps"
        )
    begins = analysis.starts(visited, starts, seed=seed)
    panels: list[analysis.Panel] = []
    for inputs, title in conditions(subject, flow, items or []):
        own = analysis.state_map(subject.model, subject.params, inputs, **options)
        panels.append(analysis.Panel(title, own, analysis.fixed_points(own, begins)))
    if output and form:
        title = subject.model.name + (f", {period} steps" if period > 1 else "")
        plane = analysis.plane_of(visited)
        _write(output, analysis.draw_dynamics(title, panels, paths, plane, format=form))
    if json:
        print_json(_document(subject, flow, panels, output))
    else:
        _show(subject, flow, panels, output)
    return 0


def _write(output: str, picture: bytes) -> None:
    try:
        write_whole(Path(output), picture)
    except OSError as error:
        raise UnfoldError(f"-o {output}: cannot be written: {explain(error)}") from None


def _document(
    subject: Subject, flow: analysis.StateMap, panels: list[analysis.Panel], output: str | None
) -> dict[str, Any]:
    return {
        "ok": True,
        "name": subject.model.name,
        "parameters": subject.told,
        "axis": flow.how.axis,
        "period": flow.steps,
        "state": list(flow.labels),
        "picture": output,
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
    subject: Subject, flow: analysis.StateMap, panels: list[analysis.Panel], output: str | None
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
    if output:
        echo(f"\npicture in {output}")


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
    if abs(point.turn - math.pi) < 1e-9:
        return f"{moves}, alternating sides"
    return f"{moves}, rotating by {math.degrees(point.turn):.0f}°"
