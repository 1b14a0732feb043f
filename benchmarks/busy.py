"""A minimal gated unit beside JAX, on a machine where other programs run.

    python -m benchmarks.busy [ROUNDS]

T 64, 16 sequences, H 200, float32: loss and all gradients, in turns, first alone and then with two
programs that do nothing but compute. Both peers get the same numbers and must find the same loss
and gradients.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import unfold
from unfold.speed.timing import turn

SPEC = Path(__file__).parent / "specs" / "mgu.yaml"
BATCH, PROGRAMS, ROUNDS, SECONDS = 16, 2, 40, 0.1
ENDLESS = "while True: pass"


def _loss(p: Any, x: Any) -> Any:
    given = jnp.swapaxes(x, 0, 1)

    def step(h: Any, xs: Any) -> Any:
        f = jax.nn.sigmoid(xs[0] + h @ p["U"].T)
        g = jnp.tanh(xs[1] + (f * h) @ p["R"].T)
        h = (1 - f) * h + f * g
        return h, h

    start = jnp.zeros((x.shape[0], p["U"].shape[0]), x.dtype)
    _, hs = jax.lax.scan(step, start, (given @ p["W"].T, given @ p["V"].T))
    return (hs**2).mean()


def peers() -> dict[str, Callable[[], tuple[float, Any]]]:
    """Return what computes loss and gradients, by peer."""
    model = unfold.load(SPEC)
    params = model.init(seed=0, dtype="float32")
    steps, features = model.program.axes["t"].extent.constant, int(params["W"].shape[1])
    x = np.random.default_rng(0).standard_normal((BATCH, steps, features)).astype(np.float32)
    compiled = jax.jit(jax.value_and_grad(_loss))

    def in_jax() -> tuple[float, Any]:
        loss, grads = jax.block_until_ready(compiled(params, x))
        return float(loss), grads

    return {
        "unfold": lambda: model.value_and_grad(params, {"x": x}, backend="numba"),
        "JAX": in_jax,
    }


@contextmanager
def others(count: int) -> Iterator[None]:
    """Keep other programs running."""
    started = [subprocess.Popen([sys.executable, "-c", ENDLESS]) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def main() -> None:
    """Print a table in Markdown."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    calls = peers()
    (wanted, grads), (loss, found) = (call() for call in calls.values())
    assert abs(loss - wanted) < 1e-5 * abs(wanted), (loss, wanted)
    for name, own in grads.items():
        assert np.abs(np.asarray(found[name]) - own).max() < 1e-4 * np.abs(own).max(), name
    print("| other programs | unfold, ms: minimum (median) | JAX | JAX / unfold |")
    print("|---:|---:|---:|---:|")
    for count in (0, PROGRAMS):
        times: dict[str, list[float]] = {name: [] for name in calls}
        with others(count):
            for _ in range(rounds):
                for name, call in calls.items():
                    times[name] += turn(call, SECONDS)
        shown = [f"{1e3 * min(t):.1f} ({1e3 * median(t):.1f})" for t in times.values()]
        ours, theirs = times.values()
        ratio = f"{min(theirs) / min(ours):.2f} ({median(theirs) / median(ours):.2f})"
        print(f"| {count} | {' | '.join(shown)} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
