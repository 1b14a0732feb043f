"""The process a peer lives in: it prepares cases and times them when it is its turn.

    main process → worker   ("prepare", case)   ("numbers",)   ("turn", seconds)
                            ("memory",)         ("forget_peak",)
    worker → main process   ("ok", answer)      or  ("failed", message)

Started as `python -m benchmarks.peers.worker DESCRIPTOR MODULE OPTION=VALUE ...` with numbers of
threads in its environment; its first word, ("ok", versions), says that the peer is imported.
"""

from __future__ import annotations

import gc
import resource
import sys
import time
import traceback
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.peers.peer import Named, Numbers, Peer, Prepared
from unfold.speed.timing import timed, turn

PEAK = Path("/proc/self/clear_refs")  # of Linux; see proc(5)


class Worker:
    """Answers requests about one peer.

    Args:
        peer: what computes.
    """

    def __init__(self, peer: Peer[Any]) -> None:
        self.peer = peer
        self.prepared: Prepared | None = None
        self.found: Any = None
        self.seconds = 0.0

    def prepare(self, case: Named) -> tuple[float, float]:
        """Return the seconds to the first numbers of a case, and those of a second run."""
        self.prepared = self.found = None  # frees what the case before needed
        gc.collect()
        began = time.perf_counter()
        self.prepared = self.peer.prepare(case)
        self.found = self.prepared.run()
        first = time.perf_counter() - began
        self.seconds = timed(self.prepared.run)
        return first, self.seconds

    def numbers(self) -> Numbers:
        """Return loss and gradients of the prepared case."""
        assert self.prepared is not None
        found = self.prepared.read(self.found)
        self.found = None
        return found

    def turn(self, seconds: float) -> list[float]:
        """Return the durations of runs that fill some seconds, at least one."""
        assert self.prepared is not None
        return turn(self.prepared.run, seconds, self.seconds)

    def memory(self) -> float:
        """Return the largest memory that this process has held, in MB."""
        return peak_memory()

    def forget_peak(self) -> bool:
        """Count the largest memory anew, from now on; return whether the system can do that."""
        if not PEAK.exists():
            return False
        PEAK.write_text("5", encoding="utf-8")
        return True


def peak_memory() -> float:
    """Return the peak of resident memory in MB (Linux counts ru_maxrss from before `exec`)."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def serve(connection: Connection, module: str, options: dict[str, str]) -> None:
    """Answer until the other side closes; a request that fails is answered by its message."""
    try:
        worker = Worker(import_module(module).make(**options))
        connection.send(("ok", dict(worker.peer.versions())))
    except Exception as error:
        connection.send(("failed", _describe(error)))
        return
    while True:
        try:
            request, *arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = ("ok", getattr(worker, request)(*arguments))
        except Exception as error:
            answer = ("failed", _describe(error))
        connection.send(answer)


def _describe(error: Exception) -> str:
    """Return a line about an error; all of it goes to stderr."""
    traceback.print_exception(error)
    return f"{type(error).__name__}: {error}".splitlines()[0]


if __name__ == "__main__":
    descriptor, peer_module, *pairs = sys.argv[1:]
    pairs_read = dict(pair.split("=", 1) for pair in pairs)
    serve(Connection(int(descriptor)), peer_module, pairs_read)
