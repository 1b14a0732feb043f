"""All experiments of the modules of this package, in the order of the rows that they show.

experiments()["anbn-srn"].run(seed=0)  →  Outcome(seed=0, finding=Finding(True, ...), ...)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from examples.reproductions.experiment import Experiment

FAMILIES = {
    "A": ("Unfolding and the design patterns", 12),
    "B": ("Depth", 9),
    "C": ("Cells", 7),
    "D": ("Architectures", 12),
    "E": ("Learning and its dynamics", 7),
}
"""By letter: the name of the family, and how many rows it has."""

ROWS = tuple(f"{letter}{n + 1}" for letter, (_, count) in FAMILIES.items() for n in range(count))


@cache
def experiments() -> dict[str, Experiment]:
    """Return all experiments by name, by row."""
    found = [
        (experiment, module.name)
        for module in iter_modules([str(Path(__file__).parent)])
        if module.name != "__main__"
        for experiment in getattr(import_module(f"{__package__}.{module.name}"), "EXPERIMENTS", ())
    ]
    names = [experiment.name for experiment, _ in found]
    for name in names:
        assert names.count(name) == 1, f"two experiments are called {name}"
    found.sort(key=lambda pair: ROWS.index(pair[0].systems[0]))
    return {experiment.name: experiment for experiment, _ in found}


def choose(names: Sequence[str], rows: Iterable[str]) -> list[Experiment]:
    """Return the experiments of these names and these rows; all, if neither is given.

    Raises:
        ValueError: a name or a row does not exist.
    """
    known, wanted = experiments(), {row.upper() for row in rows}
    for name in names:
        if name not in known:
            raise ValueError(f"no experiment is called {name!r}; there are {', '.join(known)}")
    for row in sorted(wanted):
        if row not in ROWS:
            raise ValueError(f"there is no row {row!r}; rows go from A1 to E7")
    return [
        experiment
        for name, experiment in known.items()
        if not (names or wanted) or name in names or wanted & set(experiment.systems)
    ]
