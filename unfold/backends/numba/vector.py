"""Kernels over vectors: scalar Python functions become loops of explicit vector instructions.

    @vector_kernel("float32", loads="vvb", stores=("store", "sum"))
    def k0(x, y, scale):
        z = tanh(x) * y + scale
        return z, z * z

    k0(n, p_x, p_y, p_scale, q_z, q_sum)      in any Numba function: one intrinsic

In: a function of scalars, which is called with `lanes.VX` vectors when the intrinsic is compiled,
and records its instructions. Out: a Numba intrinsic that runs it for n elements: full vectors, then
a masked rest, so that nothing beyond n elements is read or written. Arguments are int64: n,
addresses in bytes, strides in bytes, in the order of loads and then stores.

Loads, one letter per parameter:
    v  contiguous       b  one element, repeated         s  strided; a stride follows its address
    c  a number, given as float64 instead of an address
    j  the index of the element; the argument is that of the first one, as float64
Stores, one word, or `fold`, per result:
    store, add                    contiguous: memory = value, memory += value
    strided, strided_add          the same, elements apart by a stride that follows the address
    sum, max                      one element: += the sum, = the larger of it and the values
    argmax                        one element: the index of the first largest, NaN the largest
    fold(start, pair)             one element: combined with the values, two at a time
    …_compensated                 of add, strided_add and sum: one more address (and stride) of
                                  the rounding errors so far

All loads of a vector come before its stores, stores in order. A result may be stored in place of an
operand, element for element; a "b" operand is read once, at the start. Conditions are stored as 0.0
and 1.0.

The width of vectors is the target's; only the order of sums depends on it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from unfold.backends.numba.lanes import Lanes, Value
from unfold.backends.numba.operands import INT, LOADS, POINTER, STORES, LoopVector, Operand
from unfold.backends.numba.target import vector_bytes


def vector_kernel(
    dtype: str, *, loads: str, stores: Sequence[str | type[Operand]], width: int | None = None
) -> Callable[[Callable[..., Any]], Any]:
    """Make a function of scalars a Numba intrinsic over vectors.

    Arguments:
        dtype: "float32" or "float64", of all memory.
        loads: a letter for every parameter.
        stores: a word, or what `fold` returns, for every result.
        width: bytes of a vector; None is the target's.

    Returns:
        a decorator; its result is called as `kernel(n, *loads' arguments, *stores' arguments)`.
    """
    loaded, stored = (
        [LOADS[kind] for kind in loads],
        [STORES[kind] if isinstance(kind, str) else kind for kind in stores],
    )
    parameters = ["n"]
    for i, kind in enumerate((*loaded, *stored)):
        parameters += [f"{name}_{i}" for name in kind.arguments]
    signature = types.void(
        *(types.float64 if p.startswith("number") else types.int64 for p in parameters)
    )
    lanes = Lanes(dtype, (width or vector_bytes()) // (8 if dtype == "float64" else 4))

    def decorate(body: Callable[..., Any]) -> Any:
        def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Value:
            own = iter(arguments[1:])
            made = [
                kind(builder, lanes, [next(own) for _ in kind.arguments])
                for kind in (*loaded, *stored)
            ]
            _emit(builder, lanes, body, arguments[0], made[: len(loaded)], made[len(loaded) :])
            return context.get_dummy_value()

        def typer(context: Any, *arguments: Any) -> Any:
            if len(arguments) != len(parameters):
                raise TypingError(f"{body.__name__} takes {', '.join(parameters)}")
            return signature, generate

        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        names = ("context", *parameters)
        typer.__signature__ = inspect.Signature([inspect.Parameter(p, kind) for p in names])
        typer.__name__, typer.__doc__ = body.__name__, body.__doc__
        return intrinsic(typer)

    return decorate


def _emit(
    builder: Any,
    lanes: Lanes,
    body: Callable[..., Any],
    n: Value,
    loads: Sequence[Operand],
    stores: Sequence[Operand],
) -> None:
    """Write the loop over full vectors, and the rest."""

    def run(number: Value, index: Value, rest: Value | None) -> None:
        block = LoopVector(builder, lanes, index, rest)
        results = body(*(load.read(block) for load in loads))
        results = results if isinstance(results, tuple) else (results,)
        if len(results) != len(stores):
            raise ValueError(f"{body.__name__} has {len(results)} results, {len(stores)} stores")
        for store, result in zip(stores, results, strict=True):
            store.write(block, result)
            if rest is None:
                store.pause(number)

    count = ir.Constant(INT, lanes.count)
    with cgutils.for_range(builder, builder.udiv(n, count)) as loop:
        run(loop.index, builder.mul(loop.index, count), None)
    rest = builder.urem(n, count)
    with builder.if_then(builder.icmp_unsigned("!=", rest, ir.Constant(INT, 0))):
        run(rest, builder.sub(n, rest), rest)
    for store in stores:
        store.finish()


@intrinsic
def zero(context: Any, address: Any, count: Any) -> Any:
    """Set `count` bytes at an address to 0."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Value:
        address, count = arguments
        cgutils.memset(builder, builder.inttoptr(address, POINTER), count, 0)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def copy(context: Any, target: Any, source: Any, count: Any) -> Any:
    """Copy `count` bytes from one address to another; the two do not overlap."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Value:
        target, source = (builder.inttoptr(a, POINTER) for a in arguments[:2])
        bit = ir.IntType(1)
        function = ir.FunctionType(ir.VoidType(), [POINTER, POINTER, INT, bit])
        callee = cgutils.get_or_insert_function(builder.module, function, "llvm.memcpy.p0.p0.i64")
        builder.call(callee, [target, source, arguments[2], ir.Constant(bit, 0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate
