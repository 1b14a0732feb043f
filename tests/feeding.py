"""Programs that do nothing but read inputs, for tests of data.

reading("x[t]: {category: vocab}", sizes="vocab: 3", axes="t: 5")
"""

from __future__ import annotations

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
