"""Single elements and runs of elements in memory, by address, for the loops around kernels.

index_float32(address)            the category (or length) there, as an integer
put_float32(address, number)      set one element
fill_float32(address, n, number)  set n elements
pointer_float32(address)          the argument of `numba.carray`
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_ELEMENT = {"float32": ir.FloatType(), "float64": ir.DoubleType()}
_NUMBA = {"float32": types.float32, "float64": types.float64}
_INT = ir.IntType(64)


def _narrow(builder: Any, value: Any, dtype: str) -> Any:
    """Return a number as an element."""
    if isinstance(value.type, ir.IntType):
        return builder.sitofp(value, _ELEMENT[dtype])
    return value if value.type == _ELEMENT[dtype] else builder.fptrunc(value, _ELEMENT[dtype])


def _index(dtype: str) -> Any:
    @intrinsic
    def index(typing: Any, address: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[0], _ELEMENT[dtype].as_pointer())
            return builder.fptosi(builder.load(pointer), _INT)

        return types.int64(types.int64), code

    return index


def _put(dtype: str) -> Any:
    @intrinsic
    def put(typing: Any, address: Any, number: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[0], _ELEMENT[dtype].as_pointer())
            builder.store(_narrow(builder, arguments[1], dtype), pointer)
            return context.get_dummy_value()

        return types.void(types.int64, number), code

    return put


def _fill(dtype: str) -> Any:
    @intrinsic
    def fill(typing: Any, address: Any, count: Any, number: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[0], _ELEMENT[dtype].as_pointer())
            value = _narrow(builder, arguments[2], dtype)
            with cgutils.for_range(builder, arguments[1]) as loop:
                builder.store(value, builder.gep(pointer, [loop.index]))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, number), code

    return fill


def _pointer(dtype: str) -> Any:
    @intrinsic
    def pointer(typing: Any, address: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], _ELEMENT[dtype].as_pointer())

        return types.CPointer(_NUMBA[dtype])(types.int64), code

    return pointer


index_float32, index_float64 = _index("float32"), _index("float64")
put_float32, put_float64 = _put("float32"), _put("float64")
fill_float32, fill_float64 = _fill("float32"), _fill("float64")
pointer_float32, pointer_float64 = _pointer("float32"), _pointer("float64")
