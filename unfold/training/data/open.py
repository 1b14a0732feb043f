"""From the checked section `data` to a data set; the only module that knows all families.

open_data(read_data(section), section, folder)  →  Dataset: .fit(program), .batches(program)
"""

from __future__ import annotations

from math import prod
from pathlib import Path

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
from unfold.spec.file.model import Section
from unfold.training.data.arrays import arrays_dataset
from unfold.training.data.binding import check_names
from unfold.training.data.dataset import Dataset
from unfold.training.data.images import images_dataset
from unfold.training.data.problems import data_error
from unfold.training.data.random import RandomDataset, axis_extents
from unfold.training.data.sequences import sequences_dataset
from unfold.training.data.series import series_dataset
from unfold.training.data.streams import TextDataset, check_text_inputs, lines_dataset
from unfold.training.data.text import read_text
from unfold.training.tasks.tasks import TaskDataset


def open_data(settings: DataSettings, section: Section, folder: Path) -> Dataset:
    """Read the data that a section names.

    Arguments:
        settings: the checked section, from `read_data`.
        section: the section itself, for the places of mistakes.
        folder: where the spec is; paths are relative to it.

    Raises:
        DataError: the data cannot be read.
    """
    match settings:
        case TextData():
            return TextDataset(settings, section, read_text(settings, section, folder))
        case LinesData():
            return lines_dataset(settings, section, folder)
        case SeriesData():
            return series_dataset(settings, section, folder)
        case ArraysData():
            return arrays_dataset(settings, section, folder)
        case SequencesData():
            return sequences_dataset(settings, section, folder)
        case ImagesData():
            return images_dataset(settings, section, folder)
        case TaskData():
            return TaskDataset(settings, section)
        case RandomData():
            return RandomDataset(settings, section)


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
    match settings:
        case TextData() | LinesData():
            check_text_inputs(settings, section, program)
        case SeriesData():
            check_names(program, section, {**settings.inputs, **settings.targets})
        case RandomData():
            pass
        case _:
            check_names(program, section, settings.inputs)
