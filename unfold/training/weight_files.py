"""Initial weights from files: the arrays of `init: {file: weights.safetensors}`, checked.

    A: {shape: [n, n], init: {file: weights.safetensors}}     the array A of the file, [n, n]

Files are read like those of data: nothing in them is trusted, and each is read once. A mistake is
shown at the path in the spec.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unfold.core.program import Program, Value
from unfold.spec.file.model import Section
from unfold.training.data.arrays import read_arrays
from unfold.training.data.columns import Array, Arrays
from unfold.training.data.problems import data_error, suggest


class WeightFiles:
    """Reads parameters out of files.

    Args:
        folder: the base of relative paths.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, Arrays] = {}

    def array(self, value: Value, shape: tuple[int | None, ...], dtype: str) -> Array:
        """Return the array that a parameter starts from.

        Arguments:
            value: the parameter.
            shape: its axes' extents and its own shape; None is any number.
            dtype: that its numbers must fit.

        Raises:
            DataError: no such file or array, another shape or kind, or a number that is not finite.
        """
        path = str(value.attributes["argument"])
        place = Section.at(value.attributes["init_at"], {})

        def refuse(message: str, help: str) -> Exception:
            return data_error(place, (), message, help)

        if path not in self._read:
            self._read[path] = read_arrays(path, place, (), self._folder)
        arrays = self._read[path]
        if value.name not in arrays:
            help = suggest(value.name, sorted(arrays), "its arrays")
            raise refuse(f"{path} has no array {value.name}", help)
        array = arrays[value.name]
        if array.dtype.kind not in "iuf":
            message = f"the array {value.name} of {path} contains {array.dtype}"
            raise refuse(message, "a parameter must contain real numbers")
        if len(array.shape) != len(shape) or any(
            w not in (None, n) for n, w in zip(array.shape, shape, strict=True)
        ):
            wanted = ", ".join("any" if n is None else str(n) for n in shape)
            message = f"the array {value.name} of {path} has the shape {list(array.shape)}"
            over = f", for each point of {', '.join(value.axes)}" if value.axes else ""
            help = f"{value.name} is {value.type.show()}{over}: [{wanted}] is expected"
            raise refuse(message, help)
        with np.errstate(over="ignore"):
            numbers = array.astype(dtype)
        if (bad := np.argwhere(~np.isfinite(numbers))).size:
            first = tuple(int(i) for i in bad[0])
            shown = "".join(f"[{', '.join(map(str, first))}]" if first else "")
            message = f"{value.name}{shown} of {path} is {array[first]}, not a number of {dtype}"
            raise refuse(message, "a parameter must start from finite numbers")
        return numbers


def check_weights(program: Program, folder: Path) -> None:
    """Read the initial weights of parameters, without keeping them.

    Arguments:
        program: of the spec, at the sizes that its data decide.
        folder: of the spec.

    Raises:
        DataError: as `WeightFiles.array`, for the first parameter that has a mistake.
    """
    files = WeightFiles(folder)
    for value in program.parameters:
        if value.attributes["init"] == "file":
            axes = [program.axes[a] for a in value.axes]
            points = [int(a.extent.constant) if a.extent.is_constant else None for a in axes]
            files.array(value, (*points, *map(int, value.type.shape)), "float64")
