"""Small samples of every spec of the library: sizes that are all different, random values, lengths.

A `Case` says how a spec is made small; `sample(case, steps)` loads it and draws parameters
(biases and learned initial states too, so that nothing is zero by chance), inputs whose padding
is garbage, and unequal lengths. `expect` says what a loss means: every sequence alone, cut to its
own lengths, then the mean of the batch.

    sample(CASES["attention"], steps=5): batch 3, t of lengths 5, 1, 3, s of lengths 1, 8, 4

No two dimensions of a sample are equal (batch 3, steps 1, 2 or 5, other axes even, sizes primes
from 7 up), but for the axes of length 1 that the case T = 1 is about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from cases import CASES as CASES
from cases import CELL_CASES as CELL_CASES
from cases import EVERY_MODE as EVERY_MODE
from cases import EVERY_NAME as EVERY_NAME
from cases import MODES as MODES
from cases.case import Case, Oracle
from stored import stored

import unfold

BATCH = 3
STEPS = (1, 2, 5)
TOLERANCE = 1e-10

# Lengths of the varying axes, by the number of steps asked for; the longest is the arrays' extent.
FIRST_AXIS = {1: [1, 1, 1], 2: [2, 1, 2], 5: [5, 1, 3]}
OTHER_AXIS = {1: [4, 1, 2], 2: [2, 6, 1], 5: [1, 8, 4]}

Arrays = dict[str, np.ndarray]
Lengths = dict[str, list[int]]


@dataclass(frozen=True)
class Sample:
    """A loaded spec with random values; every array float64 or integer."""

    case: Case
    model: unfold.Model
    params: Arrays
    inputs: Arrays
    lengths: Lengths

    @property
    def names(self) -> list[str]:
        """What can be differentiated: parameters, learned initial states, real inputs."""
        return [*self.params, *self.case.real_inputs]

    def value_and_grad(
        self, changed: Mapping[str, np.ndarray] | None = None, mode: str = "teacher"
    ) -> tuple[float, Arrays]:
        """Return the engine's loss and gradients, with some parameters or inputs replaced."""
        params = {name: (changed or {}).get(name, value) for name, value in self.params.items()}
        inputs = {name: (changed or {}).get(name, value) for name, value in self.inputs.items()}
        return self.model.value_and_grad(
            params, inputs, wrt=self.names, mode=mode, lengths=self.lengths
        )

    def inside(self, name: str, number: int) -> tuple[int | slice, ...]:
        """Return where in an input's array the values of one sequence are (the rest is padding)."""
        axes = self.case.inputs[name].axes
        return (number, *(slice(self.lengths[axis][number]) for axis in axes))

    def sequence(self, number: int) -> Arrays:
        """Return the inputs of one sequence, without batch axis, cut to its own lengths."""
        return {name: value[self.inside(name, number)] for name, value in self.inputs.items()}


def sample(case: Case, steps: int, seed: int = 0, lengths: Lengths | None = None) -> Sample:
    """Load a case and draw its values.

    Args:
        case: which spec, and how small.
        steps: extent of the first varying axis; the others follow `OTHER_AXIS`.
        seed: of all draws.
        lengths: by axis, one length per sequence, in place of the tables' own.
    """
    rng = np.random.default_rng(seed)
    own = {
        axis: case.lengths.get(axis, OTHER_AXIS if number else FIRST_AXIS)[steps]
        for number, axis in enumerate(case.varying)
    }
    extents = {axis: max(found) for axis, found in own.items()}
    model = case.load(extents)
    shapes = {name: value.shape for name, value in model.init(seed=0, dtype="float64").items()}
    params = {name: 0.6 * rng.standard_normal(shape) for name, shape in shapes.items()}
    inputs: Arrays = {}
    for name, declared in case.inputs.items():
        axes = (BATCH, *(extents[axis] for axis in declared.axes))
        if declared.category is None:
            shape = (s if isinstance(s, int) else case.sizes[s] for s in declared.shape)
            inputs[name] = rng.standard_normal((*axes, *shape))
        else:
            inputs[name] = rng.integers(case.sizes[declared.category], size=axes)
    return Sample(case, model, params, inputs, lengths or own)


@dataclass(frozen=True)
class Expected:
    """What the oracle finds for a sample.

    Attributes:
        loss: the mean of the sequences' losses.
        grads: its gradient in every parameter and real input, in the shape of the padded arrays.
        nodes: the main nodes of each sequence, as long as it is.
    """

    loss: float
    grads: Arrays
    nodes: list[Arrays]


@cache
def compiled(oracle: Oracle, free: bool, second: bool = False) -> Any:
    """Return the compiled ((loss, nodes), gradients) of one sequence, or its Hessian product.

    Parameters and real inputs come in one dict, categories in another. JAX compiles once per
    oracle, mode and length, whatever the sample.
    """
    import jax

    def loss(real: dict[str, Any], categories: dict[str, Any]) -> Any:
        return oracle(real, {**real, **categories}, free=free)

    def product(real: dict[str, Any], categories: dict[str, Any], direction: Any) -> Any:
        gradient = jax.grad(lambda values: loss(values, categories)[0])
        return jax.jvp(gradient, (real,), (direction,))[1]

    return jax.jit(product if second else jax.value_and_grad(loss, has_aux=True))


@cache
def compiled_together(oracle: Oracle, free: bool) -> Any:
    """Return the compiled ((loss, nodes), gradients) of a batch whose sequences are not alone."""
    import jax

    def loss(params: Any, real: Sequence[Any], categories: Sequence[Any]) -> Any:
        sequences = [{**r, **c} for r, c in zip(real, categories, strict=True)]
        return oracle(params, sequences, free=free)

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))


def expect(drawn: Sample, mode: str = "teacher") -> Expected:
    """Return what the oracle finds: every sequence alone, then the mean of the batch.

    Where sequences depend on one another, the oracle finds it for all of them at once.
    """
    compute = _compute_together if drawn.case.together else _compute
    found = _kept(drawn, mode, lambda: _flat(compute(drawn, mode)))
    grads = {name: found[f"grad {name}"] for name in drawn.names}
    nodes: list[Arrays] = [{} for _ in range(BATCH)]
    for name, value in found.items():
        if name.startswith("node "):
            _, number, node = name.split(" ", 2)
            nodes[int(number)][node] = value
    return Expected(float(found["loss"]), grads, nodes)


def _kept(drawn: Sample, what: Any, compute: Callable[[], Arrays]) -> Arrays:
    """Return what an oracle computes of a sample, or what is kept of it."""
    sequences = [drawn.sequence(number) for number in range(BATCH)]
    return stored(drawn.case.oracle, [what, drawn.params, sequences], compute)


def _flat(expected: Expected) -> Arrays:
    """Return the arrays of an `Expected` by names that say what each is."""
    found = {"loss": np.asarray(expected.loss)}
    found |= {f"grad {name}": value for name, value in expected.grads.items()}
    for number, nodes in enumerate(expected.nodes):
        found |= {f"node {number} {name}": value for name, value in nodes.items()}
    return found


def _compute_together(drawn: Sample, mode: str) -> Expected:
    """Run an oracle of all sequences."""
    run = compiled_together(drawn.case.oracle, mode == "free")
    sequences = [drawn.sequence(number) for number in range(BATCH)]
    real = [{n: s.pop(n) for n in drawn.case.real_inputs} for s in sequences]
    (loss, nodes), (by_params, by_real) = run(drawn.params, real, sequences)
    grads = {name: np.asarray(by_params[name]) for name in drawn.params}
    for name in drawn.case.real_inputs:
        grads[name] = np.zeros(drawn.inputs[name].shape)
        for number, own in enumerate(by_real):
            grads[name][drawn.inside(name, number)] = np.asarray(own[name])
    return Expected(float(loss), grads, [{n: np.asarray(v) for n, v in f.items()} for f in nodes])


def _compute(drawn: Sample, mode: str) -> Expected:
    """Run an oracle on every sequence."""
    run = compiled(drawn.case.oracle, mode == "free")
    shapes = {**drawn.params, **drawn.inputs}
    grads = {name: np.zeros(shapes[name].shape) for name in drawn.names}
    losses, nodes = [], []
    for number in range(BATCH):
        (loss, found), own = run(*split(drawn, number))
        losses.append(float(loss))
        nodes.append({name: np.asarray(value) for name, value in found.items()})
        for name in drawn.params:
            grads[name] += np.asarray(own[name]) / BATCH
        for name in drawn.case.real_inputs:
            grads[name][drawn.inside(name, number)] = np.asarray(own[name]) / BATCH
    return Expected(float(np.mean(losses)), grads, nodes)


def expect_product(drawn: Sample, direction: Arrays) -> Arrays:
    """Return the Hessian of the loss in the parameters, times a direction."""
    what = ["product", *sorted(direction.items())]
    return _kept(drawn, what, lambda: _compute_product(drawn, direction))


def _compute_product(drawn: Sample, direction: Arrays) -> Arrays:
    """Run the oracle's Hessian product on every sequence."""
    run = compiled(drawn.case.oracle, False, second=True)
    products = []
    for number in range(BATCH):
        real, categories = split(drawn, number)
        tangent = {name: direction.get(name, np.zeros(v.shape)) for name, v in real.items()}
        products.append(run(real, categories, tangent))
    return {name: np.mean([p[name] for p in products], axis=0) for name in drawn.params}


def split(drawn: Sample, number: int) -> tuple[Arrays, Arrays]:
    """Return (parameters and real inputs, categories) of one sequence, cut to its lengths."""
    inputs = drawn.sequence(number)
    real = {name: inputs.pop(name) for name in drawn.case.real_inputs}
    return {**drawn.params, **real}, inputs


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference, relative to max(1, |expected|)."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    assert found.shape == expected.shape, f"shape {found.shape}, expected {expected.shape}"
    return float(np.max(np.abs(found - expected) / np.maximum(1, np.abs(expected)), initial=0))


def assert_close(what: str, found: Any, expected: Any, tolerance: float = TOLERANCE) -> None:
    """Fail with both numbers where two arrays differ by more than the tolerance."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    worst = difference(found, expected)
    assert worst <= tolerance, (
        f"{what}: differs by {worst:.3g} (allowed {tolerance:g})\n"
        f"found    {found}\nexpected {expected}"
    )
