"""Sizes of memory as people write them.

show_size(3 << 29)     "1.5 GiB"
"""

from __future__ import annotations


def show_size(size: float) -> str:
    """Return bytes as people write them: "1.3 GiB"."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << power:
            number = size / (1 << power)
            return f"{number:.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"
    return f"{size:.0f} B"
