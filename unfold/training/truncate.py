"""Truncated backpropagation through time: the cuts of sequences, and the reach of gradients.

    train: {truncate: {t: 25, carry: true}}
    train: {truncate: {t: {every: 25, back: 100}}}

Sequences are read `every` steps at a time along an axis, with an update after each such chunk, and
the state goes on from chunk to chunk. Gradients flow back `back` steps from the end of the chunk,
through steps that are run again (`unfold.training.data.windows`). This is BPTT(h; h') of Williams &
Peng 1990, "An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent Network
Trajectories", with h = back and h' = every; if both are equal, it is plain truncation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import Field

from unfold.core.program import Program
from unfold.errors import Diagnostic, SpecError
from unfold.passes.pipeline import Pipeline
from unfold.training.data import Data, Dataset
from unfold.training.data.batches import ChunkSource, StreamSource
from unfold.training.data.windows import WindowSource
from unfold.training.sections import Section, Settings, show

FORM = "{t: 25} or {t: {every: 25, back: 100}}"


class Truncate(Settings):
    """The cuts of sequences.

    Attributes:
        axis: of the cuts.
        every: steps from one update to the next.
        back: steps that gradients flow back; at least `every`.
        carry: whether the state goes on from chunk to chunk; default: `train.carry`.
    """

    axis: str
    every: int = Field(ge=1)
    back: int = Field(ge=1)
    carry: bool | None = None

    @property
    def overlap(self) -> int:
        """The number of steps before a chunk that are run again."""
        return self.back - self.every


def read_truncate(value: object) -> object:
    """Read `{t: 25}` or `{t: {every: 25, back: 100}}`; raises ValueError for what is neither."""
    if value is None or isinstance(value, Truncate):
        return value
    axes = [k for k in value if k != "carry"] if isinstance(value, Mapping) else []
    if not isinstance(value, Mapping) or len(axes) != 1:
        raise ValueError(f"expected one axis and its steps, as in {FORM}, got {show(value)}")
    steps, carry = value[axes[0]], value.get("carry")
    if carry is not None and not isinstance(carry, bool):
        raise ValueError(f"carry: expected true or false, got {show(carry)}")
    given = dict(steps) if isinstance(steps, Mapping) else {"every": steps}
    if unknown := [k for k in given if k not in ("every", "back")]:
        raise ValueError(f"{axes[0]} has no key {unknown[0]!r}, only every and back")
    every = given.get("every")
    back = given.get("back", every)
    for name, number in (("every", every), ("back", back)):
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise ValueError(
                f"{axes[0]}.{name}: expected a number of steps, as in {FORM}, got {show(number)}"
            )
    assert isinstance(every, int) and isinstance(back, int)
    if back < every:
        raise ValueError(
            f"gradients flow back {back} steps, fewer than the {every} between updates, so "
            f"some steps would not be learned from: set every: {back}, or a larger back"
        )
    if back > every and carry is False:
        raise ValueError("back reaches into the previous chunk, so the state must be carried")
    return {"axis": str(axes[0]), "every": every, "back": back, "carry": carry}


def read_batches(
    data: Dataset, program: Program, how: Truncate | None, section: Section | None, **options: Any
) -> Data:
    """Return the batches of a data set, cut as `truncate` says.

    Arguments:
        data: that has been read.
        program: the spec's.
        how: to cut; None leaves the data whole.
        section: `train`, for the place of a mistake, if there is one.
        **options: dtype and carry of `Dataset.batches`.

    Raises:
        SpecError: the spec, or its data, cannot be cut along the axis.
        DataError: the data do not fit.
    """
    if how is None:
        return data.batches(program, **options)
    axis, known = how.axis, Pipeline(program).recurrent_axes
    if axis != next(iter(known), None):
        told = (
            f"the state continues along {known[0]}"
            if known
            else "no state continues along any axis"
        )
        raise _refused(section, f"{axis} cannot be truncated: {told}")
    found = data.batches(program, **options, chunk={axis: how.every})
    source = found.train
    if not isinstance(source, StreamSource | ChunkSource) or source.length != how.every:
        raise _refused(section, f"data of this kind are not read in chunks along {axis}")
    if not how.overlap:
        return found
    return replace(found, train=WindowSource(source, axis, how.overlap))


def _refused(section: Section | None, message: str) -> SpecError:
    place = section.locate_key(("truncate",)) if section else None
    return SpecError(Diagnostic(f"train.truncate: {message}", place, help="remove truncate"))
