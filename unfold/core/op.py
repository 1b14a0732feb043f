"""The op table: one row per operator holds everything that is known about it.

`OPS[name]` is an `Op`: its kind, the rule for its type, its NumPy meaning, its derivative and, for
pointwise ops, its scalar form. Rows live in `unfold/ops/`, by kind, and enter the table with
`register`.

Array conventions of `evaluate`: operands and result have `LEAD` leading dimensions (batch, index
points, reduced index points; each 1 where an operand does not depend on it) before their stored
shape. Pointwise operands come with equal rank. Ops that reduce over axes get `over` (leading
dimensions to reduce, kept with size 1) and `mask` (which points exist, with just the leading
dimensions).

A kernel reads whole sequences: each operand is read along one axis that the equation binds, and has
the points of that axis as its third leading dimension. What a kernel writes for all points of an
axis at once has that axis as its attribute `along`; its `evaluate` gets the points that are asked
for as `at`. The cotangents of a kernel's vjp are summed over all that the equation binds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Any

from unfold.core.types import Type

if TYPE_CHECKING:
    from unfold.core.build import Term
    from unfold.core.program import Value

LEAD = 3
Attributes = Mapping[str, Any]


class Kind(Enum):
    """What sort of work an op is; backends treat ops by kind."""

    COMPOSITE = "composite"
    POINTWISE = "pointwise"
    CONTRACT = "contract"
    REDUCE = "reduce"
    VIEW = "view"
    SOURCE = "source"
    KERNEL = "kernel"


class Source(Enum):
    """What a value stands for that reads no other."""

    INPUT = "input"
    PARAMETER = "parameter"
    CONSTANT = "constant"
    INDEX = "index"
    INSIDE = "inside"
    COUNT = "count"
    RANDOM = "random"
    DROPOUT = "dropout"


GIVEN = (Source.INPUT, Source.PARAMETER, Source.CONSTANT)
DRAWN = (Source.RANDOM, Source.DROPOUT)
FROM_HOST = (Source.INPUT, Source.PARAMETER, Source.COUNT, *DRAWN)


class View(Enum):
    """How a row arranges the features of what it reads, and computes nothing."""

    COPY = "each in its place"
    PART = "some rows of them"
    PIECES = "as rows of a larger value"
    RESHAPE = "in another shape"
    REPEAT = "repeated"
    WINDOWS = "in windows, which may overlap"
    ONE_HOT = "a category as the vector that it stands for"


class Jump(Enum):
    """Where a small change of an operand is a large one of the derivative, or of a condition."""

    AT_ZERO = "an operand is zero"
    AT_TIES = "two operands, or two elements of the only one, are equal"


class Over(Enum):
    """What a reduction reduces."""

    AXES = "index axes, which its equation binds"
    LAST = "the last dimension"
    SHAPE = "dimensions that are 1 in the shape that it makes"
    WINDOWS = "windows, where they overlap"


@dataclass(frozen=True)
class Reduction:
    """How any number of numbers become one.

    Attributes:
        name: as the row that reduces index axes, and a Plan, call it.
        pair: the pointwise row that makes one number of two, in any order; a NumPy ufunc.
        neutral: what changes no number, and is the result of none.
    """

    name: str
    pair: str
    neutral: float

    @property
    def of_two(self) -> Any:
        """The NumPy function that makes one number of two."""
        return OPS[self.pair].evaluate


SUM, MAX = Reduction("sum", "add", 0.0), Reduction("max", "maximum", -inf)


class OpError(Exception):
    """Operands that do not fit an op; the elaborator adds the place.

    Args:
        message: one line, what does not fit.
        notes: facts; by default the elaborator lists the shapes of the operands.
        help: how to fix it.
        at: the operand (its position) or the option (its name) that is wrong; None: the whole call.
    """

    def __init__(
        self, message: str, *notes: str, help: str | None = None, at: int | str | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.notes, self.help, self.at = message, notes, help, at


Infer = Callable[[Sequence[Type | None], Attributes], Type | None]
Evaluate = Callable[..., Any]
Vjp = Callable[["Term", "Term", Sequence["Term"], "Value"], Sequence["Term | None"]]
Expand = Callable[[Sequence["Term"], Attributes], "Term"]
Range = tuple[float, float]
Sample = tuple[tuple[tuple[int, ...] | Type, ...], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Op:
    """One row.

    Attributes:
        name: key of the table.
        kind: how backends treat it.
        infer: types of the operands and attributes -> type of the result; raises `OpError`. Gets
            `None` for an operand that is not known yet only where `partial` is set.
        arity: fewest and most operands in a spec.
        options: keyword options of the op in a spec, with their defaults (`...` where it must be
            given).
        evaluate: the NumPy meaning (see the module's docstring); attributes come as keywords.
        vjp: (cotangent, result, operands, equation) -> one cotangent, or None, per operand.
        expand: for composite ops, the meaning in terms of other rows; such a row has nothing else.
        scalar: for pointwise ops, the result as an expression of `unfold.core.scalar`.
        categories: operand positions that take a category as it is (others see its one-hot vector).
        partial: whether `infer` can work with operands that are not known yet.
        samples: operand types or shapes, and attributes, to test the row with.
        domain: interval the tests draw real operands from.
        symbol: how it prints, with `{}` for operands; the default is a call.
        flops: of a kernel, operations at each combination of the points that its equation binds.
        bounds: ranges of the operands -> the range of finite results; None: any number.
        poles: ranges of the operands -> whether the result of finite ones can be infinite or NaN,
            but for sums and products that are too large, or its derivative; None: never.
        selects: whether elements of an operand may have no share in the result.
        factors: whether the derivative by an operand is a product with the others.
        source: of a source, what it stands for.
        over: what it reduces, and so whether an equation of it may bind axes.
        features: the row that reduces the last dimension where this one reduces index axes.
        hidden: whether no spec may call it by its name.
        view: how it arranges features, if it does nothing else.
        vanishes: whether it is zero where its first operand is, so that it exists within the same
            bounds.
        usage: how a spec calls it; by default with the one operand `x`.
        costly: whether computing an element twice is more than storing and loading it.
        jumps: where its derivative jumps, or what it says.
        told: how a Plan in words names a part of an equation that it computes.
        compares: the sign of an order between two operands.
        reduces: how; of a product, what becomes of its summed letters and axes.
        by_mode: whether the mode of a run decides which operand it is.
        chooses: whether the first operand decides which of the others it is.
    """

    name: str
    kind: Kind
    infer: Infer
    arity: tuple[int, int] = (0, 9)
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    evaluate: Evaluate | None = None
    vjp: Vjp | None = None
    expand: Expand | None = None
    scalar: Callable[..., Any] | None = None
    categories: tuple[int, ...] = ()
    partial: bool = False
    samples: tuple[Sample, ...] = ()
    domain: tuple[float, float] = (-2.0, 2.0)
    symbol: str | None = None
    flops: int = 0
    bounds: Callable[[Sequence[Range]], Range] | None = None
    poles: Callable[[Sequence[Range]], bool] | None = None
    selects: bool = False
    factors: bool = False
    source: Source | None = None
    over: Over | None = None
    features: str | None = None
    hidden: bool = False
    view: View | None = None
    vanishes: bool = False
    usage: str | None = None
    costly: bool = False
    jumps: Jump | None = None
    told: str = ""
    compares: str | None = None
    reduces: Reduction | None = None
    by_mode: bool = False
    chooses: bool = False

    @property
    def binds(self) -> bool:
        """Whether an equation of it may bind axes."""
        return self.over is Over.AXES or self.kind is Kind.KERNEL

    @property
    def neutral(self) -> float:
        """What it reads at points of the axes it binds that do not count."""
        return self.reduces.neutral if self.reduces and self.over is Over.AXES else 0.0

    @property
    def is_given(self) -> bool:
        """Whether its values are there before the run, by name or by number."""
        return self.source in GIVEN

    @property
    def is_random(self) -> bool:
        """Whether its values are random."""
        return self.source in DRAWN

    @property
    def from_host(self) -> bool:
        """Whether a backend is handed its values instead of computing them."""
        return self.source in FROM_HOST


OPS: dict[str, Op] = {}


def register(op: Op) -> Op:
    """Add a row to the table."""
    assert op.name not in OPS, op.name
    OPS[op.name] = op
    return op
