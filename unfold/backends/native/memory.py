"""The memory of the host, where arrays of the user lie, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unfold.backends.native.layout import ALIGN


class Host:
    """NumPy's arrays: a user's parameters are read where they are."""

    def allocate(self, size: int) -> Any:
        """Return so many bytes, zero and aligned."""
        whole = np.zeros(size + ALIGN, np.uint8)
        start = -whole.ctypes.data % ALIGN
        return whole[start : start + size]

    def view(
        self, store: Any, offset: int, shape: Sequence[int], strides: Sequence[int], dtype: Any
    ) -> Any:
        """Return an array over a part of what was allocated."""
        return np.ndarray(tuple(shape), dtype, store, offset, tuple(strides))

    def address(self, array: Any) -> int:
        """Return where an array begins."""
        return array.__array_interface__["data"][0]

    def hold(self, array: Any, dtype: Any) -> Any:
        """Return an array of a type, contiguous: itself where it is that already."""
        if array.dtype != dtype or not array.flags.c_contiguous:
            return np.ascontiguousarray(array, dtype=dtype)
        return array

    def upload(self, array: Any, view: Any) -> None:
        """Copy an array into a view."""
        view[...] = array

    def download(self, views: Sequence[Any]) -> Any:
        """Return a copy of views, joined along their first dimension."""
        return views[0].copy() if len(views) == 1 else np.concatenate(views)
