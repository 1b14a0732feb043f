"""`unfold render`: a picture of a spec, as a file.

unfold render char-rnn --view folded -o folded.svg
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unfold.drawing import DETAILS, FORMATS, VIEWS
from unfold.errors import UnfoldError
from unfold.terminal.loading import load, read_changes, read_mode
from unfold.terminal.report import print_json
from unfold.terminal.screen import echo

SEED, BATCH = 0, 8  # of the random inputs that gradients are drawn for


@dataclass(frozen=True)
class Picture:
    """What is asked for.

    Attributes:
        view: one of VIEWS.
        steps: columns of an unfolded view; None lets the drawing choose.
        detail: one of DETAILS.
        mode: which branch of an output feedback is in force.
        format: one of FORMATS; None goes by the file's suffix.
        run: a run folder whose trained parameters the gradients are taken at; None starts afresh.
    """

    view: str
    steps: int | None
    detail: str
    mode: str
    format: str | None
    run: str | None = None


def render(
    spec: str, items: list[str], picture: Picture, output: str | None, *, as_json: bool
) -> int:
    """Draw a spec into a file, or onto stdout where the file is `-`."""
    _require("--view", picture.view, VIEWS)
    _require("--detail", picture.detail, DETAILS)
    suffix = Path(output).suffix.removeprefix(".").lower() if output else ""
    form = picture.format or suffix or "svg"
    _require("--format" if picture.format or not suffix else f"-o {output}", form, FORMATS)
    model = load(spec, read_changes(items))
    drawn = model.render(
        picture.view,
        steps=picture.steps,
        detail=picture.detail,
        mode=read_mode(picture.mode),
        format=form,
        **(_values(model, picture.run) if VIEWS[picture.view].values else {}),
    )
    content = drawn.encode("utf-8") if isinstance(drawn, str) else drawn
    if output == "-":
        sys.stdout.buffer.write(content)
        return 0
    file = Path(output or f"{model.name}-{picture.view}.{form}")
    file.write_bytes(content)
    if as_json:
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
