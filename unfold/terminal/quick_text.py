"""The quick benchmark's findings as text that fits a terminal, and as JSON.

Processor     AMD EPYC, 2 processors in use
Instructions  AVX2: vectors of 32 bytes, 16 registers, fused multiply-add
...
cell  shape     ms  Gflop/s  % of GEMM  % of cache 2
lstm  S2      10.4      137         81             –
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from unfold.core.bytes import show_size
from unfold.speed.quick import QUICK, Case, Found
from unfold.speed.timing import GEMM_SIZE
from unfold.speed.verdict import verdict
from unfold.speed.workload import CLASSES
from unfold.terminal.plan_text import TIE, terminal_width, wrap
from unfold.terminal.report import digits, plural, table
from unfold.terminal.screen import echo, paint

LEVELS = {1: "first-level cache", 2: "second-level cache", 3: "third-level cache", None: "memory"}
HEADINGS = ("cell", "shape", "ms", "Gflop/s", "% GEMM", "% L2")
OURS = "unfold"
BESIDE = "Peers took turns with unfold; in brackets is their time over unfold's."
INDENT = 14
Rows = Sequence[dict[str, Any]]


def show(found: Found, peers: Rows) -> None:
    """Print what was found.

    Args:
        found: by the quick benchmark.
        peers: rows of a comparison with peers, as `benchmarks.peers` prints them.
    """
    width = terminal_width()
    for name, text in _facts(found):
        first, *rest = wrap(text, width - INDENT)
        echo(paint(f"{name:<{INDENT}}", bold=True) + first)
        echo("".join(f"{' ' * INDENT}{line}\n" for line in rest), nl=False)
    echo()
    counts = found.limits.counts
    headings = ("limit, float32", *(plural(n, "thread") for n in counts))
    table(headings, _limits(found), right=range(1, len(headings)))
    echo()
    table(HEADINGS, [_cells(found, c) for c in found.cases], right=range(2, len(HEADINGS)))
    echo()
    if peers:
        _show_peers(peers)
    for text in (*_notes(found), *([BESIDE] if peers else [])):
        echo("\n".join(wrap(text, width)))
    echo()
    for text in verdict(found) or ["No problem was found."]:
        for line in wrap(text, width):
            echo(paint(line, bold=True))


def document(found: Found, peers: Rows) -> dict[str, Any]:
    """Return the same as JSON values: times in seconds, rates per second, sizes in bytes."""
    hardware = found.limits.hardware
    return {
        "ok": True,
        "machine": {**found.machine, "present": found.present, "quota": found.quota},
        "hardware": hardware and {k: v for k, v in vars(hardware).items() if k != "reader"},
        "blas": asdict(found.library),
        "caches": [asdict(cache) for cache in found.limits.caches],
        "gemm": found.limits.gemm,
        "reads": [asdict(reading) for reading in found.limits.reads],
        "cases": [_case(found, case) for case in found.cases],
        "left_out": found.left_out,
        "peers": peers,
        "others": found.others,
        "seconds": found.seconds,
        "verdict": verdict(found),
    }


def _case(found: Found, case: Case) -> dict[str, Any]:
    shares = {"share": case.rate / found.peak, "cache_share": found.cache_share(case)}
    return {"cell": case.cell, **asdict(case.shape), **asdict(case.times), "rate": case.rate} | {
        "shape": case.shape.name,
        **shares,
    }


def _facts(found: Found) -> Iterator[tuple[str, str]]:
    machine, hardware, library = found.machine, found.limits.hardware, found.library
    usable = plural(machine["processors"], "processor")
    of = f" of {found.present}" if found.present != machine["processors"] else ""
    yield "Processor", f"{machine['processor']}, {usable}{of} in use, {machine['system']}"
    if hardware is not None:
        fused = "fused" if hardware.fused else "separate"
        tiles = " or ".join(f"{rows} × {columns}" for rows, columns in hardware.tiles)
        yield (
            "Instructions",
            f"{hardware.instructions}, compiled for {hardware.processor}: vectors of "
            f"{hardware.vector_bytes} bytes, {hardware.vector_registers} registers, multiplication "
            f"and addition {fused}",
        )
        yield "Products", f"tiles of {tiles} (rows × columns), {hardware.depth} terms at a time"
    chosen = f", code for {library.architecture}" if library.architecture else ""
    threads = f", {plural(library.threads, 'thread')}" if library.threads else ""
    yield "NumPy's BLAS", f"{library.name} {library.version}{chosen}{threads}"


def _limits(found: Found) -> Iterator[list[str]]:
    counts, gemm = found.limits.counts, found.limits.gemm
    yield [f"product, {GEMM_SIZE} × {GEMM_SIZE}, Gflop/s", *(_rate(gemm[n]) for n in counts)]
    for reading in found.limits.reads:
        name = LEVELS.get(reading.level, f"cache of level {reading.level}")
        size = f", {show_size(reading.sizes[1])}" if 1 in reading.sizes else ""
        yield [f"{name}{size}, GB/s", *(_rate(reading.rates.get(n)) for n in counts)]


def _rate(number: float | None) -> str:
    return "–" if number is None else digits(number / 1e9)


def _cells(found: Found, case: Case) -> list[str]:
    share = found.cache_share(case)
    return [
        case.cell,
        case.shape.name,
        digits(1e3 * case.times.minimum),
        digits(case.rate / 1e9),
        f"{100 * case.rate / found.peak:.0f}",
        "–" if share is None else f"{100 * share:.0f}",
    ]


def _show_peers(rows: Rows) -> None:
    """Print one row for each cell and shape, one column for each peer."""
    times = {(r["cell"], r["shape"], r["peer"]): r for r in rows if r.get("minimum") is not None}
    peers = list(dict.fromkeys(row["peer"] for row in rows))
    cases = dict.fromkeys((row["cell"], row["shape"]) for row in rows)
    lines = [[*case, *(_time(times.get((*case, peer))) for peer in peers)] for case in cases]
    table(
        ("cell", "shape", *(f"{peer}, ms" for peer in peers)), lines, right=range(2, len(peers) + 2)
    )
    echo()


def _time(row: dict[str, Any] | None) -> str:
    """Return a peer's milliseconds, and how many times unfold's they are."""
    if row is None:
        return "–"
    own = digits(1e3 * row["minimum"])
    return own if row["peer"] == OURS or "slower" not in row else f"{own} ({row['slower']:.2f})"


def _notes(found: Found) -> Iterator[str]:
    shapes = "; ".join(f"{s.name}{TIE}{s.steps} × {s.batch} × {s.hidden}" for s in QUICK)
    yield (
        f"Shapes are steps × sequences × hidden units: {shapes}. Milliseconds are those of the "
        f"fastest run of loss and all gradients, with {CLASSES} classes, in float32."
    )
    yield (
        "Gflop/s and % GEMM count products of matrices. % L2 is the part of what the second-level "
        "cache delivers to one thread: a step of one sequence reads the recurrent matrices once "
        "forwards and once backwards."
    )
    if found.limits.reads:
        yield "Caches and memory are read by adding up arrays of the size shown, again and again."
    if found.left_out:
        yield f"There was no time left for {', '.join(found.left_out)}."
    yield (
        f"It took {found.seconds:.0f} s, in which other programs used {found.others:.1f} of "
        f"{plural(found.machine['processors'], 'processor')}."
    )
