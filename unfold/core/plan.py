"""`Plan`: the loop nest that a backend receives, made from a Program by `unfold.planning.plan`.

A Plan computes buffers of floats. Each materialised value has one buffer; its dimensions are the
axes that it keeps (looped ones first, then "batch"), then its features. What is not materialised is
recomputed inside the kernels that read it.

    Loop(t, +1)
      Gemm      z.1 = h[t-1] · packed W              M = batch, N = 512, K = 128
      Nest      for batch: kernel(...)               loads z.1, b, s[t-1]; stores s, h

Statements:
* `Nest`   loops over some dimensions around kernels; a kernel is straight-line scalar code that is
           run for every element of one vector dimension;
* `Gemm`   one product, all of whose dimensions are classed as M, N, K or outer;
* `Call`   runs an operator that has code of its own, for whole sequences;
* `Pack`   puts a loop-invariant operand of a Gemm in the layout its micro-kernel reads;
* `Fill`   sets (a slice of) a buffer to a number, before something accumulates there;
* `Loop`   a recurrence: its body is done for one index point after another.

Reading outside of a buffer's domain gives zero (category -1): buffers have halos as wide as their
readers need. An index that does not divide, or ends per sequence, is checked where it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from unfold.core.affine import Affine
from unfold.core.op import OPS, Kind, Op, Reduction
from unfold.core.origin import Origin
from unfold.core.program import BATCH, Program
from unfold.core.scalar import X

VECTOR = "#"  # the label of the feature dimension that a kernel runs over


@dataclass(frozen=True)
class Dim:
    """One loop dimension: an axis (extent known when run) or features (a number)."""

    name: str
    size: int | None = None


@dataclass(frozen=True)
class Stored:
    """A dimension of a buffer: an axis, all of it or a ring of the last few points."""

    axis: str
    ring: int | None = None


@dataclass(frozen=True)
class Buffer:
    """Where a value is kept.

    Attributes:
        name: of the value.
        axes: stored axes, outermost first; the value may have more.
        shape: features, innermost.
        role: "computed", "input", "parameter", "constant" or "host" (random numbers, counts,
            lengths: filled before the run).
        empty: what is read outside of its domain.
        errors: the buffer of what rounding has added to each element, where many numbers are added
            to one and elements have single precision.
        origin: of a buffer that holds no value of the Program.
    """

    name: str
    axes: tuple[Stored, ...]
    shape: tuple[int, ...]
    role: str = "computed"
    empty: float = 0.0
    errors: str | None = None
    origin: Origin | None = None


@dataclass(frozen=True)
class Access:
    """An element of a buffer, in terms of the dimensions of the statement that reads or writes it.

    Attributes:
        buffer: its name.
        index: (axis, index) for every axis of the value.
        terms: (feature dimension, elements per step): features are contiguous.
        offset: elements.
        indirect: (category, elements per class): where there is no category, zero is read.
        guarded: axes whose index has to be checked where it is read.
        batched: whether the reader differs per sequence, and so sees its sequence's own domain.
        overlaps: whether several points of the feature dimensions may share an element, as windows
            do, and other elements belong to none.
    """

    buffer: str
    index: tuple[tuple[str, Affine], ...] = ()
    terms: tuple[tuple[str, int], ...] = ()
    offset: int = 0
    indirect: tuple[tuple[Access, int], ...] = ()
    guarded: tuple[str, ...] = ()
    batched: bool = False
    overlaps: bool = False

    def moves(self, dim: str) -> bool:
        """Whether every point of a dimension has an element of its own."""
        own = any(i.coefficient(dim) for _, i in self.index)
        return own or (not self.overlaps and any(d == dim for d, _ in self.terms))

    @property
    def is_here(self) -> bool:
        """Whether every axis is read at the reader's own point."""
        return all(i == Affine.axis(a) for a, i in self.index)


@dataclass(frozen=True)
class Load:
    """A leaf: an element of a buffer."""

    access: Access


@dataclass(frozen=True)
class Coordinate:
    """A leaf: the index of a dimension, as a number."""

    dim: str


@dataclass(frozen=True)
class Last:
    """A leaf: the largest index of an axis, the same for all sequences."""

    axis: str


Leaf = Load | Coordinate | Last


@dataclass(frozen=True)
class Store:
    """Where a kernel's result goes.

    Attributes:
        access: the target.
        mode: "store"; a pointwise row, such as "add", that makes one number of what is there and
            the result; a reduction, such as "sum", of what is there and all of the vector
            dimension; "argmax".
        reset: the number the target holds before, if this row sets it.
    """

    access: Access
    mode: str = "store"
    reset: float | None = None

    @property
    def onto(self) -> Op | None:
        """The pointwise row that makes one number of what is there and the result."""
        row = OPS.get(self.mode)
        return row if row and row.kind is Kind.POINTWISE else None

    @property
    def across(self) -> Reduction | None:
        """The reduction of what is there and all of the vector dimension."""
        row = OPS.get(self.mode)
        return row.reduces if row else None


@dataclass
class Kernel:
    """Straight-line code over one vector dimension.

    Attributes:
        vector: the dimension, None for a single element.
        leaves: variables that are loaded.
        lines: variables that are computed, in order.
        stores: (variable, where to).
        values: the equations computed, for messages.
    """

    vector: Dim | None
    leaves: dict[str, Leaf] = field(default_factory=dict[str, Leaf])
    lines: list[tuple[str, X]] = field(default_factory=list[tuple[str, X]])
    stores: list[tuple[str, Store]] = field(default_factory=list[tuple[str, Store]])
    values: list[str] = field(default_factory=list[str])

    @property
    def reads(self) -> tuple[Access, ...]:
        """What is loaded, the categories that pick rows among it."""
        loads = [leaf.access for leaf in self.leaves.values() if isinstance(leaf, Load)]
        picked = [a for x in (*loads, *(s.access for _, s in self.stores)) for a, _ in x.indirect]
        return (*loads, *picked)


@dataclass
class Nest:
    """Loops around kernels.

    Attributes:
        dims: what is looped over, outermost first.
        kernels: done at each point.
        within: forms of these dimensions and of the loops around; a point at which one is negative
            is left out.
        independent: the dimensions that carry no dependence: points that differ along one of them
            may run in any order, or at the same time.
    """

    dims: tuple[Dim, ...]
    kernels: list[Kernel]
    within: tuple[Affine, ...] = ()
    independent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gemm:
    """C[M, N] = sum over K of A[M, K] B[K, N], for every point of the outer dimensions.

    Attributes:
        value: the equation.
        a, b, c: what is read and written; features are letters of the equation.
        m, n, k, outer: classes of dimensions.
        packed: the buffer of `Pack` that holds B, if any.
    """

    value: str
    a: Access
    b: Access
    c: Access
    m: tuple[Dim, ...]
    n: tuple[Dim, ...]
    k: tuple[Dim, ...]
    outer: tuple[Dim, ...] = ()
    packed: str | None = None

    @property
    def axes(self) -> tuple[str, ...]:
        """All axes of its dimensions, without the batch."""
        dims = (*self.m, *self.n, *self.k, *self.outer)
        return tuple(dict.fromkeys(d.name for d in dims if d.size is None and d.name != BATCH))


@dataclass(frozen=True)
class Call:
    """An operator with code of its own, run once for every point of some dimensions.

    Attributes:
        value: the equation.
        op: which operator.
        dims: the loops around it, batch last.
        operands: what it reads, at the first points of the axes that it runs over itself.
        bound: of each operand the axis that it runs over, None where there is none.
        target: what it writes, at the first point of the axis that it writes whole.
        along: that axis, None where it writes one element.
        numbers: constants of the operator.
    """

    value: str
    op: str
    dims: tuple[Dim, ...]
    operands: tuple[Access, ...]
    bound: tuple[str | None, ...]
    target: Access
    along: str | None
    numbers: tuple[int, ...]

    @property
    def inner(self) -> tuple[str, ...]:
        """The axes that it runs over itself."""
        return tuple(dict.fromkeys(a for a in (*self.bound, self.along) if a is not None))


@dataclass(frozen=True)
class Pack:
    """Copy an operand B[K, N] into panels, once for every point of some loop axes."""

    name: str
    b: Access
    n: tuple[Dim, ...]
    k: tuple[Dim, ...]
    over: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fill:
    """Set a buffer, at one point of the axes that are looped over, to a number."""

    buffer: str
    looped: tuple[str, ...]
    number: float


@dataclass
class Loop:
    """A recurrence along an axis."""

    axis: str
    direction: int
    body: list[Statement]


Statement = Nest | Gemm | Call | Pack | Fill | Loop


@dataclass(eq=False)
class Plan:
    """Statements in order, and the buffers they use; the same Plan only if it is one object.

    Attributes:
        program: the equations that it computes, lowered and decomposed.
        buffers: by value name.
        packs: by name.
        statements: at the top level.
        results: values that are asked for.
        late: how many of the last statements need what all sequences add up to.
        parallel: whether the sequences of a batch can be run apart.
        partial: buffers that shards of a batch add up ("sum") or take the maximum of ("max").
        slow: why a product runs as loops over vectors and not as a GEMM, by value; for people.
    """

    program: Program
    buffers: dict[str, Buffer]
    packs: dict[str, Pack]
    statements: list[Statement]
    results: tuple[str, ...]
    late: int = 0
    parallel: bool = True
    partial: dict[str, str] = field(default_factory=dict[str, str])
    slow: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        """The name of the Program."""
        return self.program.name

    def walk(self, statements: list[Statement] | None = None) -> Iterator[Statement]:
        """Yield every statement, those in loops after their loop."""
        for statement in self.statements if statements is None else statements:
            yield statement
            if isinstance(statement, Loop):
                yield from self.walk(statement.body)
