"""One thread's share of a batch: a Plan bound to memory, with views for arguments and results.

The share prepares the work of every run once: views of buffers with their dimensions in the user's
order, so that feeding and gathering are plain copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfold.backends.native.bind import Bound
from unfold.backends.native.host import Request, host_value
from unfold.backends.native.protocol import Block, Machine, Memory
from unfold.core.plan import Buffer, Plan
from unfold.core.program import BATCH


@dataclass
class Linked:
    """A Plan's blocks, and the addresses of their functions, for one element type."""

    plan: Plan
    dtype: str
    blocks: tuple[Block, ...]
    functions: tuple[int, ...]


@dataclass(frozen=True)
class Result:
    """The place of a result: a view [batch or 1, *axes, *stored], and its type if not real."""

    view: Any
    batched: bool
    kind: Any


class Share:
    """Some sequences of a batch.

    Args:
        compiled: to run.
        machine: runs it.
        run: the whole batch.
        rows: the sequences of this share.
    """

    def __init__(self, compiled: Linked, machine: Machine, run: Request, rows: slice) -> None:
        extents = {**run.extents, BATCH: rows.stop - rows.start}
        self.program, self.rows = compiled.plan.program, rows
        self.bound = Bound(
            compiled.plan,
            compiled.blocks,
            compiled.functions,
            machine.products(compiled.dtype),
            machine.memory,
            compiled.dtype,
            extents,
        )
        self.memory: Memory = self.bound.memory
        self.address: int = self.bound.table.ctypes.data
        buffers = compiled.plan.buffers
        roles = {n: b.role for n, b in buffers.items()}
        seen = [n for n in self.bound.views if roles[n] != "computed" or n in compiled.plan.results]
        views = {n: self._view(buffers[n]) for n in seen}
        self._direct = self.bound.outside
        self._copied = [(n, v) for n, v in views.items() if roles[n] in ("input", "parameter")]
        self._host = [(buffers[n], v) for n, v in views.items() if roles[n] == "host"]
        self._over: Any = None
        self.results = {n: self._result(n, views[n]) for n in compiled.plan.results}

    def _axes(self, name: str) -> tuple[str, ...]:
        value = self.program.values.get(name)
        return value.axes if value else (BATCH,)

    def _view(self, buffer: Buffer) -> Any:
        """Return a view of a buffer with its axes in the order of the value."""
        view, stored = self.bound.views[buffer.name], [s.axis for s in buffer.axes]
        own = [a for a in self._axes(buffer.name) if a in stored]
        order = [stored.index(a) for a in own]
        return np.transpose(view, [*order, *range(len(order), view.ndim)])

    def _result(self, name: str, view: Any) -> Result:
        value = self.program[name]
        kind = {"category": np.int64, "bool": np.bool_}.get(value.type.kind)
        return Result(view if value.batched else view[None], value.batched, kind)

    def feed(self, arrays: Mapping[str, Any], run: Request) -> None:
        """Copy inputs, parameters and host values to the places that the blocks read.

        Args:
            arrays: inputs and parameters of the whole batch.
            run: of the whole batch; host values are computed again if it differs from the last one.
        """
        for name in self._direct:
            self.bound.keep(name, arrays[name])
        for name, view in self._copied:
            self.memory.upload(self._own(name, arrays[name]), view)
        if self._host and run.key != self._over:
            self._over = run.key
            for buffer, view in self._host:
                array = host_value(self.program, buffer, run)
                self.memory.upload(self._own(buffer.name, array), view)

    def _own(self, name: str, array: Any) -> Any:
        axes = self._axes(name)
        return array[self.rows] if axes[:1] == (BATCH,) else array
