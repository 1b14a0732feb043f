"""Reading memory as fast as the processor can: the same bytes, again and again, into registers.

    read = reader(2**18)       256 kB of memory
    read(1000)                 reads them a thousand times: 2.6e8

Each vector is added to one of SUMS sums, so that no addition waits for the one before it, and the
loads, of which processors execute two or three a cycle, are the limit.
"""

from __future__ import annotations

import ctypes
from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from unfold.backends.hardware import Read
from unfold.backends.native.memory import Host
from unfold.backends.numba.compiler import STORE
from unfold.backends.numba.target import vector_bytes
from unfold.backends.numba.tiles import FLAGS, integers

SUMS = 12
ITEM = 4
TEXT = '''\
"""Read memory."""

from numba import cfunc

from unfold.backends.numba.sweep import sweep


@cfunc("void(int64, int64, int64, int64)", cache=True)
def block(address, count, turns, result):
    sweep(address, count, turns, result)
'''


def reader(size: int) -> Read:
    """Return a function that reads memory a number of times, and returns the bytes read.

    Args:
        size: bytes, rounded down to whole rounds of SUMS vectors, but at least one.
    """
    each = SUMS * vector_bytes()
    count = max(1, size // each)
    memory, result = (Host().allocate(n) for n in (count * each, vector_bytes()))
    memory[...] = 0  # pages that were never written to are one and the same
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(STORE.load(TEXT).address)

    def read(turns: int) -> int:
        function(memory.ctypes.data, count, turns, result.ctypes.data)
        return turns * memory.size

    return read


@intrinsic
def sweep(typing: Any, address: Any, count: Any, turns: Any, result: Any) -> Any:
    """Add up `count` times SUMS vectors at an address, `turns` times; write the sum of all."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _write_sweep(builder, *arguments)
        return context.get_dummy_value()

    return integers(4), code


def _write_sweep(builder: Any, address: Any, count: Any, turns: Any, result: Any) -> None:
    width = vector_bytes()
    vector = ir.VectorType(ir.FloatType(), width // ITEM)
    zero = ir.Constant(vector, [0.0] * (width // ITEM))
    start, end = (builder.inttoptr(a, vector.as_pointer()) for a in (address, result))
    sums = [cgutils.alloca_once_value(builder, zero) for _ in range(SUMS)]
    with cgutils.for_range(builder, turns), cgutils.for_range(builder, count) as loop:
        first = builder.mul(loop.index, ir.Constant(loop.index.type, SUMS))
        for i, total in enumerate(sums):
            place = builder.gep(start, [builder.add(first, ir.Constant(first.type, i))])
            read = builder.load(place, align=width)
            builder.store(builder.fadd(builder.load(total), read), total)
    whole = zero
    for total in sums:
        whole = builder.fadd(whole, builder.load(total), flags=FLAGS)
    builder.store(whole, end, align=width)
