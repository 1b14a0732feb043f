"""From the checked section `data` to a data set; the only module that knows all families.

open_data(read_data(section), section, folder)  →  Dataset: .fit(program), .batches(program)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from unfold.core.bytes import MAX_ELEMENTS
from unfold.core.program import BATCH, Program
from unfold.settings.data import (
    ArraysData,
    DataSettings,
    ImagesData,
    LinesData,
    RandomData,
    SequencesData,
    SeriesData,
    TaskData,
    TextData,
)
from unfold.settings.model import Settings
from unfold.spec.file.model import Section
from unfold.training.data.arrays import arrays_dataset
from unfold.training.data.binding import check_names
from unfold.training.data.dataset import Dataset
from unfold.training.data.images import images_dataset
from unfold.training.data.problems import data_error
from unfold.training.data.random import RandomDataset, axis_extents
from unfold.training.data.sequences import sequences_dataset
from unfold.training.data.series import series_dataset
from unfold.training.data.streams import check_text_inputs, lines_dataset, text_dataset
from unfold.training.tasks.tasks import TaskDataset


def _check_inputs(settings: Any, section: Section, program: Program) -> None:
    check_names(program, section, settings.inputs)


def _check_series(settings: SeriesData, section: Section, program: Program) -> None:
    check_names(program, section, {**settings.inputs, **settings.targets})


@dataclass(frozen=True)
class Reader:
    """How the data of a family are read.

    Attributes:
        read: a data set, from (settings, section, folder of the spec).
        check: what does not require reading it, from (settings, section, Program).
    """

    read: Callable[[Any, Section, Path], Dataset]
    check: Callable[[Any, Section, Program], object] = _check_inputs


READERS: dict[type[Settings], Reader] = {
    TextData: Reader(text_dataset, check_text_inputs),
    LinesData: Reader(lines_dataset, check_text_inputs),
    SeriesData: Reader(series_dataset, _check_series),
    ArraysData: Reader(arrays_dataset),
    SequencesData: Reader(sequences_dataset),
    ImagesData: Reader(images_dataset),
    TaskData: Reader(lambda settings, section, _: TaskDataset(settings, section)),
    RandomData: Reader(
        lambda settings, section, _: RandomDataset(settings, section), lambda *_: None
    ),
}


def open_data(settings: DataSettings, section: Section, folder: Path) -> Dataset:
    """Read the data that a section names.

    Arguments:
        settings: the checked section, from `read_data`.
        section: the section itself, for the places of mistakes.
        folder: where the spec is; paths are relative to it.

    Raises:
        DataError: the data cannot be read.
    """
    return READERS[type(settings)].read(settings, section, folder)


def check_batch(settings: DataSettings, section: Section, program: Program) -> None:
    """Refuse a batch in which an input would hold more numbers than a value may.

    Raises:
        DataError: naming the input.
    """
    extents = axis_extents(program)
    for value in program.inputs:
        points = prod(extents[a] for a in value.axes if a != BATCH)
        numbers = prod(map(int, value.type.stored)) * points
        if settings.batch * numbers > MAX_ELEMENTS:
            message = f"in a batch of {settings.batch:,}, {value.name} would hold"
            message += f" {settings.batch * numbers:,} numbers"
            help = f"a value can hold at most {MAX_ELEMENTS:,}"
            raise data_error(section, ("batch",), message, help)


def check_data(settings: DataSettings, section: Section, program: Program) -> None:
    """Check everything that does not require reading data.

    Raises:
        DataError: the spec lacks an input, or a batch is too large.
    """
    check_batch(settings, section, program)
    READERS[type(settings)].check(settings, section, program)
