"""Run the library's tests, keep what came of them in docs/systems.json, and write docs/systems.md.

In: the rows of `tests/systems.py`, the outcomes of `tests/test_library.py`, the results of
`examples/reproductions`. Out: one line per system, with its specs and what holds of all of them.

    python docs/make_systems.py            run the tests, then write the page
    python docs/make_systems.py --page     write the page from the outcomes that are there
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
RECORD, PAGE = DOCS / "systems.json", DOCS / "systems.md"
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from systems import PARTS, ROWS, Row  # noqa: E402  (a module of the tests)

from examples.reproductions.results import results_by_row  # noqa: E402

FAMILIES = {
    "A": "Unfolding and the design patterns",
    "B": "Depth",
    "C": "Cells",
    "D": "Architectures",
    "E": "Learning and its dynamics",
}
Outcomes = Mapping[str, Mapping[str, str]]

HEAD = """\
# The systems that the library expresses

`make systems` writes this page from the results of the tests and the reproductions; nothing is
entered by hand.

- **drawn**: the spec passes the check, and its folded and unfolded pictures have no overlaps;
- **backends**: values of all nodes, loss and gradients of the compiled backend equal those of the
  reference to 1e-10, in every mode and for a batch of unequal lengths;
- **oracle**: the reference agrees in the same way with an implementation in JAX written from the
  equations;
- **runs**: `unfold run` succeeds (`make library` runs every spec to its end);
- **shown**: the experiments of [reproductions](reproductions.md) that show the known properties of
  the system, and whether they succeeded.

Recursive (tree) networks, A13, exist only as a [design](trees.md).
"""


def page(outcomes: Outcomes) -> str:
    """Return the page for these outcomes."""
    shown = results_by_row()
    lines = [HEAD]
    for letter, title in FAMILIES.items():
        heads = ["", "system", "specs", *PARTS, "shown"]
        lines += [f"## {letter}. {title}", "", _line(heads), _line(["---"] * len(heads))]
        rows = [row for row in ROWS if row.key.startswith(letter)]
        lines += [_line(_cells(row, outcomes, shown.get(row.key, []))) for row in rows] + [""]
    return "\n".join(lines).rstrip() + "\n"


def _cells(row: Row, outcomes: Outcomes, shown: list[tuple[str, bool]]) -> list[str]:
    specs = ", ".join(f"[{name}](gallery.md#{name})" for name in row.specs)
    parts = [
        _tick(bool(row.specs) and all(outcomes.get(s, {}).get(p) == "passed" for s in row.specs))
        for p in PARTS
    ]
    experiments = "<br>".join(
        f"{_tick(reached)} [{name}](reproductions.md#{name})" for name, reached in shown
    )
    return [row.key, row.title, specs, *parts, experiments or _tick(False)]


def _tick(right: bool) -> str:
    return "✓" if right else "✗"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run the tests unless told not to, and write the page."""
    if "--page" not in sys.argv:
        tests = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--slow"]
        tests += ["tests/test_library.py", "--record", str(RECORD)]
        subprocess.run(tests, cwd=ROOT, check=False)
    outcomes = json.loads(RECORD.read_text(encoding="utf-8"))
    PAGE.write_text(page(outcomes), encoding="utf-8")


if __name__ == "__main__":
    main()
