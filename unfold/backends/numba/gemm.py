"""Products of matrices in memory, by address: packed panels and register tiles.

    C[M, N] (+)= A[M, K] B[K, N]

    pack(dst, src, rs, cs, K, N)                                B into panels
    gemm(a, rsa, csa, packed, c, rsc, M, N, K, accumulate)      B in panels, as in a time loop
    matmul(a, rsa, csa, b, rsb, csb, c, rsc, M, N, K, number, count, scratch)

A panel holds NR columns of B, [K][NR], zero padded, so that the micro-kernel reads it in order; a
tile of MR rows and NR columns of C stays in registers for a block of K. MR follows from the number
of vector registers of the target (`rows`). `gemm` reads A in place, with any strides (0 repeats a
row); `matmul` packs both operands blockwise into scratch memory (the blocking of Goto & van de
Geijn 2008), but B is read in place where A has few rows. Strides are bytes, and C has unit column
stride. Sums have one fixed order: equal inputs give equal bits.

Rounding does not grow with K: sums consist of blocks of KC, starting from zero; `matmul` adds up to
RUN of them plainly, and the results with compensation. C may be the sum of `count` products, which
are added one by one, in order of their numbers.

The functions are the same for all Programs and compiled once per element type.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from unfold.backends.native.protocol import ITEM
from unfold.backends.numba.compiler import STORE
from unfold.backends.numba.target import is_fused, vector_bytes, vector_registers

PANEL = 24 * 2**10  # bytes: most of the nearest cache
KC = min(256, PANEL // (3 * vector_bytes()))
MC, RUN = 96, 32
MOST_ROWS = 8  # of a tile; divides MC, as do 6 and 4
PARTS = ("panels", "strips", "column2", "column3", "join")


@dataclass(frozen=True)
class Library:
    """Addresses of the functions of one element type, and the memory that they need.

    Attributes:
        kernel: returns the address of an operator's own kernel, which is compiled on demand.
    """

    dtype: str
    lanes: int
    pack: int
    gemm: int
    matmul: int
    kernel: Callable[[str], int]

    def function(self, name: str) -> int:
        """Return the address of a function by its name."""
        return {"pack": self.pack, "gemm": self.gemm, "matmul": self.matmul}[name]

    def kernel_bytes(self, name: str, *points: int) -> int:
        """Return the bytes of scratch memory of an operator's own kernel.

        Args:
            name: of the operator.
            points: of the axes that it runs over, in the order of its operands.
        """
        frames, labels = points
        shares = 3 * max(frames, 1)
        lattices = {"ctc": 3, "ctc_occupancy": shares, "ctc_curvature": shares + 2 * frames + 1}
        return 8 * (2 * labels + 5) * (9 + lattices[name])

    def _padded(self, n: int) -> int:
        two, three = (-(-n // (v * self.lanes)) * v * self.lanes for v in (2, 3))
        return three if three * 50 <= two * 51 else two

    def packed_bytes(self, k: int, n: int) -> int:
        """Return the bytes of a packed B[K, N]."""
        return max(k, 1) * self._padded(n) * ITEM[self.dtype]

    def scratch_bytes(self, m: int, n: int, k: int, count: int = 1) -> int:
        """Return the bytes of scratch memory of `matmul`."""
        sums = 2 * m * n if count * -(-k // KC) > RUN else 0
        return (self._padded(n) * min(k, KC) + (MC + MOST_ROWS) * KC + sums) * ITEM[self.dtype]


@cache
def library(dtype: str) -> Library:
    """Return the functions of an element type, compiled or from the cache."""
    import llvmlite.binding as llvm

    parts = _module("gemm_parts", dtype)
    for name in PARTS:
        llvm.add_symbol(f"unfold_{name}_{dtype}", getattr(parts, name).address)
    module = _module("gemm_module", dtype)
    addresses: dict[str, Any] = {n: getattr(module, n).address for n in ("pack", "gemm", "matmul")}
    return Library(dtype, _lanes(dtype), **addresses, kernel=lambda name: _kernel(name, dtype))


def _kernel(name: str, dtype: str) -> int:
    return getattr(_module(f"{name.partition('_')[0]}_module", dtype), name).address


def rows(vectors: int, registers: int, *, fused: bool) -> int:
    """Return the rows of the largest tile that stays in registers, an even number.

    Beside it are a row of B, a number of A, and, unless they are fused, products to be added.

    Args:
        vectors: in a row of the tile.
        registers: of the target.
        fused: whether it multiplies and adds in one instruction.
    """
    beside = vectors + 1 if fused else 2 * vectors + 1
    return min(MOST_ROWS, (registers - beside) // vectors // 2 * 2)


def tile_shapes(dtype: str) -> tuple[tuple[int, int], ...]:
    """Return rows and columns of the tiles of large products, the wide one first."""
    beside = {"registers": vector_registers(), "fused": is_fused()}
    return tuple((rows(v, **beside), v * _lanes(dtype)) for v in (3, 2))


def _lanes(dtype: str) -> int:
    return vector_bytes() // ITEM[dtype]


def _module(template: str, dtype: str) -> ModuleType:
    """Return a template of this folder, its constants filled in, compiled or from the cache."""
    text = Path(__file__).with_name(f"{template}.py").read_text(encoding="utf-8")
    for name, value in (
        ("DTYPE", dtype),
        ("LANES", _lanes(dtype)),
        ("KC", KC),
        ("MC", MC),
        ("RUN", RUN),
        *((f"M{v}", rows(v, vector_registers(), fused=is_fused())) for v in (2, 3)),
    ):
        text = re.sub(rf"^{name} = .*$", f"{name} = {value!r}", text, flags=re.MULTILINE)
    return STORE.load_module(text)
