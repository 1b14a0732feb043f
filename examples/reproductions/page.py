"""The page docs/reproductions.md: what experiments found stands between two marks of their name.

In: findings of one experiment. Out: its part of the page written anew, all else as it was.

    <!-- found: anbn-srn -->
    …
    <!-- end: anbn-srn -->
"""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from pathlib import Path

import unfold
from examples.reproductions.experiments import Experiment, Finding

PAGE = Path(__file__).parent.parent.parent / "docs" / "reproductions.md"


def told(experiment: Experiment, findings: Sequence[Finding]) -> str:
    """Say in a line how many seeds reached the criterion, and whether that is enough."""
    reached = sum(finding.reached for finding in findings)
    best = max(findings, key=lambda finding: finding.score)
    line = f"{reached} of {len(findings)} seeds"
    if reached:
        line += f"; the best, seed {best.seed}: {best.cells[0]}"
    if experiment.needed is None or reached >= experiment.needed:
        return line
    return f"{line}. **Not reached**: {experiment.needed} of {experiment.seeds} are asked for"


def block(experiment: Experiment, findings: Sequence[Finding]) -> str:
    """Write what an experiment found, in Markdown."""
    seconds = sum(finding.seconds for finding in findings)
    heads = ("seed", "reached", *experiment.columns, "seconds")
    rows = [
        (str(f.seed), "yes" if f.reached else "no", *f.cells, f"{f.seconds:.1f}") for f in findings
    ]
    lines = [
        "| | |",
        "|---|---|",
        f"| criterion | {experiment.criterion} |",
        f"| published | {experiment.published} |",
        f"| here | {told(experiment, findings)} |",
        f"| when | {time.strftime('%Y-%m-%d')}, {seconds:.0f} s in all, {surroundings()} |",
        "",
        "| " + " | ".join(heads) + " |",
        "|" + "---|" * len(heads),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    return "\n".join(lines)


def surroundings() -> str:
    """Name what it ran on: versions and processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.machine()
    return f"unfold {unfold.__version__}, Python {platform.python_version()}, {processor}"


def put(page: str, name: str, text: str) -> str:
    """Return a page with `text` between the marks of `name`.

    Raises:
        ValueError: the page lacks the marks.
    """
    begin, end = f"<!-- found: {name} -->\n", f"\n<!-- end: {name} -->"
    before, opened, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        raise ValueError(f"the page lacks the marks {begin.strip()} and {end.strip()}")
    return before + begin + text + end + after
