"""Initial values of parameters, by the rules a spec names.

Sources: glorot (Glorot & Bengio 2010), he (He et al. 2015), orthogonal (Saxe, McClelland & Ganguli
2014). Each parameter draws from a separate generator, keyed by the seed and its name, so an added
parameter changes no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unfold.core.program import Program, Value
from unfold.core.random import stream
from unfold.errors import Diagnostic, SpecError
from unfold.training.weight_files import WeightFiles


def initialize(
    program: Program, extents: Mapping[str, int], *, seed: int, dtype: str, folder: Path
) -> dict[str, Any]:
    """Return fresh parameters, arrays [*extents, *shape] by name.

    Args:
        program: of the parameters.
        extents: number of index points of each axis.
        seed: of the random rules.
        dtype: "float32" or "float64".
        folder: where paths of `{file: …}` start.

    Raises:
        SpecError: `{values: …}` or `{identity}` does not fit the shape.
        DataError: a weights file is missing or does not fit.
    """
    found: dict[str, Any] = {}
    files = WeightFiles(folder)
    for value in program.parameters:
        leading = tuple(extents[a] for a in value.axes)
        if value.attributes["init"] == "file":
            array = files.array(value, leading + tuple(map(int, value.type.shape)), dtype)
        else:
            array = _draw(value, leading, np.random.default_rng(stream(seed, value.name)))
        found[value.name] = np.array(array, dtype=dtype, order="C")
    return found


def _draw(value: Value, leading: tuple[int, ...], generator: np.random.Generator) -> Any:
    shape = tuple(map(int, value.type.shape))
    kind, argument = value.attributes["init"], value.attributes["argument"]
    full = leading + shape
    match kind:
        case "zeros":
            return np.zeros(full)
        case "ones":
            return np.ones(full)
        case "constant":
            return np.full(full, float(argument))
        case "normal":
            return generator.normal(0.0, float(argument), full)
        case "uniform":
            return generator.uniform(-float(argument), float(argument), full)
        case "glorot":
            limit = np.sqrt(6.0 / sum(_fans(shape)))
            return generator.uniform(-limit, limit, full)
        case "he":
            return generator.normal(0.0, np.sqrt(2.0 / _fans(shape)[0]), full)
        case "orthogonal":
            return _each(leading, lambda: _orthogonal(shape, generator, value))
        case "identity":
            if len(shape) != 2:
                raise _misfit(value, "identity needs a matrix")
            return np.broadcast_to(np.eye(*shape), full)
        case "values":
            return _given(value, np.asarray(argument, dtype=np.float64), full)
        case _:
            raise AssertionError(kind)


def _each(leading: tuple[int, ...], draw: Any) -> Any:
    count = int(np.prod(leading, dtype=np.int64))
    drawn = np.stack([draw() for _ in range(count)])
    return drawn.reshape(leading + drawn.shape[1:])


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the numbers of inputs and outputs of a weight of shape [out, in, *window]."""
    if len(shape) < 2:
        return (shape[0] if shape else 1), 1
    window = int(np.prod(shape[2:], dtype=np.int64))
    return shape[1] * window, shape[0] * window


def _orthogonal(shape: tuple[int, ...], generator: np.random.Generator, value: Value) -> Any:
    """Draw square orthogonal blocks, stacked: [4*hidden, hidden] is four orthogonal matrices."""
    if len(shape) != 2:
        raise _misfit(value, "orthogonal needs a matrix")
    rows, columns = shape
    if rows > columns and rows % columns == 0:
        return np.concatenate(
            [_orthonormal(columns, columns, generator) for _ in range(rows // columns)]
        )
    return _orthonormal(rows, columns, generator)


def _orthonormal(rows: int, columns: int, generator: np.random.Generator) -> Any:
    wide = rows < columns
    q, r = np.linalg.qr(generator.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return q.T if wide else q


def _given(value: Value, array: Any, full: tuple[int, ...]) -> Any:
    if array.shape != full and array.shape != ():
        raise _misfit(
            value, f"the values have the shape {list(array.shape)}, expected {list(full)}"
        )
    return np.broadcast_to(array, full)


def _misfit(value: Value, message: str) -> SpecError:
    return SpecError(
        Diagnostic(
            f"cannot initialize {value.name}: {message}",
            value.at,
            (f"{value.name} is {value.type.show()}",),
        )
    )
