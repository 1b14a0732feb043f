"""Where a number that is not finite appeared first, when a step could not be taken.

The forward pass is run once more with all its named nodes, which are searched in the order in which
they can be computed (the levels of the unfolded graph): of all nodes that are not finite, the first
one read only finite ones. Where the forward pass is finite, it was the gradient.

    step 57: the loss is nan; the first value that is not finite is h[t=12] (inf, sequence 3 of 32)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unfold.core.program import BATCH, Program
from unfold.passes.carry import BEGINS, PREFIX, Chunk
from unfold.passes.differentiate import adjoint_name
from unfold.passes.modes import resolve_modes
from unfold.passes.newest import KNOWN
from unfold.passes.pipeline import Pipeline
from unfold.training.learner import Run
from unfold.training.loop import Failure, Trainer, about
from unfold.unfolded.domain import Domain
from unfold.unfolded.levels import levels
from unfold.unfolded.running import Runner

Array = np.ndarray
NO_ALIGNMENT = "its labels need more frames than there are"


@dataclass(frozen=True)
class Found:
    """A number that is not finite.

    Attributes:
        node: the value.
        point: the index point, by axis.
        sequence: of the batch, counted from 0.
        value: the number.
        level: how many values in a row have to be computed before it.
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
    """Say at which step, node and index point a number was first not finite."""
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
            **about(failure.batch),
            mode=mode,
            seed=failure.seed,
            training=True,
        )
        program = trainer.learner.model.program
        found = first_not_finite(run, program, failure, mode)
    batch = next(iter(failure.batch.inputs.values())).shape[0] if failure.batch.inputs else 1
    if found is not None:
        told += f"; the first value that is not finite is {found.show(batch)}"
        return f"{told}: {NO_ALIGNMENT}" if _is_unaligned(program, found) else told
    names = [n for n, g in failure.gradients.items() if not np.isfinite(g).all()]
    if not names or not math.isfinite(failure.loss):
        return told
    told += f", but its gradient is not finite for {', '.join(names)}"
    with np.errstate(all="ignore"):
        found = first_gradient(trainer, failure)
    return told if found is None else f"{told}; backwards it was first {found.show(batch)}"


def _is_unaligned(program: Program, found: Found) -> bool:
    """Whether a value is infinite because `ctc` finds no alignment."""
    return found.value == math.inf and any(v.node == found.node for v in program.of("ctc"))


def first_not_finite(run: Run, program: Program, failure: Failure, mode: Any) -> Found | None:
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


def first_gradient(trainer: Trainer, failure: Failure) -> Found | None:
    """Return the first number of the gradients by nodes that is not finite.

    The adjoint is run by the reference, in double precision: a number counts as infinite that is
    too large for the type that was trained with.
    """
    learner, carry = trainer.learner, failure.carry or {}
    pipeline = Pipeline(learner.model.program)
    batch = failure.batch
    own = {BEGINS: batch.begins if carry else None, KNOWN: batch.known}
    chunk = Chunk(own[BEGINS] is not None, own[KNOWN] is not None, batch.overlap)
    program = pipeline.adjoint(
        learner.trained, mode=failure.mode, carry=failure.carry is not None, chunk=chunk
    )
    given = {**batch.inputs, **own, **{f"{PREFIX}{n}": a for n, a in carry.items()}}
    feeds = {v.name: given[v.name] for v in program.inputs if v.name in given}
    lengths = failure.batch.lengths or None
    found, domain = Runner().run(
        program, failure.parameters, feeds, lengths=lengths, seed=failure.seed
    )
    names = [n for n in map(adjoint_name, pipeline.nodes) if n in program.values]
    largest = min(np.finfo(a.dtype).max for a in failure.parameters.values())
    arrays = {n: np.where(np.abs(found[n]) <= largest, found[n], np.inf) for n in names}
    bad = {n: a for n, a in arrays.items() if not np.isfinite(a).all()}
    return _lowest(bad, program, domain)


def _lowest(bad: Mapping[str, Array], program: Program, domain: Domain) -> Found | None:
    """Return the number that is computed first."""
    if not bad:
        return None
    level = levels(program, domain)
    order = {value.name: number for number, value in enumerate(program)}
    found = [f for n, a in bad.items() for f in _worst(n, a, level[n], program)]
    return min(found, key=lambda f: (f.level, *f.point.values(), order[f.node]), default=None)


def _worst(name: str, array: Array, level: Array, program: Program) -> Iterator[Found]:
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
        yield Found(name, point, int(first[0]), value, int(heights.min()))


def _extents(arrays: Mapping[str, Array], program: Program) -> dict[str, int]:
    """Return the extents of the axes that data decides, as the arrays of a run have them."""
    found: dict[str, int] = {}
    for name, array in arrays.items():
        axes = tuple(a for a in program[name].axes if a != BATCH)
        for axis, extent in zip(axes, array.shape[1:], strict=False):
            if program.axes[axis].from_data:
                found[axis] = extent
    return found
