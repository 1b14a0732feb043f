"""Time unfold and its peers: read what is asked for, let them play, print what was found.

    python -m benchmarks.peers                                all cells at S1 to S5: half an hour
    python -m benchmarks.peers --cells lstm --shapes S1,S2    two minutes
    python -m benchmarks.peers --shapes steps,batches         how time grows with T and with B
    python -m benchmarks.peers --save found.json              and later:
    python -m benchmarks.peers --read found.json --markdown

Tables go to stdout, what happens meanwhile to stderr. The exit code is 1 where somebody disagrees.
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers.cases import CELLS, Case, Shape, read_shapes
from benchmarks.peers.compare import TOLERANCE, Result, compare
from benchmarks.peers.document import Document, result_rows, start_rows
from benchmarks.peers.peer import PEERS, USUAL
from benchmarks.peers.report import BUSY, facts, tables, tell, write
from benchmarks.peers.startup import Start, start
from benchmarks.peers.team import Seat, assemble, options_of, seats
from unfold.core.processors import processors
from unfold.speed.machine import describe_machine
from unfold.speed.timing import GEMM_SIZE, gemm_peak


def main(words: list[str]) -> int:
    """Run the benchmarks and return the exit code."""
    asked = read_arguments(words)
    if asked.read:
        document = json.loads(Path(asked.read).read_text(encoding="utf-8"))
    else:
        document = play(asked)
    if asked.save:
        Path(asked.save).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if asked.json:
        print(json.dumps(document, indent=1))
    else:
        write(tables(document), facts(document), markdown=asked.markdown)
    return 0 if document["ok"] else 1


def read_arguments(words: list[str]) -> argparse.Namespace:
    """Return what the command line asks for; cells, peers and shapes are lists."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        "python -m benchmarks.peers",
        description=first,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--cells", default=",".join(CELLS), type=names_of(CELLS), help="default: all")
    add("--shapes", default="main", type=_shapes, help="names, groups or TxBxH; default: main")
    add("--peers", type=names_of(PEERS), help="default: all that are installed, torch-compile not")
    add("--backend", default="numba", help="unfold's")
    add("--seconds", default=2.0, type=float, help="to time each peer in each case")
    add("--threads", default=processors(), type=int, help="at most, for peers")
    add("--gemm", default=GEMM_SIZE, type=int, metavar="N", help="size of the limit's matrices")
    add("--startup", default="S2", type=_startup, help="shapes to start at, with the first cell")
    add("--json", action="store_true", help="print one JSON document")
    add("--markdown", action="store_true", help="print Markdown")
    add("--save", metavar="FILE", help="write the JSON document as well")
    add("--read", metavar="FILE", help="show a saved document; run nothing")
    return parser.parse_args(words)


def names_of(known: Mapping[str, Any]) -> Callable[[str], list[str]]:
    """Return a reader of names with commas between them, for argparse."""

    def read(text: str) -> list[str]:
        for name in (found := text.split(",")):
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name}: expected some of {', '.join(known)}")
        return found

    return read


def _shapes(text: str) -> list[Shape]:
    try:
        return read_shapes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _startup(text: str) -> list[Shape]:
    return [] if text == "none" else _shapes(text)


def play(asked: argparse.Namespace) -> Document:
    """Let the peers play every case, and return the document."""
    names = asked.peers or [n for n in USUAL if PEERS[n].available]
    for name in names:
        if not PEERS[name].available:
            raise SystemExit(f"{name} needs {PEERS[name].needs}; try: pip install -e '.[bench]'")
    places = seats(names, asked.threads)
    machine = describe_machine()
    if machine["load"] > BUSY:
        tell(f"the machine is busy (load {machine['load']}): figures will be worth little")
    tell("measuring the product of matrices")
    peak = {str(n): gemm_peak(n, size=asked.gemm) for n in sorted({1, asked.threads})}
    starts = list(_starts(places, asked))
    cases = [Case(CELLS[c], shape) for c in asked.cells for shape in asked.shapes]
    results: list[Result[Case]] = []
    team, versions = assemble(places, backend=asked.backend, tell=tell)
    try:
        for number, case in enumerate(cases, 1):
            tell(f"{case.name} ({number} of {len(cases)})")
            playing = {seat: p for seat, p in team.items() if PEERS[seat.peer].takes(case)}
            results += compare(case, playing, seconds=asked.seconds, tell=tell)
            peak = {n: max(p, gemm_peak(int(n), size=asked.gemm, runs=3)) for n, p in peak.items()}
    finally:
        for player in team.values():
            player.close()
    return {
        "ok": all(r.difference is None or r.difference <= TOLERANCE for r in results),
        "date": datetime.date.today().isoformat(),
        "machine": machine,
        "versions": versions,
        "settings": {n: getattr(asked, n) for n in ("backend", "seconds", "threads", "gemm")},
        "peers": {n: PEERS[n].about for n in names},
        "peak": peak,
        "results": result_rows(results, max(peak.values())),
        "starts": start_rows(starts),
    }


def _starts(places: list[Seat], asked: argparse.Namespace) -> Iterator[Start]:
    """Start every peer anew, with as many threads as it may have, on the first cell."""
    for shape in asked.startup:
        case = Case(CELLS[asked.cells[0]], shape)
        for seat in {s.peer: s for s in places}.values():
            if PEERS[seat.peer].takes(case):
                tell(f"starting {seat} in new processes, {case.name}")
                yield start(case, seat, options=options_of(seat, asked.backend))
