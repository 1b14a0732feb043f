"""The request of a step: arrays, the names to differentiate by, and options of the run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfold.core.origin import Carried, Setting
from unfold.core.program import Program
from unfold.errors import DataError
from unfold.passes.carry import BEGINS, Chunk
from unfold.passes.modes import SHARE, Mode, ProgramMode, split_mode
from unfold.passes.newest import KNOWN

Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """The arguments of a step.

    Attributes:
        params: arrays [*extents, *shape] by name.
        inputs: arrays [batch, *extents, *shape] by name, the carried state (`carry.NAME`) and the
            values of a chunk (`chunk:…`) included.
        wrt: the names to differentiate by.
        options: mode, training, carry, chunk of `Pipeline.resolved`.
        backend: default: see `Execution.run`.
        lengths: per axis, the length of each sequence, [batch].
        seed: of random values.
        state: whether to compute the state for the next chunk.
        told: inputs that describe a chunk, whether a Program reads them or not.
    """

    params: Arrays
    inputs: Arrays
    wrt: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    backend: str | None = None
    lengths: Mapping[str, Any] | None = None
    seed: int = 0
    state: bool = True
    told: Collection[str] = ()

    def feeds(self, program: Program) -> dict[str, Any]:
        """Return the inputs of a Program, without those of a chunk that it does not read."""
        given = self.inputs.items()
        return {n: a for n, a in given if n in program.values or n not in self.told}


def with_share(mode: Mode, params: Arrays) -> tuple[ProgramMode, Arrays]:
    """Return the mode of a Program, and the parameters with the share of the teacher."""
    kind, share = split_mode(mode)
    if share is None:
        return kind, params
    like = next(iter(params.values()), 0.0)
    return kind, {**params, SHARE.name: np.asarray(share, np.result_type(like))}


def chunk_of(
    carry: Arrays | None, begins: Any, known: Any = None, overlap: int = 0
) -> tuple[Chunk, dict[str, Any]]:
    """Return the properties of a chunk, and the inputs that carry them, the state among them.

    Args:
        carry, begins, known, overlap: as in `unfold.Model.step`.

    Raises:
        DataError: they contradict one another.
    """
    if overlap < 0:
        raise DataError(f"overlap is {overlap}; it must be a number of steps")
    given: dict[Setting, Any] = {}
    if begins is not None and carry is not None:  # without a state, all begin anyway
        given[BEGINS] = np.asarray(begins, dtype=bool)
    if known is not None:
        given[KNOWN] = np.asarray(known)
    for setting, array in given.items():
        if array.ndim != 1:
            found = list(array.shape)
            raise DataError(f"{setting.what} has the shape {found}, expected one per sequence")
    chunk = Chunk(BEGINS in given, KNOWN in given, overlap)
    states = {Carried(n): a for n, a in (carry or {}).items()}
    return chunk, {origin.name: a for origin, a in {**states, **given}.items()}
