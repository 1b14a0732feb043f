"""Measure what the engine promises before any backend is fast: start-up, graphs, pictures.

    python benchmarks/spine.py            # prints a table; the goals stand beside the figures

Each figure is the median of several runs in fresh processes; memory is the largest so far.
"""

from __future__ import annotations

import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent

LSTM = """
import unfold
model = unfold.load("lstm-stack", axes={{"t": {steps}}})
"""

LEVELS = (
    LSTM
    + """
from unfold.unfolded.levels import levels
graph = model.unfold(t={steps})
found = levels(graph.program, graph.domain)
assert graph.number_of_nodes() > {least}, graph.number_of_nodes()
print(graph.number_of_nodes(), "nodes,", 1 + max(int(a.max()) for a in found.values()), "levels")
"""
)

GRID = """
import unfold
from unfold.unfolded.levels import levels
model = unfold.load("rnn-2d", axes={"i": 720, "j": 720})
graph = model.unfold(i=720, j=720)
levels(graph.program, graph.domain)
print(graph.number_of_nodes(), "nodes")
"""

DRAW = (
    LSTM
    + """
figure = model.draw("unfolded", steps={drawn})
svg = figure.to_svg()
print(len(figure.picture.nodes), "nodes drawn,", len(svg) // 1000, "kB")
"""
)


@dataclass(frozen=True)
class Case:
    """What to measure: a name, Python source or a command, and the goals (seconds, MB)."""

    name: str
    source: str
    seconds: float
    megabytes: float | None = None
    command: tuple[str, ...] = ()


CASES = (
    Case("unfold --help", "", 0.3, command=("--help",)),
    Case("unfold check a spec", "", 0.6, command=("check", "lstm-stack")),
    Case("build and level 10^6 nodes, LSTM", LEVELS.format(steps=60_000, least=10**6), 2.0, 300),
    Case("build and level 10^6 nodes, 2-D", GRID, 2.0, 300),
    Case("draw 10^4 nodes", DRAW.format(steps=560, drawn=560), 3.0),
    Case("draw T = 10^6, elided", DRAW.format(steps=10**6, drawn=4), 1.0),
)


def run(case: Case) -> tuple[float, float, str]:
    """Run a case in a fresh process; return seconds, megabytes and what it printed."""
    program = ["-m", "unfold", *case.command] if case.command else ["-c", case.source]
    before = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - before
    if done.returncode:
        raise SystemExit(f"{case.name} failed:\n{done.stderr}")
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    words = "" if case.command else done.stdout.strip()
    return seconds, memory, words


def main(arguments: Sequence[str]) -> None:
    """Print the table; an argument is the number of runs of each case."""
    repeats = int(arguments[0]) if arguments else 5
    print(f"Python {platform.python_version()}, {platform.machine()}, {repeats} runs each\n")
    print("| what | seconds (goal) | largest process so far, MB (goal) | |")
    print("|---|---|---|---|")
    for case in CASES:
        runs = [run(case) for _ in range(repeats)]
        seconds = statistics.median(r[0] for r in runs)
        goal = f" ({case.megabytes:.0f})" if case.megabytes else ""
        memory = max(r[1] for r in runs)
        print(
            f"| {case.name} | {seconds:.2f} ({case.seconds}) | {memory:.0f}{goal} | {runs[0][2]} |"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
