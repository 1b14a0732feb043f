"""The arrays of a run: checked against the Program, and the domain they imply.

In: arrays by name from the user, inputs [batch, *extents, *shape] (categories without a feature
dimension) and parameters [*extents, *shape]. Out: the same arrays as float64 or integers, and a
`Domain`. An array that does not fit is a `DataError` that names the array, the found and the
expected form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np

from unfold.core.origin import StateAxis
from unfold.core.build import Builder
from unfold.core.printing import show_type
from unfold.core.program import BATCH, Program, Value
from unfold.errors import DataError
from unfold.runs.domain import Domain

Arrays = Mapping[str, Any]


def check_inputs(
    program: Program, inputs: Arrays, needed: Iterable[str], *, dtype: str | None = "float64"
) -> dict[str, Any]:
    """Return the inputs as arrays of the right kind.

    Args:
        program: whose inputs they are.
        inputs: arrays by name.
        needed: names of inputs that must be there.
        dtype: of real arrays; None leaves them as they are.

    Raises:
        DataError: an unknown or missing name, a wrong rank, shape or kind, or a class out of range.
    """
    known = {v.name: v for v in program.inputs}
    for name in inputs:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = (
                f"did you mean {near[0]}?"
                if near
                else f"the inputs are {', '.join(known) or 'none'}"
            )
            raise DataError(f"{program.name} has no input {name}; {hint}")
    for name in needed:
        if name not in inputs:
            raise DataError(f"input {name} is missing: {_expected(known[name])}")
    return {name: _array(known[name], array, dtype) for name, array in inputs.items()}


def _expected(value: Value) -> str:
    axes = ", ".join(value.axes)
    kind = "integers" if value.type.kind == "category" else "numbers"
    features = "".join(f", {int(d)}" for d in value.type.stored)
    return f"an array of {kind} [{axes}{features}] is expected ({show_type(value)})"


def _array(value: Value, given: Any, dtype: str | None) -> Any:
    array = np.asarray(given)
    rank = len(value.axes) + len(value.type.stored)
    if array.ndim != rank:
        raise DataError(f"input {value.name} has {array.ndim} dimensions; {_expected(value)}")
    tail = array.shape[len(value.axes) :]
    if tail != tuple(value.type.stored):
        raise DataError(f"input {value.name} has the shape {list(array.shape)}; {_expected(value)}")
    if value.type.kind == "category":
        if array.dtype.kind not in "iu":
            raise DataError(f"input {value.name} contains {array.dtype}; {_expected(value)}")
        check_classes(value, array)
        return array.astype(np.int64, copy=False)
    if array.dtype.kind not in "biuf":
        raise DataError(f"input {value.name} contains {array.dtype}; {_expected(value)}")
    return array if dtype is None else array.astype(dtype, copy=False)


def check_classes(value: Value, array: Any) -> None:
    """Refuse classes that a category does not have.

    Raises:
        DataError: naming the first one.
    """
    classes = int(value.type.shape[0])
    if array.size and (array.min() < -1 or array.max() >= classes):
        at = tuple(map(int, np.argwhere((array < -1) | (array >= classes))[0]))
        raise DataError(
            f"input {value.name}{list(at)} is {array[at]};"
            f" classes are 0 to {classes - 1}; -1 means no class"
        )


def check_parameters(
    program: Program, domain: Domain, parameters: Arrays, *, dtype: str | None = "float64"
) -> dict[str, Any]:
    """Return the parameters as arrays of the right shape.

    Args:
        program: whose parameters they are.
        domain: of the run.
        parameters: arrays by name.
        dtype: of the result; None leaves arrays as they are.

    Raises:
        DataError: a parameter is missing or does not fit.
    """
    found: dict[str, Any] = {}
    for value in program.parameters:
        if value.name not in parameters:
            raise DataError(f"parameter {value.name} is missing; start from model.init()")
        array = np.asarray(parameters[value.name])
        if array.dtype.kind not in "biuf":
            raise DataError(f"parameter {value.name} contains {array.dtype}, expected real numbers")
        array = array if dtype is None else array.astype(dtype, copy=False)
        wanted = domain.shape(value.axes) + tuple(map(int, value.type.shape))
        longer = value.axes and array.shape[len(value.axes) :] == tuple(value.type.shape)
        if longer and all(a >= w for a, w in zip(array.shape, wanted, strict=True)):
            # A shorter sequence uses the first entries along a parameter's own axes.
            array = array[tuple(slice(0, w) for w in wanted)]
        if array.shape != wanted:
            raise DataError(
                f"parameter {value.name} has the shape {list(array.shape)};"
                f" expected {list(wanted)} ({show_type(value)})"
            )
        found[value.name] = array
    return found


def domain_of(
    program: Program,
    inputs: Arrays,
    lengths: Mapping[str, Any] | None,
    batch: int | None = None,
    *,
    least: int = 1,
    extents: Mapping[str, int] | None = None,
) -> Domain:
    """Return the domain that some inputs and lengths imply.

    Args:
        program: what is run.
        inputs: arrays by name.
        lengths: per axis, the length of each sequence, [batch].
        batch: number of sequences if there are no inputs.
        least: the shortest length of a sequence.
        extents: of axes that no input has; default: as the longest length or the spec says.

    Raises:
        DataError: two inputs disagree about the batch or about an extent, or a carried state does
            not fit.
    """
    found: dict[str, tuple[int, str]] = {}
    for value in program.inputs:
        if value.name not in inputs:
            continue
        for axis, size in zip(value.axes, np.shape(inputs[value.name]), strict=False):
            other = found.setdefault(axis, (size, value.name))
            if other[0] != size:
                raise DataError(
                    f"inputs disagree along {axis}:"
                    f" {other[1]} has {other[0]}, {value.name} has {size}"
                )
            if size < 1:
                raise DataError(f"input {value.name} is empty along {axis}")
    sizes = {a: n for a, n in (extents or {}).items() if a in program.axes}
    sizes |= {a: n for a, (n, _) in found.items()}
    count = sizes.pop(BATCH, batch or 1)
    own = [program.axes[a] for a in sizes]
    for axis in [a for a in own if isinstance(a.origin, StateAxis)]:  # it belongs to the state
        size, wanted = sizes.pop(axis.name), axis.extent.constant
        if size != wanted:
            name = found[axis.name][1]
            raise DataError(
                f"{name} contains {size} steps, expected the last {wanted}; pass the state "
                f"that the "
                f"run of the previous chunk returned"
            )
    domain = Domain(program, sizes, lengths, count, least=least)
    _check_lengths(program, domain)
    return domain


def _check_lengths(program: Program, domain: Domain) -> None:
    """Refuse unequal lengths along an axis that no input has, where a shared value sees them."""
    whole = Builder.of(program)
    for axis in program.axes:
        if bool((domain.length(axis) == domain.extents[axis]).all()) or whole.varies(axis):
            continue
        for value in program:
            if BATCH in value.iteration:
                continue
            reads = [
                read
                for r in program.reads(value)
                for read in zip(program[r.value].axes, r.index, strict=True)
            ]
            passes = any(a == axis and index.may_pass_the_end(axis) for a, index in reads)
            ends = any(axis in index.ends for _, index in reads)
            if axis in value.reduced or passes or ends:
                raise DataError(
                    f"sequences cannot differ in length along {axis}: no input has this axis, and"
                    f" {value.node} is computed once for all of them; run them one by one"
                )
