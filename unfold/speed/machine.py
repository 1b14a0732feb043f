"""The machine that a benchmark runs on: its processor, caches and BLAS, and who else uses it.

    describe_machine()      {"processor": "AMD EPYC", "processors": 2, ...}
    caches()                [Cache(level=1, size=32768, users=1), Cache(level=2, ...), ...]
    blas()                  Blas("OpenBLAS", "0.3.31", "Zen", threads=2)
    others = Others(); ...; others.used()       0.4 processors, on average since then

All of it is read from the system and from NumPy; what they do not tell is None or missing.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from unfold.core.processors import processors

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
QUOTA = Path("/sys/fs/cgroup/cpu.max")
BRAND = "machdep.cpu.brand_string"
APPLE = {  # level: size, users
    1: ("hw.perflevel0.l1dcachesize", "hw.perflevel0.cpusperl1"),
    2: ("hw.perflevel0.l2cachesize", "hw.perflevel0.cpusperl2"),
}
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


@dataclass(frozen=True)
class Cache:
    """A cache of data.

    Attributes:
        level: 1 is the nearest.
        size: bytes.
        users: how many processors share it.
    """

    level: int
    size: int
    users: int = 1


# What most processors have at least, where the system does not tell.
USUAL = (Cache(1, 32 * 2**10), Cache(2, 256 * 2**10))


@dataclass(frozen=True)
class Blas:
    """The library that NumPy multiplies matrices with.

    Attributes:
        name, version: as NumPy was built with it.
        architecture: the processor that it has chosen its code for; None if it does not tell.
        threads: how many it uses; None if it does not tell.
    """

    name: str
    version: str
    architecture: str | None
    threads: int | None


def describe_machine() -> Mapping[str, Any]:
    """Return what a reader has to know of the machine; its load is that of the last minute."""
    import psutil

    return {
        "processor": _processor(),
        "processors": processors(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": round(psutil.getloadavg()[0], 2),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return _system_control(BRAND) or platform.processor() or "unknown"


def _system_control(name: str) -> str:
    """Return what macOS says about itself; "" elsewhere."""
    if platform.system() != "Darwin":
        return ""
    done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def quota() -> float | None:
    """Return the number of processors whose time a container may take; None if all of it."""
    if not QUOTA.is_file():
        return None
    allowed, _, period = QUOTA.read_text(encoding="utf-8").partition(" ")
    return None if allowed == "max" else int(allowed) / int(period)


def caches() -> list[Cache]:
    """Return the caches of data, from the nearest to the farthest."""
    found = {cache.level: cache for cache in (*USUAL, *_listed(), *_controlled())}
    return [found[level] for level in sorted(found)]


def _listed() -> Iterator[Cache]:
    """Yield the caches that Linux tells of."""
    for folder in CACHES.glob("index*"):
        names = ("type", "level", "size", "shared_cpu_list")
        files = [folder / name for name in names]
        if not all(file.is_file() for file in files):
            continue
        kind, level, size, users = (f.read_text(encoding="utf-8").strip() for f in files)
        if kind != "Instruction" and (read := re.fullmatch(r"(\d+)([KMG]?)", size)):
            yield Cache(int(level), int(read[1]) * UNITS.get(read[2], 1), _count(users))


def _count(ranges: str) -> int:
    """Return how many numbers `0-3,8` stands for."""
    ends = (part.partition("-") for part in ranges.split(","))
    return sum(int(last or first) - int(first) + 1 for first, _, last in ends)


def _controlled() -> Iterator[Cache]:
    """Yield the caches that macOS tells of."""
    for level, (size, users) in APPLE.items():
        if told := _system_control(size):
            yield Cache(level, int(told), int(_system_control(users) or 1))


def blas() -> Blas:
    """Return NumPy's BLAS."""
    import numpy as np

    built: Any = np.show_config(mode="dicts")
    told = built.get("Build Dependencies", {}).get("blas", {})
    name, version = told.get("name", "unknown"), told.get("version", "unknown")
    name = "OpenBLAS" if "openblas" in name else name
    chosen, count = _ask_openblas("get_corename"), _ask_openblas("get_num_threads")
    if chosen is not None:
        chosen.restype = ctypes.c_char_p
    return Blas(name, version, chosen and chosen().decode(), count and count())


def _ask_openblas(question: str) -> Any:
    """Return a function of the OpenBLAS that NumPy has loaded, under any of the names it has."""
    import numpy as np

    core: Any = getattr(np, "_core", None) or np.core  # its name before NumPy 2
    try:
        library = ctypes.CDLL(core._multiarray_umath.__file__)
    except OSError:
        return None
    for prefix, suffix in product(("scipy_", ""), ("64_", "")):
        found = getattr(library, f"{prefix}openblas_{question}{suffix}", None)
        if found is not None:
            return found
    return None


class Others:
    """Measures how many processors other programs use, from now on."""

    def __init__(self) -> None:
        self._before = self._now()

    def used(self) -> float:
        """Return the mean number of processors, without programs that this one has waited for."""
        seconds, busy, own = (b - a for a, b in zip(self._before, self._now(), strict=True))
        return max(0.0, busy - own) / seconds if seconds else 0.0

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Return seconds: the time, that of processors at work, and that of this program."""
        import psutil

        times = psutil.cpu_times(percpu=True)
        if hasattr(os, "sched_getaffinity"):
            times = [t for i, t in enumerate(times) if i in os.sched_getaffinity(0)]
        # On Linux time of guests is part of the user's.
        rest = ("idle", "iowait", "guest", "guest_nice")
        busy = sum(sum(t) - sum(getattr(t, name, 0.0) for name in rest) for t in times)
        return time.perf_counter(), busy, sum(os.times()[:4])
