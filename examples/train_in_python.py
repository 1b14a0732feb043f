"""Train a model from Python: data as arrays, a schedule, a callback, a folder for resuming.

    python examples/train_in_python.py runs/parity

The task: decide at every step whether the number of ones so far is odd. If you interrupt the
training and run it again, it resumes from its last checkpoint. A callback can end it: it returns
True.
"""

from __future__ import annotations

import sys

import numpy as np

import unfold

SPEC = """
unfold: 1
name: parity
axes: {t: 12}
sizes: {hidden: 16}
inputs: {x[t]: {category: 2}, odd[t]: {category: 2}}
parameters: {V: [2, hidden], c: [2]}
nodes:
  h[t]: lstm(x[t], hidden=hidden)
  y[t]: V @ h[t] + c
loss: mean[t](cross_entropy(y[t], odd[t]))
"""


def main(folder: str | None = None, steps: int = 150) -> float:
    """Train, and return the share of right answers on new sequences."""
    model = unfold.loads(SPEC)
    bits = np.random.default_rng(0).integers(0, 2, (1000, 12))
    data = {"x": bits, "odd": bits.cumsum(1) % 2}

    def tell(metrics, trainer) -> None:  # type: ignore[no-untyped-def]
        if metrics.step % 25 == 0:
            print(f"step {metrics.step}: loss {metrics.loss:.4f}")

    outcome = unfold.train(
        model,
        data,
        batch=50,
        steps=steps,
        optimizer={"adam": {"rate": 0.02}},
        schedule=[{"warmup": 20}, "cosine"],
        clip={"norm": 1},
        callbacks=[tell],
        folder=folder,
    )
    print(f"{outcome.ending} after {outcome.state.step} steps, loss {outcome.losses[-1]:.4f}")

    new = np.random.default_rng(1).integers(0, 2, (200, 12))
    said = model.forward(outcome.params, {"x": new})["y"].argmax(-1)
    right = float((said == new.cumsum(1) % 2).mean())
    print(f"{right:.1%} right on new sequences")
    return right


if __name__ == "__main__":
    main(*sys.argv[1:2])
