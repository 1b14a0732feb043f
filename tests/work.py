"""Counts work, so that a test can bound it: seconds are those of a machine and of its load.

    with work(at_most=10_000) as done:
        parse(text)
    done.calls                      calls of Python and of C functions, the same on every machine

More than the bound ends the block with `TooMuchWork` there and then, so what never ends is seen.
What one call does inside of C is not seen: a bound of bytes (`tracemalloc`) goes with it where that
could be much. Versions of Python differ in what they call, so bounds leave room for a factor.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any


class TooMuchWork(BaseException):
    """More calls than a test allows; nothing that catches mistakes catches it."""


@dataclass
class Done:
    """What a block did, known when it has ended."""

    calls: int = 0


@contextmanager
def work(at_most: int) -> Iterator[Done]:
    """Count the calls of a block in this thread.

    Args:
        at_most: how many there may be.

    Returns:
        How many there were, once the block has ended.

    Raises:
        TooMuchWork: in the block, at the first call beyond the bound.
    """
    done, before = Done(), sys.getprofile()
    left = 2 * at_most  # a call and its return are two events

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise TooMuchWork(f"more than {at_most:,} calls, in {frame.f_code}")

    sys.setprofile(count)
    try:
        yield done
    finally:
        sys.setprofile(before)
        done.calls = at_most - left // 2
    if left < 0:  # it was raised where Python ignores it, as in a destructor
        raise TooMuchWork(f"more than {at_most:,} calls")
