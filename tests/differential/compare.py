"""Run a sample on the reference and on another engine, and compare everything that both return.

    check(sample, "numba").kind     "agrees", "disagrees", "fails", "ambiguous", "illegal" …

Compared are all nodes, the loss, the carried state, and the gradients by all parameters (learned
initial states among them), real inputs and carried states, over one or two chunks. Parameters and
inputs are float32 numbers, so that float64 and float32 are fed with the same ones.

An array agrees where NaN and infinities are at the same places and the largest difference is at
most 1e-10 (float64) or 2e-5 (float32) of its largest number. What cancels cannot be that exact, so
as much error is allowed as `SLACK` times that of the reference when it rounds to float32 (scaled to
the precision); it is computed only where something exceeds the first bound.
"""

from __future__ import annotations

import traceback
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import unfold
from tests.differential.case import Run, Sample
from tests.differential.engines import Engine, Watch, engine, walking
from unfold.core.program import BATCH
from unfold.errors import DataError, SpecError, UnsupportedError
from unfold.runs.domain import Domain

TOLERANCE = {"float64": 1e-10, "float32": 2e-5}
MARGIN = {"float64": 1e-9, "float32": 3e-4}
SLACK = 16.0
# What is zero but for rounding cannot be nearer than this, relative to the largest number of all.
FLOOR = {"float64": 1e-12, "float32": 1e-5}
CHAOTIC = 1e-2
LEVELS = ("values", "gradients", "float32")

Arrays = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What came of a sample.

    Attributes:
        kind: "agrees"; "disagrees", "fails" (the engine raised) or "broken" (the reference raised);
            "ambiguous" (it hangs on a tie or on how numbers are rounded); "illegal", "refused"
            and "unsupported" (a diagnostic by the language, the reference or the engine).
        message: what, in a line or more.
        label: which array, or which exception: failures of one label may have one cause.
        checked: the element types that were compared.
    """

    kind: str
    message: str = ""
    label: str = ""
    checked: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether somebody must look at it."""
        return self.kind in ("disagrees", "fails", "broken")


@dataclass
class Computed:
    """What an engine returned.

    Attributes:
        arrays: by label, such as "h", "loss", "gradient of W" and "h in chunk 2".
        outside: by label of a node, where its padding is.
    """

    arrays: Arrays = field(default_factory=dict)
    outside: Arrays = field(default_factory=dict)


# Data


def draw(model: unfold.Model, run: Run, chunk: int = 0) -> tuple[Arrays, Arrays, Any]:
    """Return parameters, inputs and lengths of one chunk; the padding holds garbage.

    Raises:
        DataError: extents that a derived axis does not allow.
    """
    program = model.program
    data = {a for v in program.inputs for a in v.axes if a != BATCH}
    free = {a for a in data if program.axes[a].extent.is_constant}
    extents = {a: n for a, n in run.extents.items() if a in free}
    lengths = {a: n[chunk:] + n[:chunk] for a, n in run.lengths.items() if a in free}
    domain = Domain(program, extents, lengths, run.batch)
    params, inputs = {}, {}
    for value in program.parameters:
        shape = tuple(n + run.spare for n in domain.shape(value.axes)) + value.type.stored
        rng = np.random.default_rng([run.data, zlib.crc32(value.name.encode())])
        fan = value.type.shape[-1] if len(value.type.shape) > 1 else 2
        params[value.name] = _exact(rng.standard_normal(shape) / np.sqrt(max(fan, 1)))
    spoiled = next((v.name for v in program.inputs if v.type.kind == "real"), None)
    for value in program.inputs:
        shape = domain.shape(value.axes) + value.type.stored
        rng = np.random.default_rng([run.data, chunk, zlib.crc32(value.name.encode())])
        if value.type.kind == "category":
            inputs[value.name] = rng.integers(-1, value.type.shape[0], shape)
        else:
            array = _exact(np.full(shape, 0.1) if run.alike else rng.standard_normal(shape))
            outside = padding(domain, value.axes)
            if run.garbage:
                array[outside] = np.nan
            if run.spoiled and value.name == spoiled:
                points = np.argwhere(~outside)
                array[tuple(points[rng.integers(len(points))])] = rng.choice([np.nan, np.inf])
            inputs[value.name] = array
    return params, inputs, lengths or None


def _exact(array: Any) -> Any:
    """Round to float32, so that both element types hold the same numbers."""
    return np.asarray(array, dtype=np.float32).astype(np.float64)


def padding(domain: Domain, axes: tuple[str, ...]) -> Any:
    """Return where an array [batch, *extents] with some axes has no points."""
    own = [a for a in axes if a != BATCH]
    outside = np.zeros((domain.batch, *(domain.extents[a] for a in own)), dtype=bool)
    for i, axis in enumerate(own):
        shape = [1] * outside.ndim
        shape[i + 1] = -1
        points = np.arange(domain.extents[axis]).reshape(shape)
        lengths = domain.length(axis).reshape([-1] + [1] * len(own))
        outside |= points >= lengths
    return outside


# Running


def compute(
    model: unfold.Model, run: Run, chosen: Engine, *, gradients: bool, values: bool = True
) -> Computed:
    """Run all chunks of a sample on an engine.

    Raises:
        UnfoldError: the engine refuses.
    """
    found = Computed()
    states: dict[str, Any] = {"forward": None, "step": None}
    for chunk in range(run.chunks):
        params, inputs, lengths = draw(model, run, chunk)
        suffix = f" in chunk {chunk + 1}" if chunk else ""
        shared: dict[str, Any] = {"mode": run.mode, "lengths": lengths, "seed": run.seed}
        shared["training"] = run.training
        if values:
            given = {n: a for n, a in inputs.items() if n not in run.missing}
            extra = {} if given else {"batch": run.batch}
            result = chosen.forward(params, given, carry=states["forward"], **shared, **extra)
            states["forward"] = result.carry
            domain = _domain_of(model, result, run)
            for name in (n for n in model.pipeline.nodes if n in result.arrays):
                found.arrays[f"{name}{suffix}"] = result[name]
                if model.program[name].batched:  # what all sequences share has no padding
                    own = model.program[name].axes
                    found.outside[f"{name}{suffix}"] = padding(domain, own)
            if result.loss is not None:
                found.arrays[f"loss{suffix}"] = np.asarray(result.loss)
            found.arrays |= {f"carry of {n}{suffix}": a for n, a in result.carry.items()}
        if gradients and model.program.loss is not None:
            carry = states["step"]
            names = _sources(model, carry, run)
            result = chosen.step(params, inputs, wrt=names, carry=carry, **shared)
            states["step"] = result.carry
            found.arrays[f"loss of a step{suffix}"] = np.asarray(result.loss)
            found.arrays |= {f"gradient of {n}{suffix}": a for n, a in result.grads.items()}
            found.arrays |= {f"carry of a step, {n}{suffix}": a for n, a in result.carry.items()}
    return found


def _domain_of(model: unfold.Model, result: Any, run: Run) -> Domain:
    """Return the domain of a run, which a stopping rule may have made shorter than the data."""
    lengths = {a: n for a, n in result.lengths.items() if a in model.program.axes}
    free = [a for a in lengths if model.program.axes[a].extent.is_constant]
    extents = dict.fromkeys(free, 0)
    for name, array in result.items():
        own = [a for a in model.program[name].axes if a != BATCH]
        extents |= {a: n for a, n in zip(own, array.shape[1:], strict=False) if a in free}
    extents = {a: n or int(max(lengths[a])) for a, n in extents.items()}
    return Domain(model.program, extents, {a: lengths[a] for a in free}, run.batch)


def _sources(model: unfold.Model, carry: Mapping[str, Any] | None, run: Run) -> list[str]:
    """Return all that can be differentiated by."""
    program = model.program
    if carry:
        program = model.pipeline.resolved(mode=run.mode, training=run.training, carry=True)
    return [v.name for v in (*program.parameters, *program.inputs) if v.type.kind == "real"]


# Comparing


def check(sample: Sample, name: str, levels: tuple[str, ...] = LEVELS) -> Outcome:
    """Compare an engine with the reference.

    Args:
        sample: what to run.
        name: of a backend, or "noisy" or "single".
        levels: "values", "gradients", and "float32" in addition to float64.
    """
    try:
        model = unfold.loads(sample.text, file="case.yaml")
    except SpecError as error:
        return Outcome("illegal", str(error), error.diagnostics[0].message)
    except Exception as error:
        return raised("broken", error)
    gradients, values = "gradients" in levels, "values" in levels
    try:
        expected, run = _expected(model, sample.run, gradients=gradients, values=values)
    except (DataError, UnsupportedError) as error:
        return Outcome("refused", str(error), type(error).__name__)
    except Exception as error:
        return raised("broken", error)
    # An input that a free run does without may be the only one that says how long an axis is.
    same = model.elaborated.stop is None and not run.missing
    if same and not _one_loss(expected):
        return Outcome("broken", "forward and step of the reference differ in the loss", "losses")
    checked: tuple[str, ...] = ()
    for dtype in ("float64", "float32")[: 1 + ("float32" in levels)]:
        try:
            chosen = engine(model, name, dtype)
            found = compute(model, run, chosen, gradients=gradients, values=values)
        except UnsupportedError as error:
            return Outcome("unsupported", str(error), str(error).partition(";")[0])
        except Exception as error:
            return raised("fails", error)
        outcome = _judge(model, run, dtype, expected, found, (gradients, values))
        if outcome.kind != "agrees":
            return replace(outcome, message=f"{dtype}: {outcome.message}", checked=checked)
        checked = (*checked, dtype)
    return Outcome("agrees", checked=checked)


def _one_loss(expected: Computed) -> bool:
    """Tell whether a forward run and a step of the reference have the same losses."""
    pairs = [(n, n.replace("loss", "loss of a step")) for n in ("loss", "loss in chunk 2")]
    known = [p for p in pairs if all(n in expected.arrays for n in p)]
    return all(
        np.allclose(*(expected.arrays[n] for n in p), rtol=1e-9, atol=1e-9, equal_nan=True)
        for p in known
    )


def _expected(
    model: unfold.Model, run: Run, *, gradients: bool, values: bool
) -> tuple[Computed, Run]:
    """Return what the reference computes; inputs that it cannot do without are given after all."""
    reference = engine(model, "reference", "float64")
    try:
        return compute(model, run, reference, gradients=gradients, values=values), run
    except DataError:
        if not run.missing:
            raise
        run = replace(run, missing=())
        return compute(model, run, reference, gradients=gradients, values=values), run


def raised(kind: str, error: BaseException) -> Outcome:
    """Return the outcome of an exception, labelled by its type and place."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/unfold/" in f.filename] or list(frames)
    where = f"{Path(own[-1].filename).name}, {own[-1].name}"
    message = "".join(traceback.format_exception(error))
    return Outcome(kind, message, f"{type(error).__name__} in {where}")


def _judge(
    model: unfold.Model,
    run: Run,
    dtype: str,
    expected: Computed,
    found: Computed,
    what: tuple[bool, bool],
) -> Outcome:
    labels = list(expected.arrays)
    if labels != list(found.arrays) and set(labels) != set(found.arrays):
        lost = sorted(set(labels) ^ set(found.arrays))
        return Outcome("disagrees", f"only one of both returned {', '.join(lost)}", "names")
    suspects = [n for n in labels if _differs(expected, found, n, dtype)]
    if not suspects:
        return Outcome("agrees")
    watch = Watch(MARGIN[dtype])
    with walking(model, watch.walk):
        reference = engine(model, "reference", "float64")
        compute(model, run, reference, gradients=what[0], values=what[1])
    if watch.found:
        return Outcome("ambiguous", f"a close decision: {watch.found[0]}", "decision")
    rough = compute(
        model, run, engine(model, "single", "float32"), gradients=what[0], values=what[1]
    )
    shaken = rough
    if dtype == "float64":
        noisy = engine(model, "other", dtype)
        shaken = compute(model, run, noisy, gradients=what[0], values=what[1])
    for name in suspects:
        message = _differs(expected, found, name, dtype, rough)
        if message == CHAOS:
            return Outcome("ambiguous", f"{name}: {message}", "chaos")
        if message and _differs(expected, shaken, name, dtype, rough):
            return Outcome("ambiguous", f"{name}: rounding decides", "rounding")
        if message:
            return Outcome("disagrees", f"{name}: {message}", _kind_of(name))
    return Outcome("agrees")


CHAOS = "float32 says nothing about it"


def _kind_of(name: str) -> str:
    for kind in ("gradient of carry", "gradient", "carry", "loss"):
        if name.startswith(kind):
            return kind
    return "node"


def _differs(
    expected: Computed, found: Computed, name: str, dtype: str, rough: Computed | None = None
) -> str:
    """Return how an array differs by more than it may, or nothing."""
    a, b = np.asarray(expected.arrays[name]), np.asarray(found.arrays[name])
    if a.shape != b.shape:
        return f"its shape is {list(b.shape)}, expected {list(a.shape)}"
    if a.dtype.kind != "f":
        wrong = a != b
        return _at(wrong, a, b) if wrong.any() else ""
    if b.dtype.kind != "f":
        return f"its elements are {b.dtype}"
    patterns = (np.isnan(a) != np.isnan(b)) | (np.isposinf(a) != np.isposinf(b))
    patterns |= np.isneginf(a) != np.isneginf(b)
    if patterns.any():
        return _at(patterns, a, b)
    outside = expected.outside.get(name)
    if outside is not None:
        dirty = outside.reshape(outside.shape + (1,) * (b.ndim - outside.ndim)) & (b != 0)
        if dirty.any():
            return f"its padding is not zero, {_at(dirty, a, b)}"
    finite = np.isfinite(a)
    error = np.where(finite, np.abs(np.where(finite, a, 0) - np.where(finite, b, 0)), 0.0)
    scale = float(np.max(np.abs(np.where(finite, a, 0.0)), initial=0.0))
    allowed = TOLERANCE[dtype] * scale
    if rough is not None:
        noise = _noise(expected, rough, name)
        if dtype == "float32" and noise > CHAOTIC * _overall(expected):
            return CHAOS
        precision = 1.0 if dtype == "float32" else 2.0**-29
        floor = FLOOR[dtype] * _overall(expected)
        allowed = max(allowed, SLACK * noise * precision, floor)
    if float(np.max(error, initial=0.0)) <= allowed:
        return ""
    return f"{_at(error > allowed, a, b)}; {allowed:.1e} is allowed"


def _noise(expected: Computed, rough: Computed, name: str) -> float:
    """Return the largest error that float32 makes in an array."""
    a, b = (np.asarray(c.arrays[name]) for c in (expected, rough))
    if a.shape != b.shape:
        return np.inf
    error = np.abs(a - b)
    return float(np.max(error[np.isfinite(error)], initial=0.0))


def _overall(expected: Computed) -> float:
    """Return the largest number that the reference returned, at least 1."""
    real = [a for a in map(np.asarray, expected.arrays.values()) if a.dtype.kind == "f"]
    return max((float(np.max(np.abs(a[np.isfinite(a)]), initial=1.0)) for a in real), default=1.0)


def _at(wrong: Any, a: Any, b: Any) -> str:
    """Say where and how two arrays differ first."""
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    count = int(np.count_nonzero(wrong))
    return f"at {list(at)} it is {b[at]!r}, expected {a[at]!r} ({count} of {wrong.size} differ)"
