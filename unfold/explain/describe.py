"""Describe a Plan in words: its statements in terms of the spec, and the cost of each.

In: a Program as it was planned, its Plan, the extents of a run. Out: a `Description`, plain data
that a command prints or writes as JSON:

    1  zero      ∂b
    2  product   h: U @ x[t]                all t at once, 800 × 128 × 65      13.3 Mflop
    3  pack      W                          for the loop over t
    4  loop      t, forwards, 25 steps
       product   h: W @ h[t-1]              32 × 128 × 128
       kernel    h                          batch, 128 wide

The numbers are those of blocks, which a profile shares: the statements of the top level.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from unfold.core.affine import Affine
from unfold.core.origin import Joined
from unfold.core.plan import Call, Dim, Fill, Gemm, Kernel, Load, Loop, Nest, Pack, Plan, Statement
from unfold.core.printing import show_form
from unfold.explain.costs import Costs, Effort
from unfold.explain.fates import Fate, fates
from unfold.explain.names import Names

ITEM = {"float32": 4, "float64": 8}


@dataclass(frozen=True)
class Row:
    """One statement, a kernel of one, or several that only set buffers.

    Attributes:
        kind: "loop", "nest", "product", "call", "kernel", "copy", "pack", "zero" or "shards".
        depth: the number of loops and nests around it.
        blocks: the first and the last of its blocks; empty inside a block.
        text: its result, in terms of the spec.
        details: of the computation.
        equations: those of the spec, or gradients, that it computes or contributes to.
        inside: those of them that are written out here and not stored.
        sizes: of a product: M, N, K and the number of products.
        flops, bytes: of the whole run.
    """

    kind: str
    depth: int
    blocks: tuple[int, int] | None
    text: str
    details: tuple[str, ...] = ()
    equations: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    flops: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Description:
    """A Plan in words.

    Attributes:
        name: of the spec.
        extents: of the axes, "batch" included.
        dtype: element type that bytes are counted in.
        rows: statements, in order, those inside of a loop after it.
        fates: the result of planning each equation, input and parameter.
        flops, bytes: of a run.
        parallel: whether sequences of a batch can be run apart.
    """

    name: str
    extents: Mapping[str, int]
    dtype: str
    rows: tuple[Row, ...]
    fates: tuple[Fate, ...]
    flops: int
    bytes: int
    parallel: bool


def describe(
    plan: Plan,
    extents: Mapping[str, int],
    *,
    dtype: str = "float32",
) -> Description:
    """Return a Plan in words.

    Args:
        plan: to describe.
        extents: of every axis, "batch" included.
        dtype: element type to count bytes in.
    """
    names = Names(plan.program)
    costs = Costs(plan, extents, ITEM[dtype])
    rows = tuple(_Writer(plan, names, costs).rows())
    total = costs.statements(plan.statements)
    found = fates(plan, names)
    return Description(
        plan.name, dict(extents), dtype, rows, found, total.flops, total.bytes, plan.parallel
    )


class _Writer:
    """Writes the rows of a Plan."""

    def __init__(self, plan: Plan, names: Names, costs: Costs) -> None:
        self.plan, self.names, self.costs = plan, names, costs
        self.program = names.program
        self.loops: tuple[Loop, ...] = ()
        self.packed_in = {
            s.packed: _loop_axes(plan, s) for s in plan.walk() if isinstance(s, Gemm) and s.packed
        }

    def rows(self) -> list[Row]:
        """Return all rows."""
        statements = self.plan.statements
        late = len(statements) - self.plan.late
        found: list[Row] = []
        for number, statement in enumerate(statements, 1):
            if number == late + 1 and self.plan.parallel and self.plan.partial:
                found.append(self._shards())
            found += self._statement(statement, 0, (number, number), 1)
        return _merged(found)

    def _shards(self) -> Row:
        names = tuple(dict.fromkeys(e for n in self.plan.partial for e in self.names.equations(n)))
        return Row("shards", 0, None, ", ".join(names), (), names)

    def _statement(
        self, statement: Statement, depth: int, blocks: tuple[int, int] | None, times: int
    ) -> list[Row]:
        """Return the row of a statement, and those inside of it."""
        effort = self.costs.statement(statement) * times
        if isinstance(statement, Loop):
            return self._loop(statement, depth, blocks, times, effort)
        if isinstance(statement, Nest):
            return self._nest(statement, depth, blocks, times, effort)
        if isinstance(statement, Gemm):
            row = self._product(statement, effort)
        elif isinstance(statement, Call):
            row = self._call(statement)
        elif isinstance(statement, Pack):
            row = self._pack(statement, effort)
        else:
            row = self._zero(statement, effort)
        kind, text, details, equations, sizes = row
        numbers = {"flops": effort.flops, "bytes": effort.bytes}
        return [Row(kind, depth, blocks, text, details, equations, (), sizes, **numbers)]

    def _loop(
        self,
        loop: Loop,
        depth: int,
        blocks: tuple[int, int] | None,
        times: int,
        effort: Effort,
    ) -> list[Row]:
        steps = self.costs.extents[loop.axis]
        way = "forwards" if loop.direction > 0 else "backwards"
        before, self.loops = self.loops, (*self.loops, loop)
        inner = [r for s in loop.body for r in self._statement(s, depth + 1, None, times * steps)]
        self.loops = before
        names = tuple(dict.fromkeys(e for r in inner for e in r.equations))
        text = f"{loop.axis}, {way}, {steps} steps"
        head = Row("loop", depth, blocks, text, (), names, (), (), effort.flops, effort.bytes)
        return [head, *_merged(inner)]

    def _nest(
        self,
        nest: Nest,
        depth: int,
        blocks: tuple[int, int] | None,
        times: int,
        effort: Effort,
    ) -> list[Row]:
        if len(nest.kernels) == 1:
            return [self._kernel(nest, nest.kernels[0], depth, blocks, times, alone=True)]
        inner = [self._kernel(nest, k, depth + 1, None, times, alone=False) for k in nest.kernels]
        names = tuple(dict.fromkeys(e for r in inner for e in r.equations))
        dims = self._dims(nest.dims, nest.within) or "once"
        text = f"{dims}, in one pass"
        head = Row("nest", depth, blocks, text, (), names, (), (), effort.flops, effort.bytes)
        return [head, *inner]

    def _kernel(
        self,
        nest: Nest,
        kernel: Kernel,
        depth: int,
        blocks: tuple[int, int] | None,
        times: int,
        *,
        alone: bool,
    ) -> Row:
        values = tuple(dict.fromkeys(kernel.values))
        copy = not kernel.lines and all(self.names.is_copy(self.program[n]) for n in values)
        begins = {x.number for _, x in kernel.lines if not x.arguments and not kernel.leaves}
        own = dict.fromkeys(e for n in values for e in self.names.equations(n))
        inside: tuple[str, ...] = ()
        if not copy and not begins:
            hidden = (n for v in values for n in self.names.inside(v, self.plan.buffers))
            inside = tuple(
                e for e in dict.fromkeys(map(self.names.equation, hidden)) if e not in own
            )
        slow = filter(None, (self.names.slow(n, self.plan.slow) for n in values))
        details = [self._points(nest if alone else None, kernel), *self._picks(kernel)]
        details += [f"vector loops, not a GEMM: {why}" for why in slow]
        details[:0] = [f"to {number}" for number in sorted(begins)]
        effort = self.costs.kernel(nest, kernel) * times
        return Row(
            "copy" if copy else "zero" if begins else "kernel",
            depth,
            blocks,
            self._made(kernel, inside, copy=copy or bool(begins)),
            tuple(d for d in details if d),
            self.names.sorted((*inside, *own)),
            inside,
            flops=effort.flops,
            bytes=effort.bytes,
        )

    def _made(self, kernel: Kernel, inside: Iterable[str], *, copy: bool) -> str:
        """Return the values that a kernel makes, and those that it adds to."""
        made, added = _by_mode(kernel)
        if copy:
            return ", ".join(dict.fromkeys(map(self.names.show, made)))
        parts: dict[str, dict[str, None]] = {e: {} for e in inside}
        for name in made:
            if isinstance(self.names.program[name].origin, Joined):
                parts |= {e: parts.get(e, {}) for e in self.names.equations(name)}
            else:
                part = self.names.part(name)
                found = parts.setdefault(self.names.equation(name), {})
                found |= dict.fromkeys([part] if part else [])
        words = [
            f"{self.names.show(e)} ({', '.join(parts[e])})" if parts[e] else self.names.show(e)
            for e in self.names.sorted(parts)
        ]
        if added:
            what = self.names.sorted(self.names.equation(n) for n in added)
            words = [", ".join(words)] if words else []
            words.append(f"adds to {', '.join(what)}")
            return "; ".join(words)
        return ", ".join(words)

    def _points(self, nest: Nest | None, kernel: Kernel) -> str:
        """Return the loops around a kernel and its width: `for t, batch: 103 wide`."""
        vector = kernel.vector
        wide = ""
        if vector is not None:
            wide = f"{vector.size} wide" if vector.size is not None else f"{vector.name} wide"
        dims = self._dims(nest.dims, nest.within) if nest is not None else ""
        return ", ".join(w for w in (dims, wide) if w)

    def _picks(self, kernel: Kernel) -> list[str]:
        """Describe how categories pick rows."""
        loads = [leaf.access for leaf in kernel.leaves.values() if isinstance(leaf, Load)]
        found: list[str] = []
        for access in loads:
            for category, _ in access.indirect:
                source = self.names.source(access.buffer)
                found.append(f"gathers {source} by {self.names.access(category)}")
        for _, store in kernel.stores:
            for category, _ in store.access.indirect:
                target = self.names.show(store.access.buffer)
                found.append(f"scatters to {target} by {self.names.access(category)}")
        return list(dict.fromkeys(found))

    def _dims(self, dims: Sequence[Dim], within: Iterable[Affine] = ()) -> str:
        """Return loops around a kernel, with their bounds: `t, s <= t, batch`."""
        axes = [d.name for d in dims if d.size is None]
        inner = {next((a for a in reversed(axes) if a in f.axes), None): f for f in within}
        shown = [
            f"{d.size} rows"
            if d.size is not None
            else show_form(
                inner[d.name].rename({a: self.names.axis(a) for a in inner[d.name].axes})
            )
            if d.name in inner
            else self.names.axis(d.name)
            for d in dims
        ]
        return f"for {', '.join(shown)}" if shown else ""

    def _product(
        self, gemm: Gemm, effort: Effort
    ) -> tuple[str, str, tuple[str, ...], tuple[str, ...], tuple[int, ...]]:
        value = self.program[gemm.value]
        equations = self.names.equations(gemm.value)
        sizes = tuple(self.costs.size(d) for d in (gemm.m, gemm.n, gemm.k, gemm.outer))
        details: list[str] = []
        if (joined := self.names.joined(gemm.value)) > 1:
            details.append(f"{joined} products in one")
        if gemm.axes:
            details.append(f"all {', '.join(gemm.axes)} at once")
        many = f"{sizes[3]} of " if sizes[3] > 1 else ""
        details.append(many + " × ".join(map(str, sizes[:3])))
        text = f"{', '.join(equations)}: {self.names.product(value)}"
        return "product", text, tuple(details), equations, sizes

    def _call(
        self, call: Call
    ) -> tuple[str, str, tuple[str, ...], tuple[str, ...], tuple[int, ...]]:
        equations = self.names.equations(call.value)
        over = ", ".join(self.names.axis(a) for a in call.inner if a != call.along)
        details = (w for w in (self._dims(call.dims), f"one kernel over {over}") if w)
        text = f"{', '.join(equations)}: {self.names.call(self.program[call.value])}"
        return "call", text, tuple(details), equations, ()

    def _pack(
        self, pack: Pack, effort: Effort
    ) -> tuple[str, str, tuple[str, ...], tuple[str, ...], tuple[int, ...]]:
        axes = self.packed_in.get(pack.name, ())
        over = f"for every {', '.join(pack.over)}, " if pack.over else ""
        where = f"{over}for the loop over {' and '.join(axes)}"
        return "pack", self.names.show(pack.b.buffer), (where,), (), ()

    def _zero(
        self, fill: Fill, effort: Effort
    ) -> tuple[str, str, tuple[str, ...], tuple[str, ...], tuple[int, ...]]:
        name = self.names.show(fill.buffer)
        details = () if fill.number == 0 else (f"to {fill.number}",)
        return "zero", name, details, self.names.equations(fill.buffer), ()


def _loop_axes(plan: Plan, wanted: Statement) -> tuple[str, ...]:
    """Return the axes of the loops around a statement."""

    def find(statements: list[Statement], axes: tuple[str, ...]) -> tuple[str, ...] | None:
        for statement in statements:
            if statement is wanted:
                return axes
            if isinstance(statement, Loop):
                found = find(statement.body, (*axes, statement.axis))
                if found is not None:
                    return found
        return None

    return find(plan.statements, ()) or ()


def _by_mode(kernel: Kernel) -> tuple[list[str], list[str]]:
    """Return the values that a kernel makes, and those that it adds something to."""
    made: dict[str, None] = {}
    added: dict[str, None] = {}
    for name, (_, store) in zip(kernel.values, kernel.stores, strict=True):
        (added if store.mode == "add" else made)[name] = None
    return list(made), list(added)


def _merged(rows: list[Row]) -> list[Row]:
    """Return rows with one in place of several that set buffers to one number."""
    found: list[Row] = []
    for row in rows:
        last = found[-1] if found else None
        same = last is not None and row.kind == last.kind == "zero" and row.depth == last.depth
        if same and last is not None and row.details == last.details:
            found[-1] = _joined(last, row)
        else:
            found.append(row)
    return found


def _joined(a: Row, b: Row) -> Row:
    names = dict.fromkeys((*a.text.split(", "), b.text))
    return replace(
        a,
        blocks=(a.blocks[0], b.blocks[1]) if a.blocks and b.blocks else None,
        text=", ".join(names),
        equations=tuple(dict.fromkeys((*a.equations, *b.equations))),
        flops=a.flops + b.flops,
        bytes=a.bytes + b.bytes,
    )
