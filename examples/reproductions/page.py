"""The page docs/reproductions.md: written between two marks, from what is kept of experiments.

In: experiments and their results. Out: a table per family of systems, the criteria that were not
met and why, and every experiment's criterion and figures. The text above the first mark stays.

    <!-- written by python -m examples.reproductions: begin -->
    ## A. Unfolding and the design patterns
    | system | shown | published | found | seeds | date |
    …
    <!-- written by python -m examples.reproductions: end -->
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from examples.reproductions.experiment import FOLDER, Experiment
from examples.reproductions.registry import FAMILIES, experiments
from examples.reproductions.results import Record, kept

PAGE = FOLDER.parent.parent / "docs" / "reproductions.md"
BEGIN = "<!-- written by python -m examples.reproductions: begin -->\n"
END = "<!-- written by python -m examples.reproductions: end -->"
HEADS = ("system", "shown", "published", "found", "seeds", "date")

Done = list[tuple[Experiment, Record]]


def write(file: Path = PAGE) -> None:
    """Rewrite the page from the stored results."""
    file.write_text(put(file.read_text(encoding="utf-8"), whole()), encoding="utf-8")


def whole() -> str:
    """Return everything between the marks."""
    done = [(e, found) for e in experiments().values() if (found := kept(e.name)) is not None]
    parts = []
    for letter, (family, _) in FAMILIES.items():
        own = [(e, found) for e, found in done if e.systems[0].startswith(letter)]
        if own:
            parts.append(f"## {letter}. {family}\n\n{overview(own)}")
    parts.append(missed(done))
    parts.append("## Every experiment\n\n" + "\n\n".join(block(*pair) for pair in done))
    return "\n\n".join(parts)


def overview(own: Done) -> str:
    """Return the table of a family."""
    rows = [
        (
            ", ".join(e.systems),
            f"[{e.title}](#{e.name})",
            e.published or "–",
            told(e, found),
            str(len(found.seeds)),
            found.date,
        )
        for e, found in own
    ]
    return table(HEADS, rows)


def missed(done: Done) -> str:
    """Return the list of criteria that were not met, with the reasons."""
    lines = [
        f"* [{e.title}](#{e.name}) ({', '.join(e.systems)}): {' '.join(e.why.split())}"
        for e, found in done
        if not found.reached
    ]
    return "## Criteria not met\n\n" + ("\n".join(lines) or "None: all criteria are met.")


def block(experiment: Experiment, found: Record) -> str:
    """Return all results of an experiment."""
    versions = ", ".join(f"{name} {number}" for name, number in found.versions.items())
    about = [
        ("shown", f"{experiment.title} ({', '.join(experiment.systems)})"),
        ("criterion", experiment.criterion),
        ("published", experiment.published or "–"),
        ("found", told(experiment, found)),
        ("when", f"{found.date}, {found.seconds:.0f} s in all, {versions}; {found.machine}"),
    ]
    heads = ("seed", "reached", *experiment.columns, "seconds")
    rows = [
        (
            str(seed["seed"]),
            "yes" if seed["reached"] else "no",
            *seed["figures"].values(),
            f"{seed['seconds']:.1f}",
        )
        for seed in found.seeds
    ]
    parts = [f"### {experiment.name}", experiment.notes, table(("", ""), about), table(heads, rows)]
    return "\n\n".join(part for part in parts if part)


def told(experiment: Experiment, found: Record) -> str:
    """Sum up in a line the results, and whether they meet the criterion."""
    figures = "; ".join(f"{name}: {value}" for name, value in found.best["figures"].items())
    if len(found.seeds) == 1:
        line = figures
    else:
        line = f"{found.how_many} of {len(found.seeds)} seeds"
        if found.how_many:
            line += f"; the best, seed {found.best['seed']}: {figures}"
    if found.reached:
        return line
    asked = f" ({experiment.needed} of {len(found.seeds)} needed)" if found.how_many else ""
    return f"**not reached**{asked}: {line}"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    heads = tuple(heads)
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def put(page: str, text: str) -> str:
    """Return a page with `text` between the marks.

    Raises:
        ValueError: the page lacks the marks.
    """
    before, opened, rest = page.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not (opened and closed):
        raise ValueError(f"the page lacks the marks {BEGIN.strip()} and {END}")
    return f"{before}{BEGIN}\n{text}\n\n{END}{after}"
