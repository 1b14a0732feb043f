"""The memory of the host, which also holds the user's arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unfold.backends.native.layout import ALIGN


class Host:
    """NumPy's arrays: a user's parameters are read in place."""

    def allocate(self, size: int) -> Any:
        """Return a number of bytes, zero and aligned."""
        whole = np.zeros(size + ALIGN, np.uint8)
        start = -whole.ctypes.data % ALIGN
        return whole[start : start + size]

    def view(
        self, store: Any, offset: int, shape: Sequence[int], strides: Sequence[int], dtype: Any
    ) -> Any:
        """Return an array over a part of an allocation."""
        return np.ndarray(tuple(shape), dtype, store, offset, tuple(strides))

    def address(self, array: Any) -> int:
        """Return the address of an array."""
        return array.__array_interface__["data"][0]

    def hold(self, array: Any, dtype: Any) -> Any:
        """Return a contiguous array of a type: the array itself if possible."""
        if array.dtype != dtype or not array.flags.c_contiguous:
            return np.ascontiguousarray(array, dtype=dtype)
        return array

    def upload(self, array: Any, view: Any) -> None:
        """Copy an array into a view."""
        view[...] = array

    def download(self, views: Sequence[Any]) -> Any:
        """Return a copy of views, joined along their first dimension."""
        return views[0].copy() if len(views) == 1 else np.concatenate(views)
