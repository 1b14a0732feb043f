"""`unfold cache`: where compiled kernels are kept, how much they take, and how to remove them."""

from __future__ import annotations

from unfold.terminal.report import print_json, table
from unfold.terminal.screen import echo


def cache(*, clear: bool, as_json: bool) -> int:
    """Show the store of compiled kernels, or empty it."""
    from unfold.backends import kept

    folder = kept.kernels() or "nowhere"
    if clear:
        count, size = kept.clear()
        if as_json:
            print_json({"folder": str(folder), "removed": count, "bytes": size})
        else:
            echo(f"removed {count} kernels, {_megabytes(size)}, from {folder}")
        return 0
    entries = kept.entries()
    size = sum(e[1] for e in entries)
    if as_json:
        print_json({"folder": str(folder), "kernels": len(entries), "bytes": size})
    else:
        table(
            ("folder", "kernels", "size", "limit"),
            [(str(folder), str(len(entries)), _megabytes(size), _megabytes(kept.LIMIT))],
        )
    return 0


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.1f} MB"
