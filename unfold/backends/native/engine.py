"""Run Plans: compile their blocks, bind them to memory, feed them, call them, gather results.

    engine = Engine(machine)
    values = engine.run(plan, arrays, Run(extents, lengths, seed=0), dtype="float32")

The sequences of a batch are independent up to the sums over them. Each thread runs the whole Plan
for its share of them, in a separate arena and without waiting for the others. Then the sums over
the batch are added, in a fixed order, and the last statements run once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise
from math import inf
from typing import Any

from unfold.backends.native.arena import Arena
from unfold.backends.native.host import Request
from unfold.backends.native.protocol import Block, Machine
from unfold.backends.native.share import Linked, Share
from unfold.core.bytes import too_large
from unfold.core.op import OPS
from unfold.core.plan import Plan
from unfold.core.processors import processors
from unfold.core.program import BATCH, Program
from unfold.errors import BackendError

MAX_BOUND = 32


class Engine:
    """Compiles and runs Plans; compiled and bound Plans are kept for the next run.

    Args:
        machine: writes, compiles and calls blocks.
        threads: their number; default: the number of processors that the process may use.
        room: returns the bytes that may be taken in addition to those held; default: no limit.
    """

    def __init__(
        self,
        machine: Machine,
        threads: int | None = None,
        room: Callable[[int], float] = lambda held: inf,
    ) -> None:
        self.machine = machine
        self.threads = threads or processors()
        self.room = room
        self._written: dict[tuple[Plan, str], tuple[Block, ...]] = {}
        self._compiled: dict[tuple[Plan, str], Linked] = {}
        self._bound: dict[Any, list[Share]] = {}

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max(self.threads - 1, 1), thread_name_prefix="unfold")

    def compiled(self, plan: Plan, dtype: str) -> Linked:
        """Return a Plan with its blocks compiled."""
        key = (plan, dtype)
        if key not in self._compiled:
            made = self._blocks(plan, dtype)
            try:
                addresses = self.machine.functions([b.text for b in made])
            except BackendError as error:
                raise _explained(error, made, plan.program) from error
            self._compiled[key] = Linked(plan, dtype, made, addresses)
        return self._compiled[key]

    def _blocks(self, plan: Plan, dtype: str) -> tuple[Block, ...]:
        key = (plan, dtype)
        if key not in self._written:
            self._written[key] = self.machine.blocks(plan, dtype)
        return self._written[key]

    def needs(self, plan: Plan, run: Request, dtype: str) -> int:
        """Return the bytes of the arenas of a run; nothing is allocated or compiled."""
        made, products = self._blocks(plan, dtype), self.machine.products(dtype)
        shares = (s.stop - s.start for s in self._shares(plan, run))
        return sum(
            Arena(plan, made, products, dtype, {**run.extents, BATCH: n}).size for n in shares
        )

    @property
    def held(self) -> int:
        """The bytes of the arenas that are kept for the next run."""
        return sum(s.bound.layout.size for shares in self._bound.values() for s in shares)

    def _make_room(self, plan: Plan, run: Request, dtype: str) -> None:
        """Drop arenas of other runs until there is room.

        Raises:
            MemoryLimitError: the run alone is too large.
        """
        needed = self.needs(plan, run, dtype)
        while needed > (room := self.room(self.held)):
            if not self._bound:
                raise too_large(plan.program, needed, room, run.extents)
            del self._bound[next(iter(self._bound))]

    def run(
        self, plan: Plan, arrays: Mapping[str, Any], run: Request, *, dtype: str
    ) -> dict[str, Any]:
        """Compute the results of a Plan.

        Args:
            plan: to run.
            arrays: inputs [batch, *extents, *stored] and parameters [*extents, *stored] by name.
            run: extents, lengths and seed.
            dtype: element type, "float32" or "float64".

        Returns:
            arrays of the results, [batch or 1, *extents, *stored].
        """
        if (plan, dtype, *run.extents.items()) not in self._bound:
            self._make_room(plan, run, dtype)
        compiled = self.compiled(plan, dtype)
        bounds = self._bind(compiled, run)
        for bound in bounds:
            bound.feed(arrays, run)
        early = len(compiled.blocks) - plan.late
        rest = [self._pool.submit(self._call, b, 0, early) for b in bounds[1:]]
        self._call(bounds[0], 0, early)
        for job in rest:
            job.result()
        for name, kind in plan.partial.items():
            how = OPS[kind].reduces
            assert how is not None, kind
            views = [b.bound.views[name] for b in bounds]
            step = 1
            while step < len(views):  # a tree, so that rounding hardly grows with the threads
                for own, other in zip(views[:: 2 * step], views[step :: 2 * step], strict=False):
                    how.of_two(own, other, out=own)
                step *= 2
        self._call(bounds[0], early, plan.late)
        return {n: self._gathered(bounds, n) for n in plan.results}

    def _call(self, bound: Share, start: int, count: int) -> None:
        if count:
            self.machine.call(bound.address + 16 * start, count)

    def _shares(self, plan: Plan, run: Request) -> list[slice]:
        batch = run.extents[BATCH]
        parts = min(self.threads, batch) if plan.parallel else 1
        ends = [batch * i // parts for i in range(parts + 1)]
        return [slice(a, b) for a, b in pairwise(ends)]

    def _bind(self, compiled: Linked, run: Request) -> list[Share]:
        key = (compiled.plan, compiled.dtype, *run.extents.items())
        if key not in self._bound:
            if len(self._bound) >= MAX_BOUND:
                self._bound.clear()
            self._bound[key] = [
                Share(compiled, self.machine, run, r) for r in self._shares(compiled.plan, run)
            ]
        return self._bound[key]

    def _gathered(self, bounds: Sequence[Share], name: str) -> Any:
        """Return a result as an array [batch or 1, *axes, *stored]."""
        first = bounds[0].results[name]
        parts = bounds if first.batched else bounds[:1]
        whole = bounds[0].memory.download([b.results[name].view for b in parts])
        return whole if first.kind is None else whole.astype(first.kind)


def _explained(error: BackendError, made: Sequence[Block], program: Program) -> BackendError:
    """Return an error that shows the equations of the module that failed."""
    names = next((b.values for b in made if b.text == error.text), ())
    places = dict.fromkeys(
        program[n].at for n in names if n in program.values and program[n].at is not None
    )
    shown = "\n".join(f"{at}: in this equation\n{at.excerpt()}" for at in places if at is not None)
    return BackendError(f"{shown}\n{error}" if shown else str(error), error.text)
