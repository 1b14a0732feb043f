"""`unfold grad`: gradients against central differences, along random directions.

Along a direction v the derivative of the loss is ⟨g, v⟩; numerically it is taken from four losses,

    (-L(p+2εv) + 8 L(p+εv) - 8 L(p-εv) + L(p-2εv)) / 12ε        error O(ε⁴)

A direction has norm 1 and is random, so that a wrong entry of the gradient shows up in nearly every
one. The error is relative to the larger of the two and to a thousandth of the gradient's own norm
(a direction may happen to be orthogonal to it). Then the gradients are checked where random
numbers never are: at zeros, at ties and at the bounds of conditions; see `grad_edges`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from unfold.errors import MISTAKE, UnfoldError
from unfold.terminal.loading import choose_backend, load, read_changes, read_mode
from unfold.terminal.report import print_json, table
from unfold.terminal.screen import echo

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

EPSILON = 1e-4
DIRECTIONS = 3
FLOOR = 1e-3


@dataclass(frozen=True)
class Question:
    """How to check: with which backend, mode, batch, tolerance and seed."""

    backend: str | None
    mode: str
    batch: int
    tolerance: float
    seed: int


def grad(spec: str, items: list[str], asked: Question, *, as_json: bool) -> int:
    """Check every parameter, learned initial state and real input; exit code 1 if any is wrong."""

    asked = replace(asked, backend=choose_backend(asked.backend))
    model = load(spec, read_changes(items))
    if model.program.loss is None:
        raise UnfoldError(f"{spec}: the spec has no loss to differentiate\n  help: add  loss: ...")
    rows, edges = check_gradients(model, asked)
    wrong, bad = ([r for r in some if not r["ok"]] for some in (rows, edges))
    if as_json:
        document = {"ok": not wrong and not bad, "tolerance": asked.tolerance}
        print_json({**document, "gradients": rows, "edges": edges})
        return MISTAKE if wrong or bad else 0
    table(
        ("with respect to", "shape", "norm of gradient", "relative error", "verdict"),
        [
            (
                r["name"],
                "×".join(map(str, r["shape"])) or "1",
                f"{r['norm']:.3e}",
                f"{r['error']:.1e}",
                _verdict(r),
            )
            for r in rows
        ],
        right=[2, 3],
    )
    told = f"{len(wrong)} of {len(rows)} gradients are wrong" if wrong else "all gradients agree"
    echo(f"\n{told} with central differences (tolerance {asked.tolerance:g})")
    for edge in bad:
        echo(f"at the edge {edge['edge']}: {'; '.join(edge['wrong'])}")
    if not bad and edges:
        echo(f"and at the edges {', '.join(e['edge'] for e in edges)}")
    return MISTAKE if wrong or bad else 0


def check_gradients(
    model: Any, asked: Question
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return name, shape, norm, relative error and verdict of every gradient, and of the edges."""
    import numpy as np

    from unfold.terminal.grad_edges import check_edges
    from unfold.training.data import random_inputs

    generator = np.random.default_rng(asked.seed)
    parameters = model.init(seed=asked.seed, dtype="float64")
    # Zeros hide mistakes: every entry is moved a little away from where it starts.
    parameters = {n: p + 0.1 * generator.standard_normal(p.shape) for n, p in parameters.items()}
    inputs = random_inputs(model.program, batch=asked.batch, seed=asked.seed)
    real = [v.name for v in model.program.inputs if v.type.kind == "real"]
    mode = read_mode(asked.mode)

    def loss(values: Arrays) -> float:
        run = model.forward(
            {n: values[n] for n in parameters},
            {n: values.get(n, a) for n, a in inputs.items()},
            **options,
            state=False,
        )
        return float(run.loss)

    values = {**parameters, **{n: inputs[n] for n in real}}
    options = {"mode": mode, "seed": asked.seed, "training": False, "backend": asked.backend}
    _, gradients = model.value_and_grad(parameters, inputs, wrt=list(values), **options)
    rows = []
    for name, value in values.items():
        gradient = np.asarray(gradients[name])
        error = max(
            _error(loss, values, name, gradient, _direction(generator, value.shape))
            for _ in range(DIRECTIONS)
        )
        rows.append(
            {
                "name": name,
                "shape": list(value.shape),
                "norm": float(np.linalg.norm(gradient)),
                "error": error,
                "ok": bool(error <= asked.tolerance),
            }
        )
    return rows, check_edges(model, parameters, inputs, options)


def _direction(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    import numpy as np

    direction = generator.standard_normal(shape)
    return direction / np.linalg.norm(direction)


def _error(
    loss: Callable[[Arrays], float],
    values: Arrays,
    name: str,
    gradient: np.ndarray,
    direction: np.ndarray,
) -> float:
    """Return the relative error of one directional derivative."""
    import numpy as np

    def at(distance: float) -> float:
        return loss({**values, name: values[name] + distance * EPSILON * direction})

    numeric = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * EPSILON)
    exact = float(np.sum(gradient * direction))
    # Losses are exact to about 1e-16 of their size, differences by ε to 1e-12 of it: derivatives
    # far below that cannot be told from zero.
    smallest = 1e-5 * max(1.0, abs(at(0)))
    scale = max(abs(numeric), abs(exact), FLOOR * float(np.linalg.norm(gradient)), smallest)
    return abs(numeric - exact) / scale


def _verdict(row: dict[str, Any]) -> str:
    if not row["ok"]:
        return "WRONG"
    return "ok" if row["norm"] > 0 else "ok (no influence)"
