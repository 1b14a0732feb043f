"""The cells of the package, each as a spec of its own that is nothing but the cell."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from oracles import gated

from cases.case import Case, X

CELL_SPEC = """
unfold: 1
name: {cell}
axes: {{t: 5}}
sizes: {{features: 7, hidden: 11}}
inputs:
  x[t]: [features]
nodes:
  l[t]: {cell}(x[t], hidden=hidden)
loss: sum[t](sum(l[t] * l[t]))
"""


def _cell_case(name: str, cell: Any) -> Case:
    """Return a case of one packaged cell; its loss is the sum of its outputs' squares."""

    def oracle(p: Any, inputs: Any, free: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        h = jnp.stack(cell(p, list(inputs["x"]), "l.")[0])
        return jnp.sum(h * h), {"l": h}

    sizes, text = {"features": 7, "hidden": 11}, CELL_SPEC.format(cell=name)
    return Case(name, oracle, sizes, {"x": X}, text=text)


CELL_CASES = {
    name: _cell_case(name, cell)
    for name, cell in {
        "rnn": gated.rnn_cell,
        "lstm": gated.lstm_cell,
        "lstm_peephole": gated.lstm_cell,
        "gru": gated.gru_cell,
        "gru_cho": gated.gru_cho_cell,
    }.items()
}
