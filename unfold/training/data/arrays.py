"""Arrays of NPZ and safetensors files, read without trusting them; also arrays given in Python.

    {arrays: {file: set.npz}, inputs: {x: frames, y: label}, lengths: {t: n}}
    frames [N, 40, 13] float32, label [N] int64, n [N]: the frames that each sequence has

Nothing in a file is executed: pickled objects are refused, and so is a file that would unpack to
more than it should.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_safetensors

from unfold.training.data.columns import Array, Arrays, Column, Examples
from unfold.training.data.dataset import SetDataset
from unfold.training.data.problems import data_error, names, read_bytes, suggest
from unfold.training.data.settings import ArraysData
from unfold.training.sections import KeyPath, Section

MAX_UNPACKED = 1 << 32


def read_arrays(path: str, section: Section, at: KeyPath, folder: Path) -> Arrays:
    """Return the arrays of a file, by name.

    Arguments:
        path: as the user wrote it, ending in .npz or .safetensors.
        section: the section `data`.
        at: the key that names the file.
        folder: what the path is relative to.

    Raises:
        DataError: for a file that is missing, damaged, too large, or holds something else.
    """
    file, content = read_bytes(path, section, at, folder)
    if file.suffix not in READERS:
        message = f"{file} is neither .npz nor .safetensors"
        raise data_error(section, at, message, "save it with numpy.savez(file, x=x, y=y)")
    try:
        arrays = READERS[file.suffix](content)
    except Exception as error:  # a damaged file makes its reader raise anything at all
        message = f"cannot read the arrays of {file}: {error or type(error).__name__}"
        help = "it is damaged, cut short, or holds more than arrays of numbers; write it again"
        raise data_error(section, at, message, help) from None
    if not arrays:
        raise data_error(section, at, f"{file} has no arrays")
    return arrays


def _unpack(content: bytes) -> Arrays:
    """Read an NPZ file; nothing larger than `MAX_UNPACKED` is unpacked."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_UNPACKED:
            raise ValueError(f"it would unpack to {size:,} bytes")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: np.asarray(archive[name]) for name in archive.files}


READERS: Mapping[str, Callable[[bytes], Arrays]] = {
    ".npz": _unpack,
    ".safetensors": load_safetensors,
}


def arrays_dataset(settings: ArraysData, section: Section, folder: Path) -> SetDataset:
    """Read a file of arrays.

    Raises:
        DataError: for a file that cannot be read, or lacks an array that is named.
    """
    found = read_arrays(settings.arrays.file, section, ("arrays", "file"), folder)
    return given_arrays(settings, section, found, f" of {settings.arrays.file}")


def given_arrays(
    settings: ArraysData, section: Section, arrays: Mapping[str, Any], source: str = ""
) -> SetDataset:
    """Make a data set of arrays.

    Arguments:
        settings: batches, split, and which array has the lengths.
        section: for the places of mistakes.
        arrays: by name, [N, *extents, *shape].
        source: what messages say after the name of an array.

    Raises:
        DataError: where there is no array, and for lengths that are none.
    """
    columns: dict[str, Column] = {}
    for name, given in arrays.items():
        array = np.asarray(given)
        if array.ndim:
            columns[name] = Column(array, where=f"array {name}{source}")
    if not columns:
        raise data_error(section, ("arrays",), f"there is no array of sequences{source}")
    lengths = {
        axis: _lengths(section, axis, name, columns) for axis, name in settings.lengths.items()
    }
    count = len(next(iter(columns.values())).values)
    shown = names(f"{n} {list(c.values.shape)}" for n, c in columns.items())
    examples = Examples(columns, lengths)
    told = f"{count:,} sequences: {shown}"
    return SetDataset(settings, section, "arrays", settings.inputs, lambda _: examples, told)


def _lengths(section: Section, axis: str, name: str, columns: Mapping[str, Column]) -> Array:
    """Return the lengths along an axis that an array holds."""
    at: KeyPath = ("lengths", axis)
    if name not in columns:
        help = suggest(name, columns, "there are")
        raise data_error(section, at, f"there is no array {name} with lengths", help)
    values, where = columns[name].values, columns[name].where
    if values.ndim != 1 or values.dtype.kind not in "iu":
        message = f"{where} is {values.dtype} {list(values.shape)}"
        raise data_error(section, at, message, "lengths are whole numbers, one per sequence")
    return values.astype(np.int64)
