"""What is wrong with a machine, or with what was measured on it, in sentences.

    verdict(found)      ["Other programs used 1.3 of 2 processors meanwhile, ..."], or []

A sentence says what was found, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterator

from unfold.speed.quick import Found

BUSY = 0.1  # part of the processors that others may use
WIDE = 32  # bytes of a vector that x86 processors have had since 2013
SCALING = 0.7  # part of its speed that a thread keeps beside others
LOW, HIGH = 0.5, 1.1  # parts of the product of matrices, with many sequences
MANY = 32  # sequences


def verdict(found: Found) -> list[str]:
    """Return a sentence for everything that is wrong."""
    measured = _busy(found) if is_busy(found) else (*_threads(found), *_speed(found))
    return [*_processors(found), *_vectors(found), *measured]


def is_busy(found: Found) -> bool:
    """Return whether other programs took a part of the processors that matters."""
    return found.others > BUSY * found.machine["processors"]


def _busy(found: Found) -> Iterator[str]:
    yield (
        f"Other programs used {found.others:.1f} of {found.machine['processors']} processors "
        "meanwhile, so the machine can do more than this. Measure again when they are idle."
    )


def _processors(found: Found) -> Iterator[str]:
    usable = found.machine["processors"]
    if usable < found.present:
        yield (
            f"Only {usable} of {found.present} processors may be used: see taskset, or the limits "
            "of the container."
        )
    if found.quota is not None and found.quota < usable:
        yield (
            f"The container may use the time of {found.quota:g} processors, but {usable} threads "
            "run and wait for one another. Raise its limit, or give it as many processors."
        )


def _vectors(found: Found) -> Iterator[str]:
    hardware = found.limits.hardware
    if hardware is None:
        yield "This backend generates no code. Unset UNFOLD_BACKEND."
    elif hardware.vector_bytes < WIDE and found.machine["system"].endswith(("x86_64", "AMD64")):
        yield (
            f"Vectors have only {hardware.vector_bytes} bytes ({hardware.processor}): unset "
            "NUMBA_CPU_NAME and NUMBA_CPU_FEATURES, and let a virtual machine use AVX2."
        )


def _threads(found: Found) -> Iterator[str]:
    gemm, threads = found.limits.gemm, found.limits.threads
    speedup = gemm[threads] / gemm[1]
    if speedup < SCALING * threads:
        yield (
            f"Products on {threads} threads are {speedup:.1f} times as fast as on one: two "
            "processors may be one core, power may be limited, or other machines share them."
        )


def _speed(found: Found) -> Iterator[str]:
    parts = {
        f"{c.cell} at {c.shape.name}": c.rate / found.peak
        for c in found.cases
        if c.shape.batch >= MANY
    }
    fast = [name for name, part in parts.items() if part > HIGH]
    slow = [name for name, part in parts.items() if part < LOW]
    if fast:
        yield (
            f"The products of {' and '.join(fast)} are faster than those of NumPy's BLAS, so the "
            "percentages are too high."
        )
    if slow:
        yield (
            f"{', '.join(slow)}: less than {100 * LOW:.0f} % of the product of matrices. Please "
            "report it with the output of  unfold bench --quick --json"
        )
