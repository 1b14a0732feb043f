"""Running Programs on the reference backend: arrays in, arrays out, walks kept for the next run.

The memory of a run is known before it starts; a run that would not fit is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from unfold.core.bytes import too_large
from unfold.core.paths import read_inputs
from unfold.core.program import Program
from unfold.runs.domain import Domain
from unfold.runs.feeds import check_inputs, check_parameters, domain_of
from unfold.unfolded.needs import Needs, needs
from unfold.unfolded.reference import Walk

Arrays = Mapping[str, Any]
MAX_KEPT = 64


class Runner:
    """Runs Programs; a walk over the same Program and domain is prepared once.

    Args:
        room: returns the bytes that may be taken beside those held; default: there is no limit.
    """

    def __init__(self, room: Callable[[int], float] = lambda held: inf) -> None:
        self.room = room
        self._walks: dict[Any, tuple[Walk, Needs]] = {}

    @property
    def held(self) -> int:
        """The bytes of the walks that are kept for the next run."""
        return sum(found.walk for _, found in self._walks.values())

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
            program: to run.
            params: arrays [*extents, *shape] by name.
            inputs: arrays [batch, *extents, *shape] by name.
            lengths: per axis, the length of each sequence, [batch].
            seed: of random values.
            batch: number of sequences if there are no inputs.

        Returns:
            arrays [batch or 1, *extents, *stored shape] by name, and the domain of the run.

        Raises:
            DataError: arrays that do not fit.
            MemoryLimitError: the run would not fit into memory.
        """
        arrays = check_inputs(program, inputs, read_inputs(program))
        domain = domain_of(program, arrays, lengths, batch)
        arrays.update(check_parameters(program, domain, params))
        return self.walk(program, domain).run(arrays, seed=seed), domain

    def walk(self, program: Program, domain: Domain) -> Walk:
        """Return the unfolded graph of a Program over a domain."""
        lengths = tuple((a, domain.length(a).tobytes()) for a in program.axes)
        key = (program, tuple(domain.extents.items()), lengths)
        if key not in self._walks:
            if len(self._walks) >= MAX_KEPT:
                self._walks.clear()
            found = needs(program, domain)
            self._make_room(program, domain, found)
            self._walks[key] = (Walk(program, domain), found)
        return self._walks[key][0]

    def _make_room(self, program: Program, domain: Domain, found: Needs) -> None:
        """Drop walks of other runs until there is room.

        Raises:
            MemoryLimitError: the run alone is too large.
        """
        while found.walk + found.run > (room := self.room(self.held)):
            if not self._walks:
                raise too_large(program, found.walk + found.run, room, domain.extents)
            del self._walks[next(iter(self._walks))]
