"""Running Programs on the reference backend: arrays in, arrays out, walks kept for the next run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unfold.core.program import Program
from unfold.unfolded.domain import Domain
from unfold.unfolded.feeds import check_inputs, check_parameters, domain_of
from unfold.unfolded.reference import Walk

Arrays = Mapping[str, Any]
MAX_KEPT = 64


class Runner:
    """Runs Programs; a walk over the same Program and domain is prepared once."""

    def __init__(self) -> None:
        self._walks: dict[Any, tuple[Program, Walk]] = {}

    def run(
        self,
        program: Program,
        params: Arrays,
        inputs: Arrays,
        *,
        lengths: Mapping[str, Any] | None = None,
        seed: int = 0,
        batch: int | None = None,
    ) -> tuple[dict[str, Any], Domain]:
        """Compute every value of a Program.

        Args:
            program: what to run.
            params: arrays [*extents, *shape] by name.
            inputs: arrays [batch, *extents, *shape] by name.
            lengths: per axis, the length of each sequence, [batch].
            seed: of random values.
            batch: number of sequences where there are no inputs.

        Returns:
            arrays [batch or 1, *extents, *stored shape] by name, and the domain of the run.

        Raises:
            DataError: arrays that do not fit.
        """
        read = {r.value for v in program for r in program.reads(v)}
        arrays = check_inputs(program, inputs, [v.name for v in program.inputs if v.name in read])
        domain = domain_of(program, arrays, lengths, batch)
        arrays.update(check_parameters(program, domain, params))
        return self.walk(program, domain).run(arrays, seed=seed), domain

    def walk(self, program: Program, domain: Domain) -> Walk:
        """Return the unfolded graph of a Program over a domain."""
        lengths = tuple((a, domain.length(a).tobytes()) for a in program.axes)
        key = (id(program), tuple(domain.extents.items()), lengths)
        if key not in self._walks:
            if len(self._walks) >= MAX_KEPT:
                self._walks.clear()
            # The Program is kept with its walk, so that its id stays its own.
            self._walks[key] = (program, Walk(program, domain))
        return self._walks[key][1]
