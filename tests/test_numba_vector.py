"""Vector kernels: functions against NumPy, and every kind of operand and result at every length."""

import math
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import njit

from unfold.backends.numba import functions as F
from unfold.backends.numba.lanes import VX
from unfold.backends.numba.scalars import HEADS
from unfold.backends.numba.target import vector_bytes
from unfold.backends.numba.vector import copy, vector_kernel, zero
from unfold.core.scalar import FUNCTIONS, INFIX

DTYPES = ("float32", "float64")
WIDTHS = (16, 32, 64)
inf, nan = math.inf, math.nan
GUARD = 123.0  # what lies behind the end of an output, and must stay


@cache
def compiled(kernel: Any, arity: int) -> Callable[..., None]:
    """Return a Numba function that calls a kernel."""
    names = ", ".join(f"a{i}" for i in range(arity))
    scope: dict[str, Any] = {"kernel": kernel}
    exec(f"def call({names}):\n    kernel({names})\n", scope)
    return njit(scope["call"])


def run(kernel: Any, *arguments: Any) -> None:
    """Call a kernel: arrays go by address, the rest as it is."""
    plain = [a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments]
    compiled(kernel, len(plain))(*plain)


def guarded(n: int, dtype: str, value: float = 0.0) -> np.ndarray:
    """Return an array of n values and a guard of 16."""
    made = np.full(n + 16, GUARD, dtype)
    made[:n] = value
    return made


def lengths(dtype: str, width: int) -> range:
    """Return every length up to three full vectors and one element."""
    return range(3 * (width // np.dtype(dtype).itemsize) + 2)


# Functions: what NumPy says, and the largest error in units of the last place, of float32 (also
# without fused multiply-adds) and float64.
UNARY: dict[str, tuple[Callable[..., Any], float, float]] = {
    "exp": (np.exp, 2, 2),
    "expm1": (np.expm1, 2, 2),
    "log": (np.log, 2, 2),
    "log1p": (np.log1p, 2, 2),
    "sqrt": (np.sqrt, 1, 1),
    "tanh": (np.tanh, 8, 4),
    "sin": (np.sin, 2, 2),
    "cos": (np.cos, 2, 2),
    "abs_": (np.abs, 0, 0),
    "erf": (np.vectorize(math.erf, otypes=[float]), 4, 4),
    "floor": (np.floor, 0, 0),
    "sign": (np.sign, 0, 0),
    "sigmoid": (lambda x: 1.0 / (1.0 + np.exp(-x)), 48, 4),
}
EDGES = (
    *(0.0, -0.0, 1.0, -1.0, 0.5, -0.5, inf, -inf, nan, 1e-30, -1e-30, 1e-7, -1e-7, 1e30, -1e30),
    *(1e-45, 5e-324, 1e-310, 1e300, -1e300, 20.0, -20.0, 87.0, 88.0, 89.0, -87.0, -88.0, -100.0),
    *(-103.0, -104.0, 700.0, 709.5, 710.0, -700.0, -745.0, -746.0, 1.0 + 1e-6, 1.0 - 1e-6),
)


@cache
def all_unary(dtype: str, width: int | None) -> Any:
    return vector_kernel(dtype, loads="v", stores=["store"] * len(UNARY), width=width)(
        lambda x: tuple(getattr(F, name)(x) for name in UNARY)
    )


def points(dtype: str) -> np.ndarray:
    rng = np.random.default_rng(1)
    spread = rng.normal(size=4000) * 10.0 ** rng.uniform(-8, 3, 4000)
    near = (3 * rng.normal(size=4000), 1 + 0.1 * rng.normal(size=1000))
    with np.errstate(over="ignore", under="ignore"):
        return np.concatenate([EDGES, spread, *near, np.linspace(-100, 100, 2001)]).astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "width"), [(d, w) for d in DTYPES for w in (*WIDTHS, None) if w != vector_bytes()]
)
def test_functions_agree_with_numpy(dtype: str, width: int | None) -> None:
    x = points(dtype)
    results = np.empty((len(UNARY), len(x)), dtype)
    run(all_unary(dtype, width), len(x), x, *results)
    limits = np.finfo(dtype)
    for (name, (function, *both)), got in zip(UNARY.items(), results, strict=True):
        places = both[DTYPES.index(dtype)]
        with np.errstate(all="ignore"):
            want = function(x.astype("float64")).astype(dtype).astype("float64")
        same = (got == want) | (np.isnan(got) & np.isnan(want))
        finite = np.isfinite(want) & np.isfinite(got)
        got64, size = np.where(finite, got, 0.0), np.where(finite, want, 0.0)
        error = np.abs(got64 - size)
        # Where the smallest normal numbers end, exp and sigmoid may be 0.
        allowed = np.maximum(places * float(limits.eps) * np.abs(size), 2 * float(limits.tiny))
        wrong = ~same & ~(finite & (error <= allowed))
        assert not wrong.any(), (name, x[wrong][:5], got[wrong][:5], want[wrong][:5])


@pytest.mark.parametrize("dtype", DTYPES)
def test_small_probabilities_keep_their_digits(dtype: str) -> None:
    x = np.linspace(-80, -5, 3001).astype(dtype)
    kernel = vector_kernel(dtype, loads="v", stores=["store"])(lambda x: F.log(F.sigmoid(x)))
    got = np.empty_like(x)
    run(kernel, len(x), x, got)
    want = -np.logaddexp(0.0, -x.astype("float64"))
    assert np.abs(got / want - 1).max() < 4 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", DTYPES)
def test_powers_and_remainders_agree_with_numpy(dtype: str) -> None:
    exponents = (0.0, 1.0, 2.0, 3.0, 7.0, -1.0, -2.0, 0.5, -0.5, 1.5, 40.0, 1e9, inf)

    def body(a: Any, b: Any) -> Any:
        return (a**b, 2.0**a, a % b, a % 3.0, 7.5 % a, *(a**e for e in exponents))

    kernel = vector_kernel(dtype, loads="vv", stores=["store"] * (5 + len(exponents)))(body)
    special = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.3, -7.0, 1e-20, 1e20, inf, -inf, nan]
    rng = np.random.default_rng(2)
    pairs = np.array([(a, b) for a in special for b in special])
    pairs = np.concatenate([pairs, 3 * rng.normal(size=(200, 2))]).astype(dtype)
    a, b = np.ascontiguousarray(pairs.T)
    results = np.empty((5 + len(exponents), len(a)), dtype)
    run(kernel, len(a), a, b, *results)
    with np.errstate(all="ignore"):
        number = np.dtype(dtype).type
        wanted = [np.power(a, b), np.power(number(2), a), np.mod(a, b)]
        wanted += [np.mod(a, number(3)), np.mod(number(7.5), a)]
        # Of -inf ** 0.5, versions of NumPy think differently.
        wanted += [np.sqrt(a) if e == 0.5 else np.power(a, number(e)) for e in exponents]
        for i, (got, want) in enumerate(zip(results, wanted, strict=True)):
            bound = 20 * np.finfo(dtype).eps
            np.testing.assert_allclose(got, want, rtol=bound, atol=0, err_msg=str(i))
            if i == 2:
                assert (np.signbit(got) == np.signbit(want))[np.isfinite(want)].all()


def test_conditions_are_stored_as_numbers_and_read_from_numbers() -> None:
    x = np.array([0.0, -0.0, 1.0, -2.0, nan, inf, 0.5, 3.0] * 5, "float32")
    y = np.array([0.0, 1.0, 1.0, nan, 2.0, inf, -0.5, 0.0] * 5, "float32")

    def body(x: Any, y: Any) -> Any:
        return (
            *(x < y, x <= y, x > y, x >= y, x == y, x != y),
            *(F.and_(x, y > 0.0), F.or_(x, y), F.not_(x), F.select(x, y, -1.0)),
            *(F.select(x < y, x == x, True), (x < y) + 1.0, 2.5, 3.0 < 2.0, 1.0 - x, x - 1e300),
        )

    kernel = vector_kernel("float32", loads="vv", stores=["store"] * 16)(body)
    results = np.empty((16, len(x)), "float32")
    run(kernel, len(x), x, y, *results)
    true = x != 0
    wanted = [
        *(x < y, x <= y, x > y, x >= y, x == y, x != y),
        *(true & (y > 0), true | (y != 0), ~true, np.where(true, y, -1.0)),
        *(np.where(x < y, x == x, True), (x < y) + 1.0, np.full(len(x), 2.5), 0 * true, 1 - x),
        np.where(np.isfinite(x) | (x < 0), -inf, nan),
    ]
    for i, (got, want) in enumerate(zip(results, wanted, strict=True)):
        np.testing.assert_array_equal(got, want.astype("float32"), err_msg=str(i))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_kind_of_memory_at_every_length(dtype: str, width: int) -> None:
    modes = ("store", "add", "strided", "strided_add", "sum", "max", "argmax")

    @vector_kernel(dtype, loads="vbscj", stores=modes, width=width)
    def kernel(v: Any, b: Any, s: Any, c: Any, j: Any) -> Any:
        return v + b, s * c, j, v - s, v, s, v * s

    size = np.dtype(dtype).itemsize
    rng = np.random.default_rng(3)
    for n in lengths(dtype, width):
        # Operands end where a page could end: what is behind them is NaN.
        v, s = guarded(n, dtype, nan), np.full((n + 16, 3), nan, dtype)
        v[:n], s[:n, 1] = rng.normal(size=n), rng.normal(size=n)
        v[n:] = nan
        b = np.array([0.75, nan], dtype)
        stored, added = guarded(n, dtype), guarded(n, dtype, 2.0)
        strided, strided_added = (np.full((n + 16, 2), GUARD, dtype) for _ in range(2))
        ends = np.full((3, 2), GUARD, dtype)
        ends[:, 0] = (10.0, -5.0, -1.0)
        run(
            *(kernel, n, v, b, s[:, 1], 3 * size, -1.5, 5.0),
            *(stored, added, strided, 2 * size, strided_added[:, 1], 2 * size, *ends),
        )
        x, y = v[:n], s[:n, 1]
        near: Any = {"rtol": 1e-5 if dtype == "float32" else 1e-13, "atol": 1e-6}
        np.testing.assert_array_equal(stored[:n], x + b[0])
        np.testing.assert_allclose(added[:n], 2.0 + y * -1.5, **near)
        np.testing.assert_array_equal(strided[:n, 0], 5 + np.arange(n))
        np.testing.assert_allclose(strided_added[:n, 1], GUARD + (x - y), **near)
        np.testing.assert_allclose(ends[0, 0], 10.0 + x.sum(), **near)
        assert ends[1, 0] == max([-5.0, *y])
        if n:
            assert ends[2, 0] == np.argmax(x * y)
        for untouched in (
            *(stored[n:], added[n:], strided[n:, 0], strided[:, 1], strided_added[n:, 1]),
            *(strided_added[:, 0], ends[:, 1]),
        ):
            assert (untouched == GUARD).all(), (n, untouched)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_is_the_first_of_its_equals_and_nan_above_all(dtype: str) -> None:
    @vector_kernel(dtype, loads="v", stores=("argmax", "max"))
    def kernel(x: Any) -> Any:
        return x, x

    rng = np.random.default_rng(4)
    lanes = vector_bytes() // np.dtype(dtype).itemsize
    for n in range(1, 3 * lanes + 2):
        for case in range(12):
            x = rng.integers(0, 3, n).astype(dtype)
            if case % 3 == 1:
                x[rng.integers(0, n, 2)] = nan
            if case % 4 == 3:
                x[:] = -inf
            got = np.array([-1.0, -2.0], dtype)
            run(kernel, n, x, got, got[1:])
            assert got[0] == np.argmax(x), (x, got)
            np.testing.assert_equal(got[1], np.maximum(x.max(), np.asarray(-2.0, dtype)))
    before = np.array([0.0, nan], dtype)
    run(kernel, 1, np.ones(1, dtype), before, before[1:])
    assert math.isnan(before[1])


def test_results_may_lie_where_operands_lie_and_add_up_in_order() -> None:
    @vector_kernel("float64", loads="vv", stores=("store", "add", "add", "store"))
    def kernel(x: Any, y: Any) -> Any:
        return x + y, x, y, x * y

    n = 21
    x, y = np.arange(n) + 0.5, np.arange(n)[::-1] * 2.0
    a, b, total = x.copy(), y.copy(), np.zeros(n)
    run(kernel, n, a, b, a, total, total, b)
    np.testing.assert_array_equal(a, x + y)
    np.testing.assert_array_equal(total, x + y)
    np.testing.assert_array_equal(b, x * y)


def test_sixty_operands() -> None:
    kernel = vector_kernel("float32", loads="v" * 50, stores=["store"] * 10)(
        lambda *xs: tuple(sum(xs[i::10], 0.0) for i in range(10))
    )
    data = np.random.default_rng(5).integers(-9, 9, (50, 37)).astype("float32")
    results = np.empty((10, 37), "float32")
    run(kernel, 37, *data, *results)
    np.testing.assert_array_equal(results, data.reshape(5, 10, 37).sum(0))


def test_zero_and_copy() -> None:
    a, b = np.ones(9), np.arange(9.0)
    run(zero, a[1:], 24)
    run(copy, a[5:], b, 16)
    np.testing.assert_array_equal(a, [1, 0, 0, 0, 1, 0, 1, 1, 1])


def test_every_head_of_the_scalar_language_is_written() -> None:
    heads = {*INFIX, *FUNCTIONS, "neg", "not", "select"}
    assert heads <= set(HEADS)
    scope: dict[str, Any] = {name: getattr(F, name) for name in F.__all__}
    kinds: list[type] = []

    def body(x: Any, y: Any) -> Any:
        results = []
        for text in HEADS.values():
            operands = ("x", "y", "x")[: text.count("{}")]
            results.append(eval(text.format(*operands), {**scope, "x": x, "y": y}))
        kinds.extend(type(r) for r in results)
        return tuple(results)

    kernel = vector_kernel("float64", loads="vv", stores=["store"] * len(HEADS))(body)
    run(kernel, 3, np.ones(3), np.ones(3), *np.empty((len(HEADS), 3)))
    assert set(kinds) == {VX}


def test_functions_of_plain_numbers() -> None:
    assert F.tanh(0.5) == math.tanh(0.5)
    assert F.log(0.0) == -inf
    assert F.select(F.and_(1.0 < 2.0, F.not_(0.0)), 3.0, 4.0) == 3.0
    with pytest.raises(ValueError, match="2 results"):
        run(vector_kernel("float32", loads="v", stores=("store",))(lambda x: (x, x)), 0, 0, 0)


MODULE = """
from numba import carray, cfunc
from unfold.backends.numba.functions import exp, tanh
from unfold.backends.numba.vector import vector_kernel

@vector_kernel("float32", loads="vb", stores=("store", "sum"))
def k0(x, y):
    print("traced")
    a = tanh(x) * exp(y)
    return a, a

@cfunc("void(CPointer(int64))", cache=True)
def block(arguments):
    a = carray(arguments, 5)
    k0(a[0], a[1], a[2], a[3], a[4])
"""
USE = """
import numpy as np
import generated
x, y, s = np.ones(20, "f"), np.ones(20, "f"), np.zeros(1, "f")
a = np.array([20, x.ctypes.data, y.ctypes.data, y.ctypes.data, s.ctypes.data])
generated.block.ctypes(a.ctypes.data_as(generated.block.ctypes.argtypes[0]))
print(generated.block.cache_hits, s[0])
"""


def test_generated_modules_are_loaded_from_the_cache(tmp_path: Path) -> None:
    (tmp_path / "generated.py").write_text(MODULE)
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parent.parent)])
    printed = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", USE],
            env={**os.environ, "PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=True,
        )
        printed.append(done.stdout.split())
    total = np.float32(20 * math.tanh(1) * math.e)
    assert printed[0][:3] == ["traced", "traced", "0"]
    assert printed[1][0] == "1"
    assert abs(float(printed[1][1]) - total) < 1e-4
