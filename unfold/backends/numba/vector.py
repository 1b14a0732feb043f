"""Kernels over vectors: scalar Python functions become loops of explicit vector instructions.

    @vector_kernel("float32", loads="vvb", stores=("store", "sum"))
    def k0(x, y, scale):
        z = tanh(x) * y + scale
        return z, z * z

    k0(n, p_x, p_y, p_scale, q_z, q_sum)      in any Numba function: one intrinsic

In comes a function of scalars; it is called with `lanes.VX` vectors when the intrinsic is compiled,
and records its instructions. Out comes a Numba intrinsic that runs it for n elements: full vectors,
then a masked rest, so that nothing beyond n elements is read or written. Arguments are int64: n,
addresses in bytes, strides in bytes, in the order of loads and then stores.

Loads, one letter per parameter:
    v  contiguous       b  one element, repeated         s  strided; a stride follows its address
    c  a number, given as float64 instead of an address  j  the index 0 .. n-1; no argument
Stores, one word per result:
    store, add                    contiguous: memory = value, memory += value
    strided, strided_add          the same, elements apart by a stride that follows the address
    sum, max                      one element: += the sum, = the larger of it and the values
    argmax                        one element: the index of the first largest, NaN the largest

All loads of a vector come before its stores, stores in order. A result may be stored where an
operand lies, element for element; a "b" operand is read once, at the start. Conditions are stored
as 0.0 and 1.0.

The width of vectors is the host's; it is no part of the result but for the order of sums.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from unfold.backends.numba.lanes import VX, Splat, Trace, Value, and_, declare, not_, or_, select

_INT = ir.IntType(64)
_POINTER = ir.PointerType()
_ELEMENTS = {"float32": ir.FloatType(), "float64": ir.DoubleType()}
_SIZES = {"float32": 4, "float64": 8}


@cache
def vector_bytes() -> int:
    """Return how many bytes a vector of the host has."""
    features = llvm.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx") else 16


def vector_kernel(
    dtype: str, *, loads: str, stores: Sequence[str], width: int | None = None
) -> Callable[[Callable[..., Any]], Any]:
    """Make a function of scalars a Numba intrinsic over vectors.

    Arguments:
        dtype: "float32" or "float64", of all memory.
        loads: a letter for every parameter.
        stores: a word for every result.
        width: bytes of a vector; the host's where None.

    Returns:
        a decorator; what it returns is called `kernel(n, *loads' arguments, *stores' arguments)`.
    """
    readers = [_LOADS[kind] for kind in loads]
    writers = [_STORES[kind] for kind in stores]
    parameters = ["n"]
    for i, kind in enumerate((*readers, *writers)):
        parameters += [f"{name}_{i}" for name in kind.arguments]
    numba_types = [types.float64 if p.startswith("number") else types.int64 for p in parameters]
    signature = types.void(*numba_types)
    lanes = (width or vector_bytes()) // _SIZES[dtype]

    def decorate(body: Callable[..., Any]) -> Any:
        def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Value:
            _emit(builder, dtype, lanes, body, (readers, writers), list(arguments))
            return context.get_dummy_value()

        def typer(context: Any, *arguments: Any) -> Any:
            return signature, generate

        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        names = ("context", *parameters)
        typer.__signature__ = inspect.Signature([inspect.Parameter(p, kind) for p in names])
        typer.__name__, typer.__doc__ = body.__name__, body.__doc__
        return intrinsic(typer)

    return decorate


def _emit(
    builder: Any,
    dtype: str,
    lanes: int,
    body: Callable[..., Any],
    kinds: tuple[Sequence[type[Operand]], Sequence[type[Operand]]],
    arguments: list[Value],
) -> None:
    """Write the loop over full vectors, and the rest."""
    n = arguments.pop(0)
    made = []
    for kind in (*kinds[0], *kinds[1]):
        own, arguments = arguments[: len(kind.arguments)], arguments[len(kind.arguments) :]
        made.append(kind(builder, dtype, lanes, own))
    loads, stores = made[: len(kinds[0])], made[len(kinds[0]) :]

    def run(block: Block) -> None:
        results = body(*(load.read(block) for load in loads))
        results = results if isinstance(results, tuple) else (results,)
        if len(results) != len(stores):
            raise ValueError(f"{body.__name__} has {len(results)} results, {len(stores)} stores")
        for store, result in zip(stores, results, strict=True):
            store.write(block, result)

    size = ir.Constant(_INT, lanes)
    with cgutils.for_range(builder, builder.udiv(n, size)) as loop:
        run(Block(builder, dtype, lanes, builder.mul(loop.index, size), None))
    rest = builder.urem(n, size)
    with builder.if_then(builder.icmp_unsigned("!=", rest, ir.Constant(_INT, 0))):
        run(Block(builder, dtype, lanes, builder.sub(n, rest), rest))
    for store in stores:
        store.finish()


class Block:
    """One vector of the loop.

    Attributes:
        trace: where the body records.
        index: of the first element.
        mask: of the lanes that are elements; None where all are.
    """

    def __init__(
        self,
        builder: Any,
        dtype: str,
        lanes: int,
        index: Value,
        rest: Value | None,
    ) -> None:
        self.builder = builder
        self.trace = Trace(builder, _ELEMENTS[dtype], lanes)
        self.size = _SIZES[dtype]
        self.index = index
        self.offset = builder.mul(index, ir.Constant(_INT, self.size))
        self.mask: VX | None = None
        if rest is not None:
            counted = ir.VectorType(ir.IntType(32), lanes)
            limit = _splat(builder, builder.trunc(rest, ir.IntType(32)), lanes)
            mask = builder.icmp_unsigned("<", ir.Constant(counted, list(range(lanes))), limit)
            self.mask = VX(self.trace, mask)

    def lane_index(self) -> VX:
        """Return each lane's index as a number."""
        t = self.trace
        first = _splat(self.builder, self.builder.uitofp(self.index, t.element), t.lanes)
        return VX(t, first) + VX(t, ir.Constant(t.floats, [float(i) for i in range(t.lanes)]))

    def read(self, base: Value) -> VX:
        """Read the vector's elements of contiguous memory."""
        t, pointer = self.trace, self._at(base)
        if self.mask is None:
            return VX(t, self.builder.load(pointer, align=self.size, typ=t.floats))
        return self._masked("load", "p0", t.floats, pointer, self.mask.value, t.lift(0.0).value)

    def write(self, base: Value, value: VX) -> None:
        """Write the vector's elements of contiguous memory."""
        pointer = self._at(base)
        if self.mask is None:
            self.builder.store(value.value, pointer, align=self.size)
        else:
            self._masked("store", "p0", ir.VoidType(), value.value, pointer, self.mask.value)

    def gather(self, pointers: Value) -> VX:
        """Read the vector's elements at their addresses."""
        t = self.trace
        mask = self._all() if self.mask is None else self.mask.value
        return self._masked("gather", self._pointers, t.floats, pointers, mask, t.lift(0.0).value)

    def scatter(self, pointers: Value, value: VX) -> None:
        """Write the vector's elements at their addresses."""
        mask = self._all() if self.mask is None else self.mask.value
        self._masked("scatter", self._pointers, ir.VoidType(), value.value, pointers, mask)

    @property
    def _pointers(self) -> str:
        return f"v{self.trace.lanes}p0"

    def _all(self) -> Value:
        return self.trace.constant(self.trace.bits, 1)

    def _at(self, base: Value) -> Value:
        return self.builder.gep(base, [self.offset], source_etype=ir.IntType(8))

    def _masked(self, name: str, kind: str, result: ir.Type, *operands: Value) -> VX:
        t = self.trace
        suffix = f"v{t.lanes}f{8 * self.size}.{kind}"
        values = list(operands)
        values.insert(
            1 if name in ("load", "gather") else 2, ir.Constant(ir.IntType(32), self.size)
        )
        callee = declare(self.builder.module, f"llvm.masked.{name}.{suffix}", result, values)
        return VX(t, self.builder.call(callee, values))


@dataclass
class Operand:
    """An operand or a result of a kernel, with its own arguments of the call."""

    arguments: ClassVar[tuple[str, ...]] = ("address",)
    builder: Any
    dtype: str
    lanes: int
    values: list[Value]

    def __post_init__(self) -> None:
        """Do what is done once, before the loop."""
        self.base = self.builder.inttoptr(self.values[0], _POINTER)

    @property
    def element(self) -> ir.Type:
        """The type of an element."""
        return _ELEMENTS[self.dtype]

    def load_element(self) -> Value:
        """Read the one element at the address."""
        return self.builder.load(self.base, align=_SIZES[self.dtype], typ=self.element)

    def store_element(self, value: Value) -> None:
        """Write the one element at the address."""
        self.builder.store(value, self.base, align=_SIZES[self.dtype])

    def read(self, block: Block) -> VX:
        """Return the operand's vector in a block."""
        raise NotImplementedError

    def write(self, block: Block, value: VX | float) -> None:
        """Take the result's vector in a block."""
        raise NotImplementedError

    def finish(self) -> None:
        """Do what is done once, after the loop."""


class _Contiguous(Operand):
    adds = False

    def read(self, block: Block) -> VX:
        return block.read(self.base)

    def write(self, block: Block, value: VX | float) -> None:
        number = block.trace.lift(value)
        block.write(self.base, block.read(self.base) + number if self.adds else number)


class _ContiguousAdd(_Contiguous):
    adds = True


class _Repeated(Operand):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.vector = _splat(self.builder, self.load_element(), self.lanes)

    def read(self, block: Block) -> VX:
        return VX(block.trace, self.vector)


class _Given(Operand):
    arguments = ("number",)

    def __post_init__(self) -> None:
        number = self.values[0]
        if self.dtype == "float32":
            number = self.builder.fptrunc(number, self.element)
        self.vector = _splat(self.builder, number, self.lanes)

    def read(self, block: Block) -> VX:
        return VX(block.trace, self.vector)


class _Index(Operand):
    arguments = ()

    def __post_init__(self) -> None:
        pass

    def read(self, block: Block) -> VX:
        return block.lane_index()


class _Strided(Operand):
    arguments = ("address", "stride")
    adds = False

    def __post_init__(self) -> None:
        address, stride = self.values
        b, longs = self.builder, ir.VectorType(_INT, self.lanes)
        steps = b.mul(_splat(b, stride, self.lanes), ir.Constant(longs, list(range(self.lanes))))
        self.first = b.add(_splat(b, address, self.lanes), steps)

    def _pointers(self, block: Block) -> Value:
        b = self.builder
        offset = _splat(b, b.mul(block.index, self.values[1]), self.lanes)
        return b.inttoptr(b.add(self.first, offset), ir.VectorType(_POINTER, self.lanes))

    def read(self, block: Block) -> VX:
        return block.gather(self._pointers(block))

    def write(self, block: Block, value: VX | float) -> None:
        pointers, number = self._pointers(block), block.trace.lift(value)
        block.scatter(pointers, block.gather(pointers) + number if self.adds else number)


class _StridedAdd(_Strided):
    adds = True


class _Accumulated(Operand):
    """A result that is one element: lanes are joined after the loop."""

    start: ClassVar[float]

    def __post_init__(self) -> None:
        super().__post_init__()
        floats = ir.VectorType(self.element, self.lanes)
        self.place = self.keep(floats, Splat(floats, self.start))

    def keep(self, floats: ir.VectorType, start: Value) -> Value:
        """Return a place for a vector that lasts from one block to the next."""
        place = cgutils.alloca_once(self.builder, floats)
        self.builder.store(start, place)
        return place

    def held(self, trace: Trace, place: Value) -> VX:
        """Return what is kept at a place."""
        return VX(trace, self.builder.load(place, typ=trace.floats))

    def trace(self) -> Trace:
        """Return a trace after the loop."""
        return Trace(self.builder, self.element, self.lanes)

    def masked(self, block: Block, value: VX | float) -> VX:
        """Replace what is no element by what changes nothing."""
        number = block.trace.lift(value)
        return number if block.mask is None else select(block.mask, number, self.start)

    def first_lane(self, vector: VX) -> Value:
        """Return a vector's first element."""
        return self.builder.extract_element(vector.value, ir.Constant(ir.IntType(32), 0))


class _Sum(_Accumulated):
    start = 0.0

    def write(self, block: Block, value: VX | float) -> None:
        total = self.held(block.trace, self.place) + self.masked(block, value)
        self.builder.store(total.value, self.place)

    def finish(self) -> None:
        total = self.held(self.trace(), self.place)
        for moved in _halves(total):
            total = total + moved(total)
        own = self.first_lane(total)
        self.store_element(self.builder.fadd(self.load_element(), own))


class _Max(_Accumulated):
    start = float("-inf")

    def write(self, block: Block, value: VX | float) -> None:
        largest = _larger(self.held(block.trace, self.place), self.masked(block, value))
        self.builder.store(largest.value, self.place)

    def finish(self) -> None:
        trace = self.trace()
        largest = self.held(trace, self.place)
        for moved in _halves(largest):
            largest = _larger(largest, moved(largest))
        before = VX(trace, _splat(self.builder, self.load_element(), self.lanes))
        self.store_element(self.first_lane(_larger(before, largest)))


class _ArgMax(_Accumulated):
    start = float("-inf")

    def __post_init__(self) -> None:
        super().__post_init__()
        floats = ir.VectorType(self.element, self.lanes)
        lanes = ir.Constant(floats, [float(i) for i in range(self.lanes)])
        self.where = self.keep(floats, lanes)

    def write(self, block: Block, value: VX | float) -> None:
        t = block.trace
        largest, where = self.held(t, self.place), self.held(t, self.where)
        new = self.masked(block, value)
        better = or_(new > largest, and_(new != new, largest == largest))
        self.builder.store(select(better, new, largest).value, self.place)
        self.builder.store(select(better, block.lane_index(), where).value, self.where)

    def finish(self) -> None:
        t = self.trace()
        largest, where = self.held(t, self.place), self.held(t, self.where)
        for moved in _halves(largest):
            new, index = moved(largest), moved(where)
            nan, old_nan = new != new, largest != largest
            same = or_(new == largest, and_(nan, old_nan))
            better = or_(new > largest, and_(nan, not_(old_nan)))
            better = or_(better, and_(same, index < where))
            largest, where = select(better, new, largest), select(better, index, where)
        self.store_element(self.first_lane(where))


_LOADS: dict[str, type[Operand]] = {
    "v": _Contiguous,
    "b": _Repeated,
    "s": _Strided,
    "c": _Given,
    "j": _Index,
}
_STORES: dict[str, type[Operand]] = {
    "store": _Contiguous,
    "add": _ContiguousAdd,
    "strided": _Strided,
    "strided_add": _StridedAdd,
    "sum": _Sum,
    "max": _Max,
    "argmax": _ArgMax,
}


def _larger(a: VX, b: VX) -> VX:
    """Return the larger of numbers, NaN where there is one."""
    return select(or_(b > a, b != b), b, a)


def _halves(vector: VX) -> Iterator[Callable[[VX], VX]]:
    """Yield, for each step of a tree, how the other half of the lanes comes to the first."""
    t = vector.trace
    step = t.lanes // 2
    while step:
        lanes = [(i + step) % t.lanes for i in range(t.lanes)]
        order = ir.Constant(ir.VectorType(ir.IntType(32), t.lanes), lanes)

        def moved(x: VX, order: Value = order) -> VX:
            return VX(t, t.builder.shuffle_vector(x.value, x.value, order))

        yield moved
        step //= 2


def _splat(builder: Any, value: Value, lanes: int) -> Value:
    """Repeat a value in all lanes."""
    vector = ir.VectorType(value.type, lanes)
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(first, undefined, zeros)


@intrinsic
def zero(context: Any, address: Any, count: Any) -> Any:
    """Set `count` bytes at an address to 0."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Value:
        address, count = arguments
        cgutils.memset(builder, builder.inttoptr(address, _POINTER), count, 0)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def copy(context: Any, target: Any, source: Any, count: Any) -> Any:
    """Copy `count` bytes from one address to another; the two do not overlap."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Value:
        target, source = (builder.inttoptr(a, _POINTER) for a in arguments[:2])
        bit = ir.IntType(1)
        function = ir.FunctionType(ir.VoidType(), [_POINTER, _POINTER, _INT, bit])
        callee = cgutils.get_or_insert_function(builder.module, function, "llvm.memcpy.p0.p0.i64")
        builder.call(callee, [target, source, arguments[2], ir.Constant(bit, 0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate
