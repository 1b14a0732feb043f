"""Check gradients against central differences.

    unfold grad gru --backend reference

The check covers every parameter, learned initial state and real input, along random directions. It
also visits points that random numbers never meet: zeros, ties and the bounds of conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unfold.errors import MISTAKE, UnfoldError
from unfold.terminal.loading import choose_backend, load, read_changes, read_mode
from unfold.terminal.options import (
    BackendOption,
    BatchOption,
    JsonOption,
    ModeOption,
    SetOption,
    SpecArgument,
    seed_option,
)
from unfold.terminal.report import print_json, table
from unfold.terminal.screen import echo

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

EPSILON = 1e-4
DIRECTIONS = 3
FLOOR = 1e-3


def grad(
    spec: SpecArgument,
    changes: SetOption = None,
    backend: BackendOption = None,
    mode: ModeOption = None,
    batch: BatchOption = 2,
    tolerance: Annotated[
        float,
        typer.Option("--tolerance", metavar="E", help="Accept relative errors up to E."),
    ] = 1e-6,
    seed: Annotated[int, seed_option("parameters and inputs")] = 0,
    json: JsonOption = False,
) -> int:
    """Check every parameter, learned initial state and real input; exit code 1 if any is wrong."""
    backend = choose_backend(backend)
    model = load(spec, read_changes(changes))
    if model.program.loss is None:
        raise UnfoldError(f"{spec}: the spec has no loss to differentiate\n  help: add  loss: ...")
    options = {
        "mode": read_mode(mode or "teacher"),
        "seed": seed,
        "training": False,
        "backend": backend,
    }
    rows, edges = check_gradients(model, batch, tolerance, options)
    wrong, bad = ([r for r in some if not r["ok"]] for some in (rows, edges))
    code = MISTAKE if wrong or bad else 0
    if json:
        print_json({"ok": not code, "tolerance": tolerance, "gradients": rows, "edges": edges})
        return code
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
    echo(f"\n{told} with central differences (tolerance {tolerance:g})")
    for edge in bad:
        echo(f"at the edge {edge['edge']}: {'; '.join(edge['wrong'])}")
    if not bad and edges:
        echo(f"and at the edges {', '.join(e['edge'] for e in edges)}")
    return code


def check_gradients(
    model: Any, batch: int, tolerance: float, options: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return name, shape, norm, relative error and verdict of every gradient, and of the edges."""
    import numpy as np

    from unfold.terminal.grad_edges import check_edges
    from unfold.training.data import random_inputs

    generator = np.random.default_rng(options["seed"])
    parameters = model.init(seed=options["seed"], dtype="float64")
    # Zeros hide mistakes: every entry is moved a little away from where it starts.
    parameters = {n: p + 0.1 * generator.standard_normal(p.shape) for n, p in parameters.items()}
    inputs = random_inputs(model.program, batch=batch, seed=options["seed"])
    real = [v.name for v in model.program.inputs if v.type.kind == "real"]

    def loss(values: Arrays) -> float:
        run = model.forward(
            {n: values[n] for n in parameters},
            {n: values.get(n, a) for n, a in inputs.items()},
            **options,
            state=False,
        )
        return float(run.loss)

    values = {**parameters, **{n: inputs[n] for n in real}}
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
                "ok": bool(error <= tolerance),
            }
        )
    return rows, check_edges(model, parameters, inputs, options)


def _direction(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return one of norm 1, so that a wrong entry shows up in nearly every one."""
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
    """Return the relative error of one directional derivative.

    The number is (-L(p+2εv) + 8 L(p+εv) - 8 L(p-εv) + L(p-2εv)) / 12ε, whose error is O(ε⁴). It
    should be ⟨g, v⟩; the error is relative to the larger of the two and to a thousandth of the
    norm of g (v may happen to be orthogonal to it).
    """
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
