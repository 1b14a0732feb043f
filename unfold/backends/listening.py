"""Listeners that every backend tells about the kernels that it compiles.

listeners.append(lambda done, total, kept: print(f"{done} of {total}"))
"""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, bool], None]

listeners: list[Progress] = []  # told (done, in all, whether they are kept) before each kernel


def tell(done: int, total: int, kept: bool) -> None:
    """Tell the listeners how many kernels of a Plan are compiled."""
    for listener in listeners:
        listener(done, total, kept)
