"""Write one HTML page about a run: linked pictures, curves, samples, measures and code.

    unfold report runs/gru-1
    unfold report gru --steps 6 -o gru.html

The page needs no network and no other file. A spec is shown with fresh parameters, on its own data.
A file that ends with .json gets the data of the page.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unfold.errors import UnfoldError
from unfold.terminal.loading import read_mode
from unfold.terminal.options import JsonOption, ModeOption, SetOption, output_option, seed_option
from unfold.terminal.report import print_json
from unfold.terminal.screen import echo

MODES = ("teacher", "free")


def report(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="The folder of a run, or a spec with its initial parameters."
        ),
    ],
    output: Annotated[
        str | None,
        output_option("Write to FILE, html or json; default RUN/report.html, or NAME-report.html."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", min=1, metavar="N", help="Unfold N steps along each axis."),
    ] = None,
    detail: Annotated[
        str, typer.Option("--detail", metavar="LEVEL", help="Draw one box per cell, node or op.")
    ] = "node",
    mode: ModeOption = None,
    seed: Annotated[int, seed_option("fresh parameters and inputs")] = 0,
    changes: SetOption = None,
    json: JsonOption = False,
) -> int:
    """Write a page and return the exit code."""
    from unfold.drawing import DETAILS
    from unfold.page import check_suffix, write_page
    from unfold.terminal.report_page import Wanted, report_page
    from unfold.terminal.subject import open_subject

    if output is not None:
        check_suffix(Path(output))
    if detail not in DETAILS:
        raise UnfoldError(f"--detail: expected one of {', '.join(DETAILS)}, got {detail!r}")
    chosen = read_mode(mode) or "teacher"
    if chosen not in MODES:
        raise UnfoldError(f"--mode {mode}: a page shows {' or '.join(MODES)}")
    subject = open_subject(run, changes, mode, seed)
    page = report_page(subject, Wanted(steps, detail, str(chosen), seed))
    default = subject.folder / "report.html" if subject.folder else f"{page.title}-report.html"
    file = Path(output or default)
    size = write_page(page, file)
    if json:
        print_json({"ok": True, "name": page.title, "file": str(file), "bytes": size})
    else:
        echo(f"{file}  {size / 1e6:.1f} MB")
    return 0
