"""A machine that interprets generated blocks with NumPy, and checks every address.

    interpret(model)            model.forward(..., backend="numba") now does

It runs the same text, on the same memory, as the compiled machine, but compiles nothing: a random
program takes milliseconds instead of seconds. What it cannot see is the machine code of kernels and
products, which have tests of their own. Reading or writing outside of what was allotted, which
compiled code would do silently, is an error here.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from time import perf_counter_ns
from types import SimpleNamespace
from typing import Any

import numpy as np

import unfold
from unfold.backends.native.backend import Native
from unfold.backends.native.engine import Engine
from unfold.backends.native.host import Request
from unfold.backends.native.memory import Host
from unfold.backends.native.protocol import ITEM, Block
from unfold.backends.native.share import Linked, Share
from unfold.backends.native.store import Store
from unfold.backends.numba.backend import Numba
from unfold.backends.numba.gemm import Library
from unfold.backends.numba.generate import blocks
from unfold.backends.protocol import Planner, Room
from unfold.core.plan import Plan
from unfold.core.target import Target
from unfold.ops.lattice import Lattice

PACK, GEMM, MATMUL, FIRST = 1, 2, 3, 16
KERNELS = {"ctc": 4, "ctc_occupancy": 5, "ctc_curvature": 6}


class OutOfBoundsError(Exception):
    """A block touched memory that it does not own."""


class Interpreting(Native):
    """A backend whose blocks are interpreted, in two shares of a batch.

    Args:
        planner: makes Plans.
        room: says what memory may be taken.
        machine: interprets the blocks.
        target: what Plans are for; default: the class's own.
    """

    target = Numba.target

    def __init__(
        self,
        planner: Planner,
        room: Room,
        *,
        machine: Interpreted | None = None,
        target: Target | None = None,
    ) -> None:
        self.machine = machine or Interpreted()
        self.target = target or self.target
        super().__init__(planner, InterpretedEngine(self.machine, threads=2, room=room))


def interpret(model: unfold.Model, name: str = "numba", **options: Any) -> Any:
    """Let a model have its blocks interpreted, by the backend of a name; return the engine."""
    execution = model._execution
    backend = Interpreting(execution.planned, lambda held: execution.memory.room(held), **options)
    execution.backends[name] = backend
    return backend.engine


class InterpretedEngine(Engine):
    """An engine that leaves nothing of an earlier run that a block could take for a result."""

    def _bind(self, compiled: Linked, run: Request) -> list[Share]:
        shares = super()._bind(compiled, run)
        for bound in (s.bound for s in shares):
            for name, view in bound.views.items():
                if name not in bound.layout.always:
                    view[...] = np.nan
        return shares


class Allotted(Host):
    """The memory of one share, which knows what is in it."""

    def __init__(self) -> None:
        self.arrays: list[weakref.ref[Any]] = []
        self.slots: set[int] = set()

    def allocate(self, size: int) -> Any:
        """Return memory, and let blocks use it."""
        return self._allowed(super().allocate(size))

    def hold(self, array: Any, dtype: Any) -> Any:
        """Return an array, and let blocks use it; integers are slots."""
        own = super().hold(array, dtype)
        if own.dtype == np.int64:
            self.slots.add(self.address(own))
            return own
        return self._allowed(own)

    def _allowed(self, array: Any) -> Any:
        if not any(known() is array for known in self.arrays):
            self.arrays = [r for r in self.arrays if r() is not None]
            self.arrays.append(weakref.ref(array))
        return array

    @property
    def spans(self) -> list[tuple[int, int]]:
        """First address and end of all that blocks may use."""
        live = [a for r in self.arrays if (a := r()) is not None]
        return [(a.ctypes.data, a.ctypes.data + a.nbytes) for a in live]


class Reader:
    """Arrays over addresses, inside of what was allotted."""

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []

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
    """Interprets blocks, one at a time; it is its own compiler where texts are kept.

    Args:
        kept: whether texts go through a store of kernels.
    """

    files = frozenset({".py"})

    def __init__(self, *, kept: bool = False) -> None:
        self.reader = Reader()
        self.shares: weakref.WeakSet[Allotted] = weakref.WeakSet()
        self.texts: list[Callable[[int], None]] = []
        self.known: dict[str, int] = {}
        self.store = Store(self) if kept else None
        self.names = dict(FUNCTIONS)
        self._one_at_a_time = Lock()

    @property
    def memory(self) -> Allotted:
        """Return the memory of one more share."""
        self.shares.add(made := Allotted())
        return made

    def blocks(self, plan: Plan, dtype: str) -> tuple[Block, ...]:
        """Return the blocks of a Plan, as they are compiled elsewhere."""
        return blocks(plan, dtype)

    def functions(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Return numbers that stand for addresses."""
        if self.store is not None:
            return tuple(k.address for k in self.store.load_all(texts))
        for text in texts:
            if text not in self.known:
                self.known[text] = self._numbered(text)
        return tuple(self.known[t] for t in texts)

    def _numbered(self, text: str) -> int:
        self.texts.append(self._block(text))
        return FIRST + len(self.texts) - 1

    def fingerprint(self) -> bytes:
        """Return what all texts have in common in the store."""
        return b"interpreted"

    def module(self, name: str, text: str, file: Path | None) -> Any:
        """Return a module of the store: its function has a number."""
        return SimpleNamespace(block=SimpleNamespace(address=self._numbered(text)))

    def products(self, dtype: str) -> Library:
        """Return products that `call` knows."""
        return Library(dtype, 64 // ITEM[dtype], PACK, GEMM, MATMUL, KERNELS.__getitem__)

    def call(self, table: int, count: int) -> None:
        """Run the blocks of a table."""
        self.timed(table, count)

    def caller(self, table: int, count: int) -> Callable[[], None]:
        """Return a function that runs them."""
        return partial(self.call, table, count)

    def timed(self, table: int, count: int) -> Any:
        """Run the blocks of a table, and read a clock before the first and after each."""
        with self._one_at_a_time, np.errstate(all="ignore"):
            read = [perf_counter_ns()]
            for i in range(count):
                function, slots = (_integer(table, 2 * i + j) for j in range(2))
                if not i:
                    self.reader.spans = next(s for s in self.shares if slots in s.slots).spans
                self.texts[function - FIRST](slots)
                read.append(perf_counter_ns())
        return np.array(read)

    def _block(self, text: str) -> Callable[[int], None]:
        dtype = "float32" if "float32" in text else "float64"
        body = "\n".join(
            line for line in text.splitlines() if not line.startswith(("from ", "import "))
        )
        memory, names = self.reader, dict(self.names)
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
            if n == 0:
                return
            rest = list(given)
            operands: list[Any] = []
            for kind in loads:
                if kind == "j":
                    operands.append((rest.pop(0) + np.arange(n)).astype(dtype))
                elif kind == "c":
                    operands.append(np.dtype(dtype).type(rest.pop(0)))
                elif kind == "b":
                    operands.append(self.reader.row(rest.pop(0), dtype, 1)[0].copy())
                else:
                    address = rest.pop(0)
                    stride = rest.pop(0) if kind == "s" else None
                    operands.append(self.reader.row(address, dtype, n, stride).copy())
            for mode, result in zip(stores, body(*operands), strict=True):
                values = np.broadcast_to(np.asarray(result, dtype), (n,))
                address = rest.pop(0)
                stride = rest.pop(0) if mode.startswith("strided") else None
                plain = mode.removesuffix("_compensated")
                one = plain in ("sum", "max", "argmax")
                target = self.reader.row(address, dtype, 1 if one else n, stride)
                if plain == mode:
                    STORES[mode](target, values)
                    continue
                address = rest.pop(0)
                stride = rest.pop(0) if mode.startswith("strided") else None
                error = self.reader.row(address, dtype, 1 if one else n, stride)
                _compensated(target, error, values.sum(keepdims=True) if one else values)
            assert not rest, rest

        return run

    def _pack(self, dtype: str, dst: int, src: int, rs: int, cs: int, k: int, n: int) -> None:
        item = ITEM[dtype]
        panel = self.reader.view(dst, dtype, (k, n), (n * item, item))
        panel[...] = self.reader.view(src, dtype, (k, n), (rs, cs))

    def _gemm(self, dtype: str, *arguments: int) -> None:
        a, rsa, csa, b, c, rsc, m, n, k, more = arguments
        item = ITEM[dtype]
        self._matmul(dtype, a, rsa, csa, b, n * item, item, c, rsc, m, n, k, more, 2, 0)

    def _matmul(self, dtype: str, *arguments: int) -> None:
        a, rsa, csa, b, rsb, csb, c, rsc, m, n, k, number, _, _ = arguments
        view = self.reader.view
        left, right = view(a, dtype, (m, k), (rsa, csa)), view(b, dtype, (k, n), (rsb, csb))
        target = view(c, dtype, (m, n), (rsc, ITEM[dtype]))
        target[...] = left @ right + (target if number else 0)

    def _ctc(self, dtype: str, *arguments: int) -> None:
        loss, _, *_ = arguments[8:]
        self.reader.row(loss, dtype, 1)[0] = -self._lattice(dtype, arguments).log_probability

    def _ctc_occupancy(self, dtype: str, *arguments: int) -> None:
        out, step, frames, _, classes, *_ = arguments[8:]
        lattice = self._lattice(dtype, arguments)
        target = self.reader.view(out, dtype, (frames, classes), (step, ITEM[dtype]))
        target[...] = 0.0
        target[: len(lattice.log_probs)] = lattice.occupancy()

    def _ctc_curvature(self, dtype: str, *arguments: int) -> None:
        moved, along, out, step, frames, _, classes, *_ = arguments[8:]
        lattice = self._lattice(dtype, arguments)
        shape, used = (frames, classes), len(lattice.log_probs)
        direction = self.reader.view(moved, dtype, shape, (along, ITEM[dtype]))
        target = self.reader.view(out, dtype, shape, (step, ITEM[dtype]))
        target[...] = 0.0
        target[:used] = lattice.curvature(direction[:used].astype(np.float64))

    def _lattice(self, dtype: str, arguments: Sequence[int]) -> Lattice:
        probs, frame, labels, label, frames, _, count, _ = arguments[:8]
        classes, blank, _ = arguments[-3:]
        n, m = (int(self.reader.row(a, dtype, 1)[0]) for a in (frames, count))
        said = self.reader.row(labels, dtype, m, label).astype(np.int64)
        p = self.reader.view(probs, dtype, (n, classes), (frame, ITEM[dtype])).astype(np.float64)
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
