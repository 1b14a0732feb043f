"""Register tiles as vector instructions: the micro-kernel of a product, and a transposition.

Both are Numba intrinsics of int64 arguments: addresses and strides in bytes, sizes in elements.

    tile(a, rsa, csa, b, rsb, c, rsc, K, n, accumulate)   C[MR, n] (+)= A[MR, K] B[K, NR]
    turn(dst, src, stride, rows, columns)                 a square of at most `lanes` on each side
    line_up(dst, src, stride, K)                          K short rows behind one another
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

ELEMENT = {"float32": ir.FloatType(), "float64": ir.DoubleType()}
ITEM = {"float32": 4, "float64": 8}
_INT, _INT32, _BIT = ir.IntType(64), ir.IntType(32), ir.IntType(1)
FLAGS = ("contract", "nsz", "reassoc")
LINE = 64  # bytes that a cache holds together


def integers(count: int) -> Any:
    """Return the signature of a function of 64-bit integers that returns nothing."""
    return types.void(*[types.int64] * count)


class _Lanes:
    """Vectors of one element type while code is written."""

    def __init__(self, builder: Any, dtype: str, lanes: int) -> None:
        self.builder, self.lanes, self.item = builder, lanes, ITEM[dtype]
        self.element = ELEMENT[dtype]
        self.vector = ir.VectorType(self.element, lanes)
        self.mask = ir.VectorType(_BIT, lanes)
        self.zero = ir.Constant(self.vector, [0.0] * lanes)
        name = f"v{lanes}f{8 * self.item}.p0"
        read = ir.FunctionType(
            self.vector, [self.vector.as_pointer(), _INT32, self.mask, self.vector]
        )
        write = ir.FunctionType(
            ir.VoidType(), [self.vector, self.vector.as_pointer(), _INT32, self.mask]
        )
        declare = cgutils.get_or_insert_function
        self._load = declare(builder.module, read, f"llvm.masked.load.{name}")
        self._store = declare(builder.module, write, f"llvm.masked.store.{name}")

    def pointer(self, address: Any) -> Any:
        return self.builder.inttoptr(address, self.vector.as_pointer())

    def read(self, address: Any, mask: Any = None) -> Any:
        if mask is None:
            return self.builder.load(self.pointer(address), align=self.item)
        align = ir.Constant(_INT32, self.item)
        return self.builder.call(self._load, [self.pointer(address), align, mask, self.zero])

    def write(self, value: Any, address: Any, mask: Any = None) -> None:
        if mask is None:
            self.builder.store(value, self.pointer(address), align=self.item)
            return
        align = ir.Constant(_INT32, self.item)
        self.builder.call(self._store, [value, self.pointer(address), align, mask])

    def expect(self, address: Any) -> None:
        """Have the line of memory at an address, which will be written, brought near."""
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, _INT32, _INT32, _INT32])
        fetch = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        written, near, data = (ir.Constant(_INT32, i) for i in (1, 3, 1))
        self.builder.call(fetch, [self.builder.inttoptr(address, byte), written, near, data])

    def splat(self, value: Any, kind: Any) -> Any:
        empty = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(empty, value, ir.Constant(_INT32, 0))
        zeros = ir.Constant(ir.VectorType(_INT32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, empty, zeros)

    def below(self, count: Any, start: int = 0) -> Any:
        """Return the mask of lanes whose number, from `start`, is below a count."""
        integers = ir.VectorType(_INT32, self.lanes)
        numbers = ir.Constant(integers, list(range(start, start + self.lanes)))
        wanted = self.splat(self.builder.trunc(count, _INT32), integers)
        return self.builder.icmp_signed("<", numbers, wanted)


def _number(value: int) -> Any:
    return ir.Constant(_INT, value)


def tile(dtype: str, rows: int, vectors: int, lanes: int, split: int = 1) -> Any:
    """Return the micro-kernel for a tile of C.

    Args:
        dtype: element type.
        rows: MR, rows of the tile.
        vectors: NR = vectors * lanes columns.
        lanes: elements of a vector.
        split: accumulators per element, for tiles too small to hide the latency of an addition.
    """

    @intrinsic
    def kernel(
        typing: Any,
        a: Any,
        rsa: Any,
        csa: Any,
        b: Any,
        rsb: Any,
        c: Any,
        rsc: Any,
        k: Any,
        n: Any,
        more: Any,
    ) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            write_tile(builder, dtype, rows, vectors, lanes, arguments, split=split)
            return context.get_dummy_value()

        return integers(10), code

    return kernel


def write_tile(
    builder: Any,
    dtype: str,
    rows: int,
    vectors: int,
    lanes: int,
    arguments: Any,
    *,
    split: int = 1,
) -> None:
    """Write the code of a micro-kernel; arguments as of `tile`."""
    own = _Lanes(builder, dtype, lanes)
    width = own.lanes * own.item
    a, rsa, csa, b, rsb, c, rsc, k, n, more = arguments

    def corner(i: int, j: int) -> Any:
        return builder.add(builder.add(c, builder.mul(rsc, _number(i))), _number(j * width))

    sums = [
        [[cgutils.alloca_once(builder, own.vector) for _ in range(vectors)] for _ in range(rows)]
        for _ in range(split)
    ]
    for part in sums:
        for i in range(rows):
            for j in range(vectors):
                builder.store(own.zero, part[i][j])
    for i in range(rows):
        for byte in {*range(0, vectors * width, LINE), vectors * width - 1}:
            own.expect(builder.add(corner(i, 0), _number(byte)))
    offsets = [builder.mul(rsa, _number(i)) for i in range(rows)]
    at_a, at_b = cgutils.alloca_once_value(builder, a), cgutils.alloca_once_value(builder, b)

    def step(part: list[list[Any]]) -> None:
        here, panel = builder.load(at_a), builder.load(at_b)
        columns = [own.read(builder.add(panel, _number(j * width))) for j in range(vectors)]
        for i in range(rows):
            place = builder.inttoptr(builder.add(here, offsets[i]), own.element.as_pointer())
            x = own.splat(builder.load(place), own.vector)
            for j in range(vectors):
                product = builder.fmul(x, columns[j], flags=FLAGS)
                builder.store(
                    builder.fadd(builder.load(part[i][j]), product, flags=FLAGS), part[i][j]
                )
        builder.store(builder.add(here, csa), at_a)
        builder.store(builder.add(panel, rsb), at_b)

    with cgutils.for_range(builder, builder.udiv(k, _number(split))):
        for part in sums:
            step(part)
    if split > 1:
        with cgutils.for_range(builder, builder.urem(k, _number(split))):
            step(sums[0])
    totals = sums[0]
    every = [(i, j) for i in range(rows) for j in range(vectors)]
    for part in sums[1:]:
        for i, j in every:
            total = builder.fadd(builder.load(totals[i][j]), builder.load(part[i][j]), flags=FLAGS)
            builder.store(total, totals[i][j])
    accumulate = builder.icmp_signed("!=", more, _number(0))

    def finish(masks: list[Any] | None) -> None:
        """Add the tile to C, or put it there; without masks it is full."""
        with builder.if_then(accumulate):
            for i, j in every:
                old = own.read(corner(i, j), masks and masks[j])
                total = builder.fadd(old, builder.load(totals[i][j]), flags=FLAGS)
                builder.store(total, totals[i][j])
        for i, j in every:
            own.write(builder.load(totals[i][j]), corner(i, j), masks and masks[j])

    full = builder.icmp_signed(">=", n, _number(vectors * own.lanes))
    with builder.if_else(full, likely=True) as (whole, part):
        with whole:  # masked stores are slow on some processors
            finish(None)
        with part:
            finish([own.below(n, j * own.lanes) for j in range(vectors)])


def line_up(dtype: str, length: int) -> Any:
    """Return the copy of rows of a fixed length to one place: dst[k * length + i] = src[k, i].

    Args:
        dtype: element type.
        length: elements of a row, which are one vector to LLVM.
    """

    @intrinsic
    def kernel(typing: Any, dst: Any, src: Any, stride: Any, k: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            own = _Lanes(builder, dtype, length)
            to, source, step, count = arguments
            with cgutils.for_range(builder, count) as loop:
                row = own.read(builder.add(source, builder.mul(loop.index, step)))
                size = _number(length * own.item)
                own.write(row, builder.add(to, builder.mul(loop.index, size)))
            return context.get_dummy_value()

        return integers(4), code

    return kernel


def turn(dtype: str, lanes: int) -> Any:
    """Return the transposition of a square: dst[j * to + i] = src[i * stride + j].

    Args:
        dtype: element type.
        lanes: the largest side, a power of two.
    """

    @intrinsic
    def kernel(
        typing: Any, dst: Any, to: Any, src: Any, stride: Any, rows: Any, columns: Any
    ) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _write_turn(_Lanes(builder, dtype, lanes), arguments)
            return context.get_dummy_value()

        return integers(6), code

    return kernel


def _write_turn(own: _Lanes, arguments: Any) -> None:
    builder, lanes = own.builder, own.lanes
    dst, to, src, stride, rows, columns = arguments

    def there(base: Any, step: Any, i: int) -> Any:
        return builder.add(base, builder.mul(step, _number(i)))

    def kept(mask: Any, count: Any, i: int) -> Any:
        """Return the mask of a line, empty beyond the last one."""
        inside = builder.icmp_signed("<", _number(i), count)
        return builder.and_(mask, own.splat(inside, own.mask))

    side = _number(lanes)
    full = builder.and_(*(builder.icmp_signed("==", n, side) for n in (rows, columns)))
    with builder.if_else(full, likely=True) as (whole, part):
        with whole:  # masked stores are slow on some processors
            lines = _turned(own, [own.read(there(src, stride, i)) for i in range(lanes)])
            for j in range(lanes):
                own.write(lines[j], there(dst, to, j))
        with part:
            across, down = own.below(columns), own.below(rows)
            lines = [own.read(there(src, stride, i), kept(across, rows, i)) for i in range(lanes)]
            lines = _turned(own, lines)
            for j in range(lanes):
                own.write(lines[j], there(dst, to, j), kept(down, columns, j))


def _turned(own: _Lanes, lines: list[Any]) -> list[Any]:
    """Return the columns of a square, given its lines."""
    lanes, half = own.lanes, own.lanes // 2
    lines = list(lines)
    while half:  # exchange off-diagonal blocks, from the largest to the smallest
        for i in range(lanes):
            if i & half:
                continue
            x, y = lines[i], lines[i + half]
            first = [j if not j & half else lanes + j - half for j in range(lanes)]
            second = [j + half if not j & half else lanes + j for j in range(lanes)]
            kind = ir.VectorType(_INT32, lanes)
            lines[i] = own.builder.shuffle_vector(x, y, ir.Constant(kind, first))
            lines[i + half] = own.builder.shuffle_vector(x, y, ir.Constant(kind, second))
        half //= 2
    return lines
