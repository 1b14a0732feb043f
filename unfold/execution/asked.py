"""What a step is asked for: arrays, what to differentiate by, and how to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from unfold.core.program import Program
from unfold.passes.carry import PREFIX

Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """The arguments of a step.

    Attributes:
        params: arrays [*extents, *shape] by name.
        inputs: arrays [batch, *extents, *shape] by name, the carried state (`carry.NAME`) included.
        wrt: what to differentiate by.
        options: mode, training, carry of `Pipeline.resolved`.
        backend: default: see `Execution.run`.
        lengths: per axis, the length of each sequence, [batch].
        seed: of random values.
    """

    params: Arrays
    inputs: Arrays
    wrt: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    backend: str | None = None
    lengths: Mapping[str, Any] | None = None
    seed: int = 0

    def feeds(self, program: Program) -> dict[str, Any]:
        """Return the inputs of a Program, without states that it does not read."""
        known = program.values
        return {n: a for n, a in self.inputs.items() if n in known or not n.startswith(PREFIX)}
