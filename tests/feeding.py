"""Programs that do nothing but read inputs, for tests of data.

reading("x[t]: {category: vocab}", sizes="vocab: 3", axes="t: 5")
"""

from __future__ import annotations

import numpy as np

import unfold
from unfold.core.program import Program

SPEC = """\
unfold: 1
name: reading
axes: {{{axes}}}
sizes: {{{sizes}}}
inputs:
{inputs}
nodes:
  one: 1 + 1
"""


def reading(*inputs: str, sizes: str = "n: 2", axes: str = "t: 5, s: 4, i: 3, j: 3") -> Program:
    """Return the Program of a spec with these inputs."""
    lines = "\n".join(f"  {line}" for line in inputs)
    return unfold.loads(SPEC.format(axes=axes, sizes=sizes, inputs=lines)).program


FRAMES = reading("x[t]: [n]", "y: {category: m}", sizes="n: 3, m: 4")


def frames(count: int = 23) -> dict[str, np.ndarray]:
    """Return sequences of unequal length, with nonsense in the padding; x[i] is i at every step."""
    lengths = np.random.default_rng(0).integers(1, 9, count)
    x = np.full((count, 8, 3), np.nan)
    for row, n in enumerate(lengths):
        x[row, :n] = row
    return {"x": x, "y": np.arange(count) % 4, "n": lengths}
