"""Compare specs, or variants of one: depth, paths of the gradient, cost and time.

    unfold compare zhang-td zhang-st zhang-sh
    unfold compare lstm --vary size.hidden=64,128 --time

Measures that are equal for all are said once.
"""

from __future__ import annotations

import shutil
from typing import Annotated

import typer

from unfold.errors import UnfoldError
from unfold.terminal.loading import choose_backend, read_mode
from unfold.terminal.options import BatchOption, JsonOption, ModeOption, SetOption
from unfold.terminal.report import print_json
from unfold.terminal.screen import echo
from unfold.terminal.variants import variants

NARROWEST, WIDEST = 40, 100


def compare(
    specs: Annotated[
        list[str],
        typer.Argument(metavar="SPEC...", help="YAML files, or names that `unfold specs` lists."),
    ],
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary",
            metavar="KEY=VALUES",
            help="Make a variant for each value, as in size.hidden=32,64 or axis.l=1..4; "
            "several make all combinations.",
        ),
    ] = None,
    distance: Annotated[
        int,
        typer.Option("--distance", min=0, metavar="N", help="Measure paths that cross N steps."),
    ] = 100,
    time: Annotated[
        bool, typer.Option("--time", help="Measure the time of a run, in turns.")
    ] = False,
    backends: Annotated[
        list[str] | None,
        typer.Option(
            "--backend", metavar="NAME", help="Measure the time on it (repeatable); see --time."
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option("--seconds", min=0.0, metavar="S", help="Time each variant for S seconds."),
    ] = 1.0,
    batch: BatchOption = 1,
    mode: ModeOption = None,
    changes: SetOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show measures that are equal for all in the tables.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a line for each value.")] = False,
    json: JsonOption = False,
) -> int:
    """Print the measures of specs or variants side by side, and return the exit code."""
    from unfold.comparison import compare as compared
    from unfold.comparison.tables import as_text

    if csv and json:
        raise UnfoldError("--csv and --json exclude each other")
    timed = tuple(map(choose_backend, backends or ([None] if time else [])))
    models = variants(specs, changes, vary)
    found = compared(
        models,
        distance=distance,
        batch=batch,
        mode=read_mode(mode) or "teacher",
        backends=timed,
        seconds=seconds,
        tell=lambda text: echo(f"{text} ...", err=True) if timed else None,
    )
    if json:
        print_json({"ok": True, **found.as_document()})
    elif csv:
        echo(found.to_csv(), nl=False)
    else:
        columns = shutil.get_terminal_size((WIDEST, 24)).columns
        width = max(NARROWEST, min(columns, WIDEST))
        echo(as_text(found, width, everything=everything))
    return 0
