"""The options that several commands have; an option of one command stands in its file.

    def grad(
        spec: SpecArgument,
        changes: SetOption = None,
        seed: Annotated[int, seed_option("parameters and inputs")] = 0,
        json: JsonOption = False,
    ) -> int: ...

Options with the same words everywhere are types. Where the words differ, a function makes the
option, and the command says its type.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

SPEC: Any = typer.Argument(metavar="SPEC", help="A YAML file, or a name that `unfold specs` lists.")

SpecArgument = Annotated[str, SPEC]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override size.NAME, axis.NAME, or a key of data, train, memory, generate or draw.",
    ),
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="NAME",
        help="Compute with numba (compiled) or reference.",
        envvar="UNFOLD_BACKEND",
    ),
]
ModeOption = Annotated[
    str | None,
    typer.Option(
        "--mode",
        metavar="MODE",
        help="Set the mode of output feedback: teacher, free or scheduled:P.",
    ),
]
BatchOption = Annotated[int, typer.Option("--batch", min=1, metavar="N", help="Use N sequences.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def output_option(help: str) -> Any:
    """Return `-o FILE`."""
    return typer.Option("-o", "--output", metavar="FILE", help=help)


def dtype_option(help: str) -> Any:
    """Return `--dtype TYPE`."""
    return typer.Option("--dtype", metavar="TYPE", help=help)


def seed_option(of: str) -> Any:
    """Return `--seed N`, for what is drawn from it."""
    return typer.Option("--seed", min=0, metavar="N", help=f"Set the seed of {of}.")
