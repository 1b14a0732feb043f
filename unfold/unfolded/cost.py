"""The costs of a run: work and span of its graph, arithmetic, memory.

In: a Program, a Domain and, for the backward pass, its adjoint Program. Out: `Cost`, by formulas:

    work, span      computed nodes; the longest chain of them (Brent 1974). work / span is the mean
                    number of nodes that could be computed at once
    state           numbers per sequence that later steps read: delay times size
    flops           see below; index points outside of a sequence's length cost nothing
    bytes           every equation reads each array it needs once and writes its result once
    training_bytes  parameters, their gradients, and what the backward pass needs of the forward
                    pass, over all index points: the memory of backpropagation through time

A product of real operands costs, for each combination of its letters, a multiplication per operand
after the first and an addition if anything is summed (W @ h is 2 n m); a category is a pick, its
letters cost nothing. A pointwise equation costs its operations in the scalar language, exp and tanh
counting 1; a reduction 1 per element; views nothing. A kernel has the cost in its row for each
combination of the points that it binds.

Known weakness: no fusion, reuse of buffers or recomputation is assumed; a Plan knows better.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import numpy as np

from unfold.core.letters import letters
from unfold.core.op import OPS, Kind, Source
from unfold.core.program import BATCH, Program, Ref, Value
from unfold.core.scalar import X
from unfold.core.types import Type
from unfold.errors import DataError
from unfold.runs.domain import Domain
from unfold.unfolded.levels import levels

INDEX_BYTES = 8


@dataclass(frozen=True)
class Cost:
    """The costs of one run over a batch.

    Attributes:
        work: number of nodes that are computed.
        span: number of nodes on the longest chain.
        parameters: number of numbers that are learned, initial states included.
        state: numbers per sequence that are carried along the axis.
        flops: floating-point operations of the forward pass.
        bytes: bytes moved by the forward pass.
        backward_flops: floating-point operations of the backward pass; None without an adjoint.
        backward_bytes: bytes moved by the backward pass; None without an adjoint.
        training_bytes: memory for parameters, gradients and what is kept; None without an adjoint.
    """

    work: int
    span: int
    parameters: int
    state: int
    flops: int
    bytes: int
    backward_flops: int | None = None
    backward_bytes: int | None = None
    training_bytes: int | None = None

    @property
    def parallelism(self) -> float:
        """Average number of nodes that can be computed at once."""
        return self.work / self.span if self.span else 0.0


def cost(
    program: Program,
    domain: Domain,
    *,
    axis: str | None = None,
    adjoint: Program | None = None,
    itemsize: int = 4,
) -> Cost:
    """Return the costs of a run.

    Args:
        program: any Program.
        domain: its index domain, lengths included.
        axis: along which state is carried; default: the first axis.
        adjoint: the Program differentiated; its values beyond the Program's are the backward pass.
        itemsize: bytes of a real number.
    """
    axes = [a for a in program.axes if a != BATCH]
    axis = axis or (axes[0] if axes else BATCH)
    if axis not in program.axes:
        raise DataError(f"{program.name} has no axis {axis}; its axes are {', '.join(axes)}")
    computed = [v for v in program if not v.is_given]
    level = levels(program, domain)
    parameters = sum(_elements(v, domain) for v in program.parameters)
    forward = Cost(
        work=sum(int((level[v.name] >= 0).sum()) for v in computed),
        span=max((int(x.max()) for x in level.values()), default=0),
        parameters=parameters,
        state=_state(program, domain, axis),
        flops=_flops(program, domain, computed),
        bytes=_bytes(program, domain, computed, itemsize),
    )
    if adjoint is None:
        return forward
    wider = domain.of(adjoint)
    # Differentiation first makes boundaries explicit, which adds parts to equations of the Program.
    nodes = {v.node for v in program}
    backward = [v for v in adjoint if v.node not in nodes and not v.is_given]
    needed = {r.value for v in backward for r in v.operands} - {v.name for v in backward}
    kept = [
        adjoint[n] for n in needed if adjoint[n].source not in (Source.PARAMETER, Source.CONSTANT)
    ]
    held = sum(_size(v, wider, itemsize) for v in kept)
    return Cost(
        forward.work, forward.span, parameters, forward.state, forward.flops, forward.bytes,
        backward_flops=_flops(adjoint, wider, backward),
        backward_bytes=_bytes(adjoint, wider, backward, itemsize),
        training_bytes=held + 2 * parameters * itemsize,
    )  # fmt: skip


def _points(axes: Iterable[str], domain: Domain) -> int:
    """Count index points; with "batch", those inside of each sequence's own length."""
    axes = set(axes)
    if BATCH not in axes:
        return prod(domain.extents[a] for a in axes)
    each = np.ones(domain.batch, dtype=np.int64)
    for axis in axes - {BATCH}:
        each = each * domain.length(axis)
    return int(each.sum())


def _elements(value: Value, domain: Domain) -> int:
    return _points(value.axes, domain) * prod(value.type.stored)


def _size(value: Value, domain: Domain, itemsize: int) -> int:
    size = {"real": itemsize, "category": INDEX_BYTES, "bool": 1}[value.type.kind]
    return _elements(value, domain) * size


def _bytes(program: Program, domain: Domain, values: Iterable[Value], itemsize: int) -> int:
    total = 0
    for value in values:
        read = {r.value for r in value.operands}
        total += _size(value, domain, itemsize)
        total += sum(_size(program[n], domain, itemsize) for n in read)
    return total


def _flops(program: Program, domain: Domain, values: Iterable[Value]) -> int:
    total = 0
    for value in values:
        types = [program[r.value].type for r in value.operands]
        axes = [a for a in value.iteration if a != value.along]
        total += _points(axes, domain) * flops_at_a_point(value, types)
    return total


def flops_at_a_point(value: Value, types: list[Type]) -> int:
    """Return the floating-point operations of one equation at one index point.

    Args:
        value: the equation.
        types: of its operands.
    """
    op = OPS[value.op]
    if value.is_contraction:
        return _product_flops(value, types)
    if op.kind is Kind.POINTWISE:
        return prod(value.type.shape) * _operations(value, len(types))
    if op.kind is Kind.REDUCE:
        return prod(types[0].shape)
    if op.kind is Kind.KERNEL:
        return op.flops
    return 0


def _product_flops(value: Value, types: list[Type]) -> int:
    own, result = letters(value)
    operands = list(zip(own, types, strict=True))
    picked = {c for names, t in operands if t.kind == "category" for c in names}
    real = [names for names, t in operands if t.kind != "category"]
    sizes = {c: n for names, t in operands for c, n in zip(names, t.shape, strict=True)}
    free = set(sizes) - picked
    summed = bool(free - set(result)) or bool(value.reduced)
    return prod(sizes[c] for c in free) * (max(len(real) - 1, 0) + summed)


def _operations(value: Value, arity: int) -> int:
    """Count the operations of a pointwise equation in the scalar language."""
    scalar = OPS[value.op].scalar
    if scalar is None:
        return 1
    work = [scalar(*(X(f"x{i}") for i in range(arity)))]
    found = 0
    while work:
        tree = work.pop()
        found += bool(tree.arguments)
        work += tree.arguments
    return found


def _state(program: Program, domain: Domain, axis: str) -> int:
    """Return the count of computed numbers per sequence that later steps read."""
    needed: dict[str, int] = {}
    for value in program:
        for ref in program.reads(value):
            source = program[ref.value]
            if source.is_given or axis not in source.axes:
                continue
            offset = ref.index[source.axes.index(axis)].offset_from(axis)
            if offset:
                size = abs(offset) * _others(source, ref, domain, axis) * prod(source.type.stored)
                needed[source.name] = max(needed.get(source.name, 0), size)
    return sum(needed.values())


def _others(source: Value, ref: Ref, domain: Domain, axis: str) -> int:
    """Count the index points along the other axes at which a reference reads."""
    return prod(
        domain.extents[a]
        for a, i in zip(source.axes, ref.index, strict=True)
        if a not in (BATCH, axis) and i.axes
    )
