"""The first number that was not finite, when a step could not be taken.

The forward pass runs once more with all its named nodes, and the search follows the order of
computation (the levels of the unfolded graph): of all nodes that are not finite, the first one read
only finite ones. If a `where` may have left some of them out, the reference finds those that
reached the loss (`unfolded/origins.py`). If the loss is finite, the gradient was the cause.

    step 57: the loss is nan; the first value that is not finite is h[t=12] (inf, sequence 3 of 32)
    step 3: the loss is 0.2, but its gradient is not finite for w; backwards it was first the
    derivative of k[t=3] (inf)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np

from unfold.core.origin import Adjoint, Carried
from unfold.core.program import BATCH, Program, Value
from unfold.passes.carry import BEGINS, Chunk
from unfold.passes.differentiate import adjoint_name
from unfold.passes.modes import resolve_modes
from unfold.passes.newest import KNOWN
from unfold.passes.pipeline import Pipeline
from unfold.runs.domain import Domain
from unfold.training.learner import Run
from unfold.training.loop import Failure, Trainer, about
from unfold.unfolded.levels import levels
from unfold.unfolded.origins import reaching
from unfold.unfolded.running import Runner

Array = np.ndarray
NO_ALIGNMENT = "its labels need more frames than the sequence has"


@dataclass(frozen=True)
class NotFinite:
    """A number that is not finite.

    Attributes:
        node: the value.
        point: the index point, by axis.
        sequence: of the batch, counted from 0.
        value: the number.
        level: the number of values in a row that must be computed before it.
    """

    node: str
    point: Mapping[str, int]
    sequence: int
    value: float
    level: int

    def show(self, batch: int) -> str:
        """Return `h[t=12] (inf, sequence 3 of 32)`."""
        at = ", ".join(f"{a}={i}" for a, i in self.point.items())
        where = f", sequence {self.sequence + 1} of {batch}" if batch > 1 else ""
        return f"{self.node}{f'[{at}]' if at else ''} ({self.value:g}{where})"


def explain_failure(trainer: Trainer) -> str | None:
    """Name the step, node and index point at which a number was first not finite."""
    failure = trainer.failure
    if failure is None:
        return None
    told = f"step {failure.step}: the loss is {failure.loss:g}"
    with np.errstate(all="ignore"):
        broken = [n for n, a in failure.parameters.items() if not np.isfinite(a).all()]
        if broken:
            return f"{told}; the parameter {broken[0]} is not finite after the last update"
        mode = failure.mode
        run = trainer.learner.forward(
            failure.parameters,
            failure.batch.inputs,
            carry=failure.carry,
            **about(failure.batch, trainer.settings),
            mode=mode,
            seed=failure.seed,
            training=True,
        )
        program = trainer.learner.model.program
        found = None
        if not math.isfinite(failure.loss):
            found = first_not_finite(run, program, failure, mode)
            if found is not None and any(v.row.chooses for v in program):
                found = first_value(trainer, failure) or found
    batch = next(iter(failure.batch.inputs.values())).shape[0] if failure.batch.inputs else 1
    if found is not None:
        told += f"; the first value that is not finite is {found.show(batch)}"
        return f"{told}: {NO_ALIGNMENT}" if _is_unaligned(program, found) else told
    names = [n for n, g in failure.gradients.items() if not np.isfinite(g).all()]
    if not names or not math.isfinite(failure.loss):
        return told
    told += f", but its gradient is not finite for {', '.join(names)}"
    with np.errstate(all="ignore"):
        found = first_gradient(trainer, failure, names)
    return (
        told if found is None else f"{told}; in the backward pass it was first {found.show(batch)}"
    )


def _is_unaligned(program: Program, found: NotFinite) -> bool:
    """Whether a value is infinite because `ctc` finds no alignment."""
    return found.value == math.inf and any(v.node == found.node for v in program.of("ctc"))


def first_not_finite(run: Run, program: Program, failure: Failure, mode: Any) -> NotFinite | None:
    """Return the first number of a run that is not finite, in the order of computation."""
    arrays = {n: np.asarray(run[n]) for n in run if n in program.values}
    bad = {n: a for n, a in arrays.items() if a.dtype.kind == "f" and not np.isfinite(a).all()}
    if not bad:
        return None
    whole = resolve_modes(replace(program, outputs=tuple(bad)), mode=mode, training=True)
    lengths = {a: np.asarray(n) for a, n in failure.batch.lengths.items()}
    sequences = next(iter(bad.values())).shape[0]
    domain = Domain(whole, _extents(arrays, program), lengths, sequences)
    return _lowest(bad, whole, domain)


def first_value(trainer: Trainer, failure: Failure) -> NotFinite | None:
    """Return the first number that is not finite and reaches the loss, by the reference."""
    program = trainer.learner.model.program
    assert program.loss is not None
    return _first(trainer, failure, _adjoint(trainer, failure), [program.loss])


def first_gradient(trainer: Trainer, failure: Failure, names: Iterable[str]) -> NotFinite | None:
    """Return the first number that is not finite and reaches the gradients by some parameters."""
    program = _adjoint(trainer, failure)
    return _first(trainer, failure, program, [adjoint_name(n) for n in names])


def _adjoint(trainer: Trainer, failure: Failure) -> Program:
    batch, carry = failure.batch, failure.carry
    begins = batch.begins is not None and bool(carry)
    chunk = Chunk(begins, batch.known is not None, batch.overlap)
    return Pipeline(trainer.learner.model.program).adjoint(
        trainer.learner.trained, mode=failure.mode, carry=carry is not None, chunk=chunk
    )


def _first(
    trainer: Trainer, failure: Failure, program: Program, targets: Iterable[str]
) -> NotFinite | None:
    """Return the number computed first of those that are not finite and reach some values.

    The reference runs the Program in double precision: a number counts as infinite if it is too
    large for the type of the training.
    """
    batch, carry = failure.batch, failure.carry or {}
    own = {BEGINS.name: batch.begins if carry else None, KNOWN.name: batch.known}
    given = {**batch.inputs, **own, **{Carried(n).name: a for n, a in carry.items()}}
    feeds = {v.name: given[v.name] for v in program.inputs if v.name in given}
    runner = Runner()
    run, domain = runner.run(
        program, failure.parameters, feeds, lengths=batch.lengths or None, seed=failure.seed
    )
    largest = min(np.finfo(a.dtype).max for a in failure.parameters.values())
    run = {
        n: a if a.dtype.kind != "f" else np.where(np.abs(a) <= largest, a, a * inf)
        for n, a in run.items()
    }
    reached = reaching(runner.walk(program, domain), run, targets)
    bad = {
        n: np.where(_wide(m, run[n]), run[n], 0.0)
        for n, m in reached.items()
        if not program[n].is_constant
    }
    return _lowest(bad, program, domain)


def _wide(points: Array, array: Array) -> Array:
    """Repeat the values of a mask of points for all their features."""
    return np.broadcast_to(
        points.reshape(points.shape + (1,) * (array.ndim - points.ndim)), array.shape
    )


def _lowest(bad: Mapping[str, Array], program: Program, domain: Domain) -> NotFinite | None:
    """Return the number that is computed first."""
    if not bad:
        return None
    level = levels(program, domain)
    order = {value.name: number for number, value in enumerate(program)}
    found = [f for n, a in bad.items() for f in _worst(n, a, level[n], program)]
    first = min(found, key=lambda f: (f.level, *f.point.values(), order[f.node]), default=None)
    return first and replace(first, node=_equation(program[first.node]))


def _equation(value: Value) -> str:
    """Return the equation that a value belongs to."""
    if value.is_named or not value.node:
        return value.name
    origin = value.origin.equation
    return f"the derivative of {origin.of.name}" if isinstance(origin, Adjoint) else origin.name


def _worst(name: str, array: Array, level: Array, program: Program) -> Iterator[NotFinite]:
    """Yield the first number of a node that is not finite."""
    axes = tuple(a for a in program[name].axes if a != BATCH)
    rank = 1 + len(axes)
    flat = array.reshape(*array.shape[:rank], -1)
    where = np.argwhere(~np.isfinite(flat))
    if len(where):
        heights = level[tuple(where[:, 1:rank].T)] if axes else np.full(len(where), level)
        first = where[np.argmin(heights)]
        value = float(flat[tuple(first)])
        point = dict(zip(axes, map(int, first[1:rank]), strict=True))
        yield NotFinite(name, point, int(first[0]), value, int(heights.min()))


def _extents(arrays: Mapping[str, Array], program: Program) -> dict[str, int]:
    """Return the extents of the axes that data decides, as the arrays of a run have them."""
    found: dict[str, int] = {}
    for name, array in arrays.items():
        axes = tuple(a for a in program[name].axes if a != BATCH)
        for axis, extent in zip(axes, array.shape[1:], strict=False):
            if program.axes[axis].from_data:
                found[axis] = extent
    return found
