"""A machine that interprets generated blocks with NumPy, and checks every address.

    interpret(model)            model.forward(..., backend="numba") now does

It runs the same text, on the same memory, as the compiled machine, but compiles nothing: a random
program takes milliseconds instead of seconds. What it cannot see is the machine code of kernels and
products, which have tests of their own. Reading or writing outside of what was allotted, which
compiled code would do silently, is an error here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

import unfold
from unfold.backends.numba.backend import Numba
from unfold.backends.numba.bind import Bound
from unfold.backends.numba.engine import Engine
from unfold.backends.numba.gemm import Library
from unfold.backends.numba.host import Run
from unfold.backends.numba.share import Share, Written
from unfold.backends.protocol import Planner, Room
from unfold.ops.lattice import Lattice

ITEM = {"float32": 4, "float64": 8}
PACK, GEMM, MATMUL, FIRST = 1, 2, 3, 16
KERNELS = {"ctc": 4, "ctc_occupancy": 5, "ctc_curvature": 6}


class OutOfBoundsError(Exception):
    """A block touched memory that it does not own."""


class Interpreting(Numba):
    """The compiled backend with its blocks interpreted."""

    def __init__(self, planner: Planner, room: Room) -> None:
        super().__init__(planner, room)
        self.engine = InterpretedEngine(room)


def interpret(model: unfold.Model, name: str = "numba") -> InterpretedEngine:
    """Let a model have its blocks interpreted, by the backend of a name; return the engine."""
    execution = model._execution
    backend = Interpreting(execution.planned, lambda held: execution.memory.room(held))
    execution.backends[name] = backend
    return backend.engine


class InterpretedEngine(Engine):
    """An engine whose blocks are interpreted, two shares of a batch one after the other."""

    def __init__(self, room: Room) -> None:
        self.interpreter = Interpreted()
        super().__init__(threads=2, machine=self.interpreter, room=room)

    @cached_property
    def _pool(self) -> Any:
        return self

    def submit(self, call: Callable[..., None], *arguments: Any) -> Any:
        """Call now."""
        call(*arguments)
        return self

    def result(self) -> None:
        """Do nothing: the call has been made."""

    def _bind(self, compiled: Written, run: Run) -> list[Share]:
        """Leave nothing of an earlier run that a block could take for a result."""
        shares = super()._bind(compiled, run)
        for bound in (s.bound for s in shares):
            for name, view in bound.views.items():
                if name not in bound.layout.always:
                    view[...] = np.nan
        return shares

    def _call(self, bound: Share, start: int, count: int) -> None:
        self.interpreter.own(bound.bound)
        super()._call(bound, start, count)


class Memory:
    """Arrays over addresses, inside of what was allotted."""

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []

    def allow(self, array: Any) -> None:
        """Let blocks use an array."""
        start = array.ctypes.data
        self.spans.append((start, start + array.nbytes))

    def view(self, address: int, dtype: str, shape: Sequence[int], strides: Sequence[int]) -> Any:
        """Return an array over memory."""
        if 0 in shape:
            return np.zeros(shape, dtype)
        reach = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
        low = address + sum(min(r, 0) for r in reach)
        high = address + sum(max(r, 0) for r in reach) + ITEM[dtype]
        if not any(a <= low and high <= b for a, b in self.spans):
            raise OutOfBoundsError(f"{low} to {high} with {shape} and {strides}")
        block: Any = (ctypes.c_char * (high - low)).from_address(low)
        return np.ndarray(tuple(shape), dtype, block, address - low, tuple(strides))

    def row(self, address: int, dtype: str, n: int, stride: int | None = None) -> Any:
        """Return a vector over memory."""
        return self.view(address, dtype, (n,), (stride or ITEM[dtype],))


class Interpreted:
    """Interprets blocks; one at a time, so use one thread per machine."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.blocks: list[Callable[[int], None]] = []
        self.known: dict[str, int] = {}
        self.dtype = "float64"

    def functions(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Return numbers that stand for addresses."""
        for text in texts:
            if text not in self.known:
                self.known[text] = FIRST + len(self.blocks)
                self.blocks.append(self._block(text))
        return tuple(self.known[t] for t in texts)

    def library(self, dtype: str) -> Library:
        """Return products that `call` knows."""
        self.dtype = dtype
        return Library(dtype, 64 // ITEM[dtype], PACK, GEMM, MATMUL, KERNELS.__getitem__)

    def call(self, table: int, count: int) -> None:
        """Run the blocks of a table."""
        for i in range(count):
            function, slots = (_integer(table, 2 * i + j) for j in range(2))
            with np.errstate(all="ignore"):
                self.blocks[function - FIRST](slots)

    def own(self, bound: Bound) -> None:
        """Let blocks use the memory of a Plan, and the arrays of the user that it reads."""
        self.memory.spans = []
        self.memory.allow(bound.arena)
        for array in bound.held.values():
            self.memory.allow(array)

    def _block(self, text: str) -> Callable[[int], None]:
        dtype = "float32" if "float32" in text else "float64"
        body = "\n".join(
            line for line in text.splitlines() if not line.startswith(("from ", "import "))
        )
        memory, names = self.memory, dict(FUNCTIONS)
        names["cfunc"] = lambda *_, **__: lambda f: f
        names["load_i64"] = _integer
        names["vector_kernel"] = lambda _, loads, stores: (
            lambda body: self._kernel(dtype, loads, stores, body)
        )
        names["call"] = lambda function, *a: getattr(self, _FUNCTIONS[function])(dtype, *a)
        names[f"index_{dtype}"] = lambda a: int(memory.row(a, dtype, 1)[0])

        def put(address: int, number: float) -> None:
            memory.row(address, dtype, 1)[0] = number

        def fill(address: int, count: int, number: float) -> None:
            memory.row(address, dtype, count)[:] = number

        names[f"put_{dtype}"], names[f"fill_{dtype}"] = put, fill
        exec(compile(body, "<block>", "exec"), names)  # our own generated text
        return names["block"]

    def _kernel(
        self, dtype: str, loads: str, stores: Sequence[str], body: Callable[..., Any]
    ) -> Callable[..., None]:
        def run(n: int, *given: Any) -> None:
            rest = list(given)
            operands: list[Any] = []
            for kind in loads:
                if kind == "j":
                    operands.append(np.arange(n).astype(dtype))
                elif kind == "c":
                    operands.append(np.dtype(dtype).type(rest.pop(0)))
                elif kind == "b":
                    operands.append(self.memory.row(rest.pop(0), dtype, 1)[0].copy())
                else:
                    address = rest.pop(0)
                    stride = rest.pop(0) if kind == "s" else None
                    operands.append(self.memory.row(address, dtype, n, stride).copy())
            for mode, result in zip(stores, body(*operands), strict=True):
                values = np.broadcast_to(np.asarray(result, dtype), (n,))
                address = rest.pop(0)
                stride = rest.pop(0) if mode.startswith("strided") else None
                plain = mode.removesuffix("_compensated")
                one = plain in ("sum", "max", "argmax")
                target = self.memory.row(address, dtype, 1 if one else n, stride)
                if plain == mode:
                    STORES[mode](target, values)
                    continue
                address = rest.pop(0)
                stride = rest.pop(0) if mode.startswith("strided") else None
                error = self.memory.row(address, dtype, 1 if one else n, stride)
                _compensated(target, error, values.sum(keepdims=True) if one else values)
            assert not rest, rest

        return run

    def _pack(self, dtype: str, dst: int, src: int, rs: int, cs: int, k: int, n: int) -> None:
        item = ITEM[dtype]
        panel = self.memory.view(dst, dtype, (k, n), (n * item, item))
        panel[...] = self.memory.view(src, dtype, (k, n), (rs, cs))

    def _gemm(self, dtype: str, *arguments: int) -> None:
        a, rsa, csa, b, c, rsc, m, n, k, more = arguments
        item = ITEM[dtype]
        self._matmul(dtype, a, rsa, csa, b, n * item, item, c, rsc, m, n, k, more, 2, 0)

    def _matmul(self, dtype: str, *arguments: int) -> None:
        a, rsa, csa, b, rsb, csb, c, rsc, m, n, k, number, _, _ = arguments
        view = self.memory.view
        left, right = view(a, dtype, (m, k), (rsa, csa)), view(b, dtype, (k, n), (rsb, csb))
        target = view(c, dtype, (m, n), (rsc, ITEM[dtype]))
        target[...] = left @ right + (target if number else 0)

    def _ctc(self, dtype: str, *arguments: int) -> None:
        loss, _, *_ = arguments[8:]
        self.memory.row(loss, dtype, 1)[0] = -self._lattice(dtype, arguments).log_probability

    def _ctc_occupancy(self, dtype: str, *arguments: int) -> None:
        out, step, frames, _, classes, *_ = arguments[8:]
        lattice = self._lattice(dtype, arguments)
        target = self.memory.view(out, dtype, (frames, classes), (step, ITEM[dtype]))
        target[...] = 0.0
        target[: len(lattice.log_probs)] = lattice.occupancy()

    def _ctc_curvature(self, dtype: str, *arguments: int) -> None:
        moved, along, out, step, frames, _, classes, *_ = arguments[8:]
        lattice = self._lattice(dtype, arguments)
        shape, used = (frames, classes), len(lattice.log_probs)
        direction = self.memory.view(moved, dtype, shape, (along, ITEM[dtype]))
        target = self.memory.view(out, dtype, shape, (step, ITEM[dtype]))
        target[...] = 0.0
        target[:used] = lattice.curvature(direction[:used].astype(np.float64))

    def _lattice(self, dtype: str, arguments: Sequence[int]) -> Lattice:
        probs, frame, labels, label, frames, _, count, _ = arguments[:8]
        classes, blank, _ = arguments[-3:]
        n, m = (int(self.memory.row(a, dtype, 1)[0]) for a in (frames, count))
        said = self.memory.row(labels, dtype, m, label).astype(np.int64)
        p = self.memory.view(probs, dtype, (n, classes), (frame, ITEM[dtype])).astype(np.float64)
        return Lattice(p, said[said >= 0], blank % classes)


_FUNCTIONS = {PACK: "_pack", GEMM: "_gemm", MATMUL: "_matmul"}
_FUNCTIONS |= {number: f"_{name}" for name, number in KERNELS.items()}


def _integer(address: int, position: int) -> int:
    return ctypes.c_int64.from_address(address + 8 * position).value


def _erf(x: Any) -> Any:
    import math

    return np.vectorize(math.erf, otypes=[np.float64])(x)


def _store(target: Any, values: Any) -> None:
    target[...] = values


def _add(target: Any, values: Any) -> None:
    target[...] = target + values


def _sum(target: Any, values: Any) -> None:
    target[0] += values.sum()


def _max(target: Any, values: Any) -> None:
    target[0] = np.maximum(target[0], values.max())


def _argmax(target: Any, values: Any) -> None:
    target[0] = np.argmax(values)


def _compensated(target: Any, error: Any, values: Any) -> None:
    wanted = values - error
    total = target + wanted
    lost = (total - target) - wanted
    target[...], error[...] = total, np.where(np.isnan(lost), 0, lost)


STORES: dict[str, Callable[[Any, Any], None]] = {
    "store": _store,
    "add": _add,
    "strided": _store,
    "strided_add": _add,
    "sum": _sum,
    "max": _max,
    "argmax": _argmax,
}
FUNCTIONS: dict[str, Any] = {
    "abs_": np.abs,
    "and_": np.logical_and,
    "or_": np.logical_or,
    "not_": np.logical_not,
    "select": lambda c, a, b: np.where(np.asarray(c) != 0, a, b),
    "erf": _erf,
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    **{n: getattr(np, n) for n in ("exp", "expm1", "log", "log1p", "sqrt", "tanh")},
    **{n: getattr(np, n) for n in ("sin", "cos", "floor", "sign", "inf", "nan")},
}
