"""Single elements and runs of elements in memory, by address, for the loops around kernels.

index_float32(address)            the category (or length) there, as an integer
put_float32(address, number)      set one element
fill_float32(address, n, number)  set n elements
load_float64(address)             one element
put_i64(address, number)          set a 64-bit integer
gather_float32(n, row, places, dst)     dst[i] = the element `places[i]` bytes into a row
add_at_float32(n, src, places, row)     the same element += src[i]; src and dst are float64
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_ELEMENT = {"float32": ir.FloatType(), "float64": ir.DoubleType()}
_INT, _DOUBLE = ir.IntType(64), ir.DoubleType()


def _narrow(builder: Any, value: Any, dtype: str) -> Any:
    """Return a number as an element."""
    if isinstance(value.type, ir.IntType):
        return builder.sitofp(value, _ELEMENT[dtype])
    return value if value.type == _ELEMENT[dtype] else builder.fptrunc(value, _ELEMENT[dtype])


def _widen(builder: Any, value: Any) -> Any:
    """Return an element in double precision."""
    return value if value.type == _DOUBLE else builder.fpext(value, _DOUBLE)


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


@intrinsic
def load_float64(typing: Any, address: Any) -> Any:
    """Return an element of double precision."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], _DOUBLE.as_pointer()))

    return types.float64(types.int64), code


@intrinsic
def put_i64(typing: Any, address: Any, number: Any) -> Any:
    """Set a 64-bit integer."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[1], builder.inttoptr(arguments[0], _INT.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), code


def _at_places(dtype: str, adds: bool) -> Any:
    """Return the copy of elements at some places of a row, or the addition to them."""
    element = _ELEMENT[dtype]

    @intrinsic
    def move(typing: Any, n: Any, source: Any, places: Any, target: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            count, source, places, target = arguments
            with cgutils.for_range(builder, count) as loop:
                step = builder.mul(loop.index, _INT(8))
                place, row, line = (places, target, source) if adds else (places, source, target)
                at = builder.load(builder.inttoptr(builder.add(place, step), _INT.as_pointer()))
                own = builder.inttoptr(builder.add(row, at), element.as_pointer())
                other = builder.inttoptr(builder.add(line, step), _DOUBLE.as_pointer())
                if adds:
                    more = _narrow(builder, builder.load(other), dtype)
                    builder.store(builder.fadd(builder.load(own), more), own)
                else:
                    builder.store(_widen(builder, builder.load(own)), other)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 4), code

    return move


index_float32, index_float64 = _index("float32"), _index("float64")
put_float32, put_float64 = _put("float32"), _put("float64")
fill_float32, fill_float64 = _fill("float32"), _fill("float64")
gather_float32, gather_float64 = (_at_places(d, adds=False) for d in _ELEMENT)
add_at_float32, add_at_float64 = (_at_places(d, adds=True) for d in _ELEMENT)
