"""The products of the compiled backend against NumPy in float64, at every edge of their blocks.

    C[M, N] (+)= A[M, K] B[K, N]

Operands lie in memory that is NaN everywhere else, and C in memory that nothing else may write, so
that reading or writing one element too many shows.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

from unfold.backends.numba import gemm
from unfold.backends.numba.tiles import ITEM

DTYPES = ("float32", "float64")
MARK = -12345.0


@cache
def library(dtype: str) -> gemm.Library:
    return gemm.library(dtype)


def call(function: int, *arguments: int) -> None:
    ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * len(arguments))(function)(*arguments)


def laid(array: Any, order: str, gap: int = 0) -> Any:
    """Return a matrix as a view into memory that is NaN outside of it.

    Args:
        array: the matrix.
        order: "rows" or "columns" next to one another, or "spread": none is.
        gap: elements between two lines.
    """
    m, n = array.shape
    if order == "columns":
        return laid(array.T, "rows", gap).T
    step = 3 if order == "spread" else 1
    memory = np.full((m + 2, step * n + gap + 2), np.nan, array.dtype)
    view = memory[1 : m + 1, 1 : 1 + step * n : step]
    view[...] = array
    return view


def packed(b: Any) -> Any:
    """Return B as `pack` lays it out; what it should write is NaN before."""
    dtype, (k, n) = b.dtype.name, b.shape
    own = library(dtype)
    panels = np.full(own.packed_bytes(k, n) // ITEM[dtype] + 2, np.nan, b.dtype)
    panels[0] = panels[-1] = MARK
    call(own.pack, panels[1:].ctypes.data, b.ctypes.data, *b.strides, k, n)
    assert panels[0] == MARK and panels[-1] == MARK
    return panels[1:-1]


@dataclass
class Target:
    """C in the middle of memory that is marked; `check` compares it, and looks for other writes."""

    before: Any
    gap: int = 3
    memory: Any = field(init=False)

    def __post_init__(self) -> None:
        m, n = self.before.shape
        self.memory = np.full((m + 2, n + self.gap + 2), MARK, self.before.dtype)
        self.view[...] = self.before

    @property
    def view(self) -> Any:
        m, n = self.before.shape
        return self.memory[1 : m + 1, 1 : n + 1]

    def check(self, a: Any, b: Any, more: int, what: object) -> None:
        wide = [np.asarray(x, np.float64) for x in (a, b, self.before)]
        with np.errstate(all="ignore"):
            expected = wide[0] @ wide[1] + (wide[2] if more else 0)
            size = np.abs(wide[0]) @ np.abs(wide[1]) + (np.abs(wide[2]) if more else 0)
        allowed = 2 * (a.shape[1] + 1) * np.finfo(self.before.dtype).eps * size
        found = np.asarray(self.view, np.float64)
        with np.errstate(invalid="ignore"):
            wrong = ~(np.abs(found - expected) <= allowed)
        wrong &= ~((found == expected) | (np.isnan(found) & np.isnan(expected)))
        assert not wrong.any(), (
            what,
            np.argwhere(wrong)[:4],
            found[wrong][:4],
            expected[wrong][:4],
        )
        self.view[...] = MARK
        assert (self.memory == MARK).all(), (what, "wrote outside of C")


def run_gemm(a: Any, b: Any, c: Any, more: int) -> None:
    (m, k), n = a.shape, b.shape[1]
    panels = packed(b)
    call(
        library(c.dtype.name).gemm,
        *(
            a.ctypes.data,
            *a.strides,
            panels.ctypes.data,
            c.ctypes.data,
            c.strides[0],
            m,
            n,
            k,
            more,
        ),
    )


def run_matmul(a: Any, b: Any, c: Any, more: int) -> None:
    (m, k), n, own = a.shape, b.shape[1], library(c.dtype.name)
    item = ITEM[own.dtype]
    scratch = np.full(own.scratch_bytes(m, n, k) // item + 2, np.nan, c.dtype)
    scratch[0] = scratch[-1] = MARK
    call(
        own.matmul,
        *(a.ctypes.data, *a.strides, b.ctypes.data, *b.strides, c.ctypes.data, c.strides[0]),
        *(m, n, k, more, more + 1, scratch[1:].ctypes.data),
    )
    assert scratch[0] == MARK and scratch[-1] == MARK, (m, n, k)


RUN = {"gemm": run_gemm, "matmul": run_matmul}


def check(
    name: str,
    dtype: str,
    sizes: tuple[int, int, int],
    *,
    a_order: str = "rows",
    b_order: str = "rows",
    more: int = 0,
) -> None:
    m, n, k = sizes
    rng = np.random.default_rng(sum(sizes))
    a = laid(rng.standard_normal((m, k)).astype(dtype), a_order, gap=1)
    b = laid(rng.standard_normal((k, n)).astype(dtype), b_order, gap=2)
    # What is not added to is not read: it may be anything.
    before = rng.standard_normal((m, n)) if more else np.full((m, n), np.nan)
    target = Target(before.astype(dtype))
    RUN[name](a, b, target.view, more)
    target.check(a, b, more, (name, dtype, sizes, a_order, b_order, more))


def edges(lanes: int) -> Iterator[tuple[int, int, int]]:
    """Yield sizes on both sides of every border: tiles of rows, panels of 2 and 3 vectors."""
    columns = sorted({max(v * lanes + d, 1) for v in (0, 1, 2, 3, 4, 6) for d in (-1, 0, 1)})
    yield from product(range(1, 18), columns, (1, 2, 3, 4, 5, 7))
    yield from product((1, 7, 8, 9), range(1, 6 * lanes + 2), (3,))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RUN)
def test_borders_of_tiles_and_panels(name: str, dtype: str) -> None:
    for number, sizes in enumerate(edges(library(dtype).lanes)):
        check(name, dtype, sizes, more=number % 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RUN)
def test_borders_of_blocks(name: str, dtype: str) -> None:
    """One less, exactly, and one more than a block of K, and of M."""
    own = library(dtype)
    rows = [1, 8, gemm.MC - 1, gemm.MC, gemm.MC + 1, 2 * gemm.MC + 7]
    depths = [gemm.KC - 1, gemm.KC, gemm.KC + 1, 2 * gemm.KC + 3]
    for m, k, n in product(rows, depths, (1, own.lanes + 1, 6 * own.lanes + 5)):
        check(name, dtype, (m, n, k), more=(m + k) % 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RUN)
def test_operands_lie_in_any_direction(name: str, dtype: str) -> None:
    orders, lanes = ("rows", "columns", "spread"), library(dtype).lanes
    for a_order, b_order, more in product(orders, orders, (0, 1)):
        for sizes in (
            *((1, 1, 1), (9, 5, 4), (3, 2 * lanes + 1, lanes + 3), (17, 3 * lanes, 5)),
            *((8, 3 * lanes - 1, 2 * lanes), (105, 2 * lanes + 3, gemm.KC + lanes - 1)),
        ):
            check(name, dtype, sizes, a_order=a_order, b_order=b_order, more=more)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RUN)
@pytest.mark.parametrize("m", [1, 9, 100])
def test_a_repeated_row(name: str, dtype: str, m: int) -> None:
    """A stride of 0 reads the same row again."""
    rng = np.random.default_rng(m)
    row, b = (rng.standard_normal(s).astype(dtype) for s in ((1, 20), (20, 37)))
    a = np.broadcast_to(row, (m, 20))
    target = Target(np.zeros((m, 37), dtype))
    RUN[name](a, b, target.view, 0)
    target.check(a, b, 0, (name, m))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RUN)
@pytest.mark.parametrize("more", [0, 1])
def test_an_empty_sum(name: str, dtype: str, more: int) -> None:
    """With K = 0 the product is zero, and nothing is added."""
    before = np.arange(9 * 20, dtype=dtype).reshape(9, 20)
    target = Target(before)
    RUN[name](np.zeros((9, 0), dtype), np.zeros((0, 20), dtype), target.view, more)
    target.check(np.zeros((9, 0), dtype), np.zeros((0, 20), dtype), more, (name, more))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RUN)
@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_goes_where_it_belongs(name: str, dtype: str, strange: float) -> None:
    """Through A to its row, through B to its column, through C to its element: nowhere else."""
    rng = np.random.default_rng(0)
    for m, n, k in ((3, 5, 4), (17, 49, 9), (20, 33, gemm.KC + 2)):
        for place in ("a", "b", "c", "zero"):
            a, b, c = (rng.standard_normal(s).astype(dtype) for s in ((m, k), (k, n), (m, n)))
            if place == "zero":  # 0 * inf is NaN
                a[m - 1, k - 1], b[k - 1, 1] = strange, 0.0
            else:
                {"a": a, "b": b, "c": c}[place][2, 1] = strange
            target = Target(c)
            RUN[name](a, b, target.view, 1)
            target.check(a, b, 1, (name, place, (m, n, k)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_call_gives_the_same_bits(dtype: str) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(s).astype(dtype) for s in ((37, 600), (600, 70)))
    found: list[Any] = []
    for shift in range(4):  # wherever in memory they lie
        moved = [np.concatenate([np.zeros(shift, dtype), x.ravel()])[shift:] for x in (a, b)]
        c = np.zeros((37, 70), dtype)
        run_matmul(moved[0].reshape(a.shape), moved[1].reshape(b.shape), c, 0)
        found.append(c)
    assert all(np.array_equal(found[0], c) for c in found)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["rows", "columns", "spread"])
def test_panels_are_padded_with_zeros(dtype: str, order: str) -> None:
    """[panel][K][NR], NR of 2 or 3 vectors: whichever wastes less."""
    lanes = library(dtype).lanes
    for k, n in product((1, 2, lanes - 1, lanes + 1, 40), (1, lanes, 2 * lanes + 1, 6 * lanes)):
        b = np.random.default_rng(n).standard_normal((k, n)).astype(dtype)
        panels = packed(laid(b, order))
        width = next(w * lanes for w in (3, 2) if panels.size // k % (w * lanes) == 0)
        whole = panels.reshape(-1, k, width).transpose(1, 0, 2).reshape(k, -1)
        np.testing.assert_array_equal(whole[:, :n], b)
        assert not whole[:, n:].any()
