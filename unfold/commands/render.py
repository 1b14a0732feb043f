"""Draw a spec's graph.

    unfold render char-rnn --view folded -o folded.svg
    unfold render gru --view gradients --run runs/gru-1

Gradients are those for random inputs, at initial parameters or at those of a run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from unfold.errors import UnfoldError
from unfold.terminal.loading import load, read_changes, read_mode
from unfold.terminal.options import JsonOption, ModeOption, SetOption, SpecArgument, output_option
from unfold.terminal.report import print_json
from unfold.terminal.screen import echo

SEED, BATCH = 0, 8  # of the random inputs that gradients are drawn for


def render(
    spec: SpecArgument,
    output: Annotated[
        str | None, output_option("Write to FILE; default NAME-VIEW.svg, - is stdout.")
    ] = None,
    view: Annotated[
        str,
        typer.Option(
            "--view",
            metavar="VIEW",
            help="Draw folded, unfolded, backward, gradients (norms) or compare (modes).",
        ),
    ] = "unfolded",
    steps: Annotated[
        int | None,
        typer.Option("--steps", min=1, metavar="N", help="Unfold N steps along each axis."),
    ] = None,
    detail: Annotated[
        str, typer.Option("--detail", metavar="LEVEL", help="Draw one box per cell, node or op.")
    ] = "node",
    mode: ModeOption = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="FORMAT", help="Write svg, png, pdf or dot; default: that of FILE."
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run", metavar="RUN", help="Compute gradients at the parameters of this run."
        ),
    ] = None,
    changes: SetOption = None,
    json: JsonOption = False,
) -> int:
    """Draw a spec into a file, or onto stdout where the file is `-`."""
    from unfold.drawing import DETAILS, FORMATS, VIEWS

    _require("--view", view, VIEWS)
    _require("--detail", detail, DETAILS)
    suffix = Path(output).suffix.removeprefix(".").lower() if output else ""
    form = format or suffix or "svg"
    _require("--format" if format or not suffix else f"-o {output}", form, FORMATS)
    model = load(spec, read_changes(changes))
    drawn = model.render(
        view,
        steps=steps,
        detail=detail,
        mode=read_mode(mode or "teacher"),
        format=form,
        **(_values(model, run) if VIEWS[view].values else {}),
    )
    content = drawn.encode("utf-8") if isinstance(drawn, str) else drawn
    if output == "-":
        sys.stdout.buffer.write(content)
        return 0
    file = Path(output or f"{model.name}-{view}.{form}")
    file.write_bytes(content)
    if json:
        print_json({"ok": True, "file": str(file), "bytes": len(content), "format": form})
    else:
        echo(str(file))
    return 0


def _values(model: Any, run: str | None) -> dict[str, Any]:
    """Return parameters (of a run, or fresh) and random inputs at which gradients are drawn."""
    from unfold.training.checkpoint import latest
    from unfold.training.checkpoint import load as read_checkpoint
    from unfold.training.data import random_inputs

    parameters = model.init(seed=SEED)
    if run is not None:
        checkpoint = latest(Path(run) / "checkpoint")
        if checkpoint is None:
            raise UnfoldError(f"--run: {run} has no checkpoint; give the folder of a training run")
        parameters = read_checkpoint(checkpoint).state.parameters
    return {
        "params": parameters,
        "inputs": random_inputs(model.program, batch=BATCH, seed=SEED),
    }


def _require(option: str, value: str, allowed: Iterable[str]) -> None:
    if value not in allowed:
        raise UnfoldError(f"{option}: expected one of {', '.join(allowed)}, got {value!r}")
