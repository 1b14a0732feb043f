"""An experiment: the rows of the library that it shows, its measurement, and its criterion.

In: a seed. Out: a `Finding`, the figures of one line of the page; no figure is written by hand.

    def _forecast(seed: int, **settings: Any) -> Finding:
        model = spec("sunspots")
        outcome = learn(model, seed, **settings)
        error = ...
        return Finding(error < naive, (f"{error:.1f}", f"{naive:.1f}"), score=-error)

    EXPERIMENTS = (
        Experiment("sunspots", ("D12",), "...", "its error is ...", ("error", "naive"), _forecast),
    )

A seed determines initial weights, training data and their order. A measurement without chance has
one seed. An experiment that takes less than two seconds is `quick`: the tests run it, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import unfold
from unfold.shipped import find
from unfold.training.data import make

FOLDER = Path(__file__).parent
BACKEND = "numba"
DTYPE = "float32"

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """The result of one seed.

    Attributes:
        reached: whether the criterion was met.
        cells: the figures, one for each column of the experiment.
        score: the best seed has the highest.
    """

    reached: bool
    cells: tuple[str, ...]
    score: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """A finding, its seed, and the seconds that training and testing took."""

    seed: int
    finding: Finding
    seconds: float


@dataclass(frozen=True)
class Experiment:
    """A claim about a system, and its measurement.

    Attributes:
        name: unique over all modules; that of the spec, if there is one.
        systems: the rows of the library, as in ("E5",); the first determines its place on the page.
        title: the claim, a phrase.
        criterion: the condition on one seed, a sentence or phrase.
        columns: the headings of a finding's cells.
        measure: takes a seed and, if it trains, keys that replace those of the section `train`.
        seeds: their number; they count from 0.
        needed: the number of seeds that must reach the criterion.
        published: the result of a paper, and the paper; None if nothing was published.
        specs: names of the specs that are run; default: the name of the experiment.
        notes: further information, in Markdown, above the figures.
        why: the reason why the criterion was not reached, as far as it is known.
        asked: whether a row of the library depends on it; if not, it is there for comparison.
        quick: it takes less than two seconds, so the tests run it.
    """

    name: str
    systems: tuple[str, ...]
    title: str
    criterion: str
    columns: tuple[str, ...]
    measure: Callable[..., Finding]
    seeds: int = 1
    needed: int = 1
    published: str | None = None
    specs: tuple[str, ...] | None = None
    notes: str = ""
    why: str = ""
    asked: bool = True
    quick: bool = False

    def run(self, seed: int, **settings: Any) -> Outcome:
        """Measure with one seed; `settings` are keys of the section `train`."""
        began = time.perf_counter()
        found = self.measure(seed, **settings)
        assert len(found.cells) == len(self.columns), (self.name, found.cells, self.columns)
        return Outcome(seed, found, time.perf_counter() - began)

    @property
    def spec_names(self) -> tuple[str, ...]:
        """The specs that it runs."""
        return (self.name,) if self.specs is None else self.specs


@cache
def spec(name: str) -> unfold.Model:
    """Load a spec: the one in this folder, or else the packaged one of that name."""
    return unfold.load(spec_file(name))


def spec_file(name: str) -> Path:
    """Return the file that `spec` loads."""
    beside = FOLDER / f"{name}.yaml"
    return beside if beside.exists() else find(name)


def data_of(model: unfold.Model, seed: int) -> Any:
    """Make the data of a spec's section `data` from another seed."""
    section = model.spec.data
    assert section is not None, model.name
    # A text is read as it is: nothing is drawn.
    seeded = {} if "text" in section.tree else {"seed": seed}
    return make.describe({**section.tree, **seeded})


def learn(model: unfold.Model, seed: int, data: Any = None, **settings: Any) -> Any:
    """Train by a spec's section `train`, with some of its keys replaced.

    Arguments:
        model: the network to train.
        seed: of weights and, if no data are given, of those of the section `data`.
        data: as for `unfold.train`; default: the section `data`.
        settings: keys of the section `train`, and callbacks.
    """
    chosen = data_of(model, seed) if data is None else data
    return unfold.train(model, chosen, seed=seed, backend=BACKEND, dtype=DTYPE, **settings)
