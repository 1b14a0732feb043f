"""Arrays of NPZ and safetensors files, read without trusting them; also arrays given in Python.

    {arrays: {file: set.npz}, inputs: {x: frames, y: label}, lengths: {t: n}}
    frames [N, 40, 13] float32, label [N] int64, n [N]: the frames that each sequence has

Nothing in a file is executed: pickled objects are refused, and so is a file that would unpack to
more than the free memory, or to more than any data of its size.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from safetensors import deserialize

from unfold.core.bytes import show_size
from unfold.settings.data import ArraysData
from unfold.spec.file.model import KeyPath, Section
from unfold.training.data.columns import Array, Arrays, Column, Examples
from unfold.training.data.dataset import SetDataset
from unfold.training.data.problems import data_error, names, read_bytes, require_room, suggest

COPIES = 3
"""The number of copies of arrays in memory while they are checked and split."""
MAX_RATIO, FREE_RATIO = 200, 1 << 28
"""The largest ratio of unpacked to packed bytes, if the former are more than a few."""


def read_arrays(path: str, section: Section, at: KeyPath, folder: Path) -> Arrays:
    """Return the arrays of a file, by name.

    Arguments:
        path: as the user wrote it, ending in .npz or .safetensors.
        section: the section `data`.
        at: the key that names the file.
        folder: what the path is relative to.

    Raises:
        DataError: the file is missing, damaged, too large, or holds something else.
    """
    file, content = read_bytes(path, section, at, folder)
    if file.suffix not in READERS:
        message = f"{file} is neither .npz nor .safetensors"
        raise data_error(section, at, message, "save it with numpy.savez(file, x=x, y=y)")

    def refuse_unreadable(error: Exception) -> NoReturn:
        message = f"cannot read the arrays of {file}: {error or type(error).__name__}"
        help = "it is damaged, truncated, or contains more than arrays of numbers; write it again"
        raise data_error(section, at, message, help) from None

    try:
        size = unpacked(content) if file.suffix == ".npz" else len(content)
    except Exception as error:  # a damaged file makes its reader raise anything at all
        refuse_unreadable(error)
    if size > max(MAX_RATIO * len(content), FREE_RATIO):
        times = f"{size // len(content):,} times its size"
        message = f"{file} would unpack to {show_size(size)}, {times}"
        raise data_error(section, at, message, "if that is intended, save it with numpy.savez")
    require_room(COPIES * size, f"what {file} holds", section, at)
    try:
        arrays = READERS[file.suffix](content)
    except Exception as error:
        refuse_unreadable(error)
    if not arrays:
        raise data_error(section, at, f"{file} has no arrays")
    return arrays


def unpacked(content: bytes) -> int:
    """Return the unpacked bytes that an archive declares."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _unpack(content: bytes) -> Arrays:
    """Read an NPZ file."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: np.asarray(archive[name]) for name in archive.files}


def read_safetensors(content: bytes) -> Arrays:
    """Read a safetensors file; small types that NumPy lacks become the next one that holds them.

    Raises:
        ValueError: an array of a type that is none of these.
    """
    arrays: Arrays = {}
    for name, found in deserialize(content):
        kind, data = found["dtype"], found["data"]
        if kind not in PLAIN and kind not in SMALL:
            raise ValueError(f"the array {name} is of the type {kind}")
        array = np.frombuffer(data, PLAIN.get(kind) or f"<u{2 if kind == 'BF16' else 1}")
        if kind in SMALL:
            array = SMALL[kind](array)
        arrays[name] = array.reshape(found["shape"])
    return arrays


def _from_bfloat16(bits: Array) -> Array:
    """Return numbers of 8 and 7 bits for exponent and fraction: the upper halves of float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _from_e5m2(bits: Array) -> Array:
    """Return numbers of 5 and 2 bits: the upper halves of float16."""
    return (bits.astype(np.uint16) << 8).view(np.float16)


def _from_e4m3(bits: Array) -> Array:
    """Return numbers of 4 and 3 bits; the largest is NaN, and none is infinite."""
    exponent, fraction = (bits >> 3 & 15).astype(np.int32), bits & 7
    normal = exponent > 0
    size = np.ldexp(np.where(normal, 8.0, 0.0) + fraction, np.where(normal, exponent, 1) - 10)
    size = np.where(bits & 127 == 127, np.nan, size)
    return np.where(bits & 128, -size, size).astype(np.float32)


PLAIN: Mapping[str, str] = {
    "BOOL": "?",
    **{f"{kind.upper()}{8 * n}": f"<{kind}{n}" for kind in "iu" for n in (1, 2, 4, 8)},
    **{f"F{8 * n}": f"<f{n}" for n in (2, 4, 8)},
    "C64": "<c8",
}
SMALL: Mapping[str, Callable[[Array], Array]] = {
    "BF16": _from_bfloat16,
    "F8_E5M2": _from_e5m2,
    "F8_E4M3": _from_e4m3,
}
READERS: Mapping[str, Callable[[bytes], Arrays]] = {
    ".npz": _unpack,
    ".safetensors": read_safetensors,
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
        raise data_error(section, at, message, "lengths must be whole numbers, one per sequence")
    if values.dtype == np.uint64 and values.size and values.max() > np.iinfo(np.int64).max:
        message = f"{where}, sequence {int(values.argmax()) + 1} is {values.max()}"
        raise data_error(section, at, message, "lengths must be numbers of steps")
    return values.astype(np.int64)
