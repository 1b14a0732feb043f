"""The quick benchmark: in a minute, what a machine can do, and how much of that models use.

    found = measure(processors(), print)
    found.limits.gemm, found.cases[0].rate, found.others

The packaged cells compute loss and gradients at the shapes of the large benchmark, S3 with fewer
steps. The shapes of a cell take turns. Limits are measured before, after each cell, and the best
counts. What the minute has no time for is left out, and named.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

import unfold
from unfold.speed.limits import Limits
from unfold.speed.machine import Blas, Others, blas, caches, describe_machine, quota
from unfold.speed.timing import Times, interleave, timed, turn
from unfold.speed.workload import CLASSES, MAIN, Shape, product_flops

MINUTE = 58.0  # seconds; Python needs the rest to start
CELLS = ("lstm", "gru", "lstm_peephole", "rnn")  # in the order of their importance
QUICK = (MAIN["S1"], MAIN["S2"], replace(MAIN["S3"], steps=20), MAIN["S5"])
SECONDS = 0.4  # to time a shape of a cell
ITEM = 4
SPEC = """\
unfold: 1
name: CELL
axes: {t: 100}
sizes: {classes: 65, hidden: 128}
inputs:
  x[t]: {category: classes}
  y[t]: {category: classes}
parameters:
  V: [classes, hidden]
  c: [classes]
nodes:
  h[t]: CELL(x[t], hidden=hidden)
  o[t]: V @ h[t] + c
loss: mean[t](cross_entropy(o[t], y[t]))
"""


@dataclass(frozen=True)
class Case:
    """A cell at a shape, timed.

    Attributes:
        cell: its name.
        shape: steps, sequences, hidden units.
        weights: how many numbers its recurrent matrices have.
        times: of loss and gradients.
    """

    cell: str
    shape: Shape
    weights: int
    times: Times

    @property
    def rate(self) -> float:
        """Operations of products per second."""
        matrices = self.weights / self.shape.hidden**2
        return product_flops(matrices, self.shape) / self.times.minimum

    @property
    def weight_bytes(self) -> int:
        """The bytes of the recurrent matrices, which a step of one sequence reads twice."""
        return ITEM * self.weights

    @property
    def read_rate(self) -> float:
        """Bytes of the recurrent matrices per second, read once forwards and once backwards."""
        return 2 * self.shape.steps * self.weight_bytes / self.times.minimum


@dataclass
class Found:
    """What the quick benchmark found.

    Attributes:
        machine: see `describe_machine`.
        present: processors of the machine, also those that this process may not use.
        quota: processors whose time a container may take; None if all.
        library: NumPy's BLAS.
        limits: of the processor, and what code is generated for.
        cases: that were timed.
        left_out: those that there was no time for.
        others: processors that other programs used meanwhile, on average.
        seconds: that all of it took.
    """

    machine: Mapping[str, Any]
    present: int
    quota: float | None
    library: Blas
    limits: Limits
    cases: list[Case] = field(default_factory=list[Case])
    left_out: list[str] = field(default_factory=list[str])
    others: float = 0.0
    seconds: float = 0.0

    @property
    def peak(self) -> float:
        """Operations per second of the product of matrices, on as many threads as is best."""
        return max(self.limits.gemm.values())

    def cache_share(self, case: Case) -> float | None:
        """Return a case's part of what the second-level cache delivers to one processor.

        None if it has several sequences, or if its matrices fit into the first level.
        """
        rate, first = self.limits.rate(2), self.limits.caches[0].size
        if rate is None or case.shape.batch > 1 or case.weight_bytes <= first:
            return None
        return case.read_rate / rate


def measure(threads: int, tell: Callable[[str], None]) -> Found:
    """Measure everything.

    Args:
        threads: how many processors may be used.
        tell: gets a line whenever something begins.
    """
    began, others = time.perf_counter(), Others()
    backend = unfold.loads(_spec(CELLS[0])).backend()
    limits = Limits(backend.hardware(), caches(), threads)
    found = Found(describe_machine(), os.cpu_count() or 1, quota(), blas(), limits)
    tell("limits ...")
    limits.measure()
    longest = 0.0
    for cell in CELLS:
        start = time.perf_counter()
        if start - began + longest > MINUTE:
            found.left_out.append(cell)
            continue
        tell(f"{cell} ...")
        found.cases += _timed(cell)
        limits.measure()
        longest = max(longest, time.perf_counter() - start)
    found.others, found.seconds = others.used(), time.perf_counter() - began
    return found


def _spec(cell: str) -> str:
    return SPEC.replace("CELL", cell)


def _timed(cell: str) -> list[Case]:
    """Time loss and gradients of a cell at all shapes, in turns."""
    turns: dict[str, Callable[[], list[float]]] = {}
    weights: dict[str, int] = {}
    for shape in QUICK:
        model = unfold.loads(_spec(cell), sizes={"hidden": shape.hidden}, axes={"t": shape.steps})
        parameters = model.init(seed=0, dtype="float32")
        rng = np.random.default_rng(0)
        x, y = rng.integers(0, CLASSES, (2, shape.batch, shape.steps))
        step = partial(model.value_and_grad, parameters, {"x": x, "y": y})
        step()  # compiles
        turns[shape.name] = partial(turn, step, expected=timed(step))
        weights[shape.name] = _recurrent(parameters, shape.hidden)
    durations = interleave(turns, SECONDS)
    return [Case(cell, s, weights[s.name], Times.of(durations[s.name])) for s in QUICK]


def _recurrent(parameters: Mapping[str, Any], hidden: int) -> int:
    """Return how many numbers the matrices of the cell have that multiply its state."""
    own = (p for name, p in parameters.items() if name.startswith("h."))
    return sum(p.size for p in own if p.ndim == 2 and p.shape[-1] == hidden)
