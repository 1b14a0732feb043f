"""Memory: how much of it is free, and sizes as people write them.

show_size(3 << 29)     "1.5 GiB"
"""

from __future__ import annotations

from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
SHARE = 0.85
"""Of what is free; the rest is left to others, and to what nobody counts."""


MAX_ELEMENTS = 2**31
"""Numbers that one value may hold."""


def available() -> int:
    """Return the bytes that are free, on this machine and in its control group."""
    import psutil

    free = psutil.virtual_memory().available
    try:
        limit, used = ((CGROUP / f"memory.{n}").read_text().strip() for n in ("max", "current"))
    except OSError:
        return free
    return free if limit == "max" else min(free, max(int(limit) - int(used), 0))


def may_be_taken() -> int:
    """Return the bytes that a run, or the data of one, may take."""
    return int(SHARE * available())


def show_size(size: float) -> str:
    """Return bytes as people write them: "1.3 GiB"."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << power:
            number = size / (1 << power)
            return f"{number:.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"
    return f"{size:.0f} B"
