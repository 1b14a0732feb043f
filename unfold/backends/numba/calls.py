"""Calls and loads by address: how generated code reaches its slots and the library.

load_i64(slots, 3)             the fourth slot
call(function, a, b, c)        a C function of 64-bit integers that returns nothing
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_INT = ir.IntType(64)


@intrinsic
def load_i64(typing: Any, address: Any, position: Any) -> Any:
    """Return a 64-bit integer of an array."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], _INT.as_pointer())
        return builder.load(builder.gep(pointer, [arguments[1]]))

    return types.int64(types.int64, types.int64), code


@intrinsic
def call(typing: Any, address: Any, *arguments: Any) -> Any:
    """Call a function by its address."""
    packed = len(arguments) == 1 and isinstance(arguments[0], types.BaseTuple)
    count = len(arguments[0]) if packed else len(arguments)

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        numbers = cgutils.unpack_tuple(builder, given[1])
        function = ir.FunctionType(ir.VoidType(), [_INT] * count)
        builder.call(builder.inttoptr(given[0], function.as_pointer()), numbers)
        return context.get_dummy_value()

    return types.void(types.int64, types.UniTuple(types.int64, count)), code
