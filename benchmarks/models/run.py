"""Time whole models beside PyTorch and JAX: the loss and all gradients, or a training step.

    python -m benchmarks.models                               all, ten minutes
    python -m benchmarks.models --cases ctc,rnn-2d --rounds 5

Tables go to stdout, what happens meanwhile to stderr. The exit code is 1 where somebody disagrees.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
from typing import Any

from benchmarks.models.cases import CASES, Model
from benchmarks.peers.compare import TOLERANCE, Result, compare
from benchmarks.peers.document import OURS, Document, compared_rows
from benchmarks.peers.peer import Entry
from benchmarks.peers.report import BUSY, Table, best_peer, facts, peer_time, tell, write
from benchmarks.peers.run import names_of
from benchmarks.peers.team import assemble, seats
from unfold.core.processors import processors
from unfold.speed.machine import describe_machine
from unfold.speed.timing import GEMM_SIZE, MOST_ROUNDS, gemm_peak

PEERS = {
    name: Entry(f"benchmarks.models.{name}_peer", name, about, {}, threaded=name != OURS)
    for name, about in (
        ("unfold", "this package, its public interface"),
        ("torch", "PyTorch eager, layers of torch.nn and loops"),
        ("jax", "JAX, jit of value_and_grad, lax.scan"),
    )
}
GOAL = 1.2  # the best peer's time over unfold's


def main(words: list[str]) -> int:
    """Run the benchmarks and return the exit code."""
    asked = read_arguments(words)
    document = play(asked)
    if asked.json:
        print(json.dumps(document, indent=1))
    else:
        write([times_of(document)], facts(document), markdown=asked.markdown)
    return 0 if document["ok"] else 1


def read_arguments(words: list[str]) -> argparse.Namespace:
    """Return what the command line asks for; cases and peers are lists."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        "python -m benchmarks.models",
        description=first,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--cases", default=",".join(CASES), type=names_of(CASES), help="default: all")
    add("--rounds", default=MOST_ROUNDS, type=int, metavar="N", help="turns of each peer")
    add("--peers", type=names_of(PEERS), help="default: all that are installed")
    add("--backend", default="numba", help="unfold's")
    add("--threads", default=processors(), type=int, help="at most, for peers")
    add("--gemm", default=GEMM_SIZE, type=int, metavar="N", help="size of the limit's matrices")
    add("--json", action="store_true", help="print one JSON document")
    add("--markdown", action="store_true", help="print Markdown")
    return parser.parse_args(words)


def play(asked: argparse.Namespace) -> Document:
    """Let the peers play every case, and return the document."""
    names = asked.peers or [n for n, entry in PEERS.items() if entry.available]
    machine = describe_machine()
    if machine["load"] > BUSY:
        tell(f"the machine is busy (load {machine['load']}): figures will be worth little")
    peak = {str(n): gemm_peak(n, size=asked.gemm) for n in sorted({1, asked.threads})}
    results: list[Result[Model]] = []
    places = seats(names, asked.threads, peers=PEERS)
    team, versions = assemble(places, peers=PEERS, backend=asked.backend, tell=tell)
    timing: dict[str, Any] = {"seconds": math.inf, "rounds": asked.rounds, "tell": tell}
    try:
        for number, name in enumerate(asked.cases, 1):
            tell(f"{name} ({number} of {len(asked.cases)})")
            results += compare(CASES[name], team, **timing)
    finally:
        for player in team.values():
            player.close()
    return {
        "ok": all(r.difference is None or r.difference <= TOLERANCE for r in results),
        "date": datetime.date.today().isoformat(),
        "machine": machine,
        "versions": versions,
        "settings": {n: getattr(asked, n) for n in ("backend", "rounds", "threads", "gemm")},
        "peers": {n: PEERS[n].about for n in names},
        "peak": peak,
        "results": compared_rows(results),
        "starts": [],
    }


def times_of(document: Document) -> Table:
    """Return the table of a document: a row for each case, a column for each peer."""
    peers = list(document["peers"])
    cases: dict[str, dict[str, Document]] = {}
    for row in document["results"]:
        cases.setdefault(row["name"], {})[row["peer"]] = row
    rows = [
        [name, *(peer_time(group.get(p, {}), "minimum") for p in peers), best_peer(group, "slower")]
        for name, group in cases.items()
    ]
    headings = ["case", *peers, f"best peer / unfold ({GOAL})"]
    return Table("Milliseconds, minimum", headings, rows, 1)
