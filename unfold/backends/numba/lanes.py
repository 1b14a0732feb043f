"""Vector values: Python operators that record LLVM instructions on all lanes at once.

    trace = Trace(builder, ir.FloatType(), 16)
    y = trace.lift(2.0) * x + 1.0             records fmul and fadd on <16 x float>

In comes an LLVM builder, out of it comes straight-line code: a `Trace` stands for one basic block,
a `VX` for one vector of numbers, or of conditions, computed in it. An instruction that the block
has already is not recorded again. Mathematical functions are in `functions`, the loop around the
block in `vector`.

Instructions may be contracted to fused multiply-adds, and nothing else: NaN, infinities and the
order of operations are as written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

Value = Any  # of LLVM, as its builder (llvmlite) has no types
CONTRACT = ("contract",)
_EXACT_POWERS = 16  # the largest constant exponent that becomes multiplications


class Splat(ir.Constant):
    """A vector constant of equal lanes, whose text is written once."""

    def __init__(self, vector: ir.VectorType, number: float | int | None) -> None:
        super().__init__(vector, [number] * vector.count)


class Trace:
    """One basic block that records vector instructions.

    Attributes:
        builder: where instructions go.
        lanes: elements per vector.
        element, floats, ints, bits: LLVM types: of an element, of a vector of them, of a vector of
            integers as wide, and of conditions.
    """

    def __init__(self, builder: Any, element: ir.Type, lanes: int) -> None:
        self.builder = builder
        self.lanes = lanes
        self.element = element
        self.double = isinstance(element, ir.DoubleType)
        self.floats = ir.VectorType(element, lanes)
        self.ints = ir.VectorType(ir.IntType(64 if self.double else 32), lanes)
        self.bits = ir.VectorType(ir.IntType(1), lanes)
        self._known: dict[tuple[Any, ...], Any] = {}

    def record(self, name: str, *operands: Any, **flags: Any) -> Value:
        """Record `builder.name(*operands)`, or find it."""
        make = getattr(self.builder, name)
        return self._once(name, operands, lambda: make(*operands, **flags))

    def _once(self, name: str, operands: Sequence[Any], make: Callable[[], ir.Value]) -> Value:
        key = (name, *(id(x) if isinstance(x, ir.Value) else str(x) for x in operands))
        # The operands are kept, so that no other value can have their ids.
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = (make(), operands)
        return found[0]

    def float(self, name: str, *operands: Value) -> VX:
        """Record a float instruction that may be contracted."""
        return VX(self, self.record(name, *operands, flags=CONTRACT))

    def constant(self, vector: ir.VectorType, number: float | int) -> Value:
        """Return a vector of equal numbers."""
        key = (str(vector), repr(number))  # repr: 0.0 is not -0.0
        if key not in self._known:
            self._known[key] = Splat(vector, number)
        return self._known[key]

    def lift(self, x: VX | float) -> VX:
        """Return a vector of numbers: conditions become 0.0 and 1.0."""
        if not isinstance(x, VX):
            return VX(self, self.constant(self.floats, float(x)))
        if x.is_condition:
            return VX(self, self.record("uitofp", x.value, self.floats))
        return x

    def condition(self, x: VX | float) -> VX:
        """Return a vector of conditions: whether numbers differ from 0 (NaN does)."""
        if not isinstance(x, VX):
            return VX(self, self.constant(self.bits, int(x != 0)))
        if x.is_condition:
            return x
        zero = self.constant(self.floats, 0.0)
        return VX(self, self.record("fcmp_unordered", "!=", x.value, zero))

    def call(self, name: str, *operands: VX) -> VX:
        """Call the LLVM intrinsic `name`, defined on vectors of the element type."""
        values = [x.value for x in operands]
        kind = f"v{self.lanes}f{64 if self.double else 32}"
        callee = declare(self.builder.module, f"llvm.{name}.{kind}", self.floats, values)
        return VX(self, self._once(name, values, lambda: self.builder.call(callee, values)))

    def per_lane(self, symbol: str, x: VX) -> VX:
        """Call a C function of one number for every lane."""
        scalar = ir.FunctionType(self.element, [self.element])
        callee = self.builder.module.globals.get(symbol)
        if callee is None:
            callee = ir.Function(self.builder.module, scalar, symbol)
        result = ir.Constant(self.floats, ir.Undefined)
        for lane in range(self.lanes):
            index = ir.Constant(ir.IntType(32), lane)
            y = self.builder.call(callee, [self.builder.extract_element(x.value, index)])
            result = self.builder.insert_element(result, y, index)
        return VX(self, result)


class VX:
    """A vector of numbers, or of conditions, in one trace."""

    __hash__ = None  # type: ignore[assignment]
    __slots__ = ("is_condition", "trace", "value")

    def __init__(self, trace: Trace, value: Value) -> None:
        self.trace = trace
        self.value = value
        self.is_condition = value.type == trace.bits

    def _binary(self, name: str, a: VX | float, b: VX | float) -> VX:
        lift = self.trace.lift
        return self.trace.float(name, lift(a).value, lift(b).value)

    def __add__(self, other: VX | float) -> VX:
        return self._binary("fadd", self, other)

    def __radd__(self, other: float) -> VX:
        return self._binary("fadd", other, self)

    def __sub__(self, other: VX | float) -> VX:
        return self._binary("fsub", self, other)

    def __rsub__(self, other: float) -> VX:
        return self._binary("fsub", other, self)

    def __mul__(self, other: VX | float) -> VX:
        return self._binary("fmul", self, other)

    def __rmul__(self, other: float) -> VX:
        return self._binary("fmul", other, self)

    def __truediv__(self, other: VX | float) -> VX:
        if not isinstance(other, VX) and 1e-30 < abs(other) < 1e30:
            return self * (1.0 / other)
        return self._binary("fdiv", self, other)

    def __rtruediv__(self, other: float) -> VX:
        return self._binary("fdiv", other, self)

    def __neg__(self) -> VX:
        return self.trace.float("fneg", self.trace.lift(self).value)

    def __pow__(self, other: VX | float) -> VX:
        if isinstance(other, VX):
            return self.trace.call("pow", self.trace.lift(self), self.trace.lift(other))
        return _constant_power(self.trace.lift(self), float(other))

    def __rpow__(self, other: float) -> VX:
        return self.trace.lift(other) ** self

    def __mod__(self, other: VX | float) -> VX:
        a, b = self.trace.lift(self), self.trace.lift(other)
        remainder = self.trace.float("frem", a.value, b.value)
        # NumPy: the result has the divisor's sign.
        wrong = and_(remainder != 0.0, (remainder < 0.0) != (b < 0.0))
        moved = select(wrong, remainder + b, remainder)
        return select(moved == 0.0, self.trace.call("copysign", moved, b), moved)

    def __rmod__(self, other: float) -> VX:
        return self.trace.lift(other) % self

    def _compare(self, sign: str, other: VX | float) -> VX:
        a, b = self.trace.lift(self).value, self.trace.lift(other).value
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
        return self._compare("==", other)  # type: ignore[arg-type]

    def __ne__(self, other: object) -> VX:  # type: ignore[override]
        return self._compare("!=", other)  # type: ignore[arg-type]

    def __bool__(self) -> bool:
        raise TypeError("a vector of conditions has no truth value; use select, and_, or_, not_")


def declare(
    module: ir.Module, name: str, result: ir.Type, operands: Sequence[Value]
) -> ir.Function:
    """Return the module's declaration of a function, made where it is missing."""
    found = module.globals.get(name)
    if found is None:
        found = ir.Function(module, ir.FunctionType(result, [x.type for x in operands]), name)
    return found


def trace_of(*operands: Any) -> Trace | None:
    """Return the trace that the vectors among the operands belong to."""
    return next((x.trace for x in operands if isinstance(x, VX)), None)


def select(condition: Any, yes: Any, no: Any) -> Any:
    """Choose lane by lane; of two conditions comes a condition."""
    trace = trace_of(condition, yes, no)
    if trace is None:
        return yes if condition else no
    both = all(x.is_condition if isinstance(x, VX) else isinstance(x, bool) for x in (yes, no))
    lift: Callable[[Any], VX] = trace.condition if both else trace.lift
    chosen = trace.condition(condition).value
    return VX(trace, trace.record("select", chosen, lift(yes).value, lift(no).value))


def _logical(name: str, a: Any, b: Any) -> VX:
    trace = trace_of(a, b)
    assert trace is not None, (a, b)
    return VX(trace, trace.record(name, trace.condition(a).value, trace.condition(b).value))


def and_(a: Any, b: Any) -> Any:
    """Whether both hold."""
    return _logical("and_", a, b) if trace_of(a, b) else bool(a and b)


def or_(a: Any, b: Any) -> Any:
    """Whether at least one holds."""
    return _logical("or_", a, b) if trace_of(a, b) else bool(a or b)


def not_(a: Any) -> Any:
    """Whether it does not hold."""
    return _logical("xor", a, True) if trace_of(a) else not a


def _constant_power(x: VX, exponent: float) -> VX:
    if exponent == 0.5:
        return x.trace.call("sqrt", x)  # as NumPy does, which has NaN of -inf
    if exponent != int(exponent) or abs(exponent) > _EXACT_POWERS:
        return x.trace.call("pow", x, x.trace.lift(exponent))
    return _integer_power(1.0 / x if exponent < 0 else x, abs(int(exponent)))


def _integer_power(x: VX, exponent: int) -> VX:
    if exponent == 0:
        return x.trace.lift(1.0)
    half = _integer_power(x, exponent // 2) if exponent > 1 else None
    if half is None:
        return x
    return half * half * x if exponent % 2 else half * half
