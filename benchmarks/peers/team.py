"""The main process's side of workers: start them, ask them, survive their failures.

    torch = Player(Seat("torch", threads=2))
    torch.ask("prepare", case), torch.ask("turn", 0.05)
    torch.close()

A request that fails raises `Failed`; so does a process that ends or does not answer in time, which
is gone then.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from benchmarks.peers.peer import PEERS, Entry

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 600.0


class Failed(Exception):
    """A worker failed; the message says how."""


@dataclass(frozen=True)
class Seat:
    """A peer with a number of threads (None: its own choice), as in `torch@2`."""

    peer: str
    threads: int | None

    def __str__(self) -> str:
        return self.peer if self.threads is None else f"{self.peer}@{self.threads}"


class Player:
    """A peer in a process of its own.

    Args:
        seat: which peer, and how many threads.
        peers: the known ones, by name.
        options: of the peer, beyond its own.
        environment: variables beyond those of this process.
        patience: seconds to wait for an answer.
    """

    def __init__(
        self,
        seat: Seat,
        *,
        peers: Mapping[str, Entry] = PEERS,
        options: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.seat, self.patience = seat, patience
        self._connection, theirs = Pipe()
        entry = peers[seat.peer]
        words = [f"{k}={v}" for k, v in {**entry.options, **(options or {})}.items()]
        module = [sys.executable, "-m", "benchmarks.peers.worker", str(theirs.fileno())]
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [*module, entry.module, *words],
            cwd=ROOT,
            env={**os.environ, **thread_settings(seat.threads), **(environment or {})},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
        )
        theirs.close()
        try:
            self.versions: Mapping[str, str] = self._answer()
        except Failed:
            self.close()
            raise
        self.start_seconds = time.perf_counter() - began

    def ask(self, request: str, *arguments: Any) -> Any:
        """Return the answer to a request of `worker.Worker`.

        Raises:
            Failed: the request failed; or the worker ended or is late, and is gone.
        """
        try:
            self._connection.send((request, *arguments))
        except OSError:
            self.close()
            raise Failed("its process has ended") from None
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answer(self) -> Any:
        try:
            if not self._connection.poll(self.patience):
                self.close()
                raise Failed(f"no answer in {self.patience:.0f} s")
            verdict, answer = self._connection.recv()
        except (EOFError, OSError):
            self.close()
            raise Failed(f"its process ended with {self._process.returncode}") from None
        if verdict == "failed":
            raise Failed(answer)
        return answer


def assemble(
    places: Iterable[Seat],
    *,
    peers: Mapping[str, Entry] = PEERS,
    backend: str,
    tell: Callable[[str], None],
) -> tuple[dict[Seat, Player], dict[str, str]]:
    """Start every seat; return those that started, and the versions of what they use.

    Args:
        places: who, with how many threads.
        peers: the known ones, by name.
        backend: unfold's.
        tell: gets a line for each that does not start.
    """
    team: dict[Seat, Player] = {}
    versions: dict[str, str] = {}
    for seat in places:
        try:
            team[seat] = Player(seat, peers=peers, options=options_of(seat, backend))
            versions |= team[seat].versions
        except Failed as failure:
            tell(f"{seat} does not start: {failure}")
    return team, versions


def options_of(seat: Seat, backend: str) -> dict[str, str]:
    """Return the options of a peer: unfold is told its backend."""
    return {"backend": backend} if seat.peer == "unfold" else {}


def thread_settings(threads: int | None) -> dict[str, str]:
    """Return the variables that give a process a number of threads, for everybody's libraries."""
    if threads is None:
        return {}
    names = ("OMP", "OPENBLAS", "MKL", "VECLIB", "NUMEXPR")
    found = {f"{name}_NUM_THREADS": str(threads) for name in names}
    found["NPROC"] = str(threads)  # the size of the XLA pool
    if threads == 1:
        flags = os.environ.get("XLA_FLAGS", "")
        found["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    return found


def seats(names: Iterable[str], most: int, *, peers: Mapping[str, Entry] = PEERS) -> list[Seat]:
    """Return every peer with 1, 2 and `most` threads, or once where it decides itself."""
    counts = sorted({1, min(2, most), most})
    return [
        Seat(name, threads)
        for name in names
        for threads in (counts if peers[name].threaded else [None])
    ]
