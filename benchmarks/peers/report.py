"""Tables of a document: on a terminal, and as the Markdown of `benchmarks/README.md`.

In: a document (see `document`). Out: tables, each a title, headings and rows of words; the terminal
and Markdown show the same ones. One row per cell and shape, one column per peer:

    cell | shape | unfold | % of peak | torch | torch-loop | jax | numpy | best peer / unfold (goal)
    lstm | S2    | 9.2    | 61        | 16.7  | 65         | 24  | 99    | 1.8 (1.8)
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from benchmarks.peers.document import OURS, Document
from unfold.terminal.report import digits

# Goals by shape: the best peer's time over unfold's, for cells that libraries have and for all
# others; and the part of the product of matrices.
GOALS = {
    True: {"S1": 2.5, "S2": 1.8, "S3": 1.6, "S4": 1.2, "S5": 4.0},
    False: {"S1": 2.5, "S2": 4.0, "S3": 2.0, "S4": 1.5, "S5": 4.0},
}
BUSY = 0.5  # load from which on other programs are in the way
SHARES = {"S2": 0.60, "S3": 0.78, "S4": 0.78}


@dataclass(frozen=True)
class Table:
    """A title, headings and rows; the first `words` columns are words, the others numbers."""

    title: str
    headings: list[str]
    rows: list[list[str]]
    words: int


def tables(document: Document) -> list[Table]:
    """Return all tables of a document that have rows."""
    peers = list(dict.fromkeys(row["peer"] for row in document["results"]))
    cases: dict[tuple[str, str], dict[str, Document]] = {}
    for row in document["results"]:
        cases.setdefault((row["cell"], row["shape"]), {})[row["peer"]] = row
    groups = list(cases.values())
    found = [
        _times("Milliseconds, minimum", "minimum", "slower", groups, peers),
        _times("Milliseconds, median", "median", "slower_median", groups, peers),
        _memory(groups, peers),
        _growth(groups, peers),
        _starts(document["starts"]),
    ]
    return [table for table in found if table.rows]


def _times(
    title: str, key: str, ratio: str, groups: list[dict[str, Document]], peers: list[str]
) -> Table:
    others = [p for p in peers if p != OURS]
    headings = ["cell", "shape", *([OURS, "% of peak"] if OURS in peers else []), *others]
    rows: list[list[str]] = []
    for group in groups:
        first = next(iter(group.values()))
        row = [first["cell"], first["shape"]]
        if OURS in peers:
            ours = group.get(OURS, {})
            row += [_milliseconds(ours.get(key)), _share(ours, first["shape"])]
        row += [peer_time(group.get(p, {}), key) for p in others]
        if OURS in peers and others:
            goal = GOALS[first["library"]].get(first["shape"])
            row.append(best_peer(group, ratio) + ("" if goal is None else f" ({goal:.1f})"))
        rows.append(row)
    if OURS in peers and others:
        headings.append("best peer / unfold (goal)")
    return Table(title, headings, rows, 2)


def _memory(groups: list[dict[str, Document]], peers: list[str]) -> Table:
    """Return the peak memory of every peer's process."""
    rows: list[list[str]] = []
    for group in groups:
        first = next(iter(group.values()))
        found = [group.get(peer, {}).get("memory") for peer in peers]
        figures = ["–" if m is None else f"{m:.0f}" for m in found]
        rows.append([first["cell"], first["shape"], *figures])
    known = any(set(row[2:]) != {"–"} for row in rows)
    title = "Memory of the process, MB, the peak of the timed runs"
    return Table(title, ["cell", "shape", *peers], rows if known else [], 2)


def _growth(groups: list[dict[str, Document]], peers: list[str]) -> Table:
    """Return the time of one step where cells were run at several numbers of steps."""
    longer: dict[tuple[str, int, int], dict[int, dict[str, Document]]] = {}
    for group in groups:
        row = next(iter(group.values()))
        key = (row["cell"], row["batch"], row["hidden"])
        longer.setdefault(key, {})[row["steps"]] = group
    rows: list[list[str]] = []
    for (cell, batch, hidden), runs in longer.items():
        for steps, group in sorted(runs.items()) if len(runs) > 1 else ():
            times = [group.get(p, {}).get("minimum") for p in peers]
            figures = ["–" if t is None else digits(1e6 * t / steps) for t in times]
            rows.append([cell, f"T={steps}, B={batch}, H={hidden}", *figures])
    return Table("Microseconds of a step, minimum", ["cell", "shape", *peers], rows, 2)


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{digits(1e3 * seconds)}"


def _share(row: Document, shape: str) -> str:
    if row.get("share") is None:
        return "–"
    goal = f" ({100 * SHARES[shape]:.0f})" if shape in SHARES else ""
    return f"{100 * row['share']:.0f}{goal}"


def peer_time(row: Document, key: str) -> str:
    """Return a peer's milliseconds (`key` of its row), marked where it had one thread."""
    if row.get(key) is None:
        return "–"
    return _milliseconds(row[key]) + ("¹" if row["threads"] == 1 else "")


def best_peer(group: Mapping[str, Document], ratio: str) -> str:
    """Return who comes next to unfold in a case, and its time over unfold's: `jax 1.31`.

    Args:
        group: the rows of a case by peer.
        ratio: the key of these ratios.
    """
    ratios = {p: r[ratio] for p, r in group.items() if p != OURS and ratio in r}
    if not ratios:
        return "–"
    peer = min(ratios, key=ratios.__getitem__)
    return f"{peer} {ratios[peer]:.2f}"


def _starts(starts: list[Document]) -> Table:
    headings = ["cell", "shape", "peer", "import, s", "first gradients, cold, s", "warm, s"]
    headings += ["imported, MB", "peak, MB"]
    keys = ("imports", "cold", "warm", "idle_memory", "peak_memory")
    rows = [
        [
            row["cell"],
            row["shape"],
            row["peer"],
            *("–" if row[k] is None else _start_figure(k, row[k]) for k in keys),
        ]
        for row in starts
    ]
    return Table("Starting, in new processes", headings, rows, 3)


def _start_figure(key: str, value: float) -> str:
    return f"{value:.0f}" if key.endswith("memory") else f"{value:.2f}"


def facts(document: Document) -> list[str]:
    """Return the lines that belong under the tables: machine, versions, limits, what is missing."""
    machine, peak, size = document["machine"], document["peak"], document["settings"]["gemm"]
    limits = ", ".join(f"{v / 1e9:.0f} on {k}" for k, v in peak.items())
    versions = ", ".join(f"{name} {v}" for name, v in document["versions"].items())
    found = [
        f"{document['date']}; {machine['processor']}, {machine['processors']} processors,"
        f" {machine['system']}, Python {machine['python']}; {versions}.",
        f"Product of {size} x {size} matrices, float32, Gflop/s by number of threads: {limits}.",
        f"¹ on one thread, the quickest of up to {document['settings']['threads']}.",
        f"Load of the machine before the benchmarks: {machine['load']}.",
    ]
    if machine["load"] > BUSY:
        found[-1] += (
            " Other programs were running: the limit was measured too low and parts of it are too"
            " high, and whoever wants all processors looks slower than it is."
        )
    found += [
        f"{row['name']}: {row['peer']} was not timed: {row['note']}."
        for row in (*document["results"], *document["starts"])
        if row["note"]
    ]
    return found


def in_markdown(found: Iterable[Table], below: Iterable[str]) -> Iterator[str]:
    """Yield lines of Markdown: tables, and the lines that belong under them."""
    for table in found:
        yield f"**{table.title}**\n"
        yield f"| {' | '.join(table.headings)} |"
        numbers = len(table.headings) - table.words
        yield f"|{'---|' * table.words}{'---:|' * numbers}"
        for row in table.rows:
            yield f"| {' | '.join(row)} |"
        yield ""
    yield from (f"{line}  " for line in below)


def tell(text: str) -> None:
    """Print a line of progress on stderr."""
    print(text, file=sys.stderr, flush=True)


def write(found: Iterable[Table], below: Iterable[str], *, markdown: bool) -> None:
    """Print tables, and the lines that belong under them.

    Args:
        found: the tables.
        below: the lines.
        markdown: whether as Markdown, otherwise for a terminal.
    """
    if markdown:
        print("\n".join(in_markdown(found, below)))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid

    console = Console(width=None if sys.stdout.isatty() else 140)
    for table in found:
        grid = Grid(title=table.title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
        for number, heading in enumerate(table.headings):
            grid.add_column(heading, justify="left" if number < table.words else "right")
        for row in table.rows:
            grid.add_row(*row)
        console.print(grid)
        console.print()
    for line in below:
        console.print(line, highlight=False)
