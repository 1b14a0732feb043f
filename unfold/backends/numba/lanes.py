"""Vector values: Python operators that record LLVM instructions on all lanes at once.

    trace = Trace(builder, Lanes("float32", 16))
    y = 2.0 * x + 1.0                         records fmul and fadd on <16 x float>

In: an LLVM builder. Out: straight-line code. A `Trace` stands for one basic block, a `VX` for one
vector of numbers, or of conditions, computed in it. An instruction that the block already has is
not recorded again. Mathematical functions are in `functions`, operands in memory in `operands`, the
loop around the block in `vector`.

Products and sums may be contracted to fused multiply-adds; nothing else is allowed: NaN, infinities
and the order of operations are as written. (`njit(fastmath=...)` would change that: it rewrites the
flags of all instructions of a module.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from llvmlite import ir

Value = Any  # of LLVM, as its builder (llvmlite) has no types
_CONTRACT = ("contract",)
_EXACT_POWERS = 16  # the largest constant exponent that becomes multiplications


@dataclass(frozen=True)
class Lanes:
    """The shape of vectors.

    Attributes:
        dtype: "float32" or "float64".
        count: elements per vector.
    """

    dtype: str
    count: int

    @property
    def size(self) -> int:
        """Bytes of an element."""
        return 8 if self.dtype == "float64" else 4

    @cached_property
    def element(self) -> ir.Type:
        """The LLVM type of an element."""
        return ir.DoubleType() if self.dtype == "float64" else ir.FloatType()

    @cached_property
    def floats(self) -> ir.VectorType:
        """The LLVM type of a vector of numbers."""
        return ir.VectorType(self.element, self.count)

    @cached_property
    def ints(self) -> ir.VectorType:
        """The LLVM type of a vector of integers as wide as the numbers."""
        return ir.VectorType(ir.IntType(8 * self.size), self.count)

    @cached_property
    def bits(self) -> ir.VectorType:
        """The LLVM type of a vector of conditions."""
        return ir.VectorType(ir.IntType(1), self.count)

    @cached_property
    def suffix(self) -> str:
        """The name of `floats` in the names of LLVM's intrinsics."""
        return f"v{self.count}f{8 * self.size}"

    def constant(self, vector: ir.VectorType, number: float) -> Value:
        """Return a vector of equal numbers."""
        return ir.Constant(vector, [number] * self.count)

    def numbers(self, number: float) -> Value:
        """Return a vector of equal numbers, infinite if they are too large for the type."""
        with np.errstate(over="ignore"):
            return self.constant(self.floats, float(np.dtype(self.dtype).type(number)))

    def splat(self, builder: Any, value: Value) -> Value:
        """Repeat a value in all lanes."""
        undefined = ir.Constant(ir.VectorType(value.type, self.count), ir.Undefined)
        first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        zeros = self.constant(ir.VectorType(ir.IntType(32), self.count), 0)
        return builder.shuffle_vector(first, undefined, zeros)


class Trace:
    """One basic block that records vector instructions.

    Attributes:
        builder: where instructions go.
        lanes: the shape of vectors.
    """

    def __init__(self, builder: Any, lanes: Lanes) -> None:
        self.builder = builder
        self.lanes = lanes
        self.double = lanes.dtype == "float64"
        self._known: dict[tuple[Any, ...], tuple[Value, Sequence[Any]]] = {}

    def record(self, name: str, *operands: Any, **flags: Any) -> Value:
        """Record `builder.name(*operands)`, or find it."""
        make = getattr(self.builder, name)
        return self._once(name, operands, lambda: make(*operands, **flags))

    def call(self, name: str, *operands: VX) -> VX:
        """Call an LLVM intrinsic that is defined on vectors of numbers."""
        full, values = f"llvm.{name}.{self.lanes.suffix}", [x.value for x in operands]
        callee = declare(self.builder.module, full, self.lanes.floats, values)
        return VX(self, self._once(full, values, lambda: self.builder.call(callee, values)))

    def number(self, x: VX | float) -> VX:
        """Return a vector of numbers: conditions become 0.0 and 1.0."""
        if not isinstance(x, VX):
            number = float(x)
            return VX(self, self._once("number", (number,), lambda: self.lanes.numbers(number)))
        if x.is_condition:
            return VX(self, self.record("uitofp", x.value, self.lanes.floats))
        return x

    def whole(self, number: int) -> Value:
        """Return a vector of equal integers."""
        ints = self.lanes.ints
        return self._once("whole", (number,), lambda: self.lanes.constant(ints, number))

    def condition(self, x: VX | float) -> VX:
        """Return a vector of conditions: whether numbers differ from 0 (NaN does)."""
        if not isinstance(x, VX):
            return VX(self, self.lanes.constant(self.lanes.bits, int(x != 0)))
        return x if x.is_condition else x != 0.0

    def _once(self, name: str, operands: Sequence[Any], make: Callable[[], Value]) -> Value:
        key = (name, *(id(x) if isinstance(x, ir.Value) else repr(x) for x in operands))
        found = self._known.get(key)
        if found is None:
            # Operands are kept, so that their ids remain unique.
            found = self._known[key] = (make(), operands)
        return found[0]


class VX:
    """A vector of numbers, or of conditions, in one trace."""

    __hash__ = None  # type: ignore[assignment]
    __slots__ = ("is_condition", "trace", "value")

    def __init__(self, trace: Trace, value: Value) -> None:
        self.trace = trace
        self.value = value
        self.is_condition = value.type == trace.lanes.bits

    def _float(self, name: str, *operands: VX | float) -> VX:
        values = (self.trace.number(x).value for x in operands)
        return VX(self.trace, self.trace.record(name, *values, flags=_CONTRACT))

    def __add__(self, other: VX | float) -> VX:
        return self._float("fadd", self, other)

    def __radd__(self, other: float) -> VX:
        return self._float("fadd", other, self)

    def __sub__(self, other: VX | float) -> VX:
        return self._float("fsub", self, other)

    def __rsub__(self, other: float) -> VX:
        return self._float("fsub", other, self)

    def __mul__(self, other: VX | float) -> VX:
        return self._float("fmul", self, other)

    def __rmul__(self, other: float) -> VX:
        return self._float("fmul", other, self)

    def __truediv__(self, other: VX | float) -> VX:
        if not isinstance(other, VX) and 1e-30 < abs(other) < 1e30:
            return self * (1.0 / other)  # as exact as the result, and much faster
        return self._float("fdiv", self, other)

    def __rtruediv__(self, other: float) -> VX:
        return self._float("fdiv", other, self)

    def __neg__(self) -> VX:
        return self._float("fneg", self)

    def __pow__(self, other: VX | float) -> VX:
        x = self.trace.number(self)
        if isinstance(other, VX):
            return self.trace.call("pow", x, self.trace.number(other))
        if other == 0.5:
            return self.trace.call("sqrt", x)  # as NumPy does
        if not float(other).is_integer() or abs(other) > _EXACT_POWERS:
            return self.trace.call("pow", x, self.trace.number(other))
        return _whole_power(1.0 / x if other < 0 else x, abs(int(other)))

    def __rpow__(self, other: float) -> VX:
        return self.trace.number(other) ** self

    def __mod__(self, other: VX | float) -> VX:
        divisor = self.trace.number(other)
        rest = self._float("frem", self, divisor)
        # As in NumPy, the result has the divisor's sign.
        astray = and_(rest != 0.0, (rest < 0.0) != (divisor < 0.0))
        rest = select(astray, rest + divisor, rest)
        return select(rest == 0.0, self.trace.call("copysign", rest, divisor), rest)

    def __rmod__(self, other: float) -> VX:
        return self.trace.number(other) % self

    def _compare(self, sign: str, other: Any) -> VX:
        a, b = self.trace.number(self).value, self.trace.number(other).value
        name = "fcmp_unordered" if sign == "!=" else "fcmp_ordered"
        return VX(self.trace, self.trace.record(name, sign, a, b))

    def __lt__(self, other: VX | float) -> VX:
        return self._compare("<", other)

    def __le__(self, other: VX | float) -> VX:
        return self._compare("<=", other)

    def __gt__(self, other: VX | float) -> VX:
        return self._compare(">", other)

    def __ge__(self, other: VX | float) -> VX:
        return self._compare(">=", other)

    def __eq__(self, other: object) -> VX:  # type: ignore[override]
        return self._compare("==", other)

    def __ne__(self, other: object) -> VX:  # type: ignore[override]
        return self._compare("!=", other)

    def __bool__(self) -> bool:
        raise TypeError("a vector of conditions has no truth value; use select, and_, or_, not_")


def declare(module: ir.Module, name: str, result: ir.Type, operands: Sequence[Value]) -> Value:
    """Return the module's declaration of a function, added if it is missing."""
    found = module.globals.get(name)
    if found is None:
        found = ir.Function(module, ir.FunctionType(result, [x.type for x in operands]), name)
    return found


def trace_of(*operands: Any) -> Trace | None:
    """Return the trace that the vectors among the operands belong to."""
    return next((x.trace for x in operands if isinstance(x, VX)), None)


def select(condition: Any, yes: Any, no: Any) -> Any:
    """Choose lane by lane; between conditions, a condition."""
    trace = trace_of(condition, yes, no)
    if trace is None:
        return yes if condition else no
    both = all(x.is_condition if isinstance(x, VX) else isinstance(x, bool) for x in (yes, no))
    lift = trace.condition if both else trace.number
    chosen = trace.condition(condition).value
    return VX(trace, trace.record("select", chosen, lift(yes).value, lift(no).value))


def and_(a: Any, b: Any) -> Any:
    """Whether both hold."""
    return _logical("and_", a, b) if trace_of(a, b) else bool(a and b)


def or_(a: Any, b: Any) -> Any:
    """Whether at least one holds."""
    return _logical("or_", a, b) if trace_of(a, b) else bool(a or b)


def not_(a: Any) -> Any:
    """Whether it does not hold."""
    return _logical("xor", a, True) if trace_of(a) else not a


def _logical(name: str, a: Any, b: Any) -> VX:
    trace = trace_of(a, b)
    assert trace is not None, (a, b)
    return VX(trace, trace.record(name, trace.condition(a).value, trace.condition(b).value))


def _whole_power(x: VX, exponent: int) -> VX:
    if exponent < 2:
        return x if exponent else x.trace.number(1.0)
    half = _whole_power(x, exponent // 2)
    return half * half * x if exponent % 2 else half * half
