"""Gradients against central differences, in random directions, to first and second order.

    check_gradient(loss, gradient, at={"W": W, "x": x}, seed=0)
    check_model(model, params, inputs, lengths={"t": [5, 1, 3]}, seed=0)

`loss` maps arrays by name to a number and `gradient` maps them to arrays of the same shapes. Each
name is moved alone and then all of them together, so that an error in a small one cannot hide. A
failure prints both numbers. Second order: the Hessian times a direction (differentiating twice)
against the difference of two gradients.

Known weakness: a kink (relu, max) between the two points of a difference looks like an error; seeds
are fixed, so it would show once and for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

import unfold

TOLERANCE = 1e-6
STEP = 3e-5

Arrays = Mapping[str, Any]
Loss = Callable[[Arrays], float]
Gradient = Callable[[Arrays], Arrays]


def draw(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Any]:
    """Return standard normal arrays, one stream for each name."""
    names = {name: index for index, name in enumerate(shapes)}
    return {
        n: np.random.default_rng([seed, names[n]]).standard_normal(s) for n, s in shapes.items()
    }


def moved(at: Arrays, direction: Arrays, step: float) -> dict[str, Any]:
    """Return arrays a step along a direction; names that it lacks stay."""
    return {n: a + step * direction[n] if n in direction else a for n, a in at.items()}


def central_difference(function: Callable[[float], float], step: float) -> float:
    """Return a derivative at zero from four points; the error is of the order of step**4."""
    near, far = (function(s) - function(-s) for s in (step, 2 * step))
    return (8 * near - far) / (12 * step)


def inner(a: Arrays, b: Arrays) -> float:
    """Return the inner product of two sets of arrays, over the names of the second."""
    return sum(float(np.sum(np.asarray(a[n]) * b[n])) for n in b)


def directions(at: Arrays, names: Iterable[str], seed: int) -> list[dict[str, Any]]:
    """Return a random direction along each name alone, and one along all of them."""
    found = draw({n: np.shape(at[n]) for n in names}, seed)
    each = [{n: d} for n, d in found.items()]
    return [*each, found] if len(each) > 1 else each


def assert_equal_numbers(what: str, exact: float, numeric: float, tolerance: float) -> None:
    """Fail with both numbers where they differ by more than the tolerance, relative above one."""
    error = abs(exact - numeric) / max(1.0, abs(numeric))
    assert error <= tolerance, f"{what}: derivative {exact!r}, central difference {numeric!r}"


def check_gradient(
    loss: Loss,
    gradient: Gradient,
    at: Arrays,
    *,
    names: Iterable[str] | None = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    step: float = STEP,
) -> None:
    """Compare a gradient with central differences.

    Args:
        loss: of arrays by name.
        gradient: of arrays by name, arrays of the same shapes.
        at: where, float64.
        names: what to differentiate by; all by default.
        seed: of the directions.
        tolerance: of the difference, relative to numbers above one.
        step: distance of the points.
    """
    names = tuple(at if names is None else names)
    found = gradient(at)
    for name in names:
        shape, wanted = np.shape(found[name]), np.shape(at[name])
        assert shape == wanted, f"the gradient of {name} is {shape}, {name} is {wanted}"
    for direction in directions(at, names, seed):
        numeric = central_difference(lambda s, d=direction: loss(moved(at, d, s)), step)
        assert_equal_numbers(str(list(direction)), inner(found, direction), numeric, tolerance)


def check_second(
    gradient: Gradient,
    product: Callable[[Arrays, Arrays], Arrays],
    at: Arrays,
    *,
    names: Iterable[str] | None = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    step: float = STEP,
) -> None:
    """Compare Hessian-vector products with differences of gradients.

    Args:
        gradient: of arrays by name.
        product: (arrays, direction) -> the Hessian times the direction, for the direction's names.
        at, names, seed, tolerance, step: as in `check_gradient`.
    """
    names = tuple(at if names is None else names)
    direction = draw({n: np.shape(at[n]) for n in names}, seed)
    found = product(at, direction)
    steps = (-2 * step, -step, step, 2 * step)
    gradients = {s: gradient(moved(at, direction, s)) for s in steps}
    for name, probe in draw({n: np.shape(at[n]) for n in names}, seed + 1).items():
        numeric = central_difference(lambda s, p={name: probe}: inner(gradients[s], p), step)
        exact = inner(found, {name: probe})
        assert_equal_numbers(f"second derivative by {name}", exact, numeric, tolerance)


def check_model(
    model: unfold.Model,
    params: Arrays,
    inputs: Arrays,
    *,
    order: int = 2,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    **options: Any,
) -> None:
    """Check the gradients of a model by its parameters and real inputs, to second order.

    Args:
        model, params, inputs: whose loss, and where.
        order: 1 for gradients only.
        seed: of the directions.
        tolerance: see `check_gradient`.
        options: of the run: lengths, mode, seed of random values, carry ...
    """
    real = {n: a for n, a in inputs.items() if np.asarray(a).dtype.kind == "f"}
    at = {**params, **real}
    options.setdefault("training", False)

    def split(values: Arrays) -> tuple[dict[str, Any], dict[str, Any]]:
        return {n: values[n] for n in params}, {**inputs, **{n: values[n] for n in real}}

    def loss(values: Arrays) -> float:
        found = model.forward(*split(values), **options).loss
        assert found is not None
        return found

    def gradient(values: Arrays) -> Arrays:
        return model.value_and_grad(*split(values), wrt=tuple(at), **options)[1]

    check_gradient(loss, gradient, at, seed=seed, tolerance=tolerance)
    if order < 2 or not params:
        return
    kept = {k: v for k, v in options.items() if k in ("mode", "lengths")}

    def product(values: Arrays, direction: Arrays) -> Arrays:
        return model.hessian_vector(*split(values), direction, **kept)

    check_second(gradient, product, at, names=params, seed=seed, tolerance=tolerance)
