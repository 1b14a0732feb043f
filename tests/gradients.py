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
from unfold.core.program import BATCH
from unfold.runs.domain import Domain

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


def sample(
    text: str,
    extents: Mapping[str, int],
    lengths: Mapping[str, list[int]] | None = None,
    *,
    batch: int = 3,
    seed: int = 0,
) -> tuple[unfold.Model, dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Load a spec and draw parameters and inputs for it.

    Args:
        text: the spec.
        extents: of its axes from data.
        lengths: per axis, one per sequence.
        batch: number of sequences.
        seed: of all draws.

    Returns:
        the model, parameters, inputs, and the lengths as keyword of a run.
    """
    model = unfold.loads(text, axes=dict(extents))
    domain = Domain(model.program, extents, lengths, batch)
    shapes = {n: a.shape for n, a in model.init().items()}
    params = draw(shapes, seed)
    inputs: dict[str, Any] = {}
    for index, value in enumerate(model.program.inputs):
        rng = np.random.default_rng([seed, 1, index])
        shape = domain.shape(value.axes) + value.type.stored
        if value.type.kind == "category":
            inputs[value.name] = rng.integers(-1, value.type.shape[0], shape)
        else:
            inputs[value.name] = rng.standard_normal(shape)
    return model, params, inputs, {"lengths": dict(lengths)} if lengths else {}


def check_each_alone(
    model: unfold.Model,
    params: Arrays,
    inputs: Arrays,
    lengths: Mapping[str, list[int]],
    *,
    mode: Any = "teacher",
    tolerance: float = 1e-12,
) -> None:
    """Compare a padded batch with its sequences, each run alone over its own lengths.

    Loss and gradients of a batch are the means over its sequences; nodes agree where a sequence has
    points. For models that do not reduce over the batch themselves.
    """
    batch = len(next(iter(lengths.values())))
    domain = Domain(model.program, _extents(model, inputs), lengths, batch)
    real = [n for n, a in inputs.items() if np.asarray(a).dtype.kind == "f"]
    wrt = (*params, *real)
    options: dict[str, Any] = {"mode": mode, "training": False}
    whole = model.value_and_grad(params, inputs, wrt=wrt, lengths=lengths, **options)
    run = model.forward(params, inputs, lengths=lengths, **options)
    losses, totals = [], {n: np.zeros(np.shape(a)) for n, a in params.items()}
    for number in range(batch):

        def inside(name: str, number: int = number) -> tuple[slice, ...]:
            axes = model.program[name].axes
            return tuple(slice(int(domain.length(a)[number])) for a in axes if a != BATCH)

        own = {n: a[(slice(number, number + 1), *inside(n))] for n, a in inputs.items()}
        loss, grads = model.value_and_grad(params, own, wrt=wrt, **options)
        losses.append(loss)
        for name in params:
            shape = np.shape(grads[name])
            totals[name][tuple(map(slice, shape))] += grads[name] / batch
        for name in real:
            expected = np.zeros_like(inputs[name][number])
            expected[inside(name)] = grads[name][0] / batch
            what = f"gradient of {name} of sequence {number}"
            assert_close(what, whole[1][name][number], expected, tolerance)
        alone = model.forward(params, own, **options)
        for name in set(run) - {model.program.loss}:
            found = np.asarray(run[name])[number][inside(name)]
            assert_close(f"{name} of sequence {number}", found, alone[name][0], tolerance)
    assert_close("loss", whole[0], float(np.mean(losses)), tolerance)
    for name, total in totals.items():
        assert_close(f"gradient of {name}", whole[1][name], total, tolerance)


def assert_close(what: str, found: Any, expected: Any, tolerance: float) -> None:
    """Fail with both arrays where they differ."""
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=what)


def _extents(model: unfold.Model, inputs: Arrays) -> dict[str, int]:
    """Return the extents that the inputs have."""
    found: dict[str, int] = {}
    for value in model.program.inputs:
        found |= dict(zip(value.axes, np.shape(inputs[value.name]), strict=False))
    return {a: n for a, n in found.items() if a != BATCH}
