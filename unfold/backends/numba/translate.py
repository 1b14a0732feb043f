"""Translate functions of whole numbers to LLVM, without the front end of Numba.

In: the text of a module and the names that it knows once its other statements have run. Out: LLVM
functions. Numba infers types and lowers in half a second a function what is translated here in a
few milliseconds: generated code consists of loops, whole numbers and calls.

    @cfunc("void(int64)", cache=True)
    def block(f):                                  i64 arguments, nothing is returned
        for i in range(load_i64(f, 0)):            loops, conditions
            k0(128, f + 8 * i, float(i))           an intrinsic of Numba, or another function

Division and remainder round down, as in Python. Everything else raises `UntranslatableError`.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target

from unfold.backends.numba.module_text import is_public

INT, BIT, REAL = ir.IntType(64), ir.IntType(1), ir.DoubleType()
NUMBA = {INT: types.int64, BIT: types.boolean, REAL: types.float64}
COMPARISONS = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}


class UntranslatableError(Exception):
    """A text uses more of Python than is translated."""


def translate(
    functions: Sequence[ast.FunctionDef], names: Mapping[str, Any], module: ir.Module, prefix: str
) -> None:
    """Write functions into a module, each named by the prefix and its own name.

    Raises:
        UntranslatableError: one of them uses more of Python than is translated.
    """
    known = dict(names)
    for function in functions:
        returns = any(isinstance(n, ast.Return) and n.value for n in ast.walk(function))
        kind = ir.FunctionType(INT if returns else ir.VoidType(), [INT] * len(function.args.args))
        made = ir.Function(module, kind, prefix + function.name)
        if not is_public(function):
            made.linkage = "internal"
        known[function.name] = made
        _Function(made, known).write(function)


class _Function:
    """One function while it is written: every variable has a place of its own."""

    def __init__(self, made: ir.Function, names: Mapping[str, Any]) -> None:
        self.made, self.names = made, names
        self.builder: Any = ir.IRBuilder(made.append_basic_block("entry"))
        self.places: dict[str, Any] = {}

    def write(self, function: ast.FunctionDef) -> None:
        """Write the whole function."""
        for argument, value in zip(function.args.args, self.made.args, strict=True):
            self.assign(argument.arg, value)
        self.body(function.body)
        if not self.builder.block.is_terminated:
            self.builder.ret_void()

    def body(self, statements: Sequence[ast.stmt]) -> None:
        """Write statements one after another."""
        for statement in statements:
            if self.builder.block.is_terminated:
                return
            self.statement(statement)

    def statement(self, statement: ast.stmt) -> None:
        """Write a statement."""
        match statement:
            case ast.Assign(targets=[target], value=value):
                self.store(target, value)
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                self.assign(name, self.binary(op, self.variable(name), self.value(value)))
            case ast.For(ast.Name(id=name), ast.Call(ast.Name(id="range"), bounds, []), body, []):
                self.loop(name, bounds, body)
            case ast.While(test=test, body=body, orelse=[]):
                self.repeat(lambda: self.truth(test), lambda: self.body(body))
            case ast.If(test=test, body=body, orelse=otherwise):
                self.branch(test, body, otherwise)
            case ast.Return(value=None):
                self.builder.ret_void()
            case ast.Return(value=value):
                self.builder.ret(self.value(value))  # type: ignore[arg-type]
            case ast.Expr(value=ast.Constant()):
                pass  # a docstring
            case ast.Expr(value=ast.Call() as call):
                self.called(call)
            case _:
                raise UntranslatableError(ast.unparse(statement))

    def store(self, target: ast.expr, value: ast.expr) -> None:
        """Write an assignment; of several variables, all values come before the first store."""
        match target, value:
            case ast.Name(id=name), _:
                self.assign(name, self.value(value))
            case ast.Tuple(elts=targets), ast.Tuple(elts=values) if len(targets) == len(values):
                found = [self.value(v) for v in values]
                for each, one in zip(targets, found, strict=True):
                    if not isinstance(each, ast.Name):
                        raise UntranslatableError(ast.unparse(target))
                    self.assign(each.id, one)
            case _:
                raise UntranslatableError(ast.unparse(target))

    def assign(self, name: str, value: Any) -> None:
        """Give a variable its value."""
        if name not in self.places:
            self.places[name] = cgutils.alloca_once(self.builder, value.type, name=name)
        place = self.places[name]
        if place.type.pointee != value.type:
            raise UntranslatableError(f"{name} has two types")
        self.builder.store(value, place)

    def loop(self, name: str, bounds: Sequence[ast.expr], body: Sequence[ast.stmt]) -> None:
        """Write a loop over a range; its step is a constant, or a variable above zero."""
        numbers = [self.value(b) for b in bounds]
        start, end = (numbers[0], numbers[1]) if len(numbers) > 1 else (INT(0), numbers[0])
        step = numbers[2] if len(numbers) > 2 else INT(1)
        down = isinstance(step, ir.Constant) and step.constant < 0
        number = cgutils.alloca_once_value(self.builder, start)

        def test() -> Any:
            return self.builder.icmp_signed(">" if down else "<", self.builder.load(number), end)

        def once() -> None:
            self.assign(name, self.builder.load(number))
            self.body(body)
            if not self.builder.block.is_terminated:
                self.builder.store(self.builder.add(self.builder.load(number), step), number)

        self.repeat(test, once)

    def repeat(self, test: Callable[[], Any], once: Callable[[], None]) -> None:
        """Write code that is repeated while a condition holds."""
        builder = self.builder
        head, inside, after = (builder.append_basic_block(n) for n in ("head", "inside", "after"))
        builder.branch(head)
        builder.position_at_end(head)
        builder.cbranch(test(), inside, after)
        builder.position_at_end(inside)
        once()
        if not builder.block.is_terminated:
            builder.branch(head)
        builder.position_at_end(after)

    def branch(
        self, test: ast.expr, body: Sequence[ast.stmt], otherwise: Sequence[ast.stmt]
    ) -> None:
        """Write a condition."""
        with self.builder.if_else(self.truth(test)) as (then, rest):
            with then:
                self.body(body)
            with rest:
                self.body(otherwise)

    # Values

    def truth(self, expression: ast.expr) -> Any:
        """Return a condition."""
        value = self.value(expression)
        return value if value.type == BIT else self.builder.icmp_signed("!=", value, INT(0))

    def variable(self, name: str) -> Any:
        """Return the value of a variable, or of a constant of the module."""
        if name in self.places:
            return self.builder.load(self.places[name])
        if name not in self.names:
            raise UntranslatableError(f"{name} is not defined")
        return self.constant(self.names[name])

    def constant(self, value: Any) -> Any:
        """Return a number of Python."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UntranslatableError(repr(value))
        return INT(value) if isinstance(value, int) else ir.Constant(REAL, value)

    def value(self, expression: ast.expr) -> Any:
        """Return the value of an expression."""
        match expression:
            case ast.Constant(value=value):
                return self.constant(value)
            case ast.Name(id=name):
                return self.variable(name)
            case ast.BinOp(left=left, op=op, right=right):
                return self.binary(op, self.value(left), self.value(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.negative(self.value(operand))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self.builder.not_(self.truth(operand))
            case ast.BoolOp(op=op, values=values):
                return self.every(values, isinstance(op, ast.And))
            case ast.Compare(left=left, ops=ops, comparators=right):
                return self.compare([left, *right], ops)
            case ast.IfExp(test=test, body=body, orelse=otherwise):
                return self.choice(test, body, otherwise)
            case ast.Call():
                return self.called(expression)
            case _:
                raise UntranslatableError(ast.unparse(expression))

    def negative(self, value: Any) -> Any:
        """Return a number with the other sign."""
        if isinstance(value, ir.Constant):
            return ir.Constant(value.type, -value.constant)
        return self.builder.neg(self.whole(value))

    def whole(self, value: Any) -> Any:
        """Return a value if it is a whole number."""
        if value.type != INT:
            raise UntranslatableError("arithmetic of real numbers")
        return value

    def binary(self, op: ast.operator, a: Any, b: Any) -> Any:
        """Return a sum, difference, product, or division that rounds down."""
        a, b, builder = self.whole(a), self.whole(b), self.builder
        match op:
            case ast.Add():
                return builder.add(a, b)
            case ast.Sub():
                return builder.sub(a, b)
            case ast.Mult():
                return builder.mul(a, b)
            case ast.FloorDiv() | ast.Mod():
                rest = builder.srem(a, b)
                crossed = builder.icmp_signed("<", builder.xor(rest, b), INT(0))
                below = builder.and_(crossed, builder.icmp_signed("!=", rest, INT(0)))
                if isinstance(op, ast.Mod):
                    return builder.select(below, builder.add(rest, b), rest)
                return builder.sub(builder.sdiv(a, b), builder.zext(below, INT))
            case _:
                raise UntranslatableError(type(op).__name__)

    def every(self, values: Sequence[ast.expr], is_and: bool) -> Any:
        """Return whether all, or any, of some conditions hold, asked in order."""
        found = cgutils.alloca_once(self.builder, BIT)
        self.decide(values, is_and, found)
        return self.builder.load(found)

    def decide(self, values: Sequence[ast.expr], is_and: bool, found: Any) -> None:
        """Ask the first condition, and the others where it decides nothing."""
        first = self.truth(values[0])
        self.builder.store(first, found)
        if len(values) > 1:
            with self.builder.if_then(first if is_and else self.builder.not_(first)):
                self.decide(values[1:], is_and, found)

    def compare(self, sides: Sequence[ast.expr], ops: Sequence[ast.cmpop]) -> Any:
        """Return whether all of a chain of comparisons hold."""
        values = [self.whole(self.value(s)) for s in sides]
        answer: Any = BIT(1)
        for a, op, b in zip(values[:-1], ops, values[1:], strict=True):
            if type(op) not in COMPARISONS:
                raise UntranslatableError(type(op).__name__)
            held = self.builder.icmp_signed(COMPARISONS[type(op)], a, b)
            answer = self.builder.and_(answer, held)
        return answer

    def choice(self, test: ast.expr, body: ast.expr, otherwise: ast.expr) -> Any:
        """Return one of two values; the other is not computed."""
        with self.builder.if_else(self.truth(test)) as (then, rest):
            with then:
                first, here = self.value(body), self.builder.block
            with rest:
                second, there = self.value(otherwise), self.builder.block
        if first.type != second.type:
            raise UntranslatableError("a choice between two types")
        merged = self.builder.phi(first.type)
        merged.add_incoming(first, here)
        merged.add_incoming(second, there)
        return merged

    # Calls

    def called(self, call: ast.Call) -> Any:
        """Return what a call gives."""
        if not isinstance(call.func, ast.Name) or call.keywords:
            raise UntranslatableError(ast.unparse(call))
        name = call.func.id
        arguments = [self.value(a) for a in call.args]
        target = self.names.get(name)
        if isinstance(target, ir.Function):
            return self.builder.call(target, arguments)
        if hasattr(target, "_defn"):
            return self.intrinsic(target, arguments)
        if isinstance(target, types.ExternalFunction):
            kind = ir.FunctionType(ir.VoidType(), [INT] * len(arguments))
            function = cgutils.get_or_insert_function(self.builder.module, kind, target.symbol)
            return self.builder.call(function, arguments)
        if target is None and name in ("min", "max"):
            return self.extreme("<" if name == "min" else ">", arguments)
        if target is None and name == "float":
            return self.builder.sitofp(self.whole(arguments[0]), REAL)
        raise UntranslatableError(name)

    def extreme(self, sign: str, numbers: Sequence[Any]) -> Any:
        """Return the least or the largest of some numbers."""
        best = self.whole(numbers[0])
        for number in numbers[1:]:
            better = self.builder.icmp_signed(sign, self.whole(number), best)
            best = self.builder.select(better, number, best)
        return best

    def intrinsic(self, target: Any, arguments: Sequence[Any]) -> Any:
        """Write an intrinsic of Numba; those after the named ones are given to it as a tuple."""
        parameters = list(inspect.signature(target._defn).parameters.values())[1:]
        given, kinds = list(arguments), [NUMBA[a.type] for a in arguments]
        if parameters and parameters[-1].kind is inspect.Parameter.VAR_POSITIONAL:
            named = len(parameters) - 1
            rest = given[named:]
            given[named:] = [cgutils.pack_array(self.builder, rest)]
            kinds[named:] = [types.UniTuple(types.int64, len(rest))]
        signature, code = target._defn(cpu_target.typing_context, *kinds)
        return code(cpu_target.target_context, self.builder, signature, given)
