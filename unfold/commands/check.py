"""Report errors in specs.

    unfold check my-spec.yaml specs/*.yaml

This includes the sections draw, data, train and generate, and the files that they name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from unfold.errors import MISTAKE, UnfoldError
from unfold.terminal.loading import Changes, load, read_changes
from unfold.terminal.options import JsonOption, SetOption
from unfold.terminal.report import errors_json, named, plural, print_json, show_error
from unfold.terminal.screen import echo, paint


def check(
    specs: Annotated[
        list[str],
        typer.Argument(metavar="SPEC...", help="YAML files, or names that `unfold specs` lists."),
    ],
    changes: SetOption = None,
    json: JsonOption = False,
) -> int:
    """Check specs one after the other; exit code 1 if any has a mistake."""
    read = read_changes(changes)
    results = [_check_one(name, read, json) for name in specs]
    failed = sum(not r["ok"] for r in results)
    if json:
        print_json({"ok": not failed, "specs": results})
    elif failed and len(specs) > 1:
        echo(f"\n{failed} of {plural(len(specs), 'spec')} with errors")
    return MISTAKE if failed else 0


def _check_one(name: str, changes: Changes, quiet: bool) -> dict[str, Any]:
    try:
        model = load(name, changes)
        check_settings(name, model, changes)
    except UnfoldError as error:
        if not quiet:
            show_error(error, err=False)
        return {"spec": name, "ok": False, "errors": errors_json(error)}
    summary = model.summary()
    if not quiet:
        facts = [named(summary["axes"]), plural(summary["parameter_count"], "parameter")]
        told = ", ".join(f for f in facts if f)
        echo(f"{paint(name, bold=True)}  {paint('ok', fg='green')}  {told}")
    return {"spec": name, "ok": True, "errors": [], **summary}


def check_settings(name: str, model: Any, changes: Changes) -> None:
    """Check draw, train, generate and data, and read the files that data and init name.

    Raises:
        UnfoldError: with every mistake of the first section that has any.
    """
    spec = model.spec
    if spec.draw is not None:
        from unfold.drawing import check_options

        check_options(spec.draw, model.program)
    if spec.data or spec.train or spec.generate:
        from unfold.settings.generate import read_generate
        from unfold.settings.train import TrainSettings, read_train
        from unfold.terminal.task import feed

        settings = read_train(spec.train) if spec.train else TrainSettings()
        if spec.generate:
            read_generate(spec.generate)
        if spec.data:
            model = feed(name, model, changes, settings, "float64").model
    if any(v.attributes["init"] == "file" for v in model.program.parameters):
        from unfold.training.weight_files import check_weights

        check_weights(model.program, Path(model.spec.file).parent)
