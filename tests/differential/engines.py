"""What computes a sample: a backend, and references that are made inexact on purpose.

    engine(model, "numba", "float32").forward(params, inputs, mode="free")
    engine(model, "noisy", "float64").step(params, inputs, wrt=names)

`noisy` stands for a correct backend, so that the generator can be judged without one; `single`
says how exact float32 can be. `ambiguous` tells whether a sample hangs on a tie or a threshold, so
that two correct engines may disagree.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

import unfold
from tests.differential.interpreted import interpret
from tests.differential.parallel import PARALLEL, Parallel, shuffled
from unfold.core.op import LEAD
from unfold.core.program import Program
from unfold.runs.domain import Domain
from unfold.unfolded.reference import Walk, Wavefront, _equal_rank, _reduction, gather
from unfold.unfolded.running import Runner

Arrays = Mapping[str, Any]
ORDERED = {"less", "less_equal", "greater", "greater_equal", "not_equal"}
EXACT = {"identity", "slice", "pad", "reshape", "broadcast_to", "one_hot", "concat", "where"}
EXACT |= {"max", "feature_max", "minimum", "maximum", "relu", "abs", "neg", "stop_gradient"}


class Engine(Protocol):
    """Runs a model forward, and with gradients."""

    def forward(self, params: Arrays, inputs: Arrays, **options: Any) -> Any:
        """Return a Run."""
        ...

    def step(self, params: Arrays, inputs: Arrays, **options: Any) -> Any:
        """Return a Step."""
        ...


class Backend:
    """A backend of the package, by name.

    Args:
        model: what it runs.
        dtype: "float64" or "float32".
        name: of the backend.
    """

    def __init__(self, model: unfold.Model, dtype: str, name: str) -> None:
        self.model, self.dtype, self.name = model, dtype, name

    def _cast(self, arrays: Arrays) -> dict[str, Any]:
        return {n: a.astype(self.dtype) if a.dtype.kind == "f" else a for n, a in arrays.items()}

    def forward(self, params: Arrays, inputs: Arrays, **options: Any) -> Any:
        """Return a Run."""
        options["backend"] = self.name
        return self.model.forward(self._cast(params), self._cast(inputs), **options)

    def step(self, params: Arrays, inputs: Arrays, **options: Any) -> Any:
        """Return a Step."""
        options["backend"] = self.name
        return self.model.step(self._cast(params), self._cast(inputs), **options)


def engine(model: unfold.Model, name: str, dtype: str) -> Engine:
    """Return the engine of a name: "noisy" (with "single" as its float32), or a backend.

    "interpreted" is the compiled backend with its blocks interpreted; "parallel" is one that plans
    for another Target, and runs the points of nests at once.
    """
    if name in WALKS:
        return Inexact(model, "single" if dtype == "float32" else name)
    if name in INTERPRETED and name not in model._execution.backends:
        interpret(model, name, **INTERPRETED[name]())
    return Backend(model, dtype, name)


INTERPRETED: dict[str, Callable[[], dict[str, Any]]] = {
    "interpreted": dict,
    "parallel": lambda: {"machine": Parallel(shuffled(1)), "target": PARALLEL},
}


# References that are inexact on purpose


class NoisyWalk(Walk):
    """Adds a rounding error to every result that rounds."""

    salt = 0

    def _compute(self, step: Wavefront, store: Mapping[str, Any], seed: int) -> None:
        super()._compute(step, store, seed)
        value = step.value
        if value.type.kind != "real" or value.op in EXACT:
            return
        at = (slice(None), *step.points)
        result = store[value.name][at]
        own = zlib.crc32(f"{value.name} {step.points}".encode())
        noise = np.random.default_rng([self.salt, own]).choice([-1.0, 0.0, 1.0], result.shape)
        eighths = (np.abs(result) < 2.0**40) & (result * 8 == np.round(result * 8))
        rounds = np.isfinite(result) & ~eighths  # large numbers are whole because they were rounded
        store[value.name][at] = np.where(rounds, result * (1 + 2e-16 * noise), result)


class OtherNoisyWalk(NoisyWalk):
    """Adds other errors than those that are judged by it."""

    salt = 1


class SingleWalk(Walk):
    """Keeps every real value in float32."""

    def _empty(self, value: Any) -> Any:
        array = super()._empty(value)
        return array.astype(np.float32) if array.dtype == np.float64 else array


WALKS: dict[str, type[Walk]] = {"noisy": NoisyWalk, "single": SingleWalk, "other": OtherNoisyWalk}


class _WalkRunner(Runner):
    def __init__(self, walk: Callable[[Program, Domain], Walk]) -> None:
        super().__init__()
        self.walk = walk


@contextmanager
def walking(model: unfold.Model, walk: Callable[[Program, Domain], Walk]) -> Iterator[None]:
    """Let a model's reference walk the unfolded graph in another way."""
    reference: Any = model._execution.backend("reference")
    runner, reference.runner = reference.runner, _WalkRunner(walk)
    try:
        yield
    finally:
        reference.runner = runner


class Inexact:
    """The reference with one of the walks.

    Args:
        model: what it runs.
        name: of the walk.
    """

    def __init__(self, model: unfold.Model, name: str) -> None:
        self.model, self.walk = model, WALKS[name]

    def forward(self, params: Arrays, inputs: Arrays, **options: Any) -> Any:
        """Return a Run."""
        with walking(self.model, self.walk):
            return self.model.forward(params, inputs, backend="reference", **options)

    def step(self, params: Arrays, inputs: Arrays, **options: Any) -> Any:
        """Return a Step."""
        with walking(self.model, self.walk):
            return self.model.step(params, inputs, backend="reference", **options)


# Ties and thresholds


class Watch:
    """Collects where a run decides by a hair.

    Args:
        margin: how near two numbers are that another rounding may order differently.
    """

    def __init__(self, margin: float) -> None:
        self.margin = margin
        self.found: list[str] = []

    def walk(self, program: Program, domain: Domain) -> Walk:
        """Return a walk that reports here."""
        return _WatchedWalk(program, domain, self)


class _WatchedWalk(Walk):
    def __init__(self, program: Program, domain: Domain, watch: Watch) -> None:
        super().__init__(program, domain)
        self.watch = watch
        self.deciding = _deciding_maxima(program)

    def _compute(self, step: Wavefront, store: Mapping[str, Any], seed: int) -> None:
        if self._close(step, store):
            self.watch.found.append(f"{step.value.op} in {step.value.name}")
        super()._compute(step, store, seed)

    def _close(self, step: Wavefront, store: Mapping[str, Any]) -> bool:
        """Tell whether a step's decision is a close one at a point that exists."""
        value = step.value
        margin = self.watch.margin
        if value.op not in (*ORDERED, "equal", "sign", "mod", "floordiv", "argmax", *MAXIMA):
            return False
        operands = [gather(r, store, self.program[r.value]) for r in step.reads]
        if self.program[value.operands[0].value].type.kind == "category":
            return False
        with np.errstate(all="ignore"):
            if value.op == "argmax" or value.name in self.deciding:
                close = _close_top(operands[0], step, margin)
            elif value.op in MAXIMA or (value.op == "equal" and self._is_maximum(step)):
                return False
            elif value.op == "sign":
                close = _near(operands[0], np.zeros(()), margin) & (operands[0] != 0)
            elif value.op in ("mod", "floordiv"):
                a, b = _equal_rank(operands)
                ratio = a / b
                close = _near(ratio, np.round(ratio), margin)
            else:
                a, b = _equal_rank(operands)
                close = _near(a, b, margin)
        close = close.reshape(*close.shape[:LEAD], -1).any(axis=-1)
        if step.inside is not None and close.shape[:2] != (1, 1):
            close = close & step.inside[:, :, None]
        return bool(close.any())

    def _is_maximum(self, step: Wavefront) -> bool:
        return any(_origin(self.program, r.value) in self.deciding for r in step.value.operands)


MAXIMA = ("max", "feature_max")


def _origin(program: Program, name: str) -> str:
    """Return the value that reshapes and copies of it lead back to."""
    while program[name].op in ("reshape", "identity", "broadcast_to"):
        name = program[name].operands[0].value
    return name


def _deciding_maxima(program: Program) -> set[str]:
    """Return the maxima whose gradient is taken: what is compared with them decides."""
    found = set()
    for value in program.of("equal"):
        for ref in value.operands:
            origin = _origin(program, ref.value)
            if program[origin].op in MAXIMA:
                found.add(origin)
    return found


def _near(a: Any, b: Any, margin: float) -> Any:
    """Tell where two numbers may be ordered either way; eighths are exact in every engine."""
    exact = (a * 8 == np.round(a * 8)) & (b * 8 == np.round(b * 8))
    return ~exact & (np.abs(a - b) <= margin * (1 + np.abs(a)))


def _close_top(x: Any, step: Wavefront, margin: float) -> Any:
    """Tell where the two largest of what is reduced are near."""
    if step.value.op == "max":
        over = _reduction(step)["over"]
        if step.exists is not None:
            exists = step.exists.reshape(step.exists.shape + (1,) * (x.ndim - LEAD))
            x = np.where(exists, x, -np.inf)
        x = np.moveaxis(x, over, range(-len(over), 0))
        x = x.reshape(1, 1, 1, -1, int(np.prod(x.shape[x.ndim - len(over) :])))
    if x.shape[-1] < 2:
        return np.zeros((*x.shape[:LEAD], 1), dtype=bool)
    top = np.sort(x, axis=-1)[..., -2:]
    return np.isfinite(top[..., 0]) & _near(top[..., 0], top[..., 1], margin)
