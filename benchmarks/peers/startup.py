"""What it costs to begin: importing, the first gradients (cold and warm), memory.

Every peer starts twice, in new processes with one empty folder for all caches: the first start
compiles, the second finds what the first left. Memory is the peak of the process, and how much of
it was there before the first case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.peers.cases import Case
from benchmarks.peers.team import Failed, Player, Seat

TURN = 0.05  # a turn's worth of runs: memory that only later runs need counts


@dataclass(frozen=True)
class Start:
    """What one peer needs until it is of use.

    Attributes:
        case: what it computes first.
        peer, threads: who.
        imports: seconds from starting Python until the peer is imported, the quicker start.
        cold, warm: seconds from there to the first gradients, without and with a cache.
        idle_memory: MB when imported.
        peak_memory: largest MB, a turn of runs included.
        note: why there are no figures.
    """

    case: Case
    peer: str
    threads: int | None
    imports: float | None = None
    cold: float | None = None
    warm: float | None = None
    idle_memory: float | None = None
    peak_memory: float | None = None
    note: str = ""


def start(case: Case, seat: Seat, *, options: Mapping[str, str]) -> Start:
    """Start a peer twice and return what it took."""
    with TemporaryDirectory(prefix="unfold-bench-") as folder:
        try:
            starts = [_one(case, seat, options, folder) for _ in range(2)]
        except Failed as failure:
            return Start(case, seat.peer, seat.threads, note=str(failure))
    (cold_import, cold, *_), (warm_import, warm, idle, peak) = starts
    imports = min(cold_import, warm_import)
    return Start(case, seat.peer, seat.threads, imports, cold, warm, idle, peak)


def _one(
    case: Case, seat: Seat, options: Mapping[str, str], folder: str
) -> tuple[float, float, float, float]:
    player = Player(seat, options=options, environment=cache_settings(folder))
    try:
        idle = player.ask("memory")
        first, _ = player.ask("prepare", case)
        player.ask("turn", TURN)
        return player.start_seconds, first, idle, player.ask("memory")
    finally:
        player.close()


def cache_settings(folder: str) -> dict[str, str]:
    """Return the variables that put all caches into a folder; JAX keeps one only if told."""
    at = Path(folder)
    return {
        "UNFOLD_CACHE": str(at / "unfold"),
        "XDG_CACHE_HOME": str(at / "xdg"),
        "NUMBA_CACHE_DIR": str(at / "numba"),
        "TORCHINDUCTOR_CACHE_DIR": str(at / "inductor"),
        "JAX_COMPILATION_CACHE_DIR": str(at / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
