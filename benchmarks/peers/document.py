"""What a run of the benchmarks found, as plain data: what `--json` prints and `--read` reads.

    {"ok": true, "date": "2026-11-22", "machine": {...}, "versions": {...}, "settings": {...},
     "peak": {"1": 1.25e11, "2": 2.4e11},
     "results": [{"cell": "lstm", "shape": "S2", "peer": "torch", "threads": 2, "minimum": 0.0167,
                  "median": 0.0171, "runs": 60, "slower": 1.8, "slower_median": 1.79,
                  "rate": 8.5e10, "share": 0.35, ...}, ...],
     "starts": [{"cell": "lstm", "shape": "S2", "peer": "jax", "imports": 0.8, "cold": 1.1, ...}]}

Times are seconds, rates floating-point operations of the products per second, shares parts of the
product of matrices on all threads, memory MB. `slower` is a time over unfold's, minimum by minimum.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from benchmarks.peers.compare import Result
from benchmarks.peers.startup import Start

Document = dict[str, Any]
OURS = "unfold"


def result_rows(results: Iterable[Result], peak: float) -> list[Document]:
    """Return one row per result, compared with unfold's of the same case.

    Args:
        results: of any cases.
        peak: operations per second of a product of matrices.
    """
    found = list(results)
    ours = {r.case.name: r.times for r in found if r.peer == OURS}
    rows: list[Document] = []
    for result in found:
        times, mine = result.times, ours.get(result.case.name)
        row = {**_case(result), "difference": result.difference, "note": result.note}
        if times is not None:
            rate = result.case.flops / times.minimum
            row |= {**asdict(times), "rate": rate, "share": rate / peak}
            if mine is not None:
                row["slower"] = times.minimum / mine.minimum
                row["slower_median"] = times.median / mine.median
        rows.append(row)
    return rows


def start_rows(starts: Iterable[Start]) -> list[Document]:
    """Return one row per start."""
    return [
        {**_case(s), **{n: v for n, v in vars(s).items() if n not in ("case", "peer", "threads")}}
        for s in starts
    ]


def _case(found: Result | Start) -> Document:
    shape = found.case.shape
    return {
        "cell": found.case.cell.name,
        "library": found.case.cell.library,
        "shape": shape.name,
        "steps": shape.steps,
        "batch": shape.batch,
        "hidden": shape.hidden,
        "flops": found.case.flops,
        "peer": found.peer,
        "threads": found.threads,
    }
