"""Gradients through time: their reach, their length, and the memory that they take.

In: specs of the family `learning`, and `echo`. Out: gradients against graphs that are cut by hand,
Jacobians of many steps against powers of singular values, training with and without clipping,
memory with and without recomputation.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Mapping
from typing import Any

import numpy as np

import unfold
from examples.reproductions.experiment import BACKEND, Experiment, Finding, data_of, learn, spec
from examples.reproductions.long_lags import sum_error
from unfold import analysis
from unfold.core.rule import interpret
from unfold.execution.memory import Memory
from unfold.training.data import make
from unfold.training.rules.clip import ClipNorm, ClipValue, euclidean

Array = np.ndarray
EXACT = "reference"
CHUNK, DISTANCE, ECHO, SEGMENT = 5, 30, 4, 100
REACHES = (1, 2, 3, 4, 5, 6, 8)
TEST = 7
"""What a stream of random numbers is for: the second entry of its seed."""


def _gap(one: Mapping[str, Array], other: Mapping[str, Array]) -> float:
    """Return the largest difference of gradients, relative to the largest entry."""
    scale = max(float(np.abs(a).max()) for a in one.values())
    return max(float(np.abs(one[n] - other[n]).max()) for n in one) / scale


def _truncated_is_cut(seed: int) -> Finding:
    """Compare gradients of chunks, their state carried on, with those of the graph cut by hand."""
    cut, whole = spec("truncated-by-hand"), spec("bptt")
    params = cut.init(seed=seed)
    generator = np.random.default_rng([seed, TEST])
    x, y = generator.integers(0, 2, (2, 4, 4 * CHUNK))
    by_hand = cut.value_and_grad(params, {"x": x, "y": y}, backend=EXACT)[1]
    exact = whole.value_and_grad(params, {"x": x, "y": y}, backend=EXACT)[1]
    total = {n: np.zeros_like(a) for n, a in params.items()}
    carry = None
    for start in range(0, x.shape[1], CHUNK):
        part = {"x": x[:, start : start + CHUNK], "y": y[:, start : start + CHUNK]}
        found = whole.step(params, part, carry=carry, backend=EXACT)
        carry = found.carry
        for name, gradient in found.grads.items():
            total[name] += gradient * CHUNK / x.shape[1]
    same, other = _gap(by_hand, total), _gap(by_hand, exact)
    return Finding(same < 1e-12 < other, (f"{same:.1e}", f"{other:.1e}"), -same)


def _echo(seed: int, **settings: Any) -> Finding:
    """Train truncated at several numbers of steps, and measure the error on whole sequences."""
    model = spec("echo")
    columns = data_of(model, seed).draw(np.random.default_rng([seed, TEST]), 64).columns
    x = columns["pair"].padded()
    errors: list[float] = []
    for steps in REACHES:
        how = {"truncate": {"t": steps, "carry": True}, **settings}
        outcome = learn(model, seed, **how)
        run = model.forward(outcome.params, {"x": x}, backend=BACKEND)
        errors.append(float(((run["y"] - run["echo"])[:, ECHO:] ** 2).mean()))
    guess = float(x[:, :-ECHO, 0].var())
    reached = all(
        (error < 0.1 * guess) == (steps >= ECHO)
        for steps, error in zip(REACHES, errors, strict=True)
    )
    return Finding(reached, (f"{guess:.4f}", *(f"{error:.4f}" for error in errors)))


def _norm(flow: analysis.StateMap, states: Array, part: int | None = None) -> Array:
    """Return the largest singular values of derivatives by the state, or by a part of it."""
    jacobian = flow.jacobian(states)
    if part is not None:
        at = flow.parts[part]
        own = slice(at.start, at.start + at.size)
        jacobian = jacobian[:, own, own]
    return np.linalg.norm(jacobian, ord=2, axis=(1, 2))


def _over_distance(seed: int) -> Finding:
    """Measure |∂h(t)/∂h(t-30)| for three gains where tanh is linear, and where it is not."""
    model = spec("vanishing")
    generator = np.random.default_rng([seed, TEST])
    cells: list[str] = []
    reached = True
    for gain in (0.8, 1.0, 1.25):
        params = {**model.init(seed=seed), "gain": np.array(gain)}
        largest = float(np.linalg.norm(gain * params["W"], ord=2))
        linear, bent = 0.0, 0.0
        for steps in (1, 10, DISTANCE):
            bound = largest**steps
            rest = analysis.state_map(model, params, steps=steps)
            linear = float(_norm(rest, np.zeros((1, rest.size)))[0])
            reached &= abs(linear / bound - 1) < 1e-12
            pushed = analysis.state_map(model, params, {"x": [0.5, 1.0]}, steps=steps)
            bent = float(_norm(pushed, generator.uniform(-1, 1, (8, rest.size))).max())
            reached &= bent <= bound * (1 + 1e-12)
        cells.append(f"{linear:.3g}, {bent:.2g}")
    return Finding(reached, tuple(cells))


def _carousel(seed: int) -> Finding:
    """Measure |∂s(t)/∂s(t-k)| of LSTMs along the memory, beside that of a vanishing network."""
    carousel, forgetting, plain = spec("error-carousel"), spec("adding"), spec("vanishing")
    generator = np.random.default_rng([seed, TEST])
    found: list[float] = []
    for open_gates in (False, True):
        model = forgetting if open_gates else carousel
        params = model.init(seed=seed)
        own = "h.W" if open_gates else "W"
        # Without W the path through the memory is the only one.
        params[own] = np.zeros_like(params[own])
        if open_gates:
            size = params["h.b"].size // 4
            params["h.b"][size : 2 * size] = 20.0
        flow = analysis.state_map(model, params, {"x": [0.5, 1.0]}, steps=100)
        memory = next(i for i, p in enumerate(flow.parts) if p.name.endswith("s"))
        states = generator.uniform(-1, 1, (2, flow.size))
        found += [float(_norm(flow, states, memory).min())]
    whole = analysis.state_map(carousel, carousel.init(seed=seed), {"x": [0.5, 1.0]}, steps=100)
    memory = next(i for i, p in enumerate(whole.parts) if p.name == "s")
    with_w = float(_norm(whole, generator.uniform(-1, 1, (2, whole.size)), memory).min())
    flow = analysis.state_map(plain, plain.init(seed=seed), {"x": [0.5, 1.0]}, steps=100)
    gone = float(_norm(flow, generator.uniform(-1, 1, (2, flow.size))).max())
    reached = found[0] == 1.0 and abs(found[1] - 1) < 1e-6 and gone < 1e-9
    cells = (f"{found[0]:.12g}", f"{found[1]:.9f}", f"{with_w:.3g}", f"{gone:.1e}")
    return Finding(reached, cells)


def _angle(one: Array, other: Array) -> float:
    """Return the angle between two vectors in degrees."""
    unit = [v / np.linalg.norm(v) for v in (one.astype(float), other.astype(float))]
    # Of nearly equal vectors this is exact where the arc cosine is not.
    return float(np.degrees(2 * np.arcsin(min(1.0, np.linalg.norm(unit[0] - unit[1]) / 2))))


def _clip(how: ClipNorm | ClipValue, gradient: np.ndarray, norm: float) -> float:
    """Clip a gradient in place, and return the share that changed."""
    return how.clip(interpret(how.rule, {"g": gradient}), norm, gradient.size)


def _direction(seed: int) -> Finding:
    """Clip an exploded gradient in both ways, and measure the angle to the original."""
    model = spec("exploding")
    batch = make.task("adding", {"length": 50}).draw(np.random.default_rng([seed, TEST]), 8).columns
    inputs = {"x": batch["pair"].padded(), "target": batch["sum"].values}
    grads = model.value_and_grad(model.init(seed=seed), inputs, backend=EXACT)[1]
    gradient = np.concatenate([grads[n].ravel() for n in sorted(grads)])
    length = euclidean(gradient)
    by_norm, by_value = gradient.copy(), gradient.copy()
    _clip(ClipNorm(norm=1), by_norm, length)
    share = _clip(ClipValue(value=0.05), by_value, length)
    kept, turned = _angle(gradient, by_norm), _angle(gradient, by_value)
    cells = (f"{length:.3g}", f"{kept:.1e}°", f"{turned:.1f}°", f"{100 * share:.0f} %")
    return Finding(kept < 1e-5 and turned > 5, cells)


def _clipping(seed: int, **settings: Any) -> Finding:
    """Train clipped by norm, clipped by value, and not at all."""
    cells: list[str] = []
    errors: list[float] = []
    for name, changed in (
        ("clip-by-norm", {}),
        ("clip-by-value", {}),
        ("clip-by-norm", {"clip": None}),
    ):
        model = spec(name)
        acted: list[float] = []
        shares: list[float] = []

        def watch(metrics: Any, _trainer: Any, acted: Any = acted, shares: Any = shares) -> bool:
            acted.append(float(metrics.clipped > 0))
            shares.append(metrics.clipped)
            return False

        outcome = learn(model, seed, callbacks=[watch], **{**changed, **settings})
        error = sum_error(model, outcome.params, seed)
        errors.append(error)
        often = f", acted in {100 * np.mean(acted):.0f} % of steps" if "clip" not in changed else ""
        cells.append((f"{error:.4f}" if error < 1 else f"{error:.1e}") + often)
    reached = max(errors[:2]) < 0.04 and not errors[2] < 0.14
    return Finding(reached, tuple(cells), -errors[0])


def _memory(seed: int) -> Finding:
    """Measure the peak memory and the time of a step, in one run and in segments of 100."""
    generator = np.random.default_rng([seed, TEST])
    cells: list[str] = []
    peaks: list[Array] = []
    gaps: list[float] = []
    for steps in (1000, 4000, 16000):
        text = generator.integers(0, 103, (2, 4, steps))
        found = [_measured(steps, Memory(c), text, seed) for c in (None, SEGMENT)]
        (whole, parts), (slow, slower), (exact, same) = zip(*found, strict=True)
        gaps.append(_gap(exact, same))
        peaks.append(np.array([whole, parts]))
        sizes = f"{whole / 2**20:.1f} → {parts / 2**20:.1f} MiB"
        cells.append(f"{sizes}, {slow:.2f} → {slower:.2f} s")
    whole, parts = peaks[-1]
    return Finding(max(gaps) < 1e-12 and parts < whole / 10, (*cells, f"{max(gaps):.1e}"))


def _measured(steps: int, memory: Memory, text: Array, seed: int) -> tuple[float, float, Any]:
    """Return the peak of what a step allocates, the seconds that it takes next time, gradients."""
    model = unfold.load("long-sequence", axes={"t": steps})
    model.memory = memory
    params, inputs = model.init(seed=seed), {"x": text[0], "target": text[1]}
    few = {name: array[:, : 2 * SEGMENT] for name, array in inputs.items()}
    model.value_and_grad(params, few, backend=BACKEND)  # plans it, and compiles what is new
    tracemalloc.start()
    try:
        _, grads = model.value_and_grad(params, inputs, backend=BACKEND)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    seconds: list[float] = []
    for _ in range(3):
        began = time.perf_counter()
        model.value_and_grad(params, inputs, backend=BACKEND)
        seconds.append(time.perf_counter() - began)
    return peak, min(seconds), grads


EXPERIMENTS = (
    Experiment(
        name="truncation-cuts",
        systems=("E1",),
        title="truncated gradients are those of a graph cut by hand",
        criterion="with the state carried on, the gradients of chunks of 5 steps add up to that of"
        " the sequence with `stop_gradient` at every fifth step, to 1e-12 of the largest entry",
        columns=("difference", "difference to the uncut graph, for comparison"),
        measure=_truncated_is_cut,
        specs=("bptt", "truncated-by-hand"),
        quick=True,
    ),
    Experiment(
        name="truncation-reach",
        systems=("E1",),
        title="the input of d = 4 steps ago is learnt if and only if gradients flow k ≥ d steps",
        criterion="the mean squared error of an echo from 4 steps ago is below a tenth of that of"
        " the best constant for k ≥ 4, and above it for k < 4",
        columns=("best constant", *(f"k = {k}" for k in REACHES)),
        measure=_echo,
        seeds=3,
        needed=3,
        specs=("echo",),
        notes="Training runs in chunks of k steps with an update after each, and carries the state"
        " on. Gradients reach U at distances up to k - 1, and W up to k: there W multiplies the"
        " state before the chunk, which holds the number of k steps ago. W starts near zero,"
        " because a network that already remembers can be read without learning to remember.",
    ),
    Experiment(
        name="gradient-over-distance",
        systems=("E2",),
        title="gradients vanish below the singular value 1 and may explode above it",
        criterion="|∂h(t)/∂h(t-k)| is σ^k where tanh is linear, to 1e-12, and at most σ^k"
        " elsewhere, for k = 1, 10 and 30",
        columns=tuple(f"σ = {s}: at k = 30 linear, and bent" for s in ("0.8", "1", "1.25")),
        measure=_over_distance,
        published="|∂h(t)/∂h(k)| ≤ σ^(t-k) (Pascanu, Mikolov & Bengio 2013, section 2.1)",
        specs=("vanishing",),
        notes="σ is the largest singular value of the recurrent weights, an orthogonal matrix times"
        " σ. Linear means at rest, without input; bent means the largest of eight random states,"
        " with input.",
    ),
    Experiment(
        name="lstm-memory-path",
        systems=("E2",),
        title="gradients do not decay along the memory of an LSTM",
        criterion="over 100 steps |∂s(t)/∂s(t-100)| is 1 without forget gates, 1 ± 1e-6 with open"
        " ones, and below 1e-9 for the hidden state of a simple network with σ = 0.8",
        columns=(
            "LSTM without forget gates",
            "forget gates with bias 20",
            "the first, all paths",
            "simple network",
        ),
        measure=_carousel,
        published="constant error flow (Hochreiter & Schmidhuber 1997)",
        specs=("error-carousel", "adding", "vanishing"),
        notes="The first two have no recurrent weights, so the memory is the only path.",
    ),
    Experiment(
        name="clipping-direction",
        systems=("E3",),
        title="clipping by norm keeps the direction of a gradient, clipping by value does not",
        criterion="the angle between a gradient and the clipped gradient is 0 by norm, and more"
        " than 5° by value",
        columns=("length", "angle by norm (1)", "angle by value (0.05)", "entries cut by value"),
        measure=_direction,
        specs=("exploding",),
        quick=True,
    ),
    Experiment(
        name="clipping-trains",
        systems=("E3",),
        title="if gradients explode, training works with clipping and fails without",
        criterion="the mean squared error of adding is below 0.04 with either clipping; without"
        " clipping it is above 0.14 (guessing: 0.167) or not a number",
        columns=("by norm", "by value", "without"),
        measure=_clipping,
        seeds=3,
        needed=2,
        specs=("clip-by-norm", "clip-by-value"),
        notes="The network has rectified linear units and starts from the identity. Training uses"
        " plain gradient descent with momentum on sequences of 30 numbers.",
    ),
    Experiment(
        name="memory-of-bptt",
        systems=("E4",),
        title="exact gradients of long sequences in bounded memory, by recomputation",
        criterion="with segments of 100 steps gradients are equal to 1e-12, and 16,000 steps take"
        " less than a tenth of the memory of one run",
        columns=(
            "T = 1,000",
            "T = 4,000",
            "T = 16,000: one run → segments",
            "largest difference",
        ),
        measure=_memory,
        specs=("long-sequence",),
        notes="A GRU of 64 units reads 4 sequences of characters in double precision. The columns"
        " give the peak memory that a step allocates, and its time, in one run → recomputed. Only"
        " the stored states and the sequences themselves still grow with T.",
    ),
)
