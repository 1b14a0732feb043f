"""The memory that runs may take and need, and the setting that makes a run fit.

    memory: {checkpoint: auto, budget: 2 GiB}   is   Memory(checkpoint="auto", budget=2 << 30)

A run needs the arenas of its Plans, whose size is known before anything is allocated. A run that
would not fit is refused; with `checkpoint: auto` it recomputes the longest segments that fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from unfold.core.bytes import may_be_taken, show_size
from unfold.errors import MemoryLimitError

Checkpoint = int | Mapping[str, int]


@dataclass(frozen=True)
class Memory:
    """The memory that runs may take.

    Attributes:
        checkpoint: points of a segment that is recomputed, along an axis that can be cut or by
            axis; "auto" cuts runs that would not fit; None never cuts.
        budget: bytes; None is most of the free memory.
    """

    checkpoint: Checkpoint | str | None = None
    budget: int | None = None

    @property
    def limit(self) -> int:
        """The bytes that a run may take."""
        return self.room(0)

    def room(self, held: int) -> int:
        """Return the bytes that may be taken in addition to those that are held."""
        return may_be_taken() if self.budget is None else self.budget - held


def longest(extent: int, needs: Callable[[int], int], limit: int) -> int | None:
    """Return the longest segment that fits, an extent divided by a power of two; None without."""
    length = extent
    while length > 1:
        length = -(-length // 2)
        if needs(length) <= limit:
            return length
    return None


def advised(
    error: MemoryLimitError, length: int | None, needs: Callable[[int], int]
) -> MemoryLimitError:
    """Return an error that names the setting that would make the run fit, if there is one."""
    if error.help:
        return error
    if length is None:
        return MemoryLimitError(f"{error}; use a smaller batch or smaller sizes")
    advice = f"memory: {{checkpoint: {length}}} needs {show_size(needs(length))}"
    return MemoryLimitError(
        f"{error}; {advice}; memory: {{checkpoint: auto}} finds it automatically"
    )
