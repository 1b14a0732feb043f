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

from dataclasses import replace
from typing import Any

from unfold.core.program import Program
from unfold.errors import Diagnostic, SpecError
from unfold.passes.pipeline import Pipeline
from unfold.settings.train import Truncate
from unfold.spec.file.model import Section
from unfold.training.data import Data, Dataset
from unfold.training.data.batches import ChunkSource, StreamSource
from unfold.training.data.windows import WindowSource


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
