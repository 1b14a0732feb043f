"""Compare specs, or variants of one: depth, paths of the gradient, cost, time, training.

    unfold compare zhang-td zhang-st zhang-sh
    unfold compare lstm --vary size.hidden=64,128 --time
    unfold compare zhang-td zhang-sh --train -o td.html

Measures that are equal for all are said once. Training runs are kept in a folder: the same
command, stopped and started again, goes on with them, and does nothing twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from unfold.errors import UnfoldError
from unfold.terminal.loading import choose_backend, read_mode
from unfold.terminal.options import (
    BatchOption,
    JsonOption,
    ModeOption,
    SetOption,
    dtype_option,
    output_option,
)
from unfold.terminal.report import print_json
from unfold.terminal.screen import echo
from unfold.terminal.variants import Variant, variants

NARROWEST, WIDEST = 40, 100
TITLED = 4  # variants in the title of a page


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
    fit: Annotated[
        str | None,
        typer.Option(
            "--fit", metavar="KEY", help="Choose size.NAME or axis.NAME to come below a budget."
        ),
    ] = None,
    budget: Annotated[
        int | None, typer.Option("--budget", min=1, metavar="N", help="Allow N parameters.")
    ] = None,
    budget_flops: Annotated[
        float | None,
        typer.Option(
            "--budget-flops", metavar="N", help="Allow N operations per step, with gradients."
        ),
    ] = None,
    budget_seconds: Annotated[
        float | None,
        typer.Option(
            "--budget-seconds", metavar="S", help="Allow S seconds for a run with gradients."
        ),
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Train every variant, and compare the losses.")
    ] = False,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, metavar="N", help="Train with the seeds 0 to N-1.")
    ] = 1,
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, metavar="N", help="Train in N processes at a time.")
    ] = 1,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster", metavar="URL", help="Train on the workers of this Dask scheduler."
        ),
    ] = None,
    mpi: Annotated[
        bool, typer.Option("--mpi", help="Train in the processes that mpiexec has started.")
    ] = False,
    results: Annotated[
        str, typer.Option("--results", metavar="FOLDER", help="Keep training runs in FOLDER.")
    ] = "results",
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
            "--backend", metavar="NAME", help="Measure the time and train on it (repeatable)."
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option("--seconds", min=0.0, metavar="S", help="Time each variant for S seconds."),
    ] = 1.0,
    gradients: Annotated[
        int,
        typer.Option(
            "--gradients", min=0, metavar="N", help="Follow gradients from N initial parameters."
        ),
    ] = 0,
    batch: BatchOption = 1,
    dtype: Annotated[str, dtype_option("Train in float64 or float32.")] = "float64",
    mode: ModeOption = None,
    changes: SetOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show measures that are equal for all in the tables.")
    ] = False,
    output: Annotated[
        str | None, output_option("Write a page to FILE: html, or json with its data.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a line for each value.")] = False,
    json: JsonOption = False,
) -> int:
    """Print the measures of specs or variants side by side, and return the exit code."""
    from unfold.comparison import compare as compared
    from unfold.comparison.tables import as_text
    from unfold.page import check_suffix, write_page
    from unfold.terminal.comparison_page import comparison_page

    if csv and json:
        raise UnfoldError("--csv and --json exclude each other")
    if output is not None:
        check_suffix(Path(output))
    limits = {"parameters": budget, "flops": budget_flops, "seconds": budget_seconds}
    asked = _within(variants(specs, changes, vary), fit, limits, batch)
    chosen = tuple(map(choose_backend, backends or ([None] if time else [])))
    training: list[Any] = []
    if train:
        from unfold.terminal.sweep import Sweep

        where = {"jobs": jobs, "cluster": cluster, "mpi": mpi}
        sweep = Sweep(asked, seeds, Path(results), next(iter(chosen), None), dtype, mode, where)
        if (trained := sweep.run()) is None:
            return 0  # a process that has worked for another one
        training = trained
    measured = chosen if time or not train else ()
    found = compared(
        {v.name: v.model for v in asked},
        distance=distance,
        batch=batch,
        mode=read_mode(mode) or "teacher",
        backends=measured,
        seconds=seconds,
        seeds=gradients,
        tell=lambda text: echo(f"{text} ...", err=True) if measured else None,
    )
    if training:
        notes = {**found.notes, "training": f"training, {seeds} runs each, kept in {results}"}
        found = replace(found, measures=(*found.measures, *training), notes=notes)
    if output is not None:
        write_page(comparison_page(found, _title(found.variants)), Path(output))
    if json:
        print_json({"ok": True, "page": output, **found.as_document()})
    elif csv:
        echo(found.to_csv(), nl=False)
    else:
        columns = shutil.get_terminal_size((WIDEST, 24)).columns
        width = max(NARROWEST, min(columns, WIDEST))
        echo(as_text(found, width, everything=everything))
        if output is not None:
            echo(f"\npage in {output}")
    return 0


def _title(variants: Sequence[str]) -> str:
    """Return `a, b and 3 more`."""
    first = ", ".join(variants[:TITLED])
    more = len(variants) - TITLED
    return first if more <= 0 else f"{first} and {more} more"


def _within(
    asked: list[Variant], fit: str | None, limits: dict[str, float | None], batch: int
) -> list[Variant]:
    """Return variants at the sizes that keep the budget, if there is one."""
    given = {kind: limit for kind, limit in limits.items() if limit is not None}
    if not given and fit is None:
        return asked
    if len(given) != 1 or fit is None:
        raise UnfoldError(
            "expected --fit KEY with one budget, as in  --fit size.hidden --budget 20000"
        )
    from unfold.terminal.budgets import Budget, fitted

    ((kind, limit),) = given.items()
    return [fitted(variant, fit, Budget(kind, limit, batch)) for variant in asked]
