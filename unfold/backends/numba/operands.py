"""The kinds of operands and results of vector kernels: reads, writes and accumulation.

A kernel's operand is made before its loop from its own arguments of the call (mostly an address),
reads or takes one vector per `LoopVector` of the loop, and finishes after it:

    x = Contiguous(builder, lanes, [address])      before the loop
    x.write(block, x.read(block) * 2.0)            in it, for each block
    x.finish()                                     behind it

A block's mask marks the lanes that are elements; memory of others is never touched. `LOADS` and
`STORES` name the kinds; `vector` defines them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from llvmlite import ir
from numba.core import cgutils

from unfold.backends.numba.lanes import (
    VX,
    Lanes,
    Trace,
    Value,
    and_,
    declare,
    not_,
    or_,
    select,
)

INT = ir.IntType(64)
POINTER = ir.PointerType()
RUN = 64  # vectors, or fewer, that are added up without compensation


class LoopVector:
    """One vector of the loop.

    Attributes:
        trace: where the body records.
        index: of the first element.
        mask: of the lanes that are elements; None if all are.
    """

    def __init__(self, builder: Any, lanes: Lanes, index: Value, rest: Value | None) -> None:
        self.builder = builder
        self.lanes = lanes
        self.trace = Trace(builder, lanes)
        self.index = index
        self.offset = builder.mul(index, ir.Constant(INT, lanes.size))
        self.mask: VX | None = None
        if rest is not None:
            counted = ir.VectorType(ir.IntType(32), lanes.count)
            limit = lanes.splat(builder, builder.trunc(rest, ir.IntType(32)))
            inside = builder.icmp_unsigned("<", ir.Constant(counted, _steps(lanes)), limit)
            self.mask = VX(self.trace, inside)

    def numbers(self) -> VX:
        """Return each lane's index as a number."""
        first = self.builder.uitofp(self.index, self.lanes.element)
        steps = ir.Constant(self.lanes.floats, [float(i) for i in _steps(self.lanes)])
        return VX(self.trace, self.lanes.splat(self.builder, first)) + VX(self.trace, steps)

    def read(self, base: Value) -> VX:
        """Read the vector's elements of contiguous memory."""
        pointer, floats = self._at(base), self.lanes.floats
        if self.mask is None:
            return VX(self.trace, self.builder.load(pointer, align=self.lanes.size, typ=floats))
        return VX(self.trace, self._masked("load", "p0", floats, pointer))

    def write(self, base: Value, value: VX) -> None:
        """Write the vector's elements of contiguous memory."""
        if self.mask is None:
            self.builder.store(value.value, self._at(base), align=self.lanes.size)
        else:
            self._masked("store", "p0", ir.VoidType(), value.value, self._at(base))

    def gather(self, pointers: Value) -> VX:
        """Read the vector's elements at their addresses."""
        kind = f"v{self.lanes.count}p0"
        return VX(self.trace, self._masked("gather", kind, self.lanes.floats, pointers))

    def scatter(self, pointers: Value, value: VX) -> None:
        """Write the vector's elements at their addresses."""
        kind = f"v{self.lanes.count}p0"
        self._masked("scatter", kind, ir.VoidType(), value.value, pointers)

    def _at(self, base: Value) -> Value:
        return self.builder.gep(base, [self.offset], source_etype=ir.IntType(8))

    def _masked(self, name: str, kind: str, result: ir.Type, *operands: Value) -> Value:
        mask = self.trace.condition(1.0) if self.mask is None else self.mask
        values = [*operands, ir.Constant(ir.IntType(32), self.lanes.size), mask.value]
        if name in ("load", "gather"):
            values.append(self.lanes.numbers(0.0))
        full = f"llvm.masked.{name}.{self.lanes.suffix}.{kind}"
        return self.builder.call(declare(self.builder.module, full, result, values), values)


@dataclass
class Operand:
    """An operand or a result of a kernel.

    Attributes:
        arguments: the names of its own arguments of the call; a "number" is a float.
        builder: for its code; until a block begins, before the loop.
        lanes: the shape of vectors.
        values: the arguments.
    """

    arguments: ClassVar[tuple[str, ...]] = ("address",)
    builder: Any
    lanes: Lanes
    values: list[Value]

    def __post_init__(self) -> None:
        """Do the work before the loop."""

    def read(self, block: LoopVector) -> VX:
        """Return the operand's vector in a block."""
        raise NotImplementedError

    def write(self, block: LoopVector, value: VX | float) -> None:
        """Take the result's vector in a block."""
        raise NotImplementedError

    def pause(self, index: Value) -> None:
        """Do occasional work: after the full vector of an index."""

    def finish(self) -> None:
        """Do the work after the loop."""

    def load_element(self) -> Value:
        """Read the one element at the address."""
        return self.builder.load(self._base(), align=self.lanes.size, typ=self.lanes.element)

    def store_element(self, value: Value) -> None:
        """Write the one element at the address."""
        self.builder.store(value, self._base(), align=self.lanes.size)

    def _base(self) -> Value:
        return self.builder.inttoptr(self.values[0], POINTER)


class Contiguous(Operand):
    """Elements side by side."""

    adds: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Turn the address into a pointer."""
        self.base = self._base()

    def read(self, block: LoopVector) -> VX:
        """Read a vector."""
        return block.read(self.base)

    def write(self, block: LoopVector, value: VX | float) -> None:
        """Write a vector, or add it."""
        number = block.trace.number(value)
        block.write(self.base, block.read(self.base) + number if self.adds else number)


class ContiguousAdd(Contiguous):
    """Elements side by side, that are added to."""

    adds = True


class ContiguousCompensated(Contiguous):
    """Elements side by side that are added to, with their rounding errors elsewhere."""

    arguments = ("address", "rest")

    def write(self, block: LoopVector, value: VX | float) -> None:
        """Add a vector."""
        rest = self.builder.inttoptr(self.values[1], POINTER)
        total, number = block.read(self.base), block.trace.number(value)
        total, error = compensated(total, block.read(rest), number)
        block.write(self.base, total)
        block.write(rest, error)


class Repeated(Operand):
    """One element, the same for all."""

    def __post_init__(self) -> None:
        """Read the element."""
        self.vector = self.lanes.splat(self.builder, self.load_element())

    def read(self, block: LoopVector) -> VX:
        """Return the element in all lanes."""
        return VX(block.trace, self.vector)


class Given(Operand):
    """A number among the arguments."""

    arguments = ("number",)

    def __post_init__(self) -> None:
        """Convert the number."""
        number = self.values[0]
        if self.lanes.dtype == "float32":
            number = self.builder.fptrunc(number, self.lanes.element)
        self.vector = self.lanes.splat(self.builder, number)

    def read(self, block: LoopVector) -> VX:
        """Return the number in all lanes."""
        return VX(block.trace, self.vector)


class Index(Given):
    """The index of the element, which is that of the first one and its place behind it."""

    def read(self, block: LoopVector) -> VX:
        """Return indices as numbers."""
        return super().read(block) + block.numbers()


class Strided(Operand):
    """Elements that lie a stride apart."""

    arguments = ("address", "stride")
    adds: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Find the first vector's addresses."""
        address, stride = (self.lanes.splat(self.builder, x) for x in self.values[:2])
        steps = ir.Constant(ir.VectorType(INT, self.lanes.count), _steps(self.lanes))
        self.first = self.builder.add(address, self.builder.mul(stride, steps))

    def read(self, block: LoopVector) -> VX:
        """Read a vector."""
        return block.gather(self._pointers(block))

    def write(self, block: LoopVector, value: VX | float) -> None:
        """Write a vector, or add it."""
        pointers, number = self._pointers(block), block.trace.number(value)
        block.scatter(pointers, block.gather(pointers) + number if self.adds else number)

    def _pointers(self, block: LoopVector) -> Value:
        b = self.builder
        offset = self.lanes.splat(b, b.mul(block.index, self.values[1]))
        return b.inttoptr(b.add(self.first, offset), ir.VectorType(POINTER, self.lanes.count))


class StridedAdd(Strided):
    """Elements that lie a stride apart, and are added to."""

    adds = True


class StridedCompensated(Strided):
    """Elements a stride apart that are added to, with their rounding errors elsewhere."""

    arguments = ("address", "stride", "rest", "rest_stride")

    def __post_init__(self) -> None:
        """Find the first vector's addresses, of both."""
        super().__post_init__()
        self.rest = Strided(self.builder, self.lanes, self.values[2:])

    def write(self, block: LoopVector, value: VX | float) -> None:
        """Add a vector."""
        total, number = self.read(block), block.trace.number(value)
        total, error = compensated(total, self.rest.read(block), number)
        super().write(block, total)
        self.rest.write(block, error)


class Accumulated(Operand):
    """A result that is one element: lanes accumulate in the loop, and are joined after it."""

    start: ClassVar[float]

    def __post_init__(self) -> None:
        """Make the accumulator."""
        self.place = self.keep(self.lanes.numbers(self.start))

    def keep(self, start: Value) -> Value:
        """Return a place for a vector that lasts from one block to the next."""
        place = cgutils.alloca_once(self.builder, start.type)
        self.builder.store(start, place)
        return place

    def held(self, trace: Trace, place: Value) -> VX:
        """Return the vector at a place."""
        return VX(trace, self.builder.load(place, typ=self.lanes.floats))

    def valid(self, block: LoopVector, value: VX | float) -> VX:
        """Replace lanes that are not elements by the neutral number."""
        number = block.trace.number(value)
        return number if block.mask is None else select(block.mask, number, self.start)

    def first(self, vector: VX) -> Value:
        """Return a vector's first element."""
        return self.builder.extract_element(vector.value, ir.Constant(ir.IntType(32), 0))

    def halves(self, trace: Trace) -> Iterator[Callable[[VX], VX]]:
        """Yield, for each level of a tree, the shuffle of its upper half of lanes to the lower."""
        count = self.lanes.count
        orders = ir.VectorType(ir.IntType(32), count)
        while (count := count // 2) > 0:
            order = ir.Constant(
                orders, [(i + count) % self.lanes.count for i in _steps(self.lanes)]
            )
            yield lambda x, order=order: VX(
                trace, self.builder.shuffle_vector(x.value, x.value, order)
            )


class Sum(Accumulated):
    """The sum of all elements is added: lanes are added up in runs, and the runs compensated."""

    start = 0.0

    def __post_init__(self) -> None:
        """Make the accumulators: of a run, of all runs before, and of rounding errors."""
        super().__post_init__()
        self.runs, self.error = (self.keep(self.lanes.numbers(0.0)) for _ in range(2))

    def write(self, block: LoopVector, value: VX | float) -> None:
        """Add a vector to the accumulator."""
        total = self.held(block.trace, self.place) + self.valid(block, value)
        self.builder.store(total.value, self.place)

    def pause(self, index: Value) -> None:
        """Add a run to those before."""
        if self.lanes.dtype == "float64":
            return
        last = self.builder.and_(index, ir.Constant(INT, RUN - 1))
        with self.builder.if_then(
            self.builder.icmp_unsigned("==", last, ir.Constant(INT, RUN - 1)), likely=False
        ):
            trace = Trace(self.builder, self.lanes)
            places = (self.runs, self.error, self.place)
            total, error = compensated(*(self.held(trace, x) for x in places))
            for vector, place in zip((total.value, error.value), places[:2], strict=True):
                self.builder.store(vector, place)
            self.builder.store(self.lanes.numbers(0.0), self.place)

    def finish(self) -> None:
        """Add the lanes to the element."""
        trace = Trace(self.builder, self.lanes)
        total = self.held(trace, self.place)
        if self.lanes.dtype == "float32":
            total = self.held(trace, self.runs) + (total - self.held(trace, self.error))
        for upper in self.halves(trace):
            total = total + upper(total)
        self.add(trace, total)

    def add(self, trace: Trace, total: VX) -> None:
        """Add a number, the first of a vector, to the element."""
        self.store_element(self.builder.fadd(self.load_element(), self.first(total)))


class SumCompensated(Sum):
    """The sum of all elements is added, with its rounding error elsewhere."""

    arguments = ("address", "rest")

    def add(self, trace: Trace, total: VX) -> None:
        """Add a number to the element."""
        rest = Operand(self.builder, self.lanes, self.values[1:])
        before, error = (
            VX(trace, self.lanes.splat(self.builder, x.load_element())) for x in (self, rest)
        )
        for place, vector in zip((self, rest), compensated(before, error, total), strict=True):
            place.store_element(self.first(vector))


class Max(Accumulated):
    """The largest of the element and all others; NaN is larger than anything."""

    start = float("-inf")

    def __post_init__(self) -> None:
        """Keep NaN apart, so that a block waits for one instruction of the block before."""
        super().__post_init__()
        self.nan = self.keep(self.lanes.numbers(0.0))

    def write(self, block: LoopVector, value: VX | float) -> None:
        """Compare a vector with the accumulator."""
        new = self.valid(block, value)
        largest, nan = (self.held(block.trace, x) for x in (self.place, self.nan))
        self.builder.store(select(new > largest, new, largest).value, self.place)
        self.builder.store(select(new == new, nan, new).value, self.nan)

    def finish(self) -> None:
        """Compare the lanes with each other, and with the element."""
        trace = Trace(self.builder, self.lanes)
        largest, nan = (self.held(trace, x) for x in (self.place, self.nan))
        largest = select(nan == nan, largest, nan)
        for upper in self.halves(trace):
            largest = _larger(largest, upper(largest))
        before = VX(trace, self.lanes.splat(self.builder, self.load_element()))
        self.store_element(self.first(_larger(before, largest)))


class ArgMax(Accumulated):
    """The index of the first of the largest elements; NaN is larger than anything."""

    start = float("-inf")

    def __post_init__(self) -> None:
        """Keep indices, too."""
        super().__post_init__()
        lanes = [float(i) for i in _steps(self.lanes)]
        self.where = self.keep(ir.Constant(self.lanes.floats, lanes))

    def write(self, block: LoopVector, value: VX | float) -> None:
        """Compare a vector with the accumulator."""
        new = self.valid(block, value)
        largest, where = (self.held(block.trace, x) for x in (self.place, self.where))
        better = or_(new > largest, and_(new != new, largest == largest))
        self.builder.store(select(better, new, largest).value, self.place)
        self.builder.store(select(better, block.numbers(), where).value, self.where)

    def finish(self) -> None:
        """Compare the lanes with each other; of equals, the lower index."""
        trace = Trace(self.builder, self.lanes)
        largest, where = (self.held(trace, x) for x in (self.place, self.where))
        for upper in self.halves(trace):
            new, index = upper(largest), upper(where)
            nan, old_nan = new != new, largest != largest
            same = or_(new == largest, and_(nan, old_nan))
            better = or_(new > largest, and_(nan, not_(old_nan)))
            better = or_(better, and_(same, index < where))
            largest, where = select(better, new, largest), select(better, index, where)
        self.store_element(self.first(where))


LOADS: dict[str, type[Operand]] = {
    "v": Contiguous,
    "b": Repeated,
    "s": Strided,
    "c": Given,
    "j": Index,
}
STORES: dict[str, type[Operand]] = {
    "store": Contiguous,
    "add": ContiguousAdd,
    "add_compensated": ContiguousCompensated,
    "strided": Strided,
    "strided_add": StridedAdd,
    "strided_add_compensated": StridedCompensated,
    "sum": Sum,
    "sum_compensated": SumCompensated,
    "max": Max,
    "argmax": ArgMax,
}


def compensated(total: VX, error: VX, value: VX) -> tuple[VX, VX]:
    """Add a value to a total, and return the rounding error of the total (Kahan 1965).

    The error of any number of additions is that of one; it is zero for totals that are not finite.
    """
    wanted = value - error
    result = total + wanted
    error = (result - total) - wanted
    return result, select(error == error, error, 0.0)


def _steps(lanes: Lanes) -> list[int]:
    return list(range(lanes.count))


def _larger(a: VX, b: VX) -> VX:
    """Return the larger of numbers, NaN if there is one."""
    return select(or_(b > a, b != b), b, a)
