"""A custom training loop: `model.step` returns loss, gradients and the state to carry on.

    python examples/own_loop.py

Here a small character model reads a text in chunks. Each chunk starts from the state of the one
before, and plain gradient descent with momentum updates the weights. You can replace any of this.
"""

from __future__ import annotations

import numpy as np

import unfold

SPEC = """
unfold: 1
name: own-loop
axes: {t: 10}
sizes: {vocab: 8, hidden: 24}
inputs: {x[t]: {category: vocab}, target[t]: {category: vocab}}
parameters:
  W: {shape: [hidden, hidden], init: orthogonal}
  U: [hidden, vocab]
  V: [vocab, hidden]
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t])
  y[t]: V @ h[t]
loss: mean[t](cross_entropy(y[t], target[t]))
"""
TEXT = "she sells sea shells " * 40


def main(steps: int = 300) -> tuple[float, float]:
    """Train, and return the first and the last loss."""
    letters = sorted(set(TEXT))
    codes = np.array([letters.index(c) for c in TEXT])
    model = unfold.loads(SPEC, sizes={"vocab": len(letters)})
    params = model.init(seed=0)
    velocity = {name: np.zeros_like(array) for name, array in params.items()}
    losses, carry, place = [], None, 0
    for _ in range(steps):
        if place + 11 > len(codes):
            carry, place = None, 0  # the text begins again, and so does the state
        window = codes[None, place : place + 11]
        found = model.step(params, {"x": window[:, :-1], "target": window[:, 1:]}, carry=carry)
        for name, gradient in found.grads.items():
            velocity[name] = 0.9 * velocity[name] - 0.05 * gradient
            params[name] += velocity[name]
        losses.append(found.loss)
        carry, place = found.carry, place + 10
    print(f"loss {losses[0]:.3f} → {losses[-1]:.3f}")
    return losses[0], losses[-1]


if __name__ == "__main__":
    main()
