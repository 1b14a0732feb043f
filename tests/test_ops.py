"""Every row of the op table: its type, its meaning, its scalar form and its derivatives.

A row is tested through its own samples and domain, so a new operator is tested as soon as it is in
the table; a row without samples is an error. Composite rows are tested like the others, through
what they expand to.

A test Program is  loss = sum over batch and t of sum(w * (y + y * y)),  y = op(a, b, ...)  with
operand a over [batch, t], b over nothing and c over [t], so that second derivatives are not zero
and what operands share has to be summed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gradients import check_gradient, check_second

import unfold.ops  # noqa: F401  (fills the op table)
from unfold.core.affine import Affine
from unfold.core.build import Builder, Term
from unfold.core.op import OPS, Kind, Op, OpError
from unfold.core.origin import Written
from unfold.core.program import BATCH, Axis, Program, Value
from unfold.core.scalar import X
from unfold.core.types import Type
from unfold.core.verify import verify
from unfold.passes.differentiate import adjoint_name, differentiate
from unfold.runs.domain import Domain
from unfold.unfolded.reference import Walk

BATCHES, STEPS = 7, 9
OPERAND_AXES = ((BATCH, "t"), (), ("t",))
# What has no array operands, and `feedback`, which a pass replaces before anything is computed.
SEQUENCES = (Kind.SOURCE, Kind.KERNEL)  # kernels have tests of their own
WITHOUT_SAMPLES = {n for n, op in OPS.items() if op.kind in SEQUENCES} | {"feedback"}
AXIS_REDUCTIONS = {"sum": (np.sum, 0.0), "max": (np.max, -np.inf)}


def typed(sample: Sequence[Any]) -> list[Type]:
    return [t if isinstance(t, Type) else Type(t) for t in sample]


def kind_of(op: Op, sample: Any, attributes: Any) -> str:
    """Return the kind of a row's result."""
    if op.kind is Kind.COMPOSITE:
        return "category" if op.name == "sample" else "real"
    inferred = op.infer(typed(sample), attributes)
    assert inferred is not None
    return inferred.kind


SAMPLES = [
    pytest.param(op, types, attributes, id=f"{name}-{i}")
    for name, op in OPS.items()
    for i, (types, attributes) in enumerate(op.samples)
]
COMPUTED = [p for p in SAMPLES if p.values[0].kind is not Kind.COMPOSITE]
DIFFERENTIABLE = [
    p for p in SAMPLES if kind_of(*p.values) == "real" and (p.values[0].vjp or p.values[0].expand)
]
POINTWISE = [p for p in COMPUTED if p.values[0].kind is Kind.POINTWISE]
REAL = [p for p in POINTWISE if kind_of(*p.values) == "real"]
# Divisions by infinity are the one place where Python's // is not worth a scalar form of its own.
FINITE_ONLY = {"floordiv"}
VECTOR, CATEGORY = Type((4,)), Type((4,), "category")


def array(type: Type, lead: tuple[int, ...], op: Op, rng: np.random.Generator) -> Any:
    """Draw an operand from the row's domain."""
    shape = lead + type.stored
    if type.kind == "bool":
        return rng.random(shape) < 0.5
    if type.kind == "category":
        return rng.integers(-1, type.shape[0], shape)
    return rng.uniform(*op.domain, shape)


def equal_rank(arrays: Sequence[Any]) -> list[Any]:
    rank = max(a.ndim for a in arrays)
    return [a.reshape(a.shape + (1,) * (rank - a.ndim)) for a in arrays]


def test_every_row_has_samples() -> None:
    without = [n for n, op in OPS.items() if not op.samples and n not in WITHOUT_SAMPLES]
    assert without == list(AXIS_REDUCTIONS), "these rows would not be tested"


@pytest.mark.parametrize(("op", "sample", "attributes"), SAMPLES)
def test_samples_have_no_two_equal_dimensions(op: Op, sample: Any, attributes: Any) -> None:
    """Equal dimensions hide errors; a square matrix passes for its transpose."""
    for shape in (t.shape for t in typed(sample)):
        large = [d for d in shape if d != 1]
        assert len(set(large)) == len(large), shape
        assert not {BATCHES, STEPS} & set(large), "these are the sizes of batch and t"


@pytest.mark.parametrize(("op", "sample", "attributes"), COMPUTED)
def test_shape_rule_agrees_with_evaluation(op: Op, sample: Any, attributes: Any) -> None:
    types = typed(sample)
    inferred = op.infer(types, attributes)
    assert inferred is not None and op.evaluate is not None
    rng = np.random.default_rng(0)
    leads = [(BATCHES, STEPS, 11), (1, STEPS, 1), (BATCHES, 1, 1)]
    operands = [array(t, leads[i % 3], op, rng) for i, t in enumerate(types)]
    if op.kind is Kind.POINTWISE:
        operands = equal_rank(operands)
    if op.name == "einsum":
        one_hot = OPS["one_hot"].evaluate
        assert one_hot is not None
        operands = [
            one_hot(x, size=t.shape[0]) if t.kind == "category" else x
            for x, t in zip(operands, types, strict=True)
        ]
    result = np.asarray(op.evaluate(*operands, **attributes))
    assert result.shape == (BATCHES, STEPS, 11, *inferred.stored)
    kinds = {"real": "f", "category": "i", "bool": "b"}
    assert result.dtype.kind == kinds[inferred.kind]


@pytest.mark.parametrize("name", AXIS_REDUCTIONS)
@pytest.mark.parametrize("over", [(0,), (2,), (0, 2)])
def test_axis_reductions(name: str, over: tuple[int, ...]) -> None:
    """Masked points take no part, whatever they hold."""
    op, rng = OPS[name], np.random.default_rng(1)
    assert op.evaluate is not None and op.infer([Type((3, 2))], {}) == Type((3, 2))
    x = rng.standard_normal((BATCHES, STEPS, 11, 3, 2))
    mask = rng.random((BATCHES, STEPS, 11)) < 0.7
    function, neutral = AXIS_REDUCTIONS[name]
    assert np.array_equal(op.evaluate(x, over=over), function(x, axis=over, keepdims=True))
    found = op.evaluate(np.where(mask[..., None, None], x, np.nan), over=over, mask=mask)
    expected = function(np.where(mask[..., None, None], x, neutral), axis=over, keepdims=True)
    assert np.array_equal(found, expected)


# The scalar language

MEANING = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power,
    "mod": np.mod, "neg": np.negative, "lt": np.less, "le": np.less_equal, "eq": np.equal,
    "and": np.logical_and, "or": np.logical_or, "not": np.logical_not, "select": np.where,
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt,
    "tanh": np.tanh, "sin": np.sin, "cos": np.cos, "abs": np.abs, "floor": np.floor,
    "sign": np.sign, "erf": np.vectorize(math.erf, otypes=[float]),
}  # fmt: skip
EXTREME = (0.0, 1.0, -1.0, 1e-300, 30.0, -30.0, 800.0, -800.0, 1e300, np.inf, -np.inf, np.nan)


def scalar_form(op: Op, operands: Sequence[Any]) -> Any:
    """Evaluate a row's scalar form on arrays."""
    assert op.scalar is not None
    names = [f"x{i}" for i in range(len(operands))]
    tree = op.scalar(*map(X, names))
    return tree.evaluate(dict(zip(names, operands, strict=True)), MEANING)


@pytest.mark.parametrize(("op", "sample", "attributes"), POINTWISE)
def test_scalar_form_agrees_with_evaluation(op: Op, sample: Any, attributes: Any) -> None:
    rng = np.random.default_rng(2)
    operands = equal_rank([array(t, (BATCHES, STEPS, 1), op, rng) for t in typed(sample)])
    assert op.evaluate is not None
    expected = op.evaluate(*operands, **attributes)
    np.testing.assert_allclose(scalar_form(op, operands), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(("op", "sample", "attributes"), POINTWISE)
def test_scalar_form_agrees_at_extreme_values(op: Op, sample: Any, attributes: Any) -> None:
    """Overflow, infinities and NaN come out of both forms alike."""
    real = np.array(EXTREME)
    if op.name in FINITE_ONLY:
        real = real[np.isfinite(real)]
    values = {"real": real, "bool": np.array([True, False])}
    values["category"] = np.array([-1, 0, 2])
    operands = np.meshgrid(*(values[t.kind] for t in typed(sample)))
    assert op.evaluate is not None
    with np.errstate(all="ignore"):
        expected = np.asarray(op.evaluate(*operands, **attributes))
        found = np.broadcast_to(scalar_form(op, operands), expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize(("op", "sample", "attributes"), REAL)
def test_nan_passes_through(op: Op, sample: Any, attributes: Any) -> None:
    types = typed(sample)
    assert op.evaluate is not None
    rng = np.random.default_rng(3)
    for position, type in enumerate(types):
        if type.kind != "real":
            continue
        operands = equal_rank([array(t, (BATCHES, STEPS, 1), op, rng) for t in types])
        operands[position] = np.full_like(operands[position], np.nan)
        chosen = np.full(np.broadcast_shapes(*(x.shape for x in operands)), True)
        if op.name == "where":
            chosen = chosen & (operands[0] if position == 1 else ~operands[0])
        with np.errstate(invalid="ignore"):
            both = (op.evaluate(*operands, **attributes), scalar_form(op, operands))
        for found in both:
            assert np.array_equal(np.isnan(found), chosen), f"operand {position}"


# Derivatives


def build(
    op: Op,
    types: Sequence[Type],
    attributes: Mapping[str, Any],
    axes: Sequence[tuple[str, ...]] = OPERAND_AXES,
) -> Program:
    """Make the test Program of a row."""

    def apply(terms: Sequence[Term]) -> Term:
        if op.expand is not None:
            return op.expand(terms, {**op.options, **attributes})
        return terms[0].builder.emit(op.name, terms, attributes)

    return build_term(types, apply, axes)


def build_term(
    types: Sequence[Type],
    apply: Callable[[Sequence[Term]], Term],
    axes: Sequence[tuple[str, ...]] = OPERAND_AXES,
) -> Program:
    """Make the test Program of a function; its operands are called a, b, c and the weight w."""
    builder = Builder({BATCH: Axis(BATCH, Affine.number(1)), "t": Axis("t", Affine.number(1))})
    builder.origin = Written("y")
    terms = []
    for i, type in enumerate(types):
        own, name = axes[i % len(axes)], "abcdefghi"[i]
        source = "input" if BATCH in own else "parameter"
        terms.append(builder.add(Value(name, own, type, source, origin=Written(name))))
    return finish(builder, apply(terms))


def finish(builder: Builder, y: Term) -> Program:
    """Add the loss."""
    w = builder.add(Value("w", (BATCH, "t"), Type(y.type.shape), "input", origin=Written("w")))
    builder.emit("identity", (y,), origin=Written("result"), axes=(BATCH, "t"))
    weighted = w * (y + y * y)
    flat = weighted.apply("sum_to", shape=()) if weighted.type.shape else weighted
    builder.origin = Written("loss")
    builder.emit("sum", (flat,), reduced=(BATCH, "t"), origin=builder.origin)
    return verify(Program("test", builder.axes, builder.values, ("result",), "loss"))


def walk(program: Program, batch: int = BATCHES, steps: int = STEPS) -> Walk:
    return Walk(program, Domain(program, {"t": steps}, batch=batch))


class Derivatives:
    """Loss, gradient and Hessian-vector product of a test Program, by name."""

    def __init__(self, program: Program, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.forward = walk(program)
        first = verify(differentiate(program, self.names))
        self.first = walk(first)
        builder = Builder.of(first)
        builder.origin = Written("dot")
        products = []
        for name in self.names:
            value = first[name]
            given = builder.add(replace(value, name=f"d.{name}", origin=Written(f"d.{name}")))
            product = builder.term(adjoint_name(name)) * given
            flat = product.apply("sum_to", shape=()) if value.type.shape else product
            products.append(builder.sum(flat, value.axes))
        builder.emit("identity", (builder.total(products),), origin=builder.origin)
        whole = builder.build(first, outputs=())
        self.second = walk(verify(differentiate(whole, self.names, of="dot")))

    def loss(self, feeds: Mapping[str, Any]) -> float:
        return float(self.forward.run(feeds)["loss"].item())

    def gradient(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        values = self.first.run(feeds)
        return {n: self.own(values[adjoint_name(n)], feeds[n]) for n in self.names}

    def product(self, feeds: Mapping[str, Any], direction: Mapping[str, Any]) -> dict[str, Any]:
        given = {f"d.{n}": d for n, d in direction.items()}
        values = self.second.run({**feeds, **given})
        return {n: self.own(values[adjoint_name(n, 2)], feeds[n]) for n in self.names}

    @staticmethod
    def own(array: Any, like: Any) -> Any:
        return array if array.ndim == np.ndim(like) else array[0]


def feeds_of(op: Op, program: Program, seed: int = 4) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    sizes = {BATCH: BATCHES, "t": STEPS}
    found = {}
    for value in (*program.parameters, *program.inputs):
        lead = tuple(sizes[a] for a in value.axes)
        found[value.name] = array(value.type, lead, op, rng)
    return found


@pytest.mark.parametrize(("op", "sample", "attributes"), DIFFERENTIABLE)
def test_derivatives_to_second_order(op: Op, sample: Any, attributes: Any) -> None:
    program = build(op, typed(sample), attributes)
    feeds = feeds_of(op, program)
    names = [n for n, x in feeds.items() if x.dtype.kind == "f" and n != "w"]
    derivatives = Derivatives(program, names)
    check_gradient(derivatives.loss, derivatives.gradient, feeds, names=names, seed=5)
    check_second(derivatives.gradient, derivatives.product, feeds, names=names, seed=6)


@pytest.mark.parametrize("name", AXIS_REDUCTIONS)
@pytest.mark.parametrize("axes", [("t",), (BATCH,), (BATCH, "t")])
def test_derivatives_of_axis_reductions(name: str, axes: tuple[str, ...]) -> None:
    builder = Builder({BATCH: Axis(BATCH, Affine.number(1)), "t": Axis("t", Affine.number(1))})
    builder.origin = Written("y")
    a = builder.add(Value("a", (BATCH, "t"), Type((3,)), "input", origin=Written("a")))
    program = finish(builder, a * builder.emit(name, (a * a,), reduced=axes))
    feeds = feeds_of(OPS[name], program)
    derivatives = Derivatives(program, ["a"])
    check_gradient(derivatives.loss, derivatives.gradient, feeds, names=["a"], seed=7)
    check_second(derivatives.gradient, derivatives.product, feeds, names=["a"], seed=8)


@pytest.mark.parametrize(
    "name", dict.fromkeys(p.values[0].name for p in REAL if p.values[0].vjp is None)
)
def test_rows_without_a_derivative_stop_it(name: str) -> None:
    """Their operands get a zero, not an error."""
    op = OPS[name]
    program = build(op, typed(op.samples[0][0]), {})
    derivatives = Derivatives(program, ["a"])
    assert not derivatives.gradient(feeds_of(op, program))["a"].any()


@pytest.mark.parametrize("order", [1, 2])
def test_the_checker_notices_a_wrong_rule(order: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """First order: tanh' without its square. Second: a rule that is right only to first order."""
    right = OPS["tanh"].vjp
    assert right is not None

    def wrong(g: Any, y: Any, xs: Any, v: Any) -> Any:
        if order == 1:
            return (g * (1.0 - y),)
        return (g.apply("stop_gradient") * right(g * 0.0 + 1.0, y, xs, v)[0],)

    program = build(OPS["tanh"], [Type((3,))], {})
    feeds = feeds_of(OPS["tanh"], program)
    with monkeypatch.context() as patch:
        patch.setitem(OPS, "tanh", replace(OPS["tanh"], vjp=wrong))
        derivatives = Derivatives(program, ["a"])
    if order == 1:
        with pytest.raises(AssertionError, match="central difference"):
            check_gradient(derivatives.loss, derivatives.gradient, feeds, names=["a"])
    else:
        check_gradient(derivatives.loss, derivatives.gradient, feeds, names=["a"])
        with pytest.raises(AssertionError, match="central difference"):
            check_second(derivatives.gradient, derivatives.product, feeds, names=["a"])


def test_the_checker_notices_a_wrong_shape() -> None:
    with pytest.raises(AssertionError, match="the gradient of a is"):
        check_gradient(lambda at: 0.0, lambda at: {"a": np.zeros(2)}, {"a": np.zeros(3)})


@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0])
def test_constant_powers(power: float) -> None:
    program = build_term([VECTOR], lambda terms: terms[0] ** power)
    feeds = feeds_of(replace(OPS["pow"], domain=(0.5, 2.0)), program)
    derivatives = Derivatives(program, ["a"])
    check_gradient(derivatives.loss, derivatives.gradient, feeds, names=["a"], seed=5)
    check_second(derivatives.gradient, derivatives.product, feeds, names=["a"], seed=6)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0, 3.0])
def test_constant_powers_at_zero(power: float) -> None:
    """Of y + y * y, whose second derivative at zero is 0, 2, 2 and 0."""
    program = build_term([VECTOR], lambda terms: terms[0] ** power)
    feeds = {"a": np.zeros((BATCHES, STEPS, 4)), "w": np.ones((BATCHES, STEPS, 4))}
    derivatives = Derivatives(program, ["a"])
    first = {0.0: 0.0, 1.0: 1.0, 2.0: 0.0, 3.0: 0.0}[power]
    second = {0.0: 0.0, 1.0: 2.0, 2.0: 2.0, 3.0: 0.0}[power]
    assert np.all(derivatives.gradient(feeds)["a"] == first)
    assert np.all(derivatives.product(feeds, {"a": np.ones((BATCHES, STEPS, 4))})["a"] == second)


def test_the_norm_of_nothing_has_no_slope() -> None:
    program = build(OPS["norm"], [VECTOR], {})
    feeds = {"a": np.zeros((BATCHES, STEPS, 4)), "w": np.ones((BATCHES, STEPS))}
    assert not Derivatives(program, ["a"]).gradient(feeds)["a"].any()


# What operands may be

UNFIT: list[tuple[str, list[Type], dict[str, Any]]] = [
    ("add", [Type((3,)), Type((4,))], {}),
    ("add", [Type((3,)), Type((3, 4))], {}),
    ("mul", [Type((3,), "bool"), Type((3,))], {}),
    ("and", [Type((3,)), Type((3,), "bool")], {}),
    ("where", [Type((3,)), Type((3,)), Type()], {}),
    ("where", [Type((), "bool"), CATEGORY, VECTOR], {}),
    ("where", [Type((4,), "bool"), CATEGORY, CATEGORY], {}),
    ("equal", [CATEGORY, VECTOR], {}),
    ("equal", [CATEGORY, Type((3,), "category")], {}),
    ("einsum", [Type((3, 4)), Type((3,))], {"equation": "ij,j->i"}),
    ("einsum", [Type((3,))], {"equation": "ij->i"}),
    ("feature_sum", [Type()], {}),
    ("argmax", [Type((3, 4))], {}),
    ("concat", [Type((3, 2)), Type((3,))], {}),
    ("reshape", [Type((3, 2))], {"shape": (5,)}),
    ("slice", [Type((3,))], {"start": 1, "stop": 4}),
]


@pytest.mark.parametrize(("name", "types", "attributes"), UNFIT)
def test_operands_that_do_not_fit(name: str, types: list[Type], attributes: dict[str, Any]) -> None:
    """What the messages say is pinned by the bad specs."""
    with pytest.raises(OpError):
        OPS[name].infer(types, attributes)
