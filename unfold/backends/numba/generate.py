"""Write the module of one block of a Plan: readable Python that Numba compiles.

A block is a C function of one argument, the address of its slots: 64-bit integers that the binder
(`unfold.backends.native.bind`) fills with extents, strides and addresses. The text has no name from
a spec and no size of an axis in it, so equal blocks of different models are one compiled kernel.

    for i0 in range(s3 - 1, -1, -1):           a recurrence
        for i1 in range(s4):                   the batch
            k0(128, s5 + i0*s6 + i1*s7, ...)   a kernel over 128 elements
        call(s8, s9 + i0*s6, ...)              a product
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod

from unfold.backends.native.loops import bounds, divided, placed
from unfold.backends.native.protocol import ITEM, Block, Slot
from unfold.backends.numba.scalars import folded, kernel_text, number
from unfold.core.affine import Affine
from unfold.core.op import SUM
from unfold.core.plan import (
    Access,
    Buffer,
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

ACROSS = ("sum", "max", "argmax")  # what has vector instructions of its own
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
    return tuple(_Writer(plan, dtype).block(s) for s in plan.statements)


@dataclass
class _Writer:
    """The text of one block."""

    plan: Plan
    dtype: str
    slots: dict[Slot, str] = field(default_factory=dict[Slot, str])
    kernels: list[str] = field(default_factory=list[str])
    lines: list[str] = field(default_factory=list[str])
    loops: dict[str, str] = field(default_factory=dict[str, str])
    values: dict[str, None] = field(default_factory=dict[str, None])
    loaded: dict[str, str] = field(default_factory=dict[str, str])
    temporaries: int = 0

    @property
    def item(self) -> int:
        return ITEM[self.dtype]

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

    # Names and addresses

    def slot(self, *key: object) -> str:
        """Return the variable of a slot."""
        return self.slots.setdefault(key, f"s{len(self.slots)}")

    def put(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def temporary(self, depth: int, text: str) -> str:
        name = f"q{self.temporaries}"
        self.temporaries += 1
        self.put(depth, f"{name} = {text}")
        return name

    def open(self, dim: Dim, depth: int, direction: int = 1, within: Sequence[Affine] = ()) -> int:
        """Begin a loop, which bounds may shorten, and return the depth of its body."""
        name = f"i{len(self.loops)}"
        while name in self.loops.values():
            name += "_"
        end = self.extent(dim)
        span = f"range({end})" if direction > 0 else f"range({end} - 1, -1, -1)"
        if within:
            first, end = bounds(dim.name, end, within, lambda f: self.form(f, depth, batched=False))
            span = f"range({first}, {end})"
        self.put(depth, f"for {name} in {span}:")
        self.loops[dim.name] = name
        return depth + 1

    def form(self, form: Affine, depth: int, *, batched: bool) -> str:
        """Return a form as a number."""
        terms = [f"{f}*{self.loops[a]}" for a, f in form.terms]
        terms += [f"{f}*{self.last(a, batched, depth)}" for a, f in form.lasts]
        return " + ".join([*terms, str(form.constant)])

    def extent(self, dim: Dim) -> str:
        return str(dim.size) if dim.size is not None else self.slot("extent", dim.name)

    def close(self, dims: tuple[Dim, ...]) -> None:
        for dim in dims:
            del self.loops[dim.name]

    def buffer(self, access: Access) -> Buffer:
        return self.plan.buffers[access.buffer]

    def address(
        self, access: Access, depth: int, vector: str | None, *, waste: bool = False
    ) -> str:
        """Return the text of the address of an element, with the vector dimension at 0."""
        buffer, index = self.buffer(access), dict(access.index)
        fixed: list[tuple[str, Affine]] = []
        parts: list[str] = []
        checks: list[str] = []
        for stored in buffer.axes:
            at = index[stored.axis]
            if stored.axis in access.guarded:
                q, check = self.guarded(access, stored.axis, at, depth)
                checks.append(check)
                parts.append(f"{q}*{self.slot('stride', buffer.name, stored.axis, 1)}")
                continue
            if stored.ring is not None:
                # Only a loop's own axis has a ring, and is read at a constant offset.
                ((axis, _),) = at.terms
                stride = self.slot("stride", buffer.name, stored.axis, 1)
                place = at.constant % stored.ring
                inner = f"{self.loops[axis]} + {place}" if place else self.loops[axis]
                parts.append(f"(({inner}) % {stored.ring})*{stride}")
                continue
            fixed.append((stored.axis, Affine((), at.constant, at.lasts)))
            for axis, factor in at.terms:
                if axis != vector:
                    step = self.slot("stride", buffer.name, stored.axis, factor)
                    parts.append(f"{self.loops[axis]}*{step}")
        offset = access.offset * self.item
        for dim, step in access.terms:
            if dim != vector:
                parts.append(f"{self.loops[dim]}*{step * self.item}")
        # The binder widens halos by what is read, so it has to see the whole index.
        whole = tuple(
            (s.axis, index[s.axis])
            for s in buffer.axes
            if s.axis not in access.guarded and s.ring is None
        )
        base = self.slot("address", buffer.name, tuple(fixed), whole)
        for category, step in access.indirect:
            q = self.category(category, depth, vector)
            checks.append(f"{q} >= 0")
            parts.append(f"{q}*{step * self.item}")
        text = " + ".join([base, *parts] + ([str(offset)] if offset else []))
        if not checks:
            return text
        other = self.slot("waste") if waste else self.slot("outside", buffer.empty)
        return self.temporary(depth, f"{text} if {' and '.join(checks)} else {other}")

    def category(self, access: Access, depth: int, vector: str | None) -> str:
        """Return the variable of a category, loaded once per kernel."""
        address = self.address(access, depth, vector)
        if address not in self.loaded:
            self.loaded[address] = self.temporary(depth, f"index_{self.dtype}({address})")
        return self.loaded[address]

    def guarded(self, access: Access, axis: str, at: Affine, depth: int) -> tuple[str, str]:
        """Return an index that is checked, and the check."""
        write = partial(self.form, depth=depth, batched=access.batched)
        position, checks = divided(at, write, partial(self.temporary, depth))
        end = self.last(axis, access.batched, depth)
        return position, " and ".join([f"0 <= {position} <= {end}", *checks])

    def last(self, axis: str, batched: bool, depth: int) -> str:
        """Return the last index of an axis, of the present sequence where lengths differ."""
        name = f"last.{axis}"
        if batched and name in self.plan.buffers:
            own = Access(name, ((BATCH, Affine.axis(BATCH)),))
            return f"index_{self.dtype}({self.address(own, depth, None)})"
        return f"({self.slot('extent', axis)} - 1)"

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
        parts = [self.slot("start", fill.buffer)]
        for stored in self.plan.buffers[fill.buffer].axes:
            if stored.axis in fill.looped:
                stride = self.slot("stride", fill.buffer, stored.axis, 1)
                at = self.loops[stored.axis]
                place = (
                    f"{at} % {stored.ring}"
                    if stored.ring
                    else f"{at} + {self.slot('halo', fill.buffer, stored.axis)}"
                )
                parts.append(f"({place})*{stride}")
        count = self.slot("count", fill.buffer, fill.looped)
        self.values[fill.buffer] = None
        start = " + ".join(parts)
        self.put(depth, f"fill_{self.dtype}({start}, {count}, {number(fill.number)})")

    def nest(self, nest: Nest, depth: int) -> None:
        around = {*self.loops, *(d.name for d in nest.dims)}
        own = BATCH in around or any(k.vector == Dim(BATCH) for k in nest.kernels)
        bounded, left = placed(nest.dims, nest.within, self.plan.buffers if own else ())
        for dim, within in zip(nest.dims, bounded, strict=True):
            depth = self.open(dim, depth, within=within)
        if left:
            held = (f"{self.form(f, depth, batched=own)} >= 0" for f in left)
            self.put(depth, f"if {' and '.join(held)}:")
            depth += 1
        for kernel in nest.kernels:
            self.kernel(kernel, depth)
        self.close(nest.dims)

    def kernel(self, kernel: Kernel, depth: int) -> None:
        self.values.update(dict.fromkeys(kernel.values))
        self.loaded = {}
        vector = kernel.vector.name if kernel.vector else None
        leaves = dict(kernel.leaves)
        lines, stores = list(kernel.lines), list[tuple[str, Store]]()
        for variable, store in kernel.stores:
            if store.onto and store.onto.scalar and store.mode != SUM.pair:
                there, kept = f"m{len(leaves)}", f"w{len(lines)}"
                leaves[there] = Load(store.access)
                lines.append((kept, store.onto.scalar(X(there), X(variable))))
                variable, store = kept, Store(store.access)
            stores.append((variable, store))
        loads, arguments = "", list[str]()
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
        count = self.extent(kernel.vector) if kernel.vector else "1"
        self.put(depth, f"{name}({', '.join([count, *arguments])})")

    def leaf(self, leaf: object, depth: int, vector: str | None) -> tuple[str, list[str]]:
        """Return how a leaf is loaded, and its arguments."""
        if isinstance(leaf, Coordinate):
            if leaf.dim == vector:
                return "j", []
            return "c", [f"float({self.loops[leaf.dim]})"]
        if isinstance(leaf, Last):
            return "c", [f"float({self.slot('extent', leaf.axis)} - 1)"]
        assert isinstance(leaf, Load)
        address = self.address(leaf.access, depth, vector)
        kind, stride = self.along(leaf.access, vector)
        return kind, [address, *stride]

    def along(self, access: Access, vector: str | None) -> tuple[str, list[str]]:
        """Return how an access moves along the vector dimension: v, b, or s and its stride."""
        if vector is None:
            return "v", []
        step = dict(access.terms).get(vector)
        if step is not None:
            return ("v", []) if step == 1 else ("s", [str(step * self.item)])
        buffer, index = self.buffer(access), dict(access.index)
        moving = [s for s in buffer.axes if index[s.axis].coefficient(vector)]
        if not moving:
            return "b", []
        innermost = len(moving) == 1 and moving[0] == buffer.axes[-1] and prod(buffer.shape) == 1
        if innermost and index[moving[0].axis].coefficient(vector) == 1:
            return "v", []
        strides = [
            self.slot("stride", buffer.name, s.axis, index[s.axis].coefficient(vector))
            for s in moving
        ]
        return "s", [" + ".join(strides)]

    def errors(self, buffer: str) -> str | None:
        """Return the buffer of what rounding adds to another, if elements are that imprecise."""
        return self.plan.buffers[buffer].errors if self.dtype == "float32" else None

    def store(self, store: Store, depth: int, vector: str | None) -> tuple[str, list[str]]:
        """Return how a result is stored, and its arguments."""
        mode, given = self.target(store, depth, vector)
        errors = self.errors(store.access.buffer)
        if errors is None or mode not in ("add", "strided_add", "sum") or store.reset is not None:
            return mode, given
        beside = replace(store, access=replace(store.access, buffer=errors))
        return f"{mode}_compensated", [*given, *self.target(beside, depth, vector)[1]]

    def target(self, store: Store, depth: int, vector: str | None) -> tuple[str, list[str]]:
        """Return how a result is stored without regard to rounding, and its arguments."""
        address = self.address(store.access, depth, vector, waste=True)
        if store.reset is not None:
            self.put(depth, f"put_{self.dtype}({address}, {number(store.reset)})")
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
        number = "0"  # of the product among those that are added up
        for dim in more_k:
            here = self.loops[dim.name]
            number = here if number == "0" else f"({number})*{self.extent(dim)} + {here}"
        a = [self.corner(gemm.a, depth, inner), self.step(gemm.a, m), self.step(gemm.a, k)]
        c = [self.corner(gemm.c, depth, inner), self.step(gemm.c, m)]
        c += [self.product(d) for d in (m, n, k)]
        if gemm.packed is not None:
            function, b = self.slot("function", "gemm"), [self.packed(gemm.packed)]
            rest = [f"min({number}, 1)" if more_k else "0"]
        else:
            function = self.slot("function", "matmul")
            b = [self.corner(gemm.b, depth, inner), self.step(gemm.b, k), self.step(gemm.b, n)]
            scratch = self.slot("scratch", *(tuple(d) for d in (m, n, k, more_k)))
            rest = [number, self.product(more_k), scratch]
        self.put(depth, f"call({', '.join([function, *a, *b, *c, *rest])})")
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
            arguments.append(self.step(access, (Dim(axis),)) if axis else "0")
        axes = dict.fromkeys(a for a in call.bound if a is not None)
        arguments += [self.slot("extent", a) for a in axes]
        arguments += map(str, (*self.buffer(call.operands[0]).shape, *call.numbers))
        arguments.append(self.slot("room", call.op, *axes))
        self.put(depth, f"call({', '.join(arguments)})")
        self.close(call.dims)

    def packed(self, name: str) -> str:
        pack = self.plan.packs[name]
        steps = [f"{self.loops[a]}*{self.slot('packstride', name, a)}" for a in pack.over]
        return " + ".join([self.slot("pack", name), *steps])

    def pack(self, pack: Pack, depth: int) -> None:
        self.values[pack.b.buffer] = None
        dims = tuple(Dim(a) for a in pack.over)
        for dim in dims:
            depth = self.open(dim, depth)
        inner = {d.name for d in (*pack.n, *pack.k)}
        source = self.corner(pack.b, depth, inner)
        sizes = [self.product(d) for d in (pack.k, pack.n)]
        strides = [self.step(pack.b, pack.k), self.step(pack.b, pack.n)]
        arguments = [
            self.slot("function", "pack"),
            self.packed(pack.name),
            source,
            *strides,
            *sizes,
        ]
        self.put(depth, f"call({', '.join(arguments)})")
        self.close(dims)

    def corner(self, access: Access, depth: int, inner: set[str]) -> str:
        """Return the address of an element with some dimensions at 0."""
        saved = dict(self.loops)
        self.loops |= dict.fromkeys(inner, "0")
        text = self.address(access, depth, None)
        self.loops = saved
        return " + ".join(p for p in text.split(" + ") if not p.startswith("0*"))

    def product(self, dims: tuple[Dim, ...]) -> str:
        return "*".join(self.extent(d) for d in dims) or "1"

    def step(self, access: Access, dims: tuple[Dim, ...]) -> str:
        """Return the bytes from one element to the next along collapsed dimensions."""
        if not dims:
            return "0"
        name = dims[-1].name
        terms = dict(access.terms)
        if name in terms:
            return str(terms[name] * self.item)
        buffer, index = self.buffer(access), dict(access.index)
        moving = [s for s in buffer.axes if index[s.axis].coefficient(name)]
        steps = [
            self.slot("stride", buffer.name, s.axis, index[s.axis].coefficient(name))
            for s in moving
        ]
        return " + ".join(steps) or "0"

    def collapsed(
        self, dims: tuple[Dim, ...], accesses: tuple[Access, ...]
    ) -> tuple[tuple[Dim, ...], tuple[Dim, ...]]:
        """Return the dimensions that are one in memory (the last ones), and the others."""
        start = max(len(dims) - 1, 0)
        while start > 0 and all(self.adjacent(a, dims[start - 1], dims[start]) for a in accesses):
            start -= 1
        return dims[start:], dims[:start]

    def adjacent(self, access: Access, outer: Dim, inner: Dim) -> bool:
        """Whether a step along one dimension is the whole extent of the next one."""
        terms = dict(access.terms)
        if inner.name in terms:
            return (
                inner.size is not None and terms.get(outer.name) == terms[inner.name] * inner.size
            )
        if inner.name != BATCH or outer.name in terms:
            return False
        axes, index = self.buffer(access).axes, dict(access.index)
        if len(axes) < 2 or axes[-1].axis != BATCH or axes[-2].ring is not None:
            return False
        at = index[axes[-2].axis]
        alone = all(s == axes[-2] or not index[s.axis].coefficient(outer.name) for s in axes)
        return (
            at.coefficient(outer.name) == 1
            and at.divisor == 1
            and alone
            and axes[-2].axis not in access.guarded
        )
