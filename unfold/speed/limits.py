"""What a processor can do at most: products of matrices, and reading caches and memory.

    limits = Limits(hardware, caches(), threads=2)
    limits.measure(); ...; limits.measure()         the best of all measurements counts
    limits.gemm[1], limits.gemm[2]                  8.7e10, 1.7e11 operations per second
    limits.reads[1].rates[1]                        1e11 bytes per second, second-level cache

Products are NumPy's, of 2048 x 2048 numbers in float32. A cache is read by the backend's own code:
every thread adds up an array of its own. It takes a quarter of the cache, divided among those that
share it, and is not read if it is less than twice the cache before; memory is read in arrays of at
least four times the last cache together.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from unfold.backends.hardware import Hardware, Read
from unfold.core.bytes import available
from unfold.speed.machine import Cache
from unfold.speed.timing import gemm_peak

RUNS = 3  # of a product
REPEATS = 5
ENOUGH = 2**27  # bytes that a thread reads before the clock stops
LEAST, MOST = 2**27, 2**30  # bytes that count as memory


@dataclass
class Reading:
    """The reading of one level.

    Attributes:
        level: of the cache; None is memory.
        sizes: bytes that each thread reads again and again, by the number of threads.
        rates: bytes per second of all threads, by their number.
    """

    level: int | None
    sizes: dict[int, int]
    rates: dict[int, float] = field(default_factory=dict[int, float])


@dataclass
class Limits:
    """Limits of a processor on one thread and on all.

    Attributes:
        gemm: operations per second of a product, by the number of threads.
        reads: by level, memory last; empty if there is no code that reads.
    """

    hardware: Hardware | None
    caches: Sequence[Cache]
    threads: int
    gemm: dict[int, float] = field(default_factory=dict[int, float])
    reads: list[Reading] = field(default_factory=list[Reading])

    def __post_init__(self) -> None:
        if self.hardware is None:
            return
        before = 0
        for cache in self.caches:
            sizes = {n: cache.size // (4 * min(n, cache.users)) for n in self.counts}
            sizes = {n: size for n, size in sizes.items() if size >= 2 * before}
            self.reads.append(Reading(cache.level, sizes))
            before = cache.size
        whole = min(max(4 * before, LEAST), MOST, available() // 4)
        self.reads.append(Reading(None, {n: whole // n for n in self.counts}))

    @property
    def counts(self) -> list[int]:
        """The numbers of threads."""
        return sorted({1, self.threads})

    def measure(self) -> None:
        """Measure everything again, and keep what is better than before."""
        for threads in self.counts:
            found = gemm_peak(threads, runs=RUNS)
            self.gemm[threads] = max(found, self.gemm.get(threads, 0.0))
        for reading in self.reads:
            for threads, size in reading.sizes.items():
                found = self._rate(threads, size)
                reading.rates[threads] = max(found, reading.rates.get(threads, 0.0))

    def rate(self, level: int, threads: int = 1) -> float | None:
        """Return the bytes per second that a cache delivers, if it has been measured."""
        return next((r.rates.get(threads) for r in self.reads if r.level == level), None)

    def _rate(self, threads: int, size: int) -> float:
        assert self.hardware is not None
        turns = max(1, ENOUGH // size)
        readers = [self.hardware.reader(size) for _ in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            return max(_rate(pool, readers, turns) for _ in range(REPEATS))


def _rate(pool: ThreadPoolExecutor, readers: Sequence[Read], turns: int) -> float:
    """Return bytes per second, from the first start of a reader to the last end."""

    def timed(read: Read) -> tuple[float, int, float]:
        began = time.perf_counter()
        return began, read(turns), time.perf_counter()

    starts, sizes, ends = zip(*pool.map(timed, readers), strict=True)
    return sum(sizes) / (max(ends) - min(starts))
