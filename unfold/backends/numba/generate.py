"""Write the module of one block of a Plan: readable Python that Numba compiles.

The places of elements are data (`native.addresses`), which this module turns into text. A block is
a C function of one argument, the address of its slots: 64-bit integers that the binder
(`native.bind`) fills with extents, strides and addresses. The text contains no name from a spec and
no size of an axis, so equal blocks of different models are one compiled kernel.

    for i0 in range(s3 - 1, -1, -1):           a recurrence
        for i1 in range(s4):                   the batch
            k0(128, s5 + i0*s6 + i1*s7, ...)   a kernel over 128 elements
        call(s8, s9 + i0*s6, ...)              a product
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from unfold.backends.native.addresses import Addresses
from unfold.backends.native.integers import Integer, function, product, total
from unfold.backends.native.integers import number as whole
from unfold.backends.native.loops import bounds, placed
from unfold.backends.native.protocol import Block
from unfold.backends.numba.language import Python
from unfold.backends.numba.scalars import folded, kernel_text, number
from unfold.core.affine import Affine
from unfold.core.op import SUM
from unfold.core.plan import (
    Call,
    Coordinate,
    Dim,
    Fill,
    Gemm,
    Kernel,
    Last,
    Load,
    Loop,
    Nest,
    Pack,
    Plan,
    Statement,
    Store,
)
from unfold.core.program import BATCH
from unfold.core.scalar import X

ACROSS = ("sum", "max", "argmax")  # reductions with their own vector instructions
HEADER = """\
from numba import cfunc

from unfold.backends.numba.calls import call, load_i64
from unfold.backends.numba.functions import *
from unfold.backends.numba.folding import fold
from unfold.backends.numba.memory import fill_{dtype}, index_{dtype}, put_{dtype}
from unfold.backends.numba.vector import vector_kernel
"""


def blocks(plan: Plan, dtype: str) -> tuple[Block, ...]:
    """Return the blocks of a Plan, one for each statement of its top level."""
    return tuple(_Writer(plan, dtype, Python(dtype)).block(s) for s in plan.statements)


@dataclass
class _Writer(Addresses):
    """The text of one block."""

    kernels: list[str] = field(default_factory=list[str])
    values: dict[str, None] = field(default_factory=dict[str, None])

    def block(self, statement: Statement) -> Block:
        self.slots, self.kernels, self.lines, self.loops = {}, [], [], {}
        self.values, self.temporaries = {}, 0
        self.statement(statement, 1)
        loads = [f"    {n} = load_i64(f, {i})" for i, n in enumerate(self.slots.values())]
        parts = [HEADER.format(dtype=self.dtype), *self.kernels]
        parts.append(
            "\n".join(['\n@cfunc("void(int64)", cache=True)\ndef block(f):', *loads, *self.lines])
        )
        return Block("\n".join(parts) + "\n", tuple(self.slots), tuple(self.values))

    def text(self, x: Integer) -> str:
        return self.language.integer(x)

    def texts(self, *numbers: Integer) -> str:
        return ", ".join(map(self.text, numbers))

    # Statements

    def statement(self, statement: Statement, depth: int) -> None:
        if isinstance(statement, Loop):
            dim = Dim(statement.axis)
            inner = self.open(dim, depth, statement.direction)
            for part in statement.body:
                self.statement(part, inner)
            self.close((dim,))
        elif isinstance(statement, Nest):
            self.nest(statement, depth)
        elif isinstance(statement, Gemm):
            self.gemm(statement, depth)
        elif isinstance(statement, Call):
            self.call(statement, depth)
        elif isinstance(statement, Pack):
            self.pack(statement, depth)
        else:
            self.fill(statement, depth)

    def fill(self, fill: Fill, depth: int) -> None:
        errors = self.errors(fill.buffer)
        if errors:
            self.fill(Fill(errors, fill.looped, 0.0), depth)
        start = self.start(fill)
        count = self.slot("count", fill.buffer, fill.looped)
        self.values[fill.buffer] = None
        arguments = f"{self.texts(start, count)}, {number(fill.number)}"
        self.put(depth, f"fill_{self.dtype}({arguments})")

    def nest(self, nest: Nest, depth: int) -> None:
        around = {*self.loops, *(d.name for d in nest.dims)}
        vectors = {k.vector.name for k in nest.kernels if k.vector}
        own = BATCH in around or BATCH in vectors
        along = [f for f in nest.within if vectors & set(f.axes)]
        rest = [f for f in nest.within if f not in along]
        bounded, left = placed(nest.dims, rest, self.plan.buffers if own else ())
        for dim, within in zip(nest.dims, bounded, strict=True):
            depth = self.open(dim, depth, within=within)
        if left:
            forms = (self.form(f, depth, batched=own) for f in left)
            held = function("all", *(function("nonnegative", f) for f in forms))
            self.put(depth, f"if {self.text(held)}:")
            depth += 1
        for kernel in nest.kernels:
            self.kernel(kernel, depth, along, batched=own)
        self.close(nest.dims)

    def part(
        self, vector: Dim, depth: int, within: Sequence[Affine], *, batched: bool
    ) -> tuple[Integer, Integer]:
        """Return the first point that bounds leave of a vector dimension, and their number."""
        if not within:
            return whole(0), self.extent(vector)
        value = partial(self.form, depth=depth, batched=batched)
        first, end = bounds(vector.name, self.extent(vector), within, value)
        first = self.temporary(depth, first)
        count = function("largest", whole(0), function("difference", end, first))
        return first, self.temporary(depth, count)

    def kernel(
        self, kernel: Kernel, depth: int, within: Sequence[Affine] = (), *, batched: bool = False
    ) -> None:
        """Write a kernel.

        Args:
            kernel: to write.
            depth: of the code.
            within: bounds of its vector dimension.
            batched: whether these are those of one sequence.
        """
        self.values.update(dict.fromkeys(kernel.values))
        self.loaded = {}
        vector = kernel.vector.name if kernel.vector else None
        count = whole(1)
        if kernel.vector:
            first, count = self.part(kernel.vector, depth, within, batched=batched)
            if within:
                self.loops[kernel.vector.name] = first
        leaves = dict(kernel.leaves)
        lines, stores = list(kernel.lines), list[tuple[str, Store]]()
        for variable, store in kernel.stores:
            if store.onto and store.onto.scalar and store.mode != SUM.pair:
                there, kept = f"m{len(leaves)}", f"w{len(lines)}"
                leaves[there] = Load(store.access)
                lines.append((kept, store.onto.scalar(X(there), X(variable))))
                variable, store = kept, Store(store.access)
            stores.append((variable, store))
        loads, arguments = "", list[Integer]()
        for leaf in leaves.values():
            kind, given = self.leaf(leaf, depth, vector)
            loads += kind
            arguments += given
        modes: list[str] = []
        for _, store in stores:
            mode, given = self.store(store, depth, vector)
            modes.append(mode)
            arguments += given
        name = f"k{len(self.kernels)}"
        self.kernels.append(
            kernel_text(name, self.dtype, loads, modes, leaves, lines, [v for v, _ in stores])
        )
        self.put(depth, f"{name}({self.texts(count, *arguments)})")
        if kernel.vector and within:
            del self.loops[kernel.vector.name]

    def leaf(self, leaf: object, depth: int, vector: str | None) -> tuple[str, list[Integer]]:
        """Return the load of a leaf, and its arguments."""
        if isinstance(leaf, Coordinate):
            at = function("real", self.loops.get(leaf.dim, whole(0)))
            return "j" if leaf.dim == vector else "c", [at]
        if isinstance(leaf, Last):
            last = function("difference", self.slot("extent", leaf.axis), 1)
            return "c", [function("real", last)]
        assert isinstance(leaf, Load)
        address = self.address(leaf.access, depth, vector)
        kind, stride = self.along(leaf.access, vector)
        return kind, [address, *stride]

    def errors(self, buffer: str) -> str | None:
        """Return the buffer of another's rounding errors, if elements are that imprecise."""
        return self.plan.buffers[buffer].errors if self.dtype == "float32" else None

    def store(self, store: Store, depth: int, vector: str | None) -> tuple[str, list[Integer]]:
        """Return the store of a result, and its arguments."""
        mode, given = self.target(store, depth, vector)
        errors = self.errors(store.access.buffer)
        if errors is None or mode not in ("add", "strided_add", "sum") or store.reset is not None:
            return mode, given
        beside = replace(store, access=replace(store.access, buffer=errors))
        return f"{mode}_compensated", [*given, *self.target(beside, depth, vector)[1]]

    def target(self, store: Store, depth: int, vector: str | None) -> tuple[str, list[Integer]]:
        """Return the store of a result without regard to rounding, and its arguments."""
        address = self.address(store.access, depth, vector, waste=True)
        if store.reset is not None:
            self.put(depth, f"put_{self.dtype}({self.text(address)}, {number(store.reset)})")
        if store.mode in ACROSS:
            return store.mode, [address]
        if store.across:
            return folded(store.across), [address]
        kind, stride = self.along(store.access, vector)
        assert kind != "b", store
        if kind == "v":
            return store.mode, [address]
        return {"store": "strided", "add": "strided_add"}[store.mode], [address, *stride]

    # Products

    def gemm(self, gemm: Gemm, depth: int) -> None:
        self.values[gemm.value] = None
        m, more_m = self.collapsed(gemm.m, (gemm.a, gemm.c))
        n, more_n = self.collapsed(gemm.n, (gemm.b, gemm.c))
        k, more_k = self.collapsed(gemm.k, (gemm.a, gemm.b))
        around = (*gemm.outer, *more_m, *more_n, *more_k)
        for dim in around:
            depth = self.open(dim, depth)
        inner = {d.name for d in (*m, *n, *k)}
        turn = whole(0)  # of the product among those that are added up
        for dim in more_k:
            here = self.loops[dim.name]
            around_it = product(function("group", turn), self.extent(dim))
            turn = here if turn == whole(0) else total(around_it, here)
        a = [self.corner(gemm.a, depth, inner), self.step(gemm.a, m), self.step(gemm.a, k)]
        c = [self.corner(gemm.c, depth, inner), self.step(gemm.c, m)]
        c += [self.size(d) for d in (m, n, k)]
        if gemm.packed is not None:
            called, b = self.slot("function", "gemm"), [self.packed(gemm.packed)]
            rest = [function("least", turn, 1) if more_k else whole(0)]
        else:
            called = self.slot("function", "matmul")
            b = [self.corner(gemm.b, depth, inner), self.step(gemm.b, k), self.step(gemm.b, n)]
            scratch = self.slot("scratch", *(tuple(d) for d in (m, n, k, more_k)))
            rest = [turn, self.size(more_k), scratch]
        self.put(depth, f"call({self.texts(called, *a, *b, *c, *rest)})")
        self.close(around)

    # Operators with kernels of their own

    def call(self, call: Call, depth: int) -> None:
        """Write a call: (address, bytes to the next point) of each array, then sizes."""
        self.values[call.value] = None
        for dim in call.dims:
            depth = self.open(dim, depth)
        inner = set(call.inner)
        arguments = [self.slot("kernel", call.op)]
        arrays = [*zip(call.operands, call.bound, strict=True), (call.target, call.along)]
        for access, axis in arrays:
            arguments.append(self.corner(access, depth, inner))
            arguments.append(self.step(access, (Dim(axis),)) if axis else whole(0))
        axes = dict.fromkeys(a for a in call.bound if a is not None)
        arguments += [self.slot("extent", a) for a in axes]
        arguments += map(whole, (*self.buffer(call.operands[0]).shape, *call.numbers))
        arguments.append(self.slot("room", call.op, *axes))
        self.put(depth, f"call({self.texts(*arguments)})")
        self.close(call.dims)

    def pack(self, pack: Pack, depth: int) -> None:
        self.values[pack.b.buffer] = None
        dims = tuple(Dim(a) for a in pack.over)
        for dim in dims:
            depth = self.open(dim, depth)
        inner = {d.name for d in (*pack.n, *pack.k)}
        source = self.corner(pack.b, depth, inner)
        sizes = [self.size(d) for d in (pack.k, pack.n)]
        strides = [self.step(pack.b, pack.k), self.step(pack.b, pack.n)]
        arguments = [
            self.slot("function", "pack"),
            self.packed(pack.name),
            source,
            *strides,
            *sizes,
        ]
        self.put(depth, f"call({self.texts(*arguments)})")
        self.close(dims)
