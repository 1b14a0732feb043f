"""Cells, and what they mean: plain NumPy loops over one sequence, written from the equations.

    rnn(p, "l", x): h of the packaged cell called as  l[t]: rnn(x[t])  [T, hidden]

`CELLS` are files of their own for tests; `rnn` and `lstm` come with the package. A loop takes the
parameters by name, the name of the instance and its input [T, features].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Arrays = Mapping[str, Any]

CELLS = {
    # Two inputs, one of them without an axis.
    "modulated": """
axes: [t]
sizes: {hidden: 9, features: , gains: }
inputs: {x[t]: [features], c: [gains]}
parameters: {U: [hidden, features], G: [hidden, gains]}
nodes:
  h[t]: tanh(0.5 * h[t-1] + U @ x[t] + G @ c)
output: h[t]
""",
    # Initial values of its own, also for what its input is before the first step.
    "late": """
axes: [t]
sizes: {features: }
inputs: {x[t]: [features]}
parameters: {w: [features]}
nodes:
  h[t]: 0.5 * h[t-1] + tanh(w * x[t-1])
initial: {x: 2, h: 3}
output: h[t]
""",
    # Cells inside of a cell, in both directions.
    "twoway": """
axes: [t]
sizes: {features: , hidden: features + 2}
inputs: {x[t]: [features]}
nodes:
  f[t]: rnn(x[t], hidden=hidden)
  b[t]: {is: rnn(x[t], hidden=3), reverse: t}
output: concat(f[t], b[t])
""",
    # Every step looks at itself and at earlier ones: two axes over the same points.
    "attend": """
axes: {t: , s: t}
sizes: {features: , keys: 6}
inputs: {x[t]: [features]}
parameters: {Q: [keys, features], K: [keys, features]}
nodes:
  e[t,s]: where(s <= t, (Q @ x[t]) @ (K @ x[s]), -1e9)
  a[t,s]: softmax[s](e[t,s])
output: sum[s](a[t,s] * x[s])
""",
    # A slower axis: half as many points, each over two steps.
    "pool": """
axes: {t: , u: t // 2}
sizes: {features: }
inputs: {x[t]: [features]}
parameters: {A: [features, features], B: [features, features]}
nodes:
  p[u]: tanh(A @ x[2*u] + B @ x[2*u+1])
  q[u]: 0.5 * q[u-1] + p[u]
output: x[t] * q[last] + x[first]
""",
    # Micro-steps along an axis that belongs to the cell, which start where the last step ended.
    "deep": """
axes: {t: , l: 3}
sizes: {features: }
inputs: {x[t]: [features]}
parameters: {R[l]: [features, features]}
nodes:
  s[t,l]: tanh(R[l] @ s[t,l-1] + x[t] * (l + 1))
initial: {s[l]: "s[t-1, last]", s[t]: learned}
output: s[t,last]
""",
}


def sigmoid(v: Any) -> Any:
    return 1 / (1 + np.exp(-v))


def rnn(p: Arrays, name: str, x: Any, h: Any = 0.0) -> Any:
    W, U, b = (p[f"{name}.{letter}"] for letter in "WUb")
    h, found = np.broadcast_to(h, b.shape), []
    for row in x:
        h = np.tanh(b + W @ h + U @ row)
        found.append(h)
    return np.stack(found)


def lstm(p: Arrays, name: str, x: Any, s: Any = 0.0) -> tuple[Any, Any]:
    """Return the outputs and the memories, [T, hidden] each."""
    W, U, b = (p[f"{name}.{letter}"] for letter in "WUb")
    h, memories, outputs = np.zeros(len(b) // 4), [], []
    for row in x:
        i, f, o, g = np.split(W @ h + U @ row + b, 4)
        s = sigmoid(f) * s + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(s)
        memories.append(s)
        outputs.append(h)
    return np.stack(outputs), np.stack(memories)


def modulated(p: Arrays, name: str, x: Any, c: Any) -> Any:
    h, found = np.zeros(len(p[f"{name}.U"])), []
    for row in x:
        h = np.tanh(0.5 * h + p[f"{name}.U"] @ row + p[f"{name}.G"] @ c)
        found.append(h)
    return np.stack(found)


def late(p: Arrays, name: str, x: Any, h: Any = 3.0) -> Any:
    found = []
    for row in [np.full(x.shape[1], 2.0), *x[:-1]]:
        h = 0.5 * h + np.tanh(p[f"{name}.w"] * row)
        found.append(h)
    return np.stack(found)


def twoway(p: Arrays, name: str, x: Any) -> Any:
    backwards = rnn(p, f"{name}.b", x[::-1])[::-1]
    return np.concatenate([rnn(p, f"{name}.f", x), backwards], axis=1)


def attend(p: Arrays, name: str, x: Any) -> Any:
    found = []
    for t in range(len(x)):
        query = p[f"{name}.Q"] @ x[t]
        scores = np.array([query @ (p[f"{name}.K"] @ x[s]) for s in range(t + 1)])
        weights = np.exp(scores) / np.exp(scores).sum()
        found.append(sum(weights[s] * x[s] for s in range(t + 1)))
    return np.stack(found)


def pool(p: Arrays, name: str, x: Any) -> Any:
    q = np.zeros(x.shape[1])
    for u in range(len(x) // 2):
        q = 0.5 * q + np.tanh(p[f"{name}.A"] @ x[2 * u] + p[f"{name}.B"] @ x[2 * u + 1])
    return x * q + x[0]


def deep(p: Arrays, name: str, x: Any) -> Any:
    s, found = p[f"{name}.s.initial.t"], []
    for row in x:
        for level in range(3):
            s = np.tanh(p[f"{name}.R"][level] @ s + row * (level + 1))
        found.append(s)
    return np.stack(found)
