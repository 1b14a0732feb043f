"""Show where compiled kernels are stored, or remove them."""

from __future__ import annotations

from typing import Annotated

import typer

from unfold.terminal.options import JsonOption
from unfold.terminal.report import print_json, table
from unfold.terminal.screen import echo


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all compiled kernels.")] = False,
    json: JsonOption = False,
) -> int:
    """Show the store of compiled kernels, or empty it."""
    from unfold.backends import kept

    folder = kept.kernels() or "nowhere"
    if clear:
        count, size = kept.clear()
        if json:
            print_json({"folder": str(folder), "removed": count, "bytes": size})
        else:
            echo(f"removed {count} kernels, {_megabytes(size)}, from {folder}")
        return 0
    entries = kept.entries()
    size = sum(e[1] for e in entries)
    if json:
        print_json({"folder": str(folder), "kernels": len(entries), "bytes": size})
    else:
        table(
            ("folder", "kernels", "size", "limit"),
            [(str(folder), str(len(entries)), _megabytes(size), _megabytes(kept.LIMIT))],
        )
    return 0


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.1f} MB"
