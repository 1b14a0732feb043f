"""Memory: how much of it is free, and sizes as people write them.

show_size(3 << 29)     "1.5 GiB"
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from unfold.core.origin import StateAxis
from unfold.core.program import Program
from unfold.errors import MemoryLimitError

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


def too_large(
    program: Program, needed: float, room: float, extents: Mapping[str, int]
) -> MemoryLimitError:
    """Return the refusal of a run that would not fit.

    Args:
        program: that would be run.
        needed: bytes that it takes.
        room: bytes that it may take.
        extents: of axes, those of the state that a chunk hands on among them.
    """
    own = {a: n for a, n in extents.items() if "." not in a}
    every = ((program.axes[a].origin, n) for a, n in extents.items())
    states = {origin: n for origin, n in every if isinstance(origin, StateAxis)}
    over = ", ".join(f"{a} = {n}" for a, n in own.items())
    said = (
        f"{program.name} needs {show_size(needed)} for a run over {over}, but may use only "
        f"{show_size(room)}"
    )
    state = max(states, key=states.__getitem__, default=None)
    if state is None or states[state] <= max(own.values()):
        return MemoryLimitError(said)
    return MemoryLimitError(
        f"{said}; the state for the next chunk keeps {states[state]:,} points of {state.of}, "
        f"because an index reaches that far back",
        help="shorten that delay, or run without the state: train: {carry: false}, or state=False",
    )


def show_size(size: float) -> str:
    """Return bytes as people write them: "1.3 GiB"."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << power:
            number = size / (1 << power)
            return f"{number:.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"
    return f"{size:.0f} B"
