"""`unfold check`: load every spec, read its settings, and say what is wrong or what it is.

specs/hello.yaml  ok  t=4, 43 parameters
specs/bad.yaml:14:15: shapes do not match in  W @ h[t-1]
"""

from __future__ import annotations

from typing import Any

import typer

from unfold.commands.loading import Changes, load, read_changes, section
from unfold.commands.report import (
    MISTAKE,
    errors_json,
    named,
    paint,
    plural,
    print_json,
    show_error,
)
from unfold.errors import UnfoldError


def check(specs: list[str], items: list[str], *, as_json: bool) -> int:
    """Check specs one after the other; exit code 1 if any has a mistake."""
    changes = read_changes(items)
    results = [_check_one(name, changes, as_json) for name in specs]
    failed = sum(not r["ok"] for r in results)
    if as_json:
        print_json({"ok": not failed, "specs": results})
    elif failed and len(specs) > 1:
        typer.echo(f"\n{failed} of {plural(len(specs), 'spec')} with mistakes")
    return MISTAKE if failed else 0


def _check_one(name: str, changes: Changes, quiet: bool) -> dict[str, Any]:
    try:
        model = load(name, changes)
        check_settings(model, changes)
    except UnfoldError as error:
        if not quiet:
            show_error(error, err=False)
        return {"spec": name, "ok": False, "errors": errors_json(error)}
    summary = model.summary()
    if not quiet:
        facts = [named(summary["axes"]), plural(summary["parameter_count"], "parameter")]
        told = ", ".join(f for f in facts if f)
        typer.echo(f"{paint(name, bold=True)}  {paint('ok', fg='green')}  {told}")
    return {"spec": name, "ok": True, "errors": [], **summary}


def check_settings(model: Any, changes: Changes) -> None:
    """Check the sections draw, data, train and generate, where the spec has them.

    Raises:
        UnfoldError: with every mistake of the first section that has any.
    """
    if model.spec.draw is not None:
        from unfold.drawing import check_options

        check_options(model.spec.draw, model.program)
    written = {n: section(model, n, changes) for n in ("data", "train", "generate")}
    if not any(written.values()):
        return
    from unfold.training.data import check_data, read_data
    from unfold.training.settings import read_generate, read_train

    if data := written["data"]:
        check_data(read_data(data), data, model.program)
    if train := written["train"]:
        read_train(train)
    if generate := written["generate"]:
        read_generate(generate)
