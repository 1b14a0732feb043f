"""Print the JSON Schema of spec files, for editors."""

from __future__ import annotations

from typing import Annotated

import typer

from unfold.terminal.report import print_json


def schema(
    json: Annotated[
        bool, typer.Option("--json", help="Has no effect: the schema is always JSON.")
    ] = False,
) -> int:
    """Print the JSON Schema of a spec file."""
    from unfold.settings.schema import json_schema

    print_json(json_schema())
    return 0
