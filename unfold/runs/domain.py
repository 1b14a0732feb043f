"""The index domain of one run: the number of points of each axis, for every sequence of the batch.

In: a Program and facts of the data (extents, lengths per sequence, batch size). Out: a `Domain`
that knows the extent of every axis and its length in every sequence; the domain of an equation is
the box of its axes.

    axes: {t: 50, u: t // 2}
    Domain(program, {"t": 7}, {"t": [7, 4]}, batch=2)
    extents == {"batch": 2, "t": 7, "u": 3}     length("u") == [3, 2]

An axis takes its extent from the data, else from the longest length, else from the spec. A derived
axis (`u`) follows the axes it is derived from, per sequence; data may only repeat that extent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unfold.core.affine import Affine
from unfold.core.origin import StateAxis
from unfold.core.program import BATCH, Axis, Program
from unfold.errors import DataError

Lengths = NDArray[np.int64]

# The content of a point that does not exist, by the kind of a type.
EMPTY = {"real": 0.0, "category": -1, "bool": False}


class Domain:
    """Extents and lengths of every axis of a Program in one run.

    Args:
        program: of the axes.
        extents: number of index points of axes that data decides; others take the spec's default.
        lengths: per axis, the number of points in each sequence, [batch]; default: the extent.
        batch: number of sequences.
        least: the shortest length of a sequence; 0 if this is a part of a longer run.

    Attributes:
        program: as given.
        batch: as given.
        extents: number of points of every axis (the largest over the sequences), with "batch".

    Raises:
        DataError: extents or lengths do not fit the Program or one another.
    """

    def __init__(
        self,
        program: Program,
        extents: Mapping[str, int] | None = None,
        lengths: Mapping[str, ArrayLike] | None = None,
        batch: int = 1,
        *,
        least: int = 1,
    ) -> None:
        if batch < 1:
            raise DataError(f"a batch needs at least one sequence, found {batch}")
        self.program = program
        self.batch = batch
        self.least = least
        self.extents: dict[str, int] = {BATCH: batch}
        self._lengths: dict[str, Lengths] = {BATCH: self._all(batch)}
        given = dict(extents or {})
        given_lengths = dict(lengths or {})
        self._check_names(given, "extents")
        self._check_names(given_lengths, "lengths")
        for axis in program.axes:
            self._resolve(axis, given, given_lengths, ())
        self.uniform: bool = all(
            _is_one(n) or bool((n == self.extents[a]).all()) for a, n in self._lengths.items()
        )

    @property
    def free(self) -> list[str]:
        """The axes whose extents follow neither from other axes nor from a carried state."""
        return [a.name for a in self.program.axes.values() if _is_free(a)]

    def length(self, axis: str) -> Lengths:
        """Return the number of index points of an axis in each sequence, [batch]."""
        return self._lengths[axis]

    def last(self, axis: str) -> Lengths:
        """Return the largest index of an axis in each sequence, [batch]."""
        return self._lengths[axis] - 1

    def shape(self, axes: Iterable[str]) -> tuple[int, ...]:
        """Return the extents of some axes: the leading shape of an array with these axes."""
        return tuple(self.extents[a] for a in axes)

    def sequence(self, which: int) -> Domain:
        """Return the domain of one sequence alone (a batch of one)."""
        if not 0 <= which < self.batch:
            raise DataError(
                f"there is no sequence {which}; the batch has sequences 0 to {self.batch - 1}"
            )
        own = {a: int(n[which]) for a, n in self._lengths.items() if a != BATCH}
        return Domain(self.program, own, batch=1)

    def of(self, program: Program) -> Domain:
        """Return the same domain for a Program with more axes, derived from those of this one."""
        extents = {a: n for a, n in self.extents.items() if a != BATCH and a in program.axes}
        lengths = {a: self._lengths[a] for a in extents if not _is_one(self._lengths[a])}
        return Domain(program, extents, lengths, self.batch)

    def distinct(self) -> tuple[dict[str, int], ...]:
        """Return every different combination of lengths in the batch, without the axis "batch"."""
        axes = [a for a in self._lengths if a != BATCH]
        if self.uniform or not axes:
            return ({a: self.extents[a] for a in axes},)
        rows = np.unique(np.stack([self._lengths[a] for a in axes], axis=1), axis=0)
        return tuple(dict(zip(axes, map(int, row), strict=True)) for row in rows)

    def _all(self, length: int) -> Lengths:
        """Return the same length for every sequence, in the memory of one."""
        return np.broadcast_to(np.int64(length), (self.batch,))

    def _check_names(self, given: Mapping[str, Any], what: str) -> None:
        for axis in given:
            if axis == BATCH:
                raise DataError(
                    f"{what} of the axis batch cannot be given; it has one point per sequence"
                    f" ({self.batch})"
                )
            if axis not in self.program.axes:
                known = [a for a in self.program.axes if a != BATCH]
                near = get_close_matches(axis, known, 1)
                hint = (
                    f"did you mean {near[0]}?"
                    if near
                    else f"the axes are {', '.join(known) or 'none'}"
                )
                raise DataError(
                    f"{what} are given for {axis}, which is not an axis of {self.program.name};"
                    f" {hint}"
                )

    def _resolve(
        self,
        axis: str,
        extents: Mapping[str, int],
        lengths: Mapping[str, ArrayLike],
        waiting: tuple[str, ...],
    ) -> None:
        if axis in self.extents:
            return
        if axis in waiting:
            raise DataError(
                f"the extents of axes depend on each other: {' -> '.join((*waiting, axis))}"
            )
        rule = self.program.axes[axis].extent
        parents = tuple(dict.fromkeys([*rule.axes, *rule.ends]))
        for parent in parents:
            self._resolve(parent, extents, lengths, (*waiting, axis))
        own = self._given_lengths(axis, lengths)
        if parents:
            extent, following = self._derived(axis, rule)
            self._agree(axis, rule, extents.get(axis), extent, own, following)
            own = following
        else:
            longest = int(rule.constant) if own is None else int(own.max())
            extent = int(extents.get(axis, longest))
        if extent < 1:
            raise DataError(f"axis {axis} has {extent} points; every axis needs at least one")
        if own is None:
            own = self._all(extent)
        elif own.max() > extent:
            which = int(own.argmax())
            raise DataError(
                f"sequence {which} has length {own[which]} along {axis}, but the data has only"
                f" {extent} points there"
            )
        self.extents[axis], self._lengths[axis] = extent, own

    def _derived(self, axis: str, rule: Affine) -> tuple[int, Lengths]:
        """Return the extent and the lengths of an axis that follows from others."""
        largest, _ = rule.evaluate(self.extents, {a: n - 1 for a, n in self.extents.items()})
        known = {a: n[:1] if _is_one(n) else n for a, n in self._lengths.items()}
        each, _ = rule.evaluate(known, {a: n - 1 for a, n in known.items()})
        own = np.asarray(each, dtype=np.int64)
        own = self._all(int(own.flat[0])) if own.size == 1 else own
        if own.min() < 1:
            which = int(own.argmin())
            sizes = ", ".join(f"{a} = {self._lengths[a][which]}" for a in rule.axes)
            raise DataError(
                f"axis {axis} = {rule} has {own[which]} points in sequence {which}, where {sizes};"
                " every axis needs at least one"
            )
        return max(int(largest), int(own.max())), own

    def _agree(
        self,
        axis: str,
        rule: Affine,
        extent: int | None,
        derived: int,
        own: Lengths | None,
        following: Lengths,
    ) -> None:
        """Refuse data that contradicts a derived axis."""
        if extent is not None and extent != derived:
            sizes = ", ".join(f"{a} = {self.extents[a]}" for a in rule.axes)
            raise DataError(
                f"axis {axis} = {rule} has {derived} points (where {sizes}), but the data has"
                f" {extent}"
            )
        if own is not None and (own != following).any():
            which = int(np.argmax(own != following))
            raise DataError(
                f"sequence {which} has length {own[which]} along {axis}, but {axis} = {rule} gives"
                f" {following[which]}; omit the lengths of {axis}"
            )

    def _given_lengths(self, axis: str, lengths: Mapping[str, ArrayLike]) -> Lengths | None:
        """Return the lengths given for an axis as integers, checked."""
        if axis not in lengths:
            return None
        array = np.asarray(lengths[axis])
        if array.shape != (self.batch,):
            found = f"an array of shape {list(array.shape)}" if array.ndim != 1 else f"{len(array)}"
            within = (
                f". Give lengths within lengths as an input, such as n[w], and a mask, "
                f"where({axis} < n[w], …): see 'Lengths within lengths' in docs/language.md"
            )
            raise DataError(
                f"lengths of {axis}: expected one per sequence ({self.batch}), found {found}"
                + (within if array.ndim == 2 else "")
            )
        whole = array.astype(np.int64) if array.dtype.kind in "iuf" else None
        if whole is None or (whole != array).any():
            raise DataError(f"lengths of {axis} must be whole numbers, found {array.tolist()}")
        if whole.min() < self.least:
            which = int(whole.argmin())
            raise DataError(
                f"sequence {which} has length {whole[which]} along {axis}; the shortest possible"
                " is 1"
            )
        return whole


def _is_free(axis: Axis) -> bool:
    own = axis.name != BATCH and not isinstance(axis.origin, StateAxis)
    return own and axis.extent.is_constant


def _is_one(lengths: Lengths) -> bool:
    """Tell whether lengths are known to be equal: one number stands for all of them."""
    return lengths.strides == (0,)
