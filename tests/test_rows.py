"""Facts about an operator stand in its row: a new one is one row, and works everywhere.

`prod`, `cube` and `energy` are not in the language. Each is registered here as one row, and then
goes through the text of a spec, the reference, differentiation, the compiled backend with bounds,
lengths and threads, measures, cost and `explain --plan`.

The other test counts how often code outside `unfold/ops/` asks for an operator by its name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradients import check_model

import unfold
from unfold.core.op import OPS, Reduction
from unfold.ops.composite import composite
from unfold.ops.pointwise import add_row
from unfold.ops.reduce import reduction

FOLDER = Path(unfold.__file__).parent
NAMES, MOST = set(OPS), 31

SPEC = """
unfold: 1
name: products
axes: {t: 6, s: t}
sizes: {n: 3, m: 5}
inputs: {x[t]: [n]}
parameters: {W: [m, n], b: [m]}
nodes:
  a[t]: 1 + cube(tanh(W @ x[t] + b)) / 2
  whole: prod[t](a[t])
  past[t]: prod[s <= t](a[s])
  each[t]: prod(a[t])
  all: prod[batch,t](each[t])
  e[t]: sum(energy(a[t], scale=0.3))
loss: mean[t](e[t]) + sum[t](sum(past[t]) * each[t]) + sum(whole) + all
"""


@pytest.fixture(autouse=True)
def rows() -> Iterator[None]:
    """Register a reduction, a pointwise operator and a composite, each as one row."""
    before = set(OPS)
    reduction(Reduction("prod", "mul", 1.0), lambda g, y, x, lift: lift(g) * lift(y) / x)
    add_row(
        "cube",
        lambda x: x * x * x,
        lambda g, y, xs, v: (g * 3.0 * xs[0] * xs[0],),
        lambda x: x * x * x,
    )
    composite("energy", lambda xs, a: xs[0] * xs[0] * a["scale"], 1, {"scale": 1.0})
    yield
    for name in set(OPS) - before:
        del OPS[name]


def given(batch: int) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    model = unfold.loads(SPEC)
    params = {"W": np.random.default_rng(1).normal(size=(5, 3)), "b": np.full(5, 0.1)}
    return model, params, {"x": np.random.default_rng(2).normal(size=(batch, 6, 3))}


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_a_reduction_and_a_pointwise_operator_run(backend: str) -> None:
    model, params, inputs = given(2)
    lengths = {"t": [6, 4]}
    run = model.forward(params, inputs, backend=backend, lengths=lengths)
    a = 1 + np.tanh(inputs["x"] @ params["W"].T + params["b"]) ** 3 / 2
    a[1, 4:] = 1.0
    np.testing.assert_allclose(run["whole"], a.prod(1), rtol=1e-12)
    np.testing.assert_allclose(run["past"][0], np.cumprod(a, 1)[0], rtol=1e-12)
    np.testing.assert_allclose(run["past"][1, :4], np.cumprod(a, 1)[1, :4], rtol=1e-12)
    np.testing.assert_allclose(run["each"][1, :4], a.prod(2)[1, :4], rtol=1e-12)
    np.testing.assert_allclose(run["all"], a.prod(), rtol=1e-12)
    np.testing.assert_allclose(run["e"][0], 0.3 * np.sum(a[0] ** 2, -1), rtol=1e-12)


def test_it_is_differentiated_and_compiled() -> None:
    model, params, inputs = given(2)
    check_model(model, params, inputs, lengths={"t": [6, 4]}, seed=3)
    for dtype, close in ("float64", 1e-10), ("float32", 1e-4):
        some = {n: p.astype(dtype) for n, p in params.items()}
        grads = [
            model.value_and_grad(some, inputs, backend=b, lengths={"t": [6, 4]})[1]
            for b in ("reference", "numba")
        ]
        for name in params:
            np.testing.assert_allclose(*(g[name] for g in grads), rtol=close, atol=close)


@pytest.mark.usefixtures("compiled")
def test_it_is_measured_and_explained() -> None:
    model = given(2)[0]
    assert model.measures().recurrent_depth is not None
    assert model.cost(batch=2).flops > 0
    assert "prod[t](a[t])" in model.explain()
    assert "whole" in str(model.plan(batch=2))


def test_few_places_know_operators_by_name() -> None:
    """Count them all; a fact that several places need belongs in the row, and this number falls."""
    trees = {
        p: ast.parse(p.read_text()) for p in FOLDER.rglob("*.py") if p.parent != FOLDER / "ops"
    }
    collections = {n for tree in trees.values() for n in collections_of(tree)}
    found = [
        f"{path.relative_to(FOLDER)}:{line}"
        for path, tree in trees.items()
        for line in asks(tree, collections_of(tree) | collections & imported(tree))
    ]
    assert len(found) <= MOST, "\n".join(found)


def test_what_is_counted() -> None:
    text = """
SOME = ("add", "mul")
a = value.op == "exp" or value.op in SOME or value.op in {"sum", "max"}
b = name in SOME or TABLE[value.op] or TABLE.get(value.op) or program.of("where")
c = getattr(self, f"_{value.op}")
d = value.op == other or OPS[value.op] or builder.emit("add") or name == "exp"
"""
    tree = ast.parse(text)
    assert collections_of(tree) == {"SOME"}
    assert list(asks(tree, {"SOME"})) == [3, 3, 3, 4, 4, 4, 4, 5]


def collections_of(tree: ast.Module) -> set[str]:
    """Return the names of a module's collections of names of operators."""
    found = set[str]()
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and isinstance(node, ast.Assign | ast.AnnAssign):
            words = [] if isinstance(node.value, ast.Constant) else names_in(node.value)
            if words and all(n in NAMES for n in words):
                found.add(target.id)
    return found


def imported(tree: ast.AST) -> set[str]:
    """Return the names that a module takes from others."""
    froms = (n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom))
    return {alias.name for n in froms for alias in n.names}


def names_in(node: ast.AST | None) -> list[str]:
    """Return the text of a constant, or of all elements or keys of a collection of texts."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("frozenset", "set", "tuple"):
        return [n for argument in node.args for n in names_in(argument)]
    inner = getattr(node, "keys", None) if isinstance(node, ast.Dict) else None
    inner = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else inner or []
    words = [names_in(x) for x in inner]
    return [n for own in words for n in own] if all(words) else []


def asks(tree: ast.AST, collections: set[str]) -> Iterator[int]:
    """Yield the line of every question about the name of an operator, top to bottom."""

    def of_names(node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id in collections

    def is_op(node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and node.attr == "op"

    def is_question(node: ast.AST) -> bool:
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            known = any(of_names(s) or set(names_in(s)) & NAMES for s in sides)
            return known and (any(map(is_op, sides)) or any(map(of_names, node.comparators)))
        if isinstance(node, ast.Subscript):
            return last(node.value) != "OPS" and (is_op(node.slice) or of_names(node.value))
        if not isinstance(node, ast.Call):
            return False
        if last(node.func) == "of":
            return any(set(names_in(a)) & NAMES for a in node.args)
        looked_up = last(node.func) in ("get", "getattr") and node.args
        return bool(looked_up) and any(is_op(x) for a in node.args for x in ast.walk(a))

    yield from sorted(n.lineno for n in ast.walk(tree) if is_question(n))  # type: ignore[attr-defined]


def last(node: ast.AST) -> str:
    """Return the last part of a dotted name."""
    return ast.unparse(node).rpartition(".")[2]
