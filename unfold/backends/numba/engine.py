"""Run Plans: compile their blocks, bind them to memory, feed them, call them, gather results.

    engine = Engine()
    values = engine.run(plan, program, arrays, Run(extents, lengths, seed=0), dtype="float32")

The sequences of a batch are independent until something adds them up: each thread runs the whole
Plan for its share of them, in an arena of its own and without waiting for the others; then sums
over the batch are added, in a fixed order, and the last statements run once.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from unfold.backends.numba import gemm, store
from unfold.backends.numba.bind import Bound
from unfold.backends.numba.generate import Block, blocks
from unfold.backends.numba.host import Run, host_value
from unfold.core.plan import Plan
from unfold.core.program import BATCH, Program

MAX_BOUND = 32
DRIVER = '''\
"""Call the blocks of a table, one after another."""

from numba import cfunc

from unfold.backends.numba.calls import call, load_i64


@cfunc("void(int64, int64)", cache=True)
def block(table, n):
    for i in range(n):
        call(load_i64(table, 2 * i), load_i64(table, 2 * i + 1))
'''


@dataclass
class Compiled:
    """A Plan's blocks, and the addresses of their functions, for one element type."""

    plan: Plan
    program: Program
    dtype: str
    blocks: tuple[Block, ...]
    functions: tuple[int, ...]


class Engine:
    """Compiles and runs Plans; what was compiled and bound is kept for the next run.

    Args:
        threads: how many to use; default: as many as the process may run on.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or len(os.sched_getaffinity(0))
        self._compiled: dict[tuple[int, str], Compiled] = {}
        self._bound: dict[Any, list[Bound]] = {}

    @cached_property
    def _driver(self) -> Any:
        address = store.load(DRIVER).address
        return ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(address)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max(self.threads - 1, 1), thread_name_prefix="unfold")

    def compiled(self, plan: Plan, program: Program, dtype: str) -> Compiled:
        """Return a Plan with its blocks compiled."""
        key = (id(plan), dtype)
        if key not in self._compiled:
            made = blocks(plan, dtype)
            loaded = store.load_all([b.text for b in made])
            addresses = tuple(k.address for k in loaded)
            self._compiled[key] = Compiled(plan, program, dtype, made, addresses)
        return self._compiled[key]

    def run(
        self, plan: Plan, program: Program, arrays: Mapping[str, Any], run: Run, *, dtype: str
    ) -> dict[str, Any]:
        """Compute the results of a Plan.

        Args:
            plan: what to run.
            program: what it was made from.
            arrays: inputs [batch, *extents, *stored] and parameters [*extents, *stored] by name.
            run: extents, lengths and seed.
            dtype: element type, "float32" or "float64".

        Returns:
            arrays of the results, [batch or 1, *extents, *stored].
        """
        compiled = self.compiled(plan, program, dtype)
        shares = self._shares(plan, run)
        bounds = self._bind(compiled, run, shares)
        for bound, rows in zip(bounds, shares, strict=True):
            _feed(bound, program, arrays, run, rows)
        early = len(compiled.blocks) - plan.late
        rest = [self._pool.submit(self._call, b, 0, early) for b in bounds[1:]]
        self._call(bounds[0], 0, early)
        for job in rest:
            job.result()
        for name, kind in plan.partial.items():
            combine = np.maximum if kind == "max" else np.add
            own = bounds[0].views[name]
            for other in bounds[1:]:
                combine(own, other.views[name], out=own)
        self._call(bounds[0], early, plan.late)
        return {n: _gathered(bounds, program, n) for n in plan.results}

    def _call(self, bound: Bound, start: int, count: int) -> None:
        if count:
            self._driver(bound.table.ctypes.data + 16 * start, count)

    def _shares(self, plan: Plan, run: Run) -> list[slice]:
        batch = run.extents[BATCH]
        parts = min(self.threads, batch) if plan.parallel else 1
        ends = [batch * i // parts for i in range(parts + 1)]
        return [slice(a, b) for a, b in pairwise(ends)]

    def _bind(self, compiled: Compiled, run: Run, shares: Sequence[slice]) -> list[Bound]:
        key = (id(compiled.plan), compiled.dtype, tuple(run.extents.items()))
        if key not in self._bound:
            if len(self._bound) >= MAX_BOUND:
                self._bound.clear()
            library = gemm.library(compiled.dtype)
            self._bound[key] = [
                Bound(
                    compiled.plan,
                    compiled.blocks,
                    compiled.functions,
                    library,
                    compiled.dtype,
                    {**run.extents, BATCH: rows.stop - rows.start},
                )
                for rows in shares
            ]
        return self._bound[key]


def _feed(bound: Bound, program: Program, arrays: Mapping[str, Any], run: Run, rows: slice) -> None:
    """Put inputs, parameters and host values where the blocks read them."""
    for name, buffer in bound.plan.buffers.items():
        if buffer.role == "parameter" and bound.outside(name):
            array = np.ascontiguousarray(arrays[name], dtype=bound.dtype)
            bound.keep(name, array)
        elif buffer.role != "computed" and name in bound.views:
            value = program.values.get(name)
            given = arrays[name] if buffer.role != "host" else host_value(program, name, run)
            axes = value.axes if value else (BATCH,)
            if BATCH in axes:
                given = given[rows]
            order = [axes.index(s.axis) for s in buffer.axes]
            order += range(len(axes), np.ndim(given))
            bound.views[name][...] = np.transpose(given, order)


def _gathered(bounds: Sequence[Bound], program: Program, name: str) -> Any:
    """Return a result as an array [batch or 1, *axes, *stored]."""
    value = program[name]
    kind = {"category": np.int64, "bool": np.bool_}.get(value.type.kind)
    shares = bounds if value.batched else bounds[:1]
    parts = [_part(b, program, name) for b in shares]
    whole = np.concatenate(parts) if len(parts) > 1 else parts[0].copy()
    return whole if kind is None else whole.astype(kind)


def _part(bound: Bound, program: Program, name: str) -> Any:
    view, value = bound.views[name], program[name]
    stored = [s.axis for s in bound.plan.buffers[name].axes]
    order = [stored.index(a) for a in value.axes]
    order += range(len(order), view.ndim)
    turned = np.transpose(view, order)
    return turned if value.batched else turned[None]
