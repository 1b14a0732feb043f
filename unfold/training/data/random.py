"""Random inputs for any Program: to run a spec without data, or to time one.

random_inputs(program, batch=4, seed=0)  →  {x: [4, 25], target: [4, 25]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from unfold.core.program import BATCH, Program
from unfold.settings.data import RandomData
from unfold.spec.file.model import Section
from unfold.training.data.batches import FixedSource
from unfold.training.data.binding import Fit
from unfold.training.data.dataset import Data
from unfold.training.data.problems import require_room

Array = np.ndarray
Arrays = dict[str, Array]


@dataclass(frozen=True)
class RandomDataset:
    """One fixed batch of random inputs."""

    settings: RandomData
    section: Section

    def fit(self, program: Program) -> Fit:
        """Require nothing: random inputs fit every spec."""
        return Fit({}, {})

    def batches(
        self,
        program: Program,
        *,
        dtype: str = "float64",
        carry: bool = True,
        chunk: Mapping[str, int] | None = None,
    ) -> Data:
        """Return the batch; see `Dataset.batches`."""
        batch, seed, length = self.settings.batch, self.settings.seed, axis_extents(program)
        numbers = sum(
            prod(length[a] for a in v.axes if a != BATCH) * prod(map(int, v.type.stored))
            for v in program.inputs
        )
        what = f"a random batch of {batch:,}"
        require_room(2 * 8 * numbers * batch, what, self.section, ("batch",))
        inputs = random_inputs(program, batch=batch, seed=seed, dtype=dtype)
        return Data(FixedSource(inputs, batch), None, f"one random batch of {batch}")


def random_inputs(program: Program, *, batch: int, seed: int = 0, dtype: str = "float64") -> Arrays:
    """Draw every input of a Program: standard normal numbers, uniform categories.

    Returns:
        by name, arrays [batch, *axes, *shape] at the extents the Program has.
    """
    length = axis_extents(program)
    generator = np.random.default_rng(seed)
    drawn: Arrays = {}
    for value in program.inputs:
        extents = [batch if a == BATCH else length[a] for a in value.axes]
        shape = (*extents, *value.type.stored)
        if value.type.kind == "category":
            drawn[value.name] = generator.integers(0, int(value.type.shape[0]), shape)
        elif value.type.kind == "bool":
            drawn[value.name] = generator.random(shape) < 0.5
        else:
            drawn[value.name] = generator.standard_normal(shape).astype(dtype)
    return drawn


def axis_extents(program: Program) -> dict[str, int]:
    """Return the number of index points of every axis of a Program, the batch excepted."""
    known: dict[str, int] = {}

    def extent(name: str) -> int:
        if name not in known:
            formula = program.axes[name].extent
            needed = {a: extent(a) for a in formula.axes}
            known[name] = int(formula.evaluate(needed, {})[0])
        return known[name]

    for name in program.axes:
        if name != BATCH:
            extent(name)
    return known
