"""The time that runs of Plans took, in one form for all backends.

profile.add(0.0021, [Call(start, end, blocks=(0.0001, ...)), ...])     one run, two threads
profile.blocks                                                         seconds per statement
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from unfold.core.plan import Plan


@dataclass(frozen=True)
class Timing:
    """One call of a table: its start, its end, and the seconds of each block."""

    start: float
    end: float
    blocks: tuple[float, ...]


@dataclass
class Profile:
    """The time that the runs of one Plan took.

    Attributes:
        plan: of the runs.
        extents: the number of runs by extents, the first run included.
        dtype: element type.
        first: seconds of the first run, which compiles, and touches unused memory; the other
            attributes leave it out.
        runs: the number of runs after it.
        threads: shares of the batch.
        total: seconds of these runs, from arrays to arrays.
        waited: seconds from the start of the first thread to the end of the last one, without the
            mean of their blocks: threads start late, or take longer than others.
        blocks: seconds of each statement of the top level in these runs, the mean over threads.
    """

    plan: Plan
    extents: Counter[tuple[tuple[str, int], ...]]
    dtype: str
    first: float
    runs: int = 0
    threads: int = 1
    total: float = 0.0
    waited: float = 0.0
    blocks: list[float] = field(default_factory=list[float])

    def add(self, seconds: float, calls: Sequence[Timing]) -> None:
        """Add a run: its seconds, and the calls of tables in it."""
        shares, last = (calls[:-1], calls[-1].blocks) if self.plan.late else (calls, ())
        self.runs, self.threads, self.total = self.runs + 1, len(shares), self.total + seconds
        times = [sum(each) / len(shares) for each in zip_longest(*(c.blocks for c in shares))]
        self.waited += max(c.end for c in shares) - min(c.start for c in shares) - sum(times)
        self.blocks = [a + b for a, b in zip_longest(self.blocks, [*times, *last], fillvalue=0.0)]
