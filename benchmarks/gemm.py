"""Compare the engine's own products with OpenBLAS, one thread each, at the shapes that it runs.

    python -m benchmarks.gemm                    # every shape, a minute
    python -m benchmarks.gemm --shapes S3 --rounds 30

Prints a table of GF/s: the engine's function for the shape (`gemm` with B packed before, as in a
time loop; `matmul`, which packs both operands, elsewhere), NumPy's `matmul` with OpenBLAS on one
thread, and their ratio. Both are called in turns on the same arrays, and the fastest call of each
counts, so that a busy machine slows both. Above 1 the engine is faster.

Shapes are those of an LSTM of H units at a batch of B sequences and T steps (see
benchmarks/README.md): a step forward, a step backward, the gradient of its weights over all steps,
and the output layer over 65 classes. Squares tell what the machine can do.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfold.backends.numba.machine import Compiled

RECURRENT = {"S1": (25, 1, 100), "S2": (100, 32, 128), "S3": (100, 64, 512), "S4": (50, 128, 1024)}
CLASSES = 65
SQUARES = (64, 128, 256, 512, 1024, 2048)
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
SECONDS = 0.02  # calls are repeated until they take this long


@dataclass(frozen=True)
class Shape:
    """One product C[M, N] = A[M, K] B[K, N].

    Attributes:
        group: "S1" to "S4", or "square".
        what: the part of a network it stands for.
        m, n, k: sizes.
        packed: whether B is packed before.
        turned: whether A is the transpose of an array, as in the gradient of a weight.
    """

    group: str
    what: str
    m: int
    n: int
    k: int
    packed: bool = False
    turned: bool = False


def shapes() -> Iterator[Shape]:
    """Yield what is measured."""
    for group, (steps, batch, hidden) in RECURRENT.items():
        yield Shape(group, "step forward", batch, 4 * hidden, hidden, packed=True)
        yield Shape(group, "step backward", batch, hidden, 4 * hidden, packed=True)
        yield Shape(group, "weight gradient", 4 * hidden, hidden, steps * batch, turned=True)
        yield Shape(group, "output layer", steps * batch, CLASSES, hidden)
        yield Shape(group, "its gradient", CLASSES, hidden, steps * batch, turned=True)
    for side in SQUARES:
        yield Shape("square", "square", side, side, side)


def own(shape: Shape, a: Any, b: Any, c: Any) -> Callable[[], None]:
    """Return a call of the engine's product."""
    library = Compiled().products(str(c.dtype))
    m, n, k = shape.m, shape.n, shape.k
    left, result, sizes = (a.ctypes.data, *a.strides), (c.ctypes.data, c.strides[0]), (m, n, k)
    if shape.packed:
        memory = np.zeros(library.packed_bytes(k, n), np.uint8)
        _function(library.pack, 6)(memory.ctypes.data, b.ctypes.data, *b.strides, k, n)
        function, arguments = library.gemm, (*left, memory.ctypes.data, *result, *sizes, 0)
    else:
        memory = np.zeros(library.scratch_bytes(m, n, k), np.uint8)
        right = (b.ctypes.data, *b.strides)
        one = (0, 1, memory.ctypes.data)  # product 0 of 1
        function, arguments = library.matmul, (*left, *right, *result, *sizes, *one)
    called = _function(function, len(arguments))

    def call() -> None:
        assert memory.size  # it is in use
        called(*arguments)

    return call


def _function(address: int, count: int) -> Any:
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * count)(address)


def measure(shape: Shape, dtype: str, rounds: int) -> tuple[float, float]:
    """Return GF/s of the engine and of OpenBLAS."""
    rng = np.random.default_rng(0)
    sides = (shape.k, shape.m) if shape.turned else (shape.m, shape.k)
    a = rng.standard_normal(sides).astype(dtype)
    a = a.T if shape.turned else a
    b = rng.standard_normal((shape.k, shape.n)).astype(dtype)
    c, d = (np.zeros((shape.m, shape.n), dtype) for _ in range(2))
    calls = [own(shape, a, b, c), lambda: np.matmul(a, b, out=d)]
    for call in calls:
        call()
    assert np.allclose(c, d, rtol=1e-3, atol=1e-2), shape
    flops = 2 * shape.m * shape.n * shape.k
    repeats = max(1, round(SECONDS / (flops / 50e9)))
    best = [float("inf")] * 2
    for _ in range(rounds):
        for which, call in enumerate(calls):
            start = time.perf_counter()
            for _ in range(repeats):
                call()
            best[which] = min(best[which], (time.perf_counter() - start) / repeats)
    return flops / best[0] / 1e9, flops / best[1] / 1e9


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shapes", default="S1,S2,S3,S4,square", help="groups, with commas")
    parser.add_argument("--rounds", type=int, default=12, help="of both in turns")
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    given = parser.parse_args()
    if not ONE_THREAD.items() <= os.environ.items():  # read when NumPy is imported
        command = [sys.executable, "-m", "benchmarks.gemm", *sys.argv[1:]]
        raise SystemExit(subprocess.call(command, env={**os.environ, **ONE_THREAD}))
    print(f"{given.dtype}, one thread, NumPy {np.__version__}, {platform.machine()}\n")
    print("| shape | product | M × N × K | engine, GF/s | OpenBLAS, GF/s | ratio |")
    print("|---|---|---|---:|---:|---:|")
    for shape in shapes():
        if shape.group in given.shapes.split(","):
            ours, theirs = measure(shape, given.dtype, given.rounds)
            sizes = f"{shape.m} × {shape.n} × {shape.k}"
            print(
                f"| {shape.group} | {shape.what} | {sizes} |"
                f" {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
