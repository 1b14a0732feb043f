"""What a run of the benchmarks found, as plain data: what `--json` prints and `--read` reads.

    {"ok": true, "date": "2026-11-22", "machine": {...}, "versions": {...}, "settings": {...},
     "peak": {"1": 1.25e11, "2": 2.4e11},
     "results": [{"name": "lstm S2", "peer": "torch", "threads": 2, "minimum": 0.0167,
                  "median": 0.0171, "runs": 60, "slower": 1.8, "slower_median": 1.79,
                  "cell": "lstm", "shape": "S2", "rate": 8.5e10, "share": 0.35,
                  "memory": 251.0, ...}, ...],
     "starts": [{"name": "lstm S2", "peer": "jax", "imports": 0.8, "cold": 1.1, ...}]}

Times are seconds, rates floating-point operations of the products per second, shares parts of the
product of matrices on all threads, memory MB. `slower` is a time over unfold's, minimum by minimum.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from benchmarks.peers.cases import Case
from benchmarks.peers.compare import Result
from benchmarks.peers.startup import Start

Document = dict[str, Any]
OURS = "unfold"


def compared_rows(results: Iterable[Result[Any]]) -> list[Document]:
    """Return one row per result of any cases, compared with unfold's of the same case."""
    found = list(results)
    ours = {r.case.name: r.times for r in found if r.peer == OURS}
    rows: list[Document] = []
    for result in found:
        times, mine = result.times, ours.get(result.case.name)
        row = {n: getattr(result, n) for n in ("difference", "memory", "note")}
        row = {**_who(result), **row}
        if times is not None:
            row |= asdict(times)
            if mine is not None:
                row["slower"] = times.minimum / mine.minimum
                row["slower_median"] = times.median / mine.median
        rows.append(row)
    return rows


def result_rows(results: Iterable[Result[Case]], peak: float) -> list[Document]:
    """Return one row per result of a cell, compared with unfold's and with the machine's limit.

    Args:
        results: of any cells and shapes.
        peak: operations per second of a product of matrices.
    """
    found = list(results)
    rows = compared_rows(found)
    for result, row in zip(found, rows, strict=True):
        row |= _cell(result.case)
        if result.times is not None:
            rate = result.case.flops / result.times.minimum
            row |= {"rate": rate, "share": rate / peak}
    return rows


def start_rows(starts: Iterable[Start]) -> list[Document]:
    """Return one row per start."""
    return [
        {**_who(s), **_cell(s.case), **{n: v for n, v in vars(s).items() if n != "case"}}
        for s in starts
    ]


def _who(found: Result[Any] | Start) -> Document:
    return {"name": found.case.name, "peer": found.peer, "threads": found.threads}


def _cell(case: Case) -> Document:
    shape = case.shape
    return {
        "cell": case.cell.name,
        "library": case.cell.library,
        "shape": shape.name,
        "steps": shape.steps,
        "batch": shape.batch,
        "hidden": shape.hidden,
        "flops": case.flops,
    }
